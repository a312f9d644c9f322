//! Makes a node of the installed system: writes the configuration of metal-agent, and enables its unit. It needs
//! no document of cloud-init, and none can undo it.

use super::{SeedError, folder, inside, put, system};
use nix::{errno::Errno, fcntl::OFlag, unistd::symlinkat};
use std::{fs::File, io, os::fd::OwnedFd};

/// Folder of the configuration, below `/etc`, and its name there, finished and while it is written.
const FOLDER: &str = "bloomery";
const NAMES: [&str; 2] = ["agent.json", ".agent.json"];
const SHOWN: &str = "etc/bloomery/agent.json";
/// Name of its unit.
const UNIT: &str = "metal-agent.service";
/// Folders with units (systemd.unit(5)), by precedence.
const UNITS: [&str; 4] = [
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Folder below `/etc` with the units that a system starts.
const WANTS: [&str; 3] = ["systemd", "system", "multi-user.target.wants"];
const SHOWN_WANTS: &str = "etc/systemd/system/multi-user.target.wants/metal-agent.service";

/// Writes the configuration of metal-agent into the system in `root`, and enables its unit if the system has it.
pub(super) fn write(root: &File, content: &[u8]) -> Result<(), SeedError> {
    let failed = |error| SeedError::Write(SHOWN, error);
    let system = system::of(root)?;
    let etc = system::etc(&system)?;
    let folder = folder(&etc, FOLDER).map_err(|error| failed(error.into()))?;
    put(folder, NAMES, 0o600, content).map_err(failed)?;
    let Some(unit) = unit(&system) else {
        tracing::warn!(
            unit = UNIT,
            "not in the disk image, which makes a node of itself in another way"
        );
        return Ok(());
    };
    enable(etc, &unit).map_err(|error| SeedError::Write(SHOWN_WANTS, error))
}

/// Path of the unit on the system.
fn unit(system: &OwnedFd) -> Option<String> {
    let mut places = UNITS.iter().map(|place| format!("{place}/{UNIT}"));
    places.find(|path| inside(system, path, OFlag::O_PATH).is_ok())
}

/// Does what `systemctl enable` does.
fn enable(etc: OwnedFd, unit: &str) -> io::Result<()> {
    let wants = WANTS.iter().try_fold(etc, |parent, name| folder(parent, name))?;
    match symlinkat(format!("/{unit}").as_str(), &wants, UNIT) {
        Ok(()) | Err(Errno::EEXIST) => File::from(wants).sync_all(),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, path::Path};
    use tempfile::TempDir;

    const CONTENT: &[u8] = br#"{"MachineName":"node-01"}"#;

    fn with(folder: &str, unit: Option<&str>) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let system = root.path().join(folder);
        fs::create_dir_all(system.join("etc")).unwrap();
        if let Some(place) = unit {
            fs::create_dir_all(system.join(place)).unwrap();
            fs::write(system.join(place).join(UNIT), "[Unit]\n").unwrap();
        }
        root
    }

    fn write(root: &TempDir) -> Result<(), SeedError> {
        super::write(&open(root.path()), CONTENT)
    }

    fn open(root: &Path) -> File {
        File::open(root).unwrap()
    }

    fn starts(system: &Path) -> Option<String> {
        let link = fs::read_link(system.join(SHOWN_WANTS)).ok()?;
        link.to_str().map(str::to_owned)
    }

    #[test]
    fn the_agent_is_told_and_enabled_whatever_cloud_init_is_told() {
        for (folder, place) in [
            ("", "etc/systemd/system"),
            ("", "usr/lib/systemd/system"),
            ("ostree/deploy/default/deploy/0a1b.0", "usr/lib/systemd/system"),
        ] {
            let root = with(folder, Some(place));
            for _ in 0..2 {
                write(&root).unwrap();
                let system = root.path().join(folder);
                assert_eq!(fs::read(system.join(SHOWN)).unwrap(), CONTENT, "{folder} {place}");
                assert_eq!(starts(&system), Some(format!("/{place}/{UNIT}")), "{folder}");
            }
        }
    }

    #[test]
    fn a_system_without_the_agent_is_told_all_the_same_and_enables_nothing() {
        let root = with("", None);
        // One that is masked is not there either.
        fs::create_dir_all(root.path().join(UNITS[0])).unwrap();
        symlink("/dev/null", root.path().join(UNITS[0]).join(UNIT)).unwrap();
        write(&root).unwrap();
        assert_eq!(fs::read(root.path().join(SHOWN)).unwrap(), CONTENT);
        assert_eq!(starts(root.path()), None);
    }

    #[test]
    fn a_link_in_the_image_leads_nowhere_outside_of_it() {
        let outside = with("", None);
        let root = with("", Some("usr/lib/systemd/system"));
        fs::remove_dir(root.path().join("etc")).unwrap();
        symlink(outside.path().join("etc"), root.path().join("etc")).unwrap();
        assert!(write(&root).is_err());
        let root = with("", Some("usr/lib/systemd/system"));
        symlink(outside.path().join("etc"), root.path().join("etc/systemd")).unwrap();
        assert!(write(&root).is_err());
        assert_eq!(fs::read_dir(outside.path().join("etc")).unwrap().count(), 0);
    }
}
