//! Writes the registration file of the installed system, for metal-host.

use super::{SeedError, folder, put, system};
use std::{fs::File, io};

/// Folder of the file, below `/etc`, and its name there, finished and while it is written.
const FOLDER: &str = "bloomery";
const NAMES: [&str; 2] = ["host.json", ".host.json"];
const SHOWN: &str = "etc/bloomery/host.json";

/// Writes the file into the system in `root`, readable by nobody else.
pub(super) fn write(root: &File, content: &[u8]) -> Result<(), SeedError> {
    let etc = system::etc(&system::of(root)?)?;
    let folder = folder(etc, FOLDER).map_err(|error| failed(error.into()))?;
    put(folder, NAMES, 0o600, content).map_err(failed)
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
