//! Finds the root of the installed system in its file system.
//!
//! An image of bootc has its system in a deployment of ostree: its root is
//! `/ostree/deploy/STATEROOT/deploy/CHECKSUM.SERIAL` of the file system.

use super::{SeedError, inside};
use nix::{dir::Dir, errno::Errno, fcntl::OFlag};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

const ETC: &str = "etc";
/// Folder of the systems of ostree, and the folder of a system's deployments.
const STATEROOTS: &str = "ostree/deploy";
const DEPLOYMENTS: &str = "deploy";

/// The root of the system that boots from the file system at `root`.
///
/// # Errors
///
/// If it cannot be read, or there are several.
pub(super) fn of(root: &File) -> Result<OwnedFd, SeedError> {
    match inside(root, STATEROOTS, OFlag::O_DIRECTORY) {
        Ok(stateroots) => deployment(&stateroots),
        Err(Errno::ENOENT | Errno::ENOTDIR) => root.as_fd().try_clone_to_owned().map_err(failed),
        Err(other) => Err(failed(other.into())),
    }
}

/// The folder `/etc` of a system.
///
/// # Errors
///
/// If it has none.
pub(super) fn etc(system: &OwnedFd) -> Result<OwnedFd, SeedError> {
    inside(system, ETC, OFlag::O_DIRECTORY).map_err(|error| match error {
        Errno::ENOENT | Errno::ENOTDIR => SeedError::NoEtc,
        other => failed(other.into()),
    })
}

/// The only deployment of all systems.
fn deployment(stateroots: &OwnedFd) -> Result<OwnedFd, SeedError> {
    let mut all = vec![];
    for stateroot in folders(stateroots).map_err(failed)? {
        match inside(stateroot, DEPLOYMENTS, OFlag::O_DIRECTORY) {
            Ok(deployments) => all.extend(folders(&deployments).map_err(failed)?),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(other) => return Err(failed(other.into())),
        }
    }
    let count = all.len();
    let only = all.pop().filter(|_| count == 1);
    only.ok_or(SeedError::Deployments(count))
}

/// The folders in a folder.
fn folders(folder: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    let mut names = vec![];
    for entry in Dir::from_fd(folder.try_clone()?)? {
        names.extend(entry?.file_name().to_str().map(str::to_owned));
    }
    let names = names.iter().filter(|name| !matches!(name.as_str(), "." | ".."));
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let opened = names.map(|name| inside(folder, name, flags));
    // Beside a deployment is the file that says where it is from.
    let is_folder = |opened: &nix::Result<OwnedFd>| !matches!(opened, Err(Errno::ENOTDIR));
    opened.filter(is_folder).map(|opened| opened.map_err(Into::into)).collect()
}

fn failed(error: io::Error) -> SeedError {
    SeedError::Write(ETC, error)
}
