//! Images of installers, and disk images: which may be served, and their layers, which are fetched
//! once for all machines and verified.

use crate::args::Args;
use anyhow::Context as _;
use metal_image::{
    Logins, Reference, Resolver, Store,
    digest::Algorithm,
    manifest::Descriptor,
    resolve::{self, Missing, PxeLayers},
    store::{self, Account, Blob, Puller},
};
use metal_runtime::report::Chain;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The message where no image is served.
const OFF: &str = "the server serves no images: set --image-cache-dir";

/// Images of the allowed registries.
pub(crate) struct Images {
    resolver: Resolver,
    store: Store,
    architecture: String,
    /// The image of the installer of tokens that name none.
    ours: Option<String>,
}

/// An image that an organization has fetched.
#[derive(Debug)]
pub(crate) struct Pull<'a> {
    /// Its reference.
    pub(crate) image: &'a str,
    /// The namespace of the organization.
    pub(crate) namespace: &'a str,
    /// Its logins.
    pub(crate) logins: Logins,
}

/// Why a layer is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("{}", OFF)]
    Off,
    #[error(transparent)]
    Image(#[from] resolve::Error),
    #[error(transparent)]
    Layer(#[from] Missing),
    #[error("the image has no squashfs layer")]
    NoSquashfs,
    #[error("the digest of the disk image is none of SHA-256, as installers verify it")]
    NoSha256,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A layer of an installer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Kernel,
    Initrd,
    Squashfs,
}

impl Part {
    /// The part of this name, as in URLs.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::Kernel, Self::Initrd, Self::Squashfs];
        all.into_iter().find(|part| part.name() == name)
    }

    /// Its name, as in URLs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Squashfs => "squashfs",
        }
    }
}

impl Images {
    /// Opens the folder for layers, if there is to be one. Downloads end with `downloads`.
    ///
    /// # Errors
    ///
    /// If a flag or the folder cannot be used.
    pub(crate) async fn open(
        args: &Args,
        downloads: CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let allowed = args.registry.allowed()?;
        let registries = Arc::new(args.registry.registries().await?);
        let Some(dir) = &args.image_cache_dir else { return Ok(None) };
        let (limit, known) = (args.image_cache_size, Arc::clone(&registries));
        let store = Store::open_dir(dir, limit, known, downloads).await;
        let store = store.with_context(|| format!("--image-cache-dir {}", dir.display()))?;
        let resolver = Resolver::new(registries, allowed);
        let (architecture, ours) = (args.architecture.clone(), args.installer_image.clone());
        Ok(Some(Self { resolver, store, architecture, ours }))
    }

    /// Why an image is not served, as far as can be said without asking its registry.
    pub(crate) fn refusal_of(images: Option<&Self>, image: &str) -> Option<String> {
        let Some(images) = images else { return Some(OFF.to_owned()) };
        match image.parse::<Reference>() {
            Ok(image) => {
                let allowed = images.resolver.allowed().check(image.name.registry());
                allowed.err().map(|error| error.to_string())
            }
            Err(error) => Some(Chain(&error).to_string()),
        }
    }

    /// Finds the layers of an image.
    ///
    /// # Errors
    ///
    /// If there are none, or the registry does not say.
    pub(crate) async fn layers(
        images: Option<&Self>,
        pull: &Pull<'_>,
    ) -> Result<PxeLayers, ImageError> {
        Ok(Self::resolved(images, pull).await?.pxe.clone()?)
    }

    async fn resolved(
        images: Option<&Self>,
        pull: &Pull<'_>,
    ) -> Result<Arc<resolve::Image>, ImageError> {
        let images = images.ok_or(ImageError::Off)?;
        let Pull { image, logins, .. } = pull;
        Ok(images.resolver.resolve_as(image, &images.architecture, logins).await?)
    }

    /// Opens a layer of an image; it comes from the registry where it is not there yet.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub(crate) async fn open_part(
        images: Option<&Self>,
        pull: &Pull<'_>,
        part: Part,
    ) -> Result<Blob, ImageError> {
        let layers = Self::layers(images, pull).await?;
        if let Some(images) = images.filter(|images| images.is_ours(pull.image)) {
            let all = [Some(&layers.kernel), Some(&layers.initrd), layers.squashfs.as_ref()];
            images.store.pin(all.into_iter().flatten().map(|layer| layer.digest.clone()));
        }
        let layer = match part {
            Part::Kernel => layers.kernel,
            Part::Initrd => layers.initrd,
            Part::Squashfs => layers.squashfs.ok_or(ImageError::NoSquashfs)?,
        };
        Self::open_layer(images, pull, &layer).await
    }

    /// Whether this is the image that all tokens install with by default.
    fn is_ours(&self, image: &str) -> bool {
        self.ours.as_deref() == Some(image)
    }

    /// Finds the disk image of an image. Its digest is the checksum of what is sent.
    ///
    /// # Errors
    ///
    /// If there is none, or the registry does not say.
    pub(crate) async fn disk(
        images: Option<&Self>,
        pull: &Pull<'_>,
    ) -> Result<Descriptor, ImageError> {
        let disk = Self::resolved(images, pull).await?.disk.clone()?;
        let is_sha256 = disk.digest.algorithm() == Algorithm::Sha256;
        if is_sha256 { Ok(disk) } else { Err(ImageError::NoSha256) }
    }

    /// Opens a layer that was found.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub(crate) async fn open_layer(
        images: Option<&Self>,
        pull: &Pull<'_>,
        layer: &Descriptor,
    ) -> Result<Blob, ImageError> {
        let images = images.ok_or(ImageError::Off)?;
        let Pull { image, namespace, logins } = pull;
        let name = image.parse::<Reference>().map_err(resolve::Error::from)?.name;
        let account = account(images.ours.as_deref(), image, namespace);
        let puller = Puller { logins, account: &account };
        Ok(images.store.open_with(&name, &layer.digest, puller).await?)
    }

    /// Waits until no layer is being downloaded.
    pub(crate) async fn closed(images: Option<&Self>) {
        if let Some(images) = images {
            images.store.closed().await;
        }
    }
}

/// On whose account the layers of an image are fetched; `ours` is the image that everybody installs with.
fn account(ours: Option<&str>, image: &str, namespace: &str) -> Account {
    if ours == Some(image) { Account::default() } else { Account::of(namespace) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_fetched_on_the_account_of_an_organization_except_that_of_the_server() {
        let of = |image| account(Some("quay.io/a/installer:1"), image, "org");
        assert_eq!(of("quay.io/a/installer:1"), Account::default());
        assert_eq!(of("quay.io/a/installer:2"), Account::of("org"));
        assert_eq!(account(None, "quay.io/a/disk:1", "org"), Account::of("org"));
    }
}
