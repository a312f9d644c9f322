//! What a manifest says: which image is for which architecture, and which layer boots.

use crate::{digest::Digest, machine::Machine, registry::Document};
use serde::Deserialize;

/// The kernel.
pub const KERNEL: &[&str] =
    &["application/vnd.ironcore.image.kernel", "application/io.gardenlinux.kernel"];
/// The initial RAM disk.
pub const INITRD: &[&str] =
    &["application/vnd.ironcore.image.initramfs", "application/io.gardenlinux.initrd"];
/// The root file system of a live image.
pub const SQUASHFS: &[&str] =
    &["application/vnd.ironcore.image.squashfs", "application/io.gardenlinux.squashfs"];
/// A unified kernel image: an EFI program with everything in it.
pub const UKI: &[&str] = &["application/vnd.ironcore.image.uki"];

/// Indexes, of OCI and of Docker.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

const MAX_ENTRIES: usize = 1024;

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

/// What the name of an image leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// Images to choose from (OCI image index, Docker manifest list).
    Index(Vec<Entry>),
    /// Layers of one image.
    Image(Vec<Descriptor>),
}

/// One image of an index, or a further index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// The network boot flavour that its annotations name.
    pub flavour: Option<Flavour>,
    /// Its media type, if it says one.
    pub media_type: Option<String>,
}

impl Entry {
    /// Whether it may be an index of images for several machines.
    pub fn may_lead_on(&self) -> bool {
        let is_index = |media_type: &String| INDEXES.contains(&media_type.as_str());
        self.platform == Platform::Open
            && self.flavour.is_none()
            && self.media_type.as_ref().is_none_or(is_index)
    }
}

/// What an entry of an index is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// This machine.
    Of(Machine),
    /// The entry does not say; it may be an index that does.
    Open,
    /// Something that boots no machine: another operating system, an attestation.
    Foreign,
}

/// Annotations by which Garden Linux tells its flavours apart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Flavour {
    cname: String,
    architecture: String,
}

/// A manifest that says nothing sensible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not the expected JSON.
    #[error("manifest is not valid: {0}")]
    Json(String),
    /// Both `manifests` and `layers`, or neither.
    #[error("manifest must have either manifests or layers (content type {content_type:?})")]
    Shape {
        /// As the registry called it.
        content_type: String,
    },
    /// More than any image has.
    #[error("manifest has more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// How an image is going to be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// By iPXE: kernel and initial RAM disk.
    Pxe,
    /// By UEFI HTTP boot: a unified kernel image.
    Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    manifests: Option<Vec<RawEntry>>,
    layers: Option<Vec<RawLayer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    media_type: Option<String>,
    digest: String,
    platform: Option<RawPlatform>,
    annotations: Option<RawAnnotations>,
}

/// Of annotations, those that count; a registry may send any number.
#[derive(Deserialize)]
struct RawAnnotations {
    cname: Option<String>,
    architecture: Option<String>,
}

#[derive(Deserialize)]
struct RawPlatform {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLayer {
    media_type: String,
    digest: String,
    size: u64,
}

impl Manifest {
    /// Parses what a registry sent. The shape decides, not the content type: a document of both
    /// shapes means one thing to us and another to the next tool, and is refused.
    ///
    /// # Errors
    ///
    /// If it is neither an index nor the manifest of an image.
    pub fn parse(document: &Document) -> Result<Self, Malformed> {
        let json = |error: serde_json::Error| Malformed::Json(error.to_string());
        let raw: Raw = serde_json::from_slice(&document.bytes).map_err(json)?;
        match (raw.manifests, raw.layers) {
            (Some(entries), None) => {
                let entries = bounded(entries)?.into_iter().map(entry);
                Ok(Self::Index(entries.collect::<Result<_, _>>()?))
            }
            (None, Some(layers)) => {
                let layers = bounded(layers)?.into_iter().map(layer);
                Ok(Self::Image(layers.collect::<Result<_, _>>()?))
            }
            (Some(_), Some(_)) | (None, None) => {
                let content_type = document.content_type.clone().unwrap_or_default();
                Err(Malformed::Shape { content_type })
            }
        }
    }
}

fn bounded<T>(entries: Vec<T>) -> Result<Vec<T>, Malformed> {
    if entries.len() > MAX_ENTRIES { Err(Malformed::TooMany) } else { Ok(entries) }
}

fn entry(raw: RawEntry) -> Result<Entry, Malformed> {
    let flavour = raw
        .annotations
        .and_then(|all| Some(Flavour { cname: all.cname?, architecture: all.architecture? }));
    let platform = raw.platform.map_or(Platform::Open, platform);
    let media_type = raw.media_type;
    Ok(Entry { digest: digest(&raw.digest)?, platform, flavour, media_type })
}

fn platform(raw: RawPlatform) -> Platform {
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    let os = said(raw.os);
    if os.as_deref().is_some_and(|os| !os.eq_ignore_ascii_case("linux")) {
        return Platform::Foreign;
    }
    match said(raw.architecture) {
        Some(architecture) => Platform::Of(Machine::new(&architecture, raw.variant.as_deref())),
        None => Platform::Open,
    }
}

fn layer(raw: RawLayer) -> Result<Descriptor, Malformed> {
    let digest = digest(&raw.digest)?;
    Ok(Descriptor { media_type: raw.media_type, digest, size: raw.size })
}

fn digest(text: &str) -> Result<Digest, Malformed> {
    text.parse().map_err(|error: crate::digest::Malformed| Malformed::Json(error.to_string()))
}

/// The image of an index to boot on `machine`.
///
/// For iPXE an image annotated as network boot flavour goes first: indexes of Garden Linux have
/// several images for one architecture and tell them apart by the annotation `cname`.
pub fn choose<'a>(entries: &'a [Entry], machine: &Machine, boot: Boot) -> Option<&'a Entry> {
    let annotated = |entry: &&Entry| {
        let fits = match &entry.platform {
            Platform::Of(platform) => machine.runs(platform),
            Platform::Open => true,
            Platform::Foreign => false,
        };
        let is_flavour = |flavour: &Flavour| {
            flavour.cname.starts_with("metal_pxe")
                && machine.runs(&Machine::new(&flavour.architecture, None))
        };
        fits && entry.flavour.as_ref().is_some_and(is_flavour)
    };
    let by_platform = |entry: &&Entry| match &entry.platform {
        Platform::Of(platform) => machine.runs(platform),
        Platform::Open | Platform::Foreign => false,
    };
    let flavour = match boot {
        Boot::Pxe => entries.iter().find(annotated),
        Boot::Http => None,
    };
    flavour.or_else(|| entries.iter().find(by_platform))
}

/// The layer with one of these media types; the last one, if an image has both vocabularies.
pub fn last<'a>(layers: &'a [Descriptor], types: &[&str]) -> Option<&'a Descriptor> {
    layers.iter().rev().find(|layer| types.contains(&layer.media_type.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_decides_what_a_document_is() {
        assert_eq!(parse(r#"{"layers":[]}"#), Ok(Manifest::Image(vec![])));
        assert_eq!(parse(r#"{"manifests":[]}"#), Ok(Manifest::Index(vec![])));
        let shape = Err(Malformed::Shape { content_type: "text/plain".into() });
        assert_eq!(parse(r#"{"manifests":[],"layers":[]}"#), shape);
        assert_eq!(parse("{}"), shape);
        assert!(matches!(parse("[]"), Err(Malformed::Json(_))));
        assert!(matches!(parse(""), Err(Malformed::Json(_))));
    }

    #[test]
    fn digests_are_strict() {
        let text = r#"{"layers":[{"mediaType":"a","digest":"sha256:../..","size":1}]}"#;
        assert!(matches!(parse(text), Err(Malformed::Json(_))));
    }

    #[test]
    fn an_index_without_bound_is_refused() {
        let entry = format!(r#"{{"digest":"{}"}}"#, Digest::of(b"a"));
        let entries = vec![entry; MAX_ENTRIES + 1].join(",");
        assert_eq!(parse(&format!(r#"{{"manifests":[{entries}]}}"#)), Err(Malformed::TooMany));
    }

    #[test]
    fn the_first_image_of_the_architecture_is_chosen() {
        let entries =
            [entry(b"a", "arm64", &[]), entry(b"b", "amd64", &[]), entry(b"c", "amd64", &[])];
        for boot in [Boot::Pxe, Boot::Http] {
            assert_eq!(choose(&entries, &machine("amd64"), boot), Some(&entries[1]));
            assert_eq!(choose(&entries, &machine("riscv64"), boot), None);
        }
    }

    #[test]
    fn a_network_boot_flavour_goes_first_for_pxe_only() {
        let flavour = [("cname", "metal_pxe-amd64-1443"), ("architecture", "amd64")];
        let other = [("cname", "metal_pxe-arm64-1443"), ("architecture", "arm64")];
        let entries = [
            entry(b"a", "amd64", &[]),
            entry(b"b", "amd64", &other),
            entry(b"c", "amd64", &flavour),
        ];
        assert_eq!(choose(&entries, &machine("amd64"), Boot::Pxe), Some(&entries[2]));
        assert_eq!(choose(&entries, &machine("amd64"), Boot::Http), Some(&entries[0]));
    }

    #[test]
    fn an_entry_for_another_operating_system_is_never_taken() {
        let flavour = r#""annotations":{"cname":"metal_pxe-amd64","architecture":"amd64"}"#;
        let platforms = [
            r#"{"architecture":"amd64","os":"windows"}"#,
            r#"{"architecture":"amd64","os":"unknown"}"#,
            r#"{"architecture":"unknown","os":"unknown"}"#,
            r#"{"architecture":"amd64","os":"freebsd"}"#,
        ];
        for platform in platforms {
            let digest = Digest::of(b"a");
            let entry = format!(r#"{{"digest":"{digest}","platform":{platform},{flavour}}}"#);
            let index = parse(&format!(r#"{{"manifests":[{entry}]}}"#)).unwrap();
            let Manifest::Index(entries) = index else { unreachable!() };
            for boot in [Boot::Pxe, Boot::Http] {
                assert_eq!(choose(&entries, &machine("amd64"), boot), None, "{platform}");
            }
        }
    }

    #[test]
    fn of_two_vocabularies_the_later_layer_counts() {
        let layers = [layer(KERNEL[1], b"old"), layer(UKI[0], b"uki"), layer(KERNEL[0], b"new")];
        assert_eq!(last(&layers, KERNEL), Some(&layers[2]));
        assert_eq!(last(&layers[..2], KERNEL), Some(&layers[0]));
        assert_eq!(last(&layers, SQUASHFS), None);
    }

    fn parse(text: &str) -> Result<Manifest, Malformed> {
        let bytes = text.as_bytes().to_vec().into();
        let content_type = Some("text/plain".to_owned());
        Manifest::parse(&Document { digest: Digest::of(b""), content_type, bytes })
    }

    fn machine(architecture: &str) -> Machine {
        Machine::new(architecture, None)
    }

    fn entry(content: &[u8], architecture: &str, annotations: &[(&str, &str)]) -> Entry {
        let value =
            |name| annotations.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let flavour = value("cname").zip(value("architecture")).map(|(cname, architecture)| {
            Flavour { cname: cname.to_owned(), architecture: architecture.to_owned() }
        });
        let platform = Platform::Of(machine(architecture));
        Entry { digest: Digest::of(content), platform, flavour, media_type: None }
    }

    fn layer(media_type: &str, content: &[u8]) -> Descriptor {
        Descriptor { media_type: media_type.to_owned(), digest: Digest::of(content), size: 3 }
    }
}
