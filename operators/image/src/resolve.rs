//! From the name of an image to the layers that boot, asked once for many machines.

use crate::{
    allow::{AllowList, NotAllowed},
    machine::Machine,
    manifest::{
        self, Boot, Descriptor, INITRD, KERNEL, Manifest, Platform, SQUASHFS, UKI, choose, last,
    },
    reference::{self, Name, Reference, Version},
    registry::{self, Registries},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// How long a tag is believed to stay where it is.
const TAG_LIFETIME: Duration = Duration::from_mins(1);
/// How long a failure answers everybody who asks for the same image.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);
/// More images than this are not remembered.
const MAX_IMAGES: usize = 1024;
/// How long everything may take that leads to the layers of one image.
const PATIENCE: Duration = Duration::from_mins(1);
/// How deep indexes may lie within each other.
const MAX_DEPTH: usize = 4;
/// Manifests and indexes that are read for one image.
const MAX_DOCUMENTS: usize = 16;

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
    /// Indexes without end.
    #[error(
        "image {image}: its indexes lie more than {MAX_DEPTH} deep, or lead to more than \
         {MAX_DOCUMENTS} documents: push one index of the images themselves"
    )]
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
        entry.answer.get_or_init(|| self.fetch_in_time(&key)).await.clone()
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

    /// However many documents there are, and however slowly each of them comes.
    async fn fetch_in_time(&self, key: &Key) -> Answer {
        let late = |_| registry::Error::Deadline { registry: key.image.name.registry().clone() };
        timeout(PATIENCE, self.fetch(key)).await.map_err(late)?
    }

    async fn fetch(&self, key: &Key) -> Answer {
        let machine = Machine::named(&key.architecture);
        let mut search =
            Search { resolver: self, image: &key.image, machine: &machine, read: 0, has: vec![] };
        let (pxe, uki) = match search.read(&key.image.version).await? {
            Manifest::Image(layers) => (Some(layers.clone()), Some(layers)),
            Manifest::Index(entries) => {
                let pxe = search.behind(&entries, Boot::Pxe).await?;
                // Usually both are one.
                let same =
                    choose(&entries, &machine, Boot::Pxe) == choose(&entries, &machine, Boot::Http);
                let uki =
                    if same { pxe.clone() } else { search.behind(&entries, Boot::Http).await? };
                (pxe, uki)
            }
        };
        let missing = || Missing::Architecture {
            architecture: key.architecture.clone(),
            has: listed(search.has.iter().map(String::as_str)),
        };
        let image = Image {
            name: key.image.name.clone(),
            version: key.image.version.clone(),
            pxe: pxe.ok_or_else(missing).and_then(|layers| self::pxe(&layers)),
            uki: uki.ok_or_else(missing).and_then(|layers| self::uki(&layers)),
        };
        self.learn(&image);
        Ok(Arc::new(image))
    }

    /// Lets the registries know what the layers that boot are like.
    fn learn(&self, image: &Image) {
        let pxe = image.pxe.iter().flat_map(|layers| {
            [Some(&layers.kernel), Some(&layers.initrd), layers.squashfs.as_ref()]
        });
        for layer in pxe.flatten().chain(image.uki.as_ref().ok()) {
            self.registries.learn_size(&image.name, &layer.digest, layer.size);
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

/// One search for the layers of an image, through its indexes.
struct Search<'a> {
    resolver: &'a Resolver,
    image: &'a Reference,
    machine: &'a Machine,
    /// Documents that were read.
    read: usize,
    /// What the indexes have instead, for people.
    has: Vec<String>,
}

impl Search<'_> {
    /// The layers behind the entries of an index, where there are any for the machine: those of the
    /// entry that is for it, else those of the first entry that does not say, if it is an index
    /// that does.
    async fn behind(
        &mut self,
        entries: &[manifest::Entry],
        boot: Boot,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        // Indexes to be looked through, the next one last.
        let mut open = vec![(entries.to_vec(), 1)];
        while let Some((entries, depth)) = open.pop() {
            self.note(&entries);
            let chosen = choose(&entries, self.machine, boot);
            let candidates: Vec<_> = match chosen {
                Some(entry) => vec![entry],
                None => entries.iter().filter(|entry| entry.may_lead_on()).collect(),
            };
            let mut found = vec![];
            for entry in candidates {
                match self.read(&Version::Digest(entry.digest.clone())).await? {
                    Manifest::Image(layers) if chosen.is_some() => return Ok(Some(layers)),
                    // It says nowhere what it runs on.
                    Manifest::Image(_) => {}
                    Manifest::Index(_) if depth == MAX_DEPTH => {
                        return Err(Error::Nested { image: self.image.clone() });
                    }
                    Manifest::Index(entries) => found.push((entries, depth + 1)),
                }
            }
            open.extend(found.into_iter().rev());
        }
        Ok(None)
    }

    async fn read(&mut self, version: &Version) -> Result<Manifest, Error> {
        if self.read == MAX_DOCUMENTS {
            return Err(Error::Nested { image: self.image.clone() });
        }
        self.read += 1;
        self.resolver.manifest(self.image, version).await
    }

    fn note(&mut self, entries: &[manifest::Entry]) {
        for entry in entries {
            if let Platform::Of(machine) = &entry.platform
                && self.has.len() < 64
            {
                self.has.push(machine.to_string());
            }
        }
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
