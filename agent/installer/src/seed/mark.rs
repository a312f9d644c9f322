//! What says which installation a disk has. GRUB, which comes over the network, looks for it on every disk: one that
//! was installed to before may still have its system.

use super::{SeedError, folder, put, system};
use std::fs::File;

/// Where the folders of machines are.
const FOLDERS: [&str; 2] = ["bloomery", "installed"];
const SHOWN: &str = "etc/bloomery/installed";

/// Which installation it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Name of the machine, which is the name of a folder.
    pub(crate) machine: String,
    /// The number of the installation, among those of the machine.
    pub(crate) installation: u64,
}

/// Writes the file into the system in `root`: `/etc/bloomery/installed/MACHINE/NUMBER`.
pub(super) fn write(root: &File, mark: &Mark) -> Result<(), SeedError> {
    let failed = |error| SeedError::Write(SHOWN, error);
    let etc = system::etc(&system::of(root)?)?;
    let mut place = etc;
    for name in [FOLDERS[0], FOLDERS[1], mark.machine.as_str()] {
        place = folder(&place, name).map_err(|error| failed(error.into()))?;
    }
    let name = mark.installation.to_string();
    let (partial, content) = (format!(".{name}"), format!("{}\n", mark.machine));
    put(place, [name.as_str(), partial.as_str()], 0o644, content.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, path::Path};

    fn marked(root: &Path) -> Result<(), SeedError> {
        let mark = Mark { machine: "node-01".to_owned(), installation: 4 };
        write(&File::open(root).unwrap(), &mark)
    }

    #[test]
    fn a_disk_says_which_installation_of_which_machine_it_has() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(marked(root.path()), Err(SeedError::NoEtc)));
        fs::create_dir(root.path().join("etc")).unwrap();
        for _ in 0..2 {
            marked(root.path()).unwrap();
        }
        let folder = root.path().join("etc/bloomery/installed/node-01");
        assert_eq!(fs::read_to_string(folder.join("4")).unwrap(), "node-01\n");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_image_leads_nowhere_outside_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/bloomery")).unwrap();
        symlink(outside.path(), root.path().join("etc/bloomery/installed")).unwrap();
        assert!(marked(root.path()).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
