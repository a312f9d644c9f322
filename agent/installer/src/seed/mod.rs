//! What the installed system is left: where cloud-init finds its data, what it registers or joins with, and which
//! installation it is.
//!
//! The image is not trusted with the paths in it: a link in it leads nowhere outside of it.

mod agent;
mod cloud_init;
mod host;
mod mark;
mod system;

use bytes::Bytes;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2, renameat},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

/// The files that are left to the installed system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seed {
    /// Where cloud-init finds its data.
    pub(crate) cloud_init: Option<String>,
    /// Content of `/etc/bloomery/host.json`, which is secret.
    pub(crate) host: Option<Bytes>,
    /// Content of `/etc/bloomery/agent.json`.
    pub(crate) agent: Option<Bytes>,
    /// Name of the file that says which installation it is.
    pub(crate) installation: Option<String>,
}

/// Why the files cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeedError {
    /// The image does not have cloud-init.
    #[error("the disk image has no cloud-init: there is no folder /etc/cloud in it")]
    NoCloudInit,
    /// The image has no system.
    #[error("the disk image has no folder /etc, and no deployment of ostree")]
    NoEtc,
    /// It is unknown which system boots.
    #[error("the disk image has {0} deployments of ostree, and needs exactly one")]
    Deployments(usize),
    /// The file system refuses them.
    #[error("/{0} on the installed system cannot be written")]
    Write(&'static str, #[source] io::Error),
}

impl Seed {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes it into the file system at `root`.
    ///
    /// # Errors
    ///
    /// If there is no place for it, or the file system refuses.
    pub(crate) fn write(&self, root: &Path) -> Result<(), SeedError> {
        let root = File::open(root).map_err(|error| SeedError::Write("", error))?;
        if let Some(url) = &self.cloud_init {
            cloud_init::write(&root, url, self.installation.as_deref())?;
        }
        if let Some(content) = &self.host {
            host::write(&root, content)?;
        }
        if let Some(content) = &self.agent {
            agent::write(&root, content)?;
        }
        if let Some(installation) = &self.installation {
            mark::write(&root, installation)?;
        }
        Ok(())
    }
}

/// A folder in another one, which is made if it is not there.
fn folder(parent: impl AsFd, name: &str) -> nix::Result<OwnedFd> {
    match inside(&parent, name, OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT) => {
            mkdirat(&parent, name, Mode::from_bits_truncate(0o755))?;
            inside(&parent, name, OFlag::O_DIRECTORY)
        }
        found => found,
    }
}

/// Writes a file under a second name, and renames it when it is complete.
fn put(folder: OwnedFd, names: [&str; 2], mode: u32, content: &[u8]) -> io::Result<()> {
    let [name, partial] = names;
    // The image may have something of this name: another name of a file, a device, a pipe that nobody reads.
    match unlinkat(&folder, partial, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut file = File::from(inside(&folder, partial, flags)?);
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    renameat(&folder, partial, &folder, name)?;
    File::from(folder).sync_all()
}

/// Opens a path below a folder as if the folder were the root of the file system.
fn inside(root: impl AsFd, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let creates = flags.contains(OFlag::O_CREAT);
    let mode = if creates { Mode::from_bits_truncate(0o600) } else { Mode::empty() };
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode);
    openat2(
        root,
        path,
        how.resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS),
    )
}
