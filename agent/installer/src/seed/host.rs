//! What the installed system registers with, for metal-host.
//!
//! An image of bootc has its system in a deployment of ostree: its `/etc` is
//! `/ostree/deploy/STATEROOT/deploy/CHECKSUM.SERIAL/etc` of the file system.

use super::{SeedError, folder, inside, put};
use nix::{dir::Dir, errno::Errno, fcntl::OFlag};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

const ETC: &str = "etc";
/// Where ours goes.
const FOLDER: &str = "bloomery";
const NAMES: [&str; 2] = ["host.json", ".host.json"];
const SHOWN: &str = "etc/bloomery/host.json";
/// Where the systems of ostree are, and where a system has its deployments.
const STATEROOTS: &str = "ostree/deploy";
const DEPLOYMENTS: &str = "deploy";

/// Writes the file into the system in `root`, readable by nobody else.
pub(super) fn write(root: &File, content: &[u8]) -> Result<(), SeedError> {
    let folder = folder(etc(root)?, FOLDER).map_err(|error| failed(error.into()))?;
    put(folder, NAMES, 0o600, content).map_err(failed)
}

fn etc(root: &File) -> Result<OwnedFd, SeedError> {
    let system = match inside(root, STATEROOTS, OFlag::O_DIRECTORY) {
        Ok(stateroots) => deployment(&stateroots)?,
        Err(Errno::ENOENT | Errno::ENOTDIR) => root.as_fd().try_clone_to_owned().map_err(failed)?,
        Err(other) => return Err(failed(other.into())),
    };
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
    SeedError::Write(SHOWN, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };
    use tempfile::TempDir;

    const CONTENT: &[u8] = br#"{"credential":"secret"}"#;

    fn written(root: &TempDir) -> Result<(), SeedError> {
        write(&open(root.path()), CONTENT)
    }

    fn open(root: &Path) -> File {
        File::open(root).unwrap()
    }

    fn with(folders: &[&str]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        root
    }

    fn is_there(etc: &Path) -> bool {
        let file = etc.join("bloomery/host.json");
        let mode = fs::metadata(&file).map(|it| it.permissions().mode() & 0o777);
        fs::read(&file).is_ok_and(|content| content == CONTENT) && mode.unwrap() == 0o600
    }

    #[test]
    fn only_root_of_the_installed_system_reads_what_it_registers_with() {
        let root = with(&["etc/bloomery"]);
        let partial = root.path().join("etc/bloomery/.host.json");
        fs::write(&partial, "of the image").unwrap();
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o666)).unwrap();
        written(&root).unwrap();
        assert!(is_there(&root.path().join("etc")));
        written(&root).unwrap();
        assert!(is_there(&root.path().join("etc")), "again");
        assert!(matches!(written(&with(&["usr"])), Err(SeedError::NoEtc)));
    }

    #[test]
    fn of_an_image_of_bootc_the_only_deployment_gets_it() {
        let root = with(&["etc", "ostree/deploy/default/deploy/0a1b.0/etc", "ostree/repo"]);
        let deploy = root.path().join("ostree/deploy/default/deploy");
        fs::write(deploy.join("0a1b.0.origin"), "").unwrap();
        written(&root).unwrap();
        assert!(is_there(&deploy.join("0a1b.0/etc")));
        assert!(!root.path().join("etc/bloomery").exists());
        fs::create_dir_all(root.path().join("ostree/deploy/other/deploy/ffff.0/etc")).unwrap();
        assert!(matches!(written(&root), Err(SeedError::Deployments(2))));
        assert!(matches!(
            written(&with(&["etc", "ostree/deploy"])),
            Err(SeedError::Deployments(0))
        ));
    }

    #[test]
    fn a_link_in_the_image_leads_nowhere_outside_of_it() {
        let outside = with(&["bloomery"]);
        let root = with(&[]);
        symlink(outside.path(), root.path().join("etc")).unwrap();
        assert!(written(&root).is_err());
        let root = with(&["etc"]);
        symlink(outside.path().join("bloomery"), root.path().join("etc/bloomery")).unwrap();
        assert!(written(&root).is_err());
        let root = with(&["ostree/deploy/default/deploy"]);
        let deploy = root.path().join("ostree/deploy/default/deploy");
        symlink(outside.path(), deploy.join("0a1b.0")).unwrap();
        assert!(written(&root).is_err());
        assert_eq!(fs::read_dir(outside.path().join("bloomery")).unwrap().count(), 0);
    }
}
