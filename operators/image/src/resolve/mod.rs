//! Resolves an image reference to the layers that boot, once for many machines.

mod error;
mod layers;
mod limits;
mod search;
mod silence;

pub use error::{Error, Missing};

use crate::{
    allow::AllowList,
    architecture::Machine,
    digest::Digest,
    login::Logins,
    manifest::{
        Boot, DISK, Descriptor, INITRD, KERNEL, Layer, Manifest, SQUASHFS, UKI, choose, first, last,
    },
    reference::{Name, Reference, Version},
    registry::{self, Registries},
};
use metal_base::Locked;
use search::Search;
use silence::Silences;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// How long a tag is cached.
const TAG_LIFETIME: Duration = Duration::from_mins(1);
/// How long a failure is cached, which answers everyone who asks for the same image.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);
/// At most this many images are remembered.
const MAX_IMAGES: usize = 1024;
/// At most this many files of an image have names.
const MAX_FILES: usize = 64;
/// Deadline for all requests that lead to the layers of one image.
const PATIENCE: Duration = Duration::from_mins(1);
/// The bootable layers of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The repository.
    pub name: Name,
    /// The version that was asked for.
    pub version: Version,
    /// Digest of what that stands for: a manifest, or an index of manifests.
    pub manifest: Digest,
    /// What iPXE loads.
    pub pxe: Result<PxeLayers, Missing>,
    /// What UEFI HTTP boot loads.
    pub uki: Result<Descriptor, Missing>,
    /// The files of the image that UEFI HTTP boot loads from, by name.
    pub files: BTreeMap<String, File>,
    /// What is written to a disk.
    pub disk: Result<Descriptor, Missing>,
}

/// A file of an image: a layer with a title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What iPXE loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PxeLayers {
    /// The kernel.
    pub kernel: Descriptor,
    /// The initial RAM disk.
    pub initrd: Descriptor,
    /// The root file system, if the image has a separate one.
    pub squashfs: Option<Descriptor>,
}

/// Finds the layers of images, and caches them: digests forever, tags for a minute. Concurrent
/// requests for one image share one answer.
pub struct Resolver {
    registries: Arc<Registries>,
    allowed: AllowList,
    known: Mutex<HashMap<Key, Arc<Entry>>>,
    silences: Silences,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    image: Reference,
    architecture: String,
    /// What was resolved with these logins is no answer for others.
    logins: Logins,
}

struct Entry {
    /// The answer, and when it was there.
    answer: OnceCell<(Answer, Instant)>,
    since: Instant,
}

type Answer = Result<Arc<Image>, Error>;

impl Resolver {
    /// A resolver for images of the `allowed` registries.
    pub fn new(registries: Arc<Registries>, allowed: AllowList) -> Self {
        Self { registries, allowed, known: Mutex::default(), silences: Silences::default() }
    }

    /// Where images may come from.
    pub fn allowed(&self) -> &AllowList {
        &self.allowed
    }

    /// The layers of `image` for machines of `architecture`.
    ///
    /// # Errors
    ///
    /// If the reference is invalid, not allowed, not found or not an image. An image that lacks the
    /// layers for one way of booting is not an error: it may be booted in another.
    pub async fn resolve(&self, image: &str, architecture: &str) -> Answer {
        self.resolve_as(image, architecture, &Logins::default()).await
    }

    /// The same for whoever has these logins.
    ///
    /// # Errors
    ///
    /// As for [`Self::resolve`].
    pub async fn resolve_as(&self, image: &str, architecture: &str, logins: &Logins) -> Answer {
        let image: Reference = image.parse()?;
        self.allowed.check(image.name.registry())?;
        let (architecture, logins) = (architecture.to_owned(), logins.clone());
        let key = Key { image, architecture, logins };
        let entry = self.entry(&key);
        let fetch = || async { (self.fetch_in_time(&key).await, Instant::now()) };
        let (answer, _) = entry.answer.get_or_init(fetch).await;
        answer.clone()
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let mut known = self.known.locked();
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

    /// The deadline covers any number of documents, however slow each of them is.
    async fn fetch_in_time(&self, key: &Key) -> Answer {
        let probe = self.silences.ask(&key.image.name)?;
        let late = |_| registry::Error::Deadline { registry: key.image.name.registry().clone() };
        let answer = timeout(PATIENCE, self.fetch(key)).await.map_err(late);
        let answer = answer.map_err(Error::from).flatten();
        probe.heard(&answer);
        answer
    }

    async fn fetch(&self, key: &Key) -> Answer {
        let machine = Machine::named(&key.architecture);
        let mut search = Search::new(self, &key.image, &key.logins, &machine);
        let document = search.document(&key.image.version).await?;
        let (pxe, uki) = match search.parse(&document)? {
            Manifest::Image(layers) => (Some(layers.clone()), Some(layers)),
            Manifest::Index(entries) => {
                let pxe = search.behind(&entries, Boot::Pxe).await?;
                // Usually both boot the same image of the index.
                let same =
                    choose(&entries, &machine, Boot::Pxe) == choose(&entries, &machine, Boot::Http);
                let uki =
                    if same { pxe.clone() } else { search.behind(&entries, Boot::Http).await? };
                (pxe, uki)
            }
        };
        let missing = || Missing::Architecture {
            architecture: key.architecture.clone(),
            has: listed(search.has().iter().map(String::as_str)),
        };
        let image = Image {
            name: key.image.name.clone(),
            version: key.image.version.clone(),
            manifest: match &key.image.version {
                Version::Digest(digest) => digest.clone(),
                Version::Tag(_) => document.digest,
            },
            disk: pxe.as_deref().ok_or_else(missing).and_then(disk),
            pxe: pxe.ok_or_else(missing).and_then(|layers| self::pxe(&layers)),
            files: uki.as_deref().map(files).unwrap_or_default(),
            uki: uki.ok_or_else(missing).and_then(|layers| self::uki(&layers)),
        };
        self.learn(&image);
        Ok(Arc::new(image))
    }

    /// The file of this name of an image.
    pub fn file<'a>(&self, image: &'a Image, name: &str) -> Option<&'a File> {
        let file = image.files.get(name)?;
        self.registries.learn_size(&image.name, &file.digest, file.size);
        Some(file)
    }

    /// Tells the registries the sizes of the layers that boot, or are written to a disk.
    fn learn(&self, image: &Image) {
        let pxe = image.pxe.iter().flat_map(|layers| {
            [Some(&layers.kernel), Some(&layers.initrd), layers.squashfs.as_ref()]
        });
        let others = [&image.uki, &image.disk].into_iter().filter_map(|layer| layer.as_ref().ok());
        for layer in pxe.flatten().chain(others) {
            self.registries.learn_size(&image.name, &layer.digest, layer.size);
        }
    }
}

impl Entry {
    fn is_fresh(&self, key: &Key) -> bool {
        match (self.answer.get(), &key.image.version) {
            // Still in progress, or immutable.
            (None, _) | (Some((Ok(_), _)), Version::Digest(_)) => true,
            (Some((Ok(_), _)), Version::Tag(_)) => self.since.elapsed() < TAG_LIFETIME,
            // It may have taken longer than that.
            (Some((Err(_), at)), _) => at.elapsed() < FAILURE_LIFETIME,
        }
    }
}

fn pxe(layers: &[Layer]) -> Result<PxeLayers, Missing> {
    let needed = |what, types: &'static [&'static str]| {
        usable(what, last(layers, types))?.ok_or_else(|| missing(what, types, layers))
    };
    Ok(PxeLayers {
        kernel: needed("kernel", KERNEL)?,
        initrd: needed("initramfs", INITRD)?,
        squashfs: usable("squashfs", last(layers, SQUASHFS))?,
    })
}

fn uki(layers: &[Layer]) -> Result<Descriptor, Missing> {
    usable("UKI", first(layers, UKI))?.ok_or_else(|| missing("UKI", UKI, layers))
}

/// Of two files with one name the first counts, as of two UKIs.
fn files(layers: &[Layer]) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    for layer in layers {
        let (Some(title), Ok(content)) = (&layer.title, &layer.content) else { continue };
        if files.len() == MAX_FILES {
            break;
        }
        let file = File { digest: content.digest.clone(), size: content.size };
        files.entry(title.clone()).or_insert(file);
    }
    files
}

fn disk(layers: &[Layer]) -> Result<Descriptor, Missing> {
    usable("disk image", last(layers, DISK))?.ok_or_else(|| missing("disk image", DISK, layers))
}

fn usable(what: &'static str, layer: Option<&Layer>) -> Result<Option<Descriptor>, Missing> {
    let content = layer.map(|layer| layer.content.clone()).transpose();
    content.map_err(|why| Missing::Unusable { what, why })
}

fn missing(what: &'static str, types: &[&'static str], layers: &[Layer]) -> Missing {
    let has = listed(layers.iter().map(|layer| layer.media_type.as_str()));
    Missing::Layer { what, media_type: types.first().copied().unwrap_or_default(), has }
}

/// A list for messages, of bounded length.
fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut items: Vec<&str> = items.take(16).collect();
    items.sort_unstable();
    items.dedup();
    let text = items.join(", ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(400).collect();
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
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
        let failure = || Err(Error::Reference(reference::MalformedReference::Empty));
        let digest = Version::Digest(Digest::of(b"a"));
        assert!(is_fresh(&digest, failure(), FAILURE_LIFETIME / 2).await);
        assert!(!is_fresh(&digest, failure(), FAILURE_LIFETIME).await);
    }

    #[tokio::test]
    async fn a_failure_that_took_long_is_shared_for_a_moment_as_well() {
        pause();
        let since = Instant::now();
        advance(FAILURE_LIFETIME * 10).await;
        let failure = Err(Error::Reference(reference::MalformedReference::Empty));
        let entry = Entry { answer: OnceCell::new_with(Some((failure, Instant::now()))), since };
        assert!(entry.is_fresh(&key(&Version::Tag("1".into()))));
    }

    async fn is_fresh(version: &Version, answer: Answer, after: Duration) -> bool {
        let since = Instant::now();
        let entry = Entry { answer: OnceCell::new_with(Some((answer, since))), since };
        advance(after).await;
        entry.is_fresh(&key(version))
    }

    fn key(version: &Version) -> Key {
        let image = Reference { name: "a/b".parse().unwrap(), version: version.clone() };
        let (architecture, logins) = ("amd64".to_owned(), Logins::default());
        Key { image, architecture, logins }
    }

    fn known() -> Arc<Image> {
        let missing = || Missing::Layer { what: "a", media_type: "b", has: String::new() };
        Arc::new(Image {
            name: "a/b".parse().unwrap(),
            version: Version::Tag("1".into()),
            manifest: Digest::of(b"a"),
            pxe: Err(missing()),
            uki: Err(missing()),
            files: BTreeMap::new(),
            disk: Err(missing()),
        })
    }
}
