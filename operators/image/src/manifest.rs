//! What a manifest says: which image is for which architecture, and which layer boots.

use crate::{digest::Digest, registry::Document};
use serde::Deserialize;
use std::collections::BTreeMap;

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

/// One image of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Digest of its manifest.
    pub digest: Digest,
    /// `platform.architecture`.
    pub architecture: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
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
    digest: String,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: Option<String>,
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
    Ok(Entry {
        digest: digest(&raw.digest)?,
        architecture: raw.platform.and_then(|platform| platform.architecture),
        annotations: raw.annotations.unwrap_or_default(),
    })
}

fn layer(raw: RawLayer) -> Result<Descriptor, Malformed> {
    let digest = digest(&raw.digest)?;
    Ok(Descriptor { media_type: raw.media_type, digest, size: raw.size })
}

fn digest(text: &str) -> Result<Digest, Malformed> {
    text.parse().map_err(|error: crate::digest::Malformed| Malformed::Json(error.to_string()))
}

/// The image of an index to boot on `architecture`.
///
/// For iPXE an image annotated as network boot flavour goes first: indexes of Garden Linux have
/// several images for one architecture and tell them apart by the annotation `cname`.
pub fn choose<'a>(entries: &'a [Entry], architecture: &str, boot: Boot) -> Option<&'a Entry> {
    let annotated = |entry: &&Entry| {
        let is = |key: &str, test: &dyn Fn(&str) -> bool| {
            entry.annotations.get(key).is_some_and(|value| test(value))
        };
        is("cname", &|name| name.starts_with("metal_pxe"))
            && is("architecture", &|name| name == architecture)
    };
    let by_platform = |entry: &&Entry| entry.architecture.as_deref() == Some(architecture);
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
            assert_eq!(choose(&entries, "amd64", boot), Some(&entries[1]));
            assert_eq!(choose(&entries, "riscv64", boot), None);
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
        assert_eq!(choose(&entries, "amd64", Boot::Pxe), Some(&entries[2]));
        assert_eq!(choose(&entries, "amd64", Boot::Http), Some(&entries[0]));
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

    fn entry(content: &[u8], architecture: &str, annotations: &[(&str, &str)]) -> Entry {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Entry {
            digest: Digest::of(content),
            architecture: Some(architecture.to_owned()),
            annotations: annotations.iter().map(owned).collect(),
        }
    }

    fn layer(media_type: &str, content: &[u8]) -> Descriptor {
        Descriptor { media_type: media_type.to_owned(), digest: Digest::of(content), size: 3 }
    }
}
