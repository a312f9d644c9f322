//! What the registry says of an image: whether it is there, and what it brings for its
//! configuration.

use crate::output::warn;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use metal_configuration::{FOLDER, MARKER, Package};
use metal_image::{
    Digest, Logins, Reference, Registries, Version, registry, resolve,
    tree::{Folder, FolderError, PlatformImage, digest, folder},
};
use std::{
    env,
    fmt::Display,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// The longest file of logins or authorities, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a registry may take to say whether it has an image, which is no condition for what follows.
const LOOK: Duration = Duration::from_secs(15);

/// How the registry is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct RegistryArgs {
    /// Logins of registries, as podman and docker keep them [default: ~/.docker/config.json]
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Authorities that sign the certificate of the registry, as PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    registry_ca_file: Option<PathBuf>,
    /// Architecture of the host, for images that there are several of
    #[arg(long, default_value = "amd64", value_name = "ARCH")]
    architecture: String,
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It has a schema.
    Configurable(Package),
    /// It is there, and says nothing about a configuration.
    Plain,
    /// The registry could not be asked, or does not tell everybody.
    Unknown(String),
}

/// An image that the cluster is to pull, as an argument.
///
/// # Errors
///
/// If it is none; says what is wrong with it.
pub(crate) fn reference(text: &str) -> Result<String, String> {
    let parsed = text.parse::<Reference>();
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// What a person gives in place of a digest.
fn ask_for_digest(image: &Reference) -> String {
    format!("give it with its digest, as {}@sha256:…", image.name)
}

impl RegistryArgs {
    /// The image that a flag names, by its digest alone: what pulls it takes no reference that has a tag as
    /// well. What a tag stands for is asked for, and said, because it may change.
    ///
    /// # Errors
    ///
    /// If it is no image, or one by a tag that the registry does not have, or does not tell of.
    pub(crate) async fn pin(&self, flag: &str, image: &str) -> Result<Reference> {
        let mut reference: Reference = image.parse().with_context(|| flag.to_owned())?;
        if matches!(reference.version, Version::Digest(_)) {
            return can_be_kept(flag, reference);
        }
        let found = self.digest(&reference).await?.with_context(|| {
            format!("{flag}: what {image} stands for is not known: {}", ask_for_digest(&reference))
        })?;
        reference.version = Version::Digest(found);
        warn(&format!("{image} is {reference}"));
        can_be_kept(flag, reference)
    }

    /// Whether the image that a flag names is there for the machine that installs it: nothing is to be
    /// cleared for one that is not. If that cannot be found out, or not for this architecture, that is printed.
    ///
    /// # Errors
    ///
    /// If the registry does not have it.
    pub(crate) async fn look_for(&self, flag: &str, image: &Reference) -> Result<()> {
        self.look_for_within(flag, image, LOOK).await
    }

    async fn look_for_within(&self, flag: &str, image: &Reference, limit: Duration) -> Result<()> {
        let Ok(found) = timeout(limit, self.digest(image)).await else {
            warn(&format!("whether the image is there is not known: no answer in {limit:?}"));
            return Ok(());
        };
        if let Some(doubt) = doubt(flag, found?)? {
            warn(&doubt);
        }
        Ok(())
    }

    /// Asks the registry.
    ///
    /// # Errors
    ///
    /// If the image is not there, or what it brings cannot be used.
    pub(crate) async fn ask(&self, image: &Reference) -> Result<Known> {
        let registries = self.registries()?;
        let logins = self.logins()?;
        let wanted = Folder { marker: (MARKER, "1"), path: FOLDER };
        match folder(&registries, self.platform(image, &logins), wanted).await {
            Ok(Some(files)) => {
                let package = Package::of(files);
                Ok(Known::Configurable(package.with_context(|| format!("image {image}"))?))
            }
            Ok(None) => Ok(Known::Plain),
            Err(error) if error.is_unknown() => Ok(Known::Unknown(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    async fn digest(&self, image: &Reference) -> Result<Result<Digest, FolderError>> {
        let (registries, logins) = (self.registries()?, self.logins()?);
        Ok(digest(&registries, self.platform(image, &logins)).await)
    }

    fn platform<'a>(&'a self, image: &'a Reference, logins: &'a Logins) -> PlatformImage<'a> {
        PlatformImage { image, architecture: &self.architecture, logins }
    }

    fn registries(&self) -> Result<Arc<Registries>> {
        let authorities = match &self.registry_ca_file {
            Some(path) => read(path)?.with_context(|| path.display().to_string())?,
            None => vec![],
        };
        let config = registry::Config { authorities, ..registry::Config::default() };
        Ok(Arc::new(Registries::new(&config).context("registry")?))
    }

    fn logins(&self) -> Result<Logins> {
        let usual = || Some(PathBuf::from(env::var_os("HOME")?).join(".docker/config.json"));
        let (path, is_asked_for) = match &self.authfile {
            Some(path) => (Some(path.clone()), true),
            None => (usual(), false),
        };
        let Some(path) = path else { return Ok(Logins::default()) };
        let name = path.display().to_string();
        match read(&path)? {
            Some(text) => Logins::parse(&text).context(name),
            None if is_asked_for => Err(anyhow::anyhow!("{name}: there is no such file")),
            None => Ok(Logins::default()),
        }
    }
}

/// The image, if a token or a release may name it.
///
/// # Errors
///
/// If the API server would refuse it.
fn can_be_kept(flag: &str, image: Reference) -> Result<Reference> {
    let text = image.to_string();
    ensure!(
        text.contains("@sha256:"),
        "{flag}: {text}: give its SHA-256, as {}@sha256:…",
        image.name
    );
    ensure!(
        !text.starts_with('['),
        "{flag}: {text}: give the name of the registry, or its IPv4 address"
    );
    Ok(image)
}

/// What is to be printed about an image that was looked for, if anything. A person knows better than the default of
/// `--architecture` for which machine it is.
///
/// # Errors
///
/// If the registry does not have it.
fn doubt(flag: &str, found: Result<Digest, FolderError>) -> Result<Option<String>> {
    use registry::Error::NoImage;
    let unknown = |why: &dyn Display| format!("whether the image is there is not known: {why}");
    match found {
        Ok(_) => Ok(None),
        Err(FolderError::Missing(why)) => {
            Ok(Some(format!("{}; give --architecture", unknown(&why))))
        }
        Err(
            error @ (FolderError::Registry(NoImage { .. })
            | FolderError::Resolve(resolve::Error::Registry(NoImage { .. }))),
        ) => bail!("{flag}: {error}"),
        Err(error) => Ok(Some(unknown(&error))),
    }
}

/// A file that is not too long, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let name = || path.display().to_string();
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(name),
        Ok(metadata) => ensure!(metadata.len() <= LONGEST, "{}: more than {LONGEST} bytes", name()),
    }
    fs::read(path).map(Some).with_context(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_image::resolve::Missing;
    use std::net::TcpListener;

    /// Without the logins of whoever runs this.
    fn args(folder: &Path) -> RegistryArgs {
        let authfile = folder.join("auth.json");
        fs::write(&authfile, "{}").unwrap();
        let (authfile, architecture) = (Some(authfile), "amd64".to_owned());
        RegistryArgs { authfile, registry_ca_file: None, architecture }
    }

    #[tokio::test]
    async fn an_image_is_named_by_its_digest_alone_whether_it_has_a_tag_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path());
        let digest = format!("quay.io/a/b@sha256:{}", "a".repeat(64));
        for image in [digest.clone(), digest.replace("a/b@", "a/b:v1@")] {
            assert_eq!(args.pin("--image", &image).await.unwrap().to_string(), digest);
        }
        assert!(args.pin("--image", "A b").await.is_err());
    }

    #[tokio::test]
    async fn an_image_that_no_token_may_name_is_refused_with_its_flag() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path());
        for (image, advice) in [
            (format!("quay.io/a/b@sha512:{}", "a".repeat(128)), "give its SHA-256"),
            (format!("[fd00::1]:5000/a/b@sha256:{}", "a".repeat(64)), "the name of the registry"),
        ] {
            let error = args.pin("--image", &image).await.unwrap_err().to_string();
            assert!(error.starts_with("--image: ") && error.contains(advice), "{error}");
        }
    }

    #[tokio::test]
    async fn what_a_tag_stands_for_is_asked_for_and_needed() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path());
        for image in ["127.0.0.1:1/a/b", "127.0.0.1:1/a/b:v1"] {
            let error = args.pin("--image", image).await.unwrap_err().to_string();
            let says = format!(
                "--image: what {image} stands for is not known: give it with its digest, as \
                 127.0.0.1:1/a/b@sha256:…"
            );
            assert_eq!(error, says);
        }
        // Whether one with a digest is there is not known either, and that is no reason to refuse it.
        let image = format!("127.0.0.1:1/a/b@sha256:{}", "a".repeat(64)).parse().unwrap();
        args.look_for("--image", &image).await.unwrap();
    }

    #[tokio::test]
    async fn a_registry_that_says_nothing_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let image = format!("{address}/a/b@sha256:{}", "a".repeat(64)).parse().unwrap();
        let limit = Duration::from_millis(50);
        let looked =
            timeout(LOOK, args(folder.path()).look_for_within("--image", &image, limit)).await;
        looked.unwrap().unwrap();
    }

    #[test]
    fn only_an_image_that_the_registry_does_not_have_is_refused() {
        let image: Reference = format!("quay.io/a/b@sha256:{}", "a".repeat(64)).parse().unwrap();
        let (architecture, has) = ("amd64".to_owned(), "arm64".to_owned());
        let other = FolderError::Missing(Missing::Architecture { architecture, has });
        let told = doubt("--image", Err(other)).unwrap().unwrap();
        assert!(told.contains("(has: arm64); give --architecture"), "{told}");
        assert!(doubt("--image", Err(FolderError::Deadline)).unwrap().is_some());
        let none = || registry::Error::NoImage {
            name: image.name.clone(),
            version: image.version.clone(),
        };
        for error in [FolderError::Resolve(none().into()), FolderError::Registry(none())] {
            let refused = doubt("--image", Err(error)).unwrap_err().to_string();
            assert!(refused.starts_with("--image: image quay.io/a/b has no "), "{refused}");
        }
    }
}
