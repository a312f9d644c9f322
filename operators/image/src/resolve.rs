//! From the name of an image to the layers that boot, asked once for many machines.

use crate::{
    allow::{AllowList, NotAllowed},
    manifest::{self, Boot, Descriptor, INITRD, KERNEL, Manifest, SQUASHFS, UKI, choose, last},
    reference::{self, Name, Reference, Version},
    registry::{self, Registries},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};

/// How long a tag is believed to stay where it is.
const TAG_LIFETIME: Duration = Duration::from_mins(1);
/// How long a failure answers everybody who asks for the same image.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);
/// More images than this are not remembered.
const MAX_IMAGES: usize = 1024;

/// What boots an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Where its layers are.
    pub name: Name,
    /// The version as it was asked for.
    pub version: Version,
    /// What iPXE loads.
    pub pxe: Result<PxeLayers, Missing>,
    /// What UEFI HTTP boot loads.
    pub uki: Result<Descriptor, Missing>,
}

/// What iPXE loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PxeLayers {
    /// The kernel.
    pub kernel: Descriptor,
    /// The initial RAM disk.
    pub initrd: Descriptor,
    /// The root file system, where the image has one of its own.
    pub squashfs: Option<Descriptor>,
}

/// Why an image cannot be booted in one way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No image for machines like this.
    #[error("image is not built for architecture {architecture} (has: {has})")]
    Architecture {
        /// What was asked for.
        architecture: String,
        /// What there is.
        has: String,
    },
    /// No layer of a kind.
    #[error("image has no {what} layer: push one of media type {media_type} (has: {has})")]
    Layer {
        /// Kernel, initramfs, UKI.
        what: &'static str,
        /// The media type that was looked for.
        media_type: &'static str,
        /// The media types that there are.
        has: String,
    },
}

/// Why the layers of an image are not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Not a name.
    #[error(transparent)]
    Reference(#[from] reference::Malformed),
    /// Not from there.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The registry gave something else.
    #[error("image {image}: {source}")]
    Manifest {
        /// The image.
        image: Reference,
        /// What is wrong.
        source: manifest::Malformed,
    },
    /// An index within an index.
    #[error("image {image}: index leads to another index")]
    Nested {
        /// The image.
        image: Reference,
    },
}

impl Error {
    /// Whether the same image may be found later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Reference(_)
            | Self::NotAllowed(_)
            | Self::Manifest { .. }
            | Self::Nested { .. } => false,
        }
    }

    /// A CamelCase name from a small fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Reference(_) => "MalformedReference",
            Self::NotAllowed(_) => "RegistryNotAllowed",
            Self::Registry(registry::Error::NoImage { .. }) => "ImageNotFound",
            Self::Registry(registry::Error::LoginNeeded { .. }) => "LoginNeeded",
            Self::Registry(_) => "RegistryFailed",
            Self::Manifest { .. } | Self::Nested { .. } => "MalformedManifest",
        }
    }
}

/// Finds the layers of images, and remembers them: content for good, tags for a minute. Whoever
/// asks while somebody else is asking gets the same answer.
pub struct Resolver {
    registries: Arc<Registries>,
    allowed: AllowList,
    known: Mutex<HashMap<Key, Arc<Entry>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    image: Reference,
    architecture: String,
}

struct Entry {
    answer: OnceCell<Answer>,
    since: Instant,
}

type Answer = Result<Arc<Image>, Error>;

impl Resolver {
    /// A resolver for images from `allowed` registries.
    pub fn new(registries: Arc<Registries>, allowed: AllowList) -> Self {
        Self { registries, allowed, known: Mutex::default() }
    }

    /// Where images may come from.
    pub fn allowed(&self) -> &AllowList {
        &self.allowed
    }

    /// The layers of `image` for machines of `architecture`.
    ///
    /// # Errors
    ///
    /// If it is not named properly, not allowed, not there or not an image. An image without the
    /// layers for one way of booting is not an error: it may be booted in another.
    pub async fn resolve(&self, image: &str, architecture: &str) -> Answer {
        let image: Reference = image.parse()?;
        self.allowed.check(image.name.registry())?;
        let key = Key { image, architecture: architecture.to_owned() };
        let entry = self.entry(&key);
        entry.answer.get_or_init(|| self.fetch(&key)).await.clone()
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(key).filter(|entry| entry.is_fresh(key)) {
            return Arc::clone(entry);
        }
        if known.len() >= MAX_IMAGES {
            known.retain(|key, entry| entry.is_fresh(key));
        }
        if known.len() >= MAX_IMAGES {
            let oldest = known.iter().min_by_key(|(_, entry)| entry.since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.remove(&oldest);
            }
        }
        let entry = Arc::new(Entry { answer: OnceCell::new(), since: Instant::now() });
        known.insert(key.clone(), Arc::clone(&entry));
        entry
    }

    async fn fetch(&self, key: &Key) -> Answer {
        let (image, architecture) = (&key.image, key.architecture.as_str());
        let found = match self.manifest(image, &image.version).await? {
            Manifest::Image(layers) => Found::both(layers),
            Manifest::Index(entries) => {
                let chosen = |boot| choose(&entries, architecture, boot).map(|e| e.digest.clone());
                let (pxe, uki) = (chosen(Boot::Pxe), chosen(Boot::Http));
                let has = architectures(&entries);
                self.images(image, pxe, uki).await?.or_missing(architecture, &has)
            }
        };
        Ok(Arc::new(Image {
            name: image.name.clone(),
            version: image.version.clone(),
            pxe: found.pxe.and_then(|layers| pxe(&layers)),
            uki: found.uki.and_then(|layers| uki(&layers)),
        }))
    }

    /// The images behind an index; usually both are one.
    async fn images(
        &self,
        image: &Reference,
        pxe: Option<crate::Digest>,
        uki: Option<crate::Digest>,
    ) -> Result<Behind, Error> {
        let same = pxe == uki;
        let pxe = self.layers(image, pxe).await?;
        let uki = if same { pxe.clone() } else { self.layers(image, uki).await? };
        Ok(Behind { pxe, uki })
    }

    async fn layers(
        &self,
        image: &Reference,
        digest: Option<crate::Digest>,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let Some(digest) = digest else { return Ok(None) };
        match self.manifest(image, &Version::Digest(digest)).await? {
            Manifest::Image(layers) => Ok(Some(layers)),
            Manifest::Index(_) => Err(Error::Nested { image: image.clone() }),
        }
    }

    async fn manifest(&self, image: &Reference, version: &Version) -> Result<Manifest, Error> {
        let document = self.registries.manifest(&image.name, version).await?;
        let malformed = |source| Error::Manifest { image: image.clone(), source };
        Manifest::parse(&document).map_err(malformed)
    }
}

impl Entry {
    fn is_fresh(&self, key: &Key) -> bool {
        match (self.answer.get(), &key.image.version) {
            // Still asking, or known for good.
            (None, _) | (Some(Ok(_)), Version::Digest(_)) => true,
            (Some(Ok(_)), Version::Tag(_)) => self.since.elapsed() < TAG_LIFETIME,
            (Some(Err(_)), _) => self.since.elapsed() < FAILURE_LIFETIME,
        }
    }
}

/// Layers behind an index, where there are any for the architecture.
struct Behind {
    pxe: Option<Vec<Descriptor>>,
    uki: Option<Vec<Descriptor>>,
}

impl Behind {
    fn or_missing(self, architecture: &str, has: &str) -> Found {
        let missing =
            || Missing::Architecture { architecture: architecture.to_owned(), has: has.to_owned() };
        Found { pxe: self.pxe.ok_or_else(missing), uki: self.uki.ok_or_else(missing) }
    }
}

/// Layers to look through for each way of booting.
struct Found {
    pxe: Result<Vec<Descriptor>, Missing>,
    uki: Result<Vec<Descriptor>, Missing>,
}

impl Found {
    fn both(layers: Vec<Descriptor>) -> Self {
        Self { pxe: Ok(layers.clone()), uki: Ok(layers) }
    }
}

fn pxe(layers: &[Descriptor]) -> Result<PxeLayers, Missing> {
    let needed = |what, types: &'static [&'static str]| {
        last(layers, types).cloned().ok_or_else(|| missing(what, types, layers))
    };
    Ok(PxeLayers {
        kernel: needed("kernel", KERNEL)?,
        initrd: needed("initramfs", INITRD)?,
        squashfs: last(layers, SQUASHFS).cloned(),
    })
}

fn uki(layers: &[Descriptor]) -> Result<Descriptor, Missing> {
    let first = layers.iter().find(|layer| UKI.contains(&layer.media_type.as_str()));
    first.cloned().ok_or_else(|| missing("UKI", UKI, layers))
}

fn missing(what: &'static str, types: &[&'static str], layers: &[Descriptor]) -> Missing {
    let has = listed(layers.iter().map(|layer| layer.media_type.as_str()));
    Missing::Layer { what, media_type: types.first().copied().unwrap_or_default(), has }
}

fn architectures(entries: &[manifest::Entry]) -> String {
    listed(entries.iter().filter_map(|entry| entry.architecture.as_deref()))
}

/// A list for people, of bounded length.
fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut items: Vec<&str> = items.take(16).collect();
    items.sort_unstable();
    items.dedup();
    let text: String = items.join(", ").chars().take(400).collect();
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn tags_are_asked_again_and_content_never() {
        pause();
        let tag = Version::Tag("1".into());
        let digest = Version::Digest(Digest::of(b"a"));
        assert!(is_fresh(&tag, Ok(known()), TAG_LIFETIME / 2).await);
        assert!(!is_fresh(&tag, Ok(known()), TAG_LIFETIME).await);
        assert!(is_fresh(&digest, Ok(known()), TAG_LIFETIME * 1000).await);
    }

    #[tokio::test]
    async fn failures_are_shared_for_a_moment_only() {
        pause();
        let failure = || Err(Error::Reference(reference::Malformed::Empty));
        let digest = Version::Digest(Digest::of(b"a"));
        assert!(is_fresh(&digest, failure(), FAILURE_LIFETIME / 2).await);
        assert!(!is_fresh(&digest, failure(), FAILURE_LIFETIME).await);
    }

    async fn is_fresh(version: &Version, answer: Answer, after: Duration) -> bool {
        let image = Reference { name: "a/b".parse().unwrap(), version: version.clone() };
        let key = Key { image, architecture: "amd64".to_owned() };
        let entry = Entry { answer: OnceCell::new_with(Some(answer)), since: Instant::now() };
        advance(after).await;
        entry.is_fresh(&key)
    }

    fn known() -> Arc<Image> {
        let missing = || Missing::Layer { what: "a", media_type: "b", has: String::new() };
        Arc::new(Image {
            name: "a/b".parse().unwrap(),
            version: Version::Tag("1".into()),
            pxe: Err(missing()),
            uki: Err(missing()),
        })
    }
}
