//! What cloud-init is told on the installed system: where its data is.
//!
//! The image is not trusted with the paths in it: a link in it leads nowhere outside of it.

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2, renameat},
    sys::stat::{Mode, mkdirat},
};
use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Where the configuration of cloud-init is.
const FOLDER: &str = "etc/cloud";
/// Where ours goes.
const DROP_INS: &str = "etc/cloud/cloud.cfg.d";
const NAME: &str = "90-bloomery.cfg";
/// Until it is whole.
const PARTIAL: &str = ".90-bloomery.cfg";

/// Why cloud-init is not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeedError {
    /// The image does not have it.
    #[error("the disk image has no cloud-init: there is no folder /etc/cloud in it")]
    NoCloudInit,
    /// The file system does not take it.
    #[error("/{0} on the installed system cannot be written")]
    Write(&'static str, #[source] io::Error),
}

/// The configuration: one source of data, without any looking for others.
pub(crate) fn config(url: &str) -> String {
    // JSON is YAML.
    let url = serde_json::Value::from(url);
    format!(
        "# Written by the installer of Bloomery.\n\
         datasource_list: [NoCloud]\n\
         datasource:\n  NoCloud:\n    seedfrom: {url}\n"
    )
}

/// Writes the configuration into the file system at `root`.
///
/// # Errors
///
/// If there is no cloud-init, or the file system refuses.
pub(crate) fn write(root: &Path, url: &str) -> Result<(), SeedError> {
    let root = File::open(root).map_err(|error| SeedError::Write("", error))?;
    inside(&root, FOLDER, OFlag::O_DIRECTORY).map_err(|error| match error {
        Errno::ENOENT | Errno::ENOTDIR => SeedError::NoCloudInit,
        other => SeedError::Write(FOLDER, other.into()),
    })?;
    place(&root, &config(url)).map_err(|error| SeedError::Write(DROP_INS, error))
}

fn place(root: &File, config: &str) -> io::Result<()> {
    let folder = match inside(root, DROP_INS, OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT) => {
            let parent = inside(root, FOLDER, OFlag::O_DIRECTORY)?;
            mkdirat(&parent, "cloud.cfg.d", Mode::from_bits_truncate(0o755))?;
            inside(root, DROP_INS, OFlag::O_DIRECTORY)?
        }
        found => found?,
    };
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
    let mut file = File::from(inside(&folder, PARTIAL, flags)?);
    file.write_all(config.as_bytes())?;
    file.sync_all()?;
    renameat(&folder, PARTIAL, &folder, NAME)?;
    File::from(folder).sync_all()
}

/// Opens what is below a folder, as if that were the root of everything.
fn inside(root: impl AsFd, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let creates = flags.contains(OFlag::O_CREAT);
    let mode = if creates { Mode::from_bits_truncate(0o644) } else { Mode::empty() };
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode);
    openat2(
        root,
        path,
        how.resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    const URL: &str = "http://10.0.0.1:8880/cloud-init/";

    #[test]
    fn cloud_init_finds_one_source_of_data() {
        let expected = "datasource_list: [NoCloud]\ndatasource:\n  NoCloud:\n    \
                        seedfrom: \"http://10.0.0.1:8880/cloud-init/\"\n";
        assert!(config(URL).ends_with(expected), "{}", config(URL));
    }

    #[test]
    fn the_file_is_written_with_or_without_its_folder_and_again() {
        for folder in [FOLDER, DROP_INS] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join(folder)).unwrap();
            for url in ["http://old/", URL] {
                write(root.path(), url).unwrap();
            }
            let file = root.path().join(DROP_INS).join(NAME);
            assert_eq!(fs::read_to_string(&file).unwrap(), config(URL));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
            assert_eq!(fs::read_dir(root.path().join(DROP_INS)).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_image_without_cloud_init_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(write(root.path(), URL), Err(SeedError::NoCloudInit)));
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join(FOLDER), b"").unwrap();
        assert!(matches!(write(root.path(), URL), Err(SeedError::NoCloudInit)));
    }

    #[test]
    fn a_link_in_the_image_leads_nowhere_outside_of_it() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(outside.path().join("cloud.cfg.d")).unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        symlink(outside.path(), root.path().join(FOLDER)).unwrap();
        assert!(write(root.path(), URL).is_err());
        // The place of a link may be there inside as well.
        let inner = root.path().join(outside.path().strip_prefix("/").unwrap());
        fs::create_dir_all(&inner).unwrap();
        write(root.path(), URL).unwrap();
        assert!(inner.join("cloud.cfg.d").join(NAME).exists());
        assert_eq!(fs::read_dir(outside.path().join("cloud.cfg.d")).unwrap().count(), 0);
        // And the file itself may be one.
        let file = inner.join("cloud.cfg.d");
        symlink(outside.path().join("target"), file.join(PARTIAL)).unwrap();
        assert!(write(root.path(), URL).is_err() || !outside.path().join("target").exists());
    }
}
