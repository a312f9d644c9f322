//! What the registry says of an image: whether it is there, and what it brings for its
//! configuration.

use anyhow::{Context, Result, ensure};
use clap::Args;
use metal_configuration::{FOLDER, MARKER, Package};
use metal_image::{
    Logins, Reference, Registries, Version, registry,
    tree::{Folder, folder},
};
use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The longest file of logins or authorities, in bytes.
const LONGEST: u64 = 1 << 20;

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
    /// It is there, and says nothing of a configuration.
    Plain,
    /// The registry could not be asked, or does not tell everybody.
    Unknown(String),
}

/// An image with its digest.
///
/// # Errors
///
/// If it has none: what a tag stands for may change.
pub(crate) fn pinned(image: &str) -> Result<Reference> {
    let reference: Reference = image.parse().context("--image")?;
    let is_pinned = matches!(reference.version, Version::Digest(_));
    ensure!(is_pinned, "--image: give it with its digest, as {}@sha256:…", reference.name);
    Ok(reference)
}

impl RegistryArgs {
    /// Asks the registry.
    ///
    /// # Errors
    ///
    /// If the image is not there, or what it brings cannot be used.
    pub(crate) async fn ask(&self, image: &Reference) -> Result<Known> {
        let authorities = match &self.registry_ca_file {
            Some(path) => read(path)?.with_context(|| path.display().to_string())?,
            None => vec![],
        };
        let config = registry::Config { authorities, ..registry::Config::default() };
        let registries = Arc::new(Registries::new(&config).context("registry")?);
        let logins = self.logins()?;
        let wanted = Folder { marker: (MARKER, "1"), path: FOLDER };
        let found = folder(&registries, image, &logins, &self.architecture, wanted).await;
        match found {
            Ok(Some(files)) => {
                let package = Package::of(files);
                Ok(Known::Configurable(package.with_context(|| format!("image {image}"))?))
            }
            Ok(None) => Ok(Known::Plain),
            Err(error) if error.is_unknown() => Ok(Known::Unknown(error.to_string())),
            Err(error) => Err(error.into()),
        }
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

    #[test]
    fn an_image_without_its_digest_is_refused_with_what_is_missing() {
        let digest = format!("quay.io/a/b@sha256:{}", "a".repeat(64));
        assert_eq!(pinned(&digest).unwrap().to_string(), digest);
        for image in ["quay.io/a/b", "quay.io/a/b:v1"] {
            let error = pinned(image).unwrap_err().to_string();
            assert_eq!(error, "--image: give it with its digest, as quay.io/a/b@sha256:…");
        }
        assert!(pinned("A b").is_err());
    }
}
