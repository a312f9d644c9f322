//! Marks a disk with the installation that it has. GRUB, which is loaded over the network, looks for the mark on
//! every disk: one that was installed to before may still have its system.

use super::{SeedError, folder, put, system};
use std::fs::File;

/// Folders of the file with the name of the installation, below `/etc`.
const FOLDERS: [&str; 2] = ["bloomery", "installed"];
const SHOWN: &str = "etc/bloomery/installed";

/// Writes the file into the system in `root`.
pub(super) fn write(root: &File, installation: &str) -> Result<(), SeedError> {
    let failed = |error| SeedError::Write(SHOWN, error);
    let mut place = system::etc(&system::of(root)?)?;
    for name in FOLDERS {
        place = folder(&place, name).map_err(|error| failed(error.into()))?;
    }
    let (partial, content) = (format!(".{installation}"), format!("{installation}\n"));
    put(place, [installation, partial.as_str()], 0o644, content.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, path::Path};

    fn opened(root: &Path) -> File {
        File::open(root).unwrap()
    }

    #[test]
    fn a_disk_says_which_installation_it_has() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(write(&opened(root.path()), "uid-4"), Err(SeedError::NoEtc)));
        fs::create_dir(root.path().join("etc")).unwrap();
        for _ in 0..2 {
            write(&opened(root.path()), "uid-4").unwrap();
        }
        let folder = root.path().join("etc/bloomery/installed");
        assert_eq!(fs::read_to_string(folder.join("uid-4")).unwrap(), "uid-4\n");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_image_leads_nowhere_outside_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/bloomery")).unwrap();
        symlink(outside.path(), root.path().join("etc/bloomery/installed")).unwrap();
        assert!(write(&opened(root.path()), "uid-4").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
