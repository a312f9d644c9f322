//! Configures cloud-init on the installed system with the location of its data.

use super::{SeedError, folder, inside, put};
use nix::{errno::Errno, fcntl::OFlag};
use std::fs::File;

/// Folder of the configuration of cloud-init.
const FOLDER: &str = "etc/cloud";
/// Folder of our file, and its name, finished and while it is written.
const DROP_INS: &str = "etc/cloud/cloud.cfg.d";
const NAMES: [&str; 2] = ["90-bloomery.cfg", ".90-bloomery.cfg"];

/// The configuration: one source of data, without any looking for others. Which instance the system is, its
/// installation says: what the server says may change under a system that runs, as where its Machine was made anew,
/// and cloud-init would do everything once more.
fn config(url: &str, installation: Option<&str>) -> String {
    // JSON is YAML. cloud-init reads either of the two here only if both are there; user data is that of the URL.
    let instance = installation.map(|installation| {
        let id = serde_json::Value::from(installation);
        format!("    user-data: \"\"\n    meta-data: {{instance-id: {id}}}\n")
    });
    format!(
        "# Written by the installer of Bloomery.\n\
         datasource_list: [NoCloud]\n\
         datasource:\n  NoCloud:\n    seedfrom: {}\n{}",
        serde_json::Value::from(url),
        instance.unwrap_or_default()
    )
}

/// Writes the configuration into the system in `root`.
pub(super) fn write(root: &File, url: &str, installation: Option<&str>) -> Result<(), SeedError> {
    let failed = |error| SeedError::Write(DROP_INS, error);
    let cloud = inside(root, FOLDER, OFlag::O_DIRECTORY).map_err(|error| match error {
        Errno::ENOENT | Errno::ENOTDIR => SeedError::NoCloudInit,
        other => SeedError::Write(FOLDER, other.into()),
    })?;
    let folder = match inside(root, DROP_INS, OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT) => folder(cloud, "cloud.cfg.d"),
        found => found,
    };
    let folder = folder.map_err(|error| failed(error.into()))?;
    put(folder, NAMES, 0o644, config(url, installation).as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    fn write(root: &Path, url: &str) -> Result<(), SeedError> {
        super::write(&open(root), url, Some("uid-4"))
    }

    fn open(root: &Path) -> File {
        File::open(root).unwrap()
    }

    const URL: &str = "http://10.0.0.1:8880/cloud-init/";

    #[test]
    fn cloud_init_finds_one_source_of_data() {
        let expected = "datasource_list: [NoCloud]\ndatasource:\n  NoCloud:\n    \
                        seedfrom: \"http://10.0.0.1:8880/cloud-init/\"\n";
        assert!(config(URL, None).ends_with(expected), "{}", config(URL, None));
    }

    #[test]
    fn the_instance_is_that_of_the_installation_whatever_the_server_says_later() {
        let text = config(URL, Some("uid-4"));
        let expected = "    user-data: \"\"\n    meta-data: {instance-id: \"uid-4\"}\n";
        assert_eq!(text.strip_suffix(expected), Some(&*config(URL, None)));
    }

    #[test]
    fn the_file_is_written_with_or_without_its_folder_and_again() {
        for folder in [FOLDER, DROP_INS] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join(folder)).unwrap();
            for url in ["http://old/", URL] {
                write(root.path(), url).unwrap();
            }
            let file = root.path().join(DROP_INS).join(NAMES[0]);
            assert_eq!(fs::read_to_string(&file).unwrap(), config(URL, Some("uid-4")));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
            assert_eq!(fs::read_dir(root.path().join(DROP_INS)).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_an_image_has_in_the_place_of_the_unfinished_file_is_not_written_to() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(DROP_INS);
        fs::create_dir_all(&folder).unwrap();
        let (other, unfinished) = (root.path().join("etc/passwd"), folder.join(NAMES[1]));
        fs::write(&other, "root").unwrap();
        fs::hard_link(&other, &unfinished).unwrap();
        write(root.path(), URL).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "root");
        mkfifo(&unfinished, Mode::S_IRWXU).unwrap();
        write(root.path(), URL).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
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
        assert!(inner.join("cloud.cfg.d").join(NAMES[0]).exists());
        assert_eq!(fs::read_dir(outside.path().join("cloud.cfg.d")).unwrap().count(), 0);
        // And the file itself may be one.
        let file = inner.join("cloud.cfg.d");
        symlink(outside.path().join("target"), file.join(NAMES[1])).unwrap();
        assert!(write(root.path(), URL).is_err() || !outside.path().join("target").exists());
    }
}
