//! What a manifest says: which image is for which architecture, and which layers boot.

mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::annotation;

use crate::{architecture::Machine, digest::Digest};

/// The kernel.
pub const KERNEL: &[&str] =
    &["application/vnd.ironcore.image.kernel", "application/io.gardenlinux.kernel"];
/// The initial RAM disk.
pub const INITRD: &[&str] =
    &["application/vnd.ironcore.image.initramfs", "application/io.gardenlinux.initrd"];
/// The root file system of a live image.
pub const SQUASHFS: &[&str] =
    &["application/vnd.ironcore.image.squashfs", "application/io.gardenlinux.squashfs"];
/// A raw image of a whole disk, plain or compressed with gzip or zstd.
pub const DISK: &[&str] = &["application/vnd.bloomery.image.disk"];
/// A unified kernel image: an EFI program with everything in it.
pub const UKI: &[&str] = &["application/vnd.ironcore.image.uki"];

/// Indexes, in OCI's and Docker's form.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Content within the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its media type; empty if not given.
    pub media_type: String,
    /// Its content, or why it cannot be fetched.
    pub content: Result<Descriptor, MalformedManifest>,
    /// The file that it is (annotation `org.opencontainers.image.title`), such as `grub/grub.cfg`.
    pub title: Option<String>,
}

/// What an image reference resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// Images to choose from (OCI image index, Docker manifest list).
    Index(Vec<Entry>),
    /// Layers of one image.
    Image(Vec<Layer>),
}

/// An entry of an index: an image, or a nested index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Digest of its manifest, or why it has none.
    pub digest: Result<Digest, MalformedManifest>,
    /// What it runs on.
    pub platform: Platform,
    /// The network boot flavor given in its annotations.
    pub flavor: Option<Flavor>,
    /// Its media type, if given.
    pub media_type: Option<String>,
}

impl Entry {
    /// Whether it may be a nested index.
    pub fn may_lead_on(&self) -> bool {
        let is_index = |media_type: &String| INDEXES.contains(&media_type.as_str());
        self.is_silent() && self.media_type.as_ref().is_none_or(is_index)
    }

    /// Whether it does not say which platform it is for.
    fn is_silent(&self) -> bool {
        self.platform == Platform::Open && self.flavor.is_none()
    }
}

/// Which platform an entry is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// This machine.
    Of(Machine),
    /// This machine, with the name of a distribution as its operating system: Garden Linux writes
    /// `gardenlinux` where others write `linux`.
    Distribution(Machine),
    /// The entry does not say. It may be an index whose entries do.
    Open,
    /// Something that does not boot a machine: another operating system, or an attestation.
    Foreign,
}

impl Platform {
    /// The machine, if one is named.
    pub fn machine(&self) -> Option<&Machine> {
        match self {
            Self::Of(machine) | Self::Distribution(machine) => Some(machine),
            Self::Open | Self::Foreign => None,
        }
    }
}

/// The annotations that distinguish Garden Linux's flavors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flavor {
    cname: String,
    architecture: String,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedManifest {
    /// Not the expected JSON.
    #[error("invalid manifest: {0}")]
    Json(String),
    /// Both `manifests` and `layers`, or neither.
    #[error("manifest must have either manifests or layers (content type {content_type:?})")]
    Shape {
        /// The `Content-Type` that the registry sent.
        content_type: String,
    },
    /// More entries than any real image has.
    #[error("manifest has more than {} entries", read::MAX_ENTRIES)]
    TooMany,
    /// The entry or layer that is needed is not a valid descriptor.
    #[error("invalid descriptor in the manifest: {0}")]
    Descriptor(String),
}

/// How an image is going to be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// By iPXE: kernel and initial RAM disk.
    Pxe,
    /// By UEFI HTTP boot: a unified kernel image.
    Http,
}

/// Chooses the image to boot on `machine`.
///
/// For iPXE, an image annotated as network boot flavor comes first: indexes of Garden Linux have
/// several images for one architecture, which only the annotation `cname` distinguishes. An entry
/// for `linux` comes before one with an operating system we do not know, and one that can be
/// fetched before all others.
pub fn choose<'a>(entries: &'a [Entry], machine: &Machine, boot: Boot) -> Option<&'a Entry> {
    let candidates = entries.iter().filter_map(|entry| {
        let is_flavor = boot == Boot::Pxe && is_flavor(entry, machine);
        let is_built = entry.platform.machine().is_some_and(|built| machine.runs(built));
        let is_distribution = matches!(entry.platform, Platform::Distribution(_));
        let rank = (entry.digest.is_err(), !is_flavor, is_distribution);
        (is_flavor || is_built).then_some((rank, entry))
    });
    candidates.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
}

/// Whether the annotations say that this is the network boot image for `machine`.
fn is_flavor(entry: &Entry, machine: &Machine) -> bool {
    let is_built = |flavor: &Flavor| {
        flavor.cname.starts_with("metal_pxe")
            && machine.runs(&Machine::new(&flavor.architecture, None))
    };
    let runs = match &entry.platform {
        Platform::Of(built) | Platform::Distribution(built) => machine.runs(built),
        Platform::Open => true,
        Platform::Foreign => false,
    };
    runs && entry.flavor.as_ref().is_some_and(is_built)
}

/// The only entry that may be an image, if it names no platform. Tools that pack a single image
/// into an index often leave the platform out.
pub fn only(entries: &[Entry]) -> Option<&Entry> {
    let mut possible = entries.iter().filter(|entry| entry.platform != Platform::Foreign);
    let only = possible.next().filter(|entry| entry.is_silent());
    only.filter(|_| possible.next().is_none())
}

/// The last layer with one of these media types: an image may use both vocabularies. A layer that
/// cannot be fetched is returned only if there is no other.
pub fn last<'a>(layers: &'a [Layer], types: &[&str]) -> Option<&'a Layer> {
    best(layers.iter().rev(), types)
}

/// As [`last`], but returns the first one.
pub fn first<'a>(layers: &'a [Layer], types: &[&str]) -> Option<&'a Layer> {
    best(layers.iter(), types)
}

fn best<'a>(layers: impl Iterator<Item = &'a Layer>, types: &[&str]) -> Option<&'a Layer> {
    let of_type = layers.filter(|layer| types.contains(&layer.media_type.as_str()));
    of_type.min_by_key(|layer| layer.content.is_err())
}
