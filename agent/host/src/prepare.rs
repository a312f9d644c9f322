//! Turns what the server sends into the files that the hook gets.

use crate::{
    client::Wanted,
    decrypt::{Refused, Sealed, open},
    files,
    key::Key,
    state::Release,
};
use anyhow::{Context, Result, anyhow};
use metal_base::hex;
use metal_configuration::{Bundle, Rendered, Unpacked};
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Prefixes of files with a configuration, and of folders with rendered files.
const CONFIG: &str = "config.";
const FILES: &str = "files.";
/// Prefix of files that contain mode and owner of rendered files.
const MODES: &str = "modes.";

/// How long name and digest of a release may be in the names of its files, in bytes: no file system takes more than 255
/// in all, and that is what is put around them while a file is written.
const WORD: usize = 255 - ".config..new".len();

/// The mode of files that are written.
const PRIVATE: u32 = 0o600;

/// The files of releases.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    folder: PathBuf,
}

impl Prepared {
    /// The files in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The file with the configuration of a release. A release that is created again under the same name has
    /// another one.
    pub(crate) fn config(&self, release: &Release) -> PathBuf {
        self.folder.join(format!("{CONFIG}{}", word(release)))
    }

    /// The folder with its rendered files.
    pub(crate) fn files(&self, release: &Release) -> PathBuf {
        self.folder.join(format!("{FILES}{}", word(release)))
    }

    /// The file with mode and owner of each of them: lines of `MODE USER[:GROUP] PATH`.
    pub(crate) fn modes(&self, release: &Release) -> PathBuf {
        self.folder.join(format!("{MODES}{}", word(release)))
    }

    /// Where a hook, or the health command, may say in a line why it fails.
    pub(crate) fn why(&self) -> PathBuf {
        self.folder.join("why")
    }

    /// Writes what a release is given.
    ///
    /// # Errors
    ///
    /// If they cannot be written, which says nothing about the release.
    pub(crate) fn write(&self, mut release: Release, content: Content) -> Result<Release> {
        if let Some(config) = content.config {
            files::write(&self.config(&release), &config)?;
        }
        let Some(rendered) = content.files else { return Ok(release) };
        // What is as it should be stays: a release that was given up is tried again, and may be what another one
        // is rolled back to. Nothing of it is away for a moment, in which the power may fail.
        if !self.is_rendered(&release, &rendered) {
            self.render(&release, &rendered)?;
        }
        release.rendered = true;
        Ok(release)
    }

    /// Whether all rendered files exist as they would be written.
    fn is_rendered(&self, release: &Release, rendered: &BTreeMap<String, Rendered>) -> bool {
        let folder = self.files(release);
        let has = |path: &Path, text: &str| {
            let found = fs::symlink_metadata(path).ok().filter(|it| {
                it.is_file() && it.mode() & 0o7777 == PRIVATE && it.len() == text.len() as u64
            });
            found.is_some() && fs::read(path).is_ok_and(|found| found == text.as_bytes())
        };
        has(&self.modes(release), &modes(rendered))
            && rendered.iter().all(|(path, it)| has(&folder.join(path), &it.text))
    }

    /// Writes rendered files, the one with their modes last: if it exists, so do all the others.
    fn render(&self, release: &Release, rendered: &BTreeMap<String, Rendered>) -> Result<()> {
        let folder = self.files(release);
        // Left by an attempt that was interrupted.
        files::remove(&folder)?;
        files::folder(&folder)?;
        for (path, Rendered { text, .. }) in rendered {
            let file = folder.join(path);
            file.parent().map_or(Ok(()), files::folder)?;
            files::write(&file, text.as_bytes())?;
        }
        files::write(&self.modes(release), modes(rendered).as_bytes())
    }

    /// Removes the files of all other releases.
    pub(crate) fn sweep<'a>(&self, kept: impl Iterator<Item = &'a Release>) -> Result<()> {
        let kept: Vec<_> =
            kept.flat_map(|it| [self.config(it), self.files(it), self.modes(it)]).collect();
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.context("the folder of the state")?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        // In descending order of their names: modes, which prove that the other files are complete, are removed
        // before those.
        paths.sort_unstable();
        for path in paths.into_iter().rev() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // The name of an unfinished file begins with a dot.
            let name = name.strip_prefix('.').unwrap_or(name);
            let is_of_release = [CONFIG, FILES, MODES].iter().any(|it| name.starts_with(it));
            if is_of_release && !kept.contains(&path) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

/// The files of a release.
#[derive(Debug, Default)]
pub(crate) struct Content {
    config: Option<Vec<u8>>,
    /// Rendered files by their relative paths.
    files: Option<BTreeMap<String, Rendered>>,
}

/// Decrypts the configuration, checks it against the schema that it came with, and renders the
/// templates.
///
/// # Errors
///
/// If it cannot be decrypted or does not fit; the text names fields and lines, and quotes no value.
pub(crate) async fn content(wanted: &Wanted, key: &Key, host: &str) -> Result<Content, Refused> {
    let Some(sealed) = &wanted.configuration else { return Ok(Content::default()) };
    let plain = open(key, host, sealed).await?;
    unpacked(plain).map_err(Refused::Configuration)
}

fn unpacked(plain: Vec<u8>) -> Result<Content> {
    let bundle = Bundle::decode(&plain).context("configuration")?;
    let Some(bundle) = bundle else {
        return Ok(Content { config: Some(plain), files: None });
    };
    let unpacked = bundle.unpack().map_err(|why| anyhow!(why.without_values()));
    let Unpacked { configuration, files } = unpacked.context("configuration")?;
    Ok(Content { config: Some(configuration.into_bytes()), files: Some(files) })
}

/// A release as the server describes it.
pub(crate) fn described(wanted: &Wanted) -> Release {
    let sealed = wanted.configuration.as_ref().map(Sealed::lines).unwrap_or_default();
    let parts = format!("{}\n{sealed}", wanted.image);
    Release {
        digest: hex(digest(&SHA256, parts.as_bytes()).as_ref()),
        name: wanted.name.clone(),
        uid: wanted.uid.clone(),
        image: wanted.image.clone(),
        configured: wanted.configuration.is_some(),
        rendered: false,
    }
}

/// The file that says whose rendered files are to be.
fn modes(rendered: &BTreeMap<String, Rendered>) -> String {
    let line = |(path, it): (&String, &Rendered)| format!("{} {path}\n", it.permissions);
    rendered.iter().map(line).collect()
}

/// Names and UIDs of Kubernetes are no paths.
fn word(release: &Release) -> String {
    let Release { name, uid, digest, .. } = release;
    let which = if digest.is_empty() { uid } else { digest };
    // Two that begin alike and have one digest consist of the same. What an agent before this one has prepared keeps
    // its name.
    let room = WORD.saturating_sub(which.len() + 1);
    let name = &name[..name.floor_char_boundary(room)];
    format!("{name}.{which}").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decrypt::testing::seal;
    use metal_configuration::Package;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    const HOST: &str = "org/web-1";

    fn wanted(key: &Key, plain: &[u8]) -> Wanted {
        let configuration = Some(seal(key, HOST, plain));
        let [name, uid, image] = ["v1", "uid", "image"].map(str::to_owned);
        Wanted { name, uid, image, configuration }
    }

    async fn prepare(prepared: &Prepared, wanted: &Wanted, key: &Key) -> Result<Release> {
        match content(wanted, key, HOST).await {
            Ok(content) => prepared.write(described(wanted), content),
            Err(Refused::Configuration(error) | Refused::Key(error)) => Err(error),
        }
    }

    fn bundle(configuration: serde_json::Value, template: &str) -> Vec<u8> {
        let package = Package {
            schema: r#"{"properties": {"password": {"type": "string"}}}"#.to_owned(),
            templates: [("etc/app/app.conf".to_owned(), template.to_owned())].into(),
            ..Package::default()
        };
        Bundle { configuration, package }.encode().unwrap()
    }

    #[tokio::test]
    async fn a_configuration_becomes_private_files_which_go_with_their_release() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::in_file(&folder.path().join("key")).unwrap();
        let prepared = Prepared::new(folder.path());
        let template = "{{/* file: mode=0640 owner=root:app */}}\npass={{.password}}\n";
        let plain = bundle(json!({"password": "hunter2"}), template);
        let release = prepare(&prepared, &wanted(&key, &plain), &key).await.unwrap();
        assert!(release.configured && release.rendered);
        let conf = prepared.files(&release).join("etc/app/app.conf");
        assert_eq!(fs::read_to_string(&conf).unwrap(), "pass=hunter2\n");
        let config = fs::read_to_string(prepared.config(&release)).unwrap();
        assert_eq!(config, "{\n  \"password\": \"hunter2\"\n}\n");
        let modes = fs::read_to_string(prepared.modes(&release)).unwrap();
        assert_eq!(modes, "0640 root:app etc/app/app.conf\n", "the hook sees to it");
        for path in [&conf, &prepared.config(&release), &prepared.files(&release)] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0, "{}", path.display());
        }
        // Killed in the middle of writing another.
        fs::write(folder.path().join(".config.v0.new"), "secret").unwrap();
        prepared.sweep([&release].into_iter()).unwrap();
        assert!(conf.exists() && !folder.path().join(".config.v0.new").exists());
        prepared.sweep([].into_iter()).unwrap();
        let left = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["key"]);
    }

    #[tokio::test]
    async fn a_release_that_is_tried_again_has_all_of_its_files_whenever_the_power_fails() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::in_file(&folder.path().join("key")).unwrap();
        let prepared = Prepared::new(folder.path());
        let again = wanted(&key, &bundle(json!({"password": "hunter2"}), "{{.password}}"));
        let release = prepare(&prepared, &again, &key).await.unwrap();
        let conf = prepared.files(&release).join("etc/app/app.conf");
        // It would go with the folder.
        let mark = prepared.files(&release).join("mark");
        fs::write(&mark, "").unwrap();
        assert_eq!(prepare(&prepared, &again, &key).await.unwrap(), release);
        assert!(mark.exists(), "nothing of it was away meanwhile");
        // One whose files were cut off has no modes yet.
        fs::remove_file(prepared.modes(&release)).unwrap();
        fs::write(&conf, "hunt").unwrap();
        prepare(&prepared, &again, &key).await.unwrap();
        assert_eq!(fs::read_to_string(&conf).unwrap(), "hunter2");
        assert!(prepared.modes(&release).exists() && !mark.exists());
        // Nor does an agent before this one know what is written last.
        fs::remove_file(&conf).unwrap();
        prepare(&prepared, &again, &key).await.unwrap();
        assert!(conf.exists());
    }

    #[tokio::test]
    async fn a_release_with_the_longest_name_has_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::in_file(&folder.path().join("key")).unwrap();
        let prepared = Prepared::new(folder.path());
        let sealed = bundle(json!({"password": "hunter2"}), "{{.password}}");
        // As long as those of Kubernetes (RFC 1123, section 2.1).
        let wanted = Wanted { name: "v".repeat(253), ..wanted(&key, &sealed) };
        let release = prepare(&prepared, &wanted, &key).await.unwrap();
        let conf = prepared.files(&release).join("etc/app/app.conf");
        assert_eq!(fs::read_to_string(conf).unwrap(), "hunter2");
        assert!(prepared.config(&release).exists() && prepared.modes(&release).exists());
        // An agent before this one has put in all of the names for which there was room.
        let long = Release { name: "v".repeat(178), ..release };
        assert_eq!(word(&long), format!("{}.{}", long.name, long.digest));
    }

    #[tokio::test]
    async fn a_rendered_file_that_is_not_as_it_was_written_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::in_file(&folder.path().join("key")).unwrap();
        let prepared = Prepared::new(folder.path());
        let again = wanted(&key, &bundle(json!({"password": "hunter2"}), "{{.password}}"));
        let release = prepare(&prepared, &again, &key).await.unwrap();
        let (files, modes) = (prepared.files(&release), prepared.modes(&release));
        let conf = files.join("etc/app/app.conf");
        let right = fs::read(&modes).unwrap();
        let opened = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644));
        let spoil: [(&str, &dyn Fn()); 4] = [
            ("its text", &|| fs::write(&conf, "hunter3").unwrap()),
            ("its mode", &|| opened(&conf).unwrap()),
            ("whose it is to be", &|| {
                fs::write(&modes, "0777 root:root etc/app/app.conf\n").unwrap();
            }),
            ("the mode of that", &|| opened(&modes).unwrap()),
        ];
        for (what, spoil) in spoil {
            spoil();
            prepare(&prepared, &again, &key).await.unwrap();
            assert_eq!(fs::read(&conf).unwrap(), b"hunter2", "{what}");
            assert_eq!(fs::read(&modes).unwrap(), right, "{what}");
            for path in [&conf, &modes] {
                assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600, "{what}");
            }
        }
    }

    #[tokio::test]
    async fn a_release_made_again_is_another_one_and_leaves_the_rollback_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::in_file(&folder.path().join("key")).unwrap();
        let prepared = Prepared::new(folder.path());
        let first = prepare(&prepared, &wanted(&key, b"first"), &key).await.unwrap();
        let again = Wanted { uid: "another".to_owned(), ..wanted(&key, b"second") };
        let second = prepare(&prepared, &again, &key).await.unwrap();
        for (release, content) in [(&first, "first"), (&second, "second")] {
            assert_eq!(fs::read_to_string(prepared.config(release)).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn a_configuration_that_does_not_fit_is_refused_without_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::in_file(&folder.path().join("key")).unwrap();
        let prepared = Prepared::new(folder.path());
        for (plain, says) in [
            (
                bundle(json!({"password": 777}), ""),
                "configuration: line 2: /password: must be a string",
            ),
            (
                bundle(json!({"password": "hunter2"}), "{{.password.x}}"),
                "template cannot be rendered",
            ),
            (bundle(json!({}), "\n{{.password}}"), "the template cannot be rendered"),
            (bundle(json!({}), "{{/* file: mode=hunter2 */}}"), "line 1: mode: give it as 0644"),
            (b"bloomery-configuration-v1\n{\"hunter2\":".to_vec(), "configuration: the document"),
        ] {
            let error = prepare(&prepared, &wanted(&key, &plain), &key).await.unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("777"), "{error}");
        }
        // Of an image of which nothing is known.
        let release = prepare(&prepared, &wanted(&key, b"anything"), &key).await.unwrap();
        assert_eq!(fs::read(prepared.config(&release)).unwrap(), b"anything");
        assert!(release.configured && !release.rendered);
    }
}
