//! Parsing of manifests. An invalid entry or layer does not invalidate the manifest: the one that
//! boots may be next to it.

use super::{Descriptor, Entry, Flavor, Layer, MalformedManifest, Manifest, Platform};
use crate::{architecture::Machine, digest::Digest, reference::excerpt, registry::Document};
use metal_base::cut;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use std::{collections::HashMap, fmt};

/// How many entries or layers a document may have.
pub(super) const MAX_ENTRIES: usize = 1024;
/// Longest name of a file, in bytes.
pub(super) const MAX_TITLE: usize = 128;
/// Longest word, in bytes; that of a media type (RFC 6838, section 4.2).
pub(super) const MAX_WORD: usize = 255;

/// Operating systems, in Go's terms, that are not Linux; and `unknown`, which marks attestations.
/// Distributions use their own names.
const NOT_LINUX: [&str; 23] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "macos",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "unknown",
    "wasi",
    "wasip1",
    "wasip2",
    "wasm",
    "win32",
    "windows",
    "zos",
];

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    manifests: Option<List<'a>>,
    #[serde(borrow)]
    layers: Option<List<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry<'a> {
    #[serde(borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// The annotations that we read; a registry may send any number of others.
#[derive(Deserialize)]
struct RawAnnotations<'a> {
    #[serde(borrow)]
    cname: Option<&'a RawValue>,
    #[serde(borrow)]
    architecture: Option<&'a RawValue>,
}

/// The annotation of a layer that we read.
#[derive(Deserialize)]
struct RawTitle<'a> {
    #[serde(borrow, rename = "org.opencontainers.image.title")]
    title: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawPlatform<'a> {
    #[serde(borrow)]
    architecture: Option<&'a RawValue>,
    #[serde(borrow)]
    os: Option<&'a RawValue>,
    #[serde(borrow)]
    variant: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLayer<'a> {
    #[serde(borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// A list that keeps no more entries than an image may have.
struct List<'a> {
    items: Vec<&'a RawValue>,
    is_whole: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Items)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<List<'de>, A::Error> {
        let mut items = vec![];
        while items.len() < MAX_ENTRIES {
            let Some(item) = from.next_element()? else {
                return Ok(List { items, is_whole: true });
            };
            items.push(item);
        }
        let mut is_whole = true;
        while from.next_element::<IgnoredAny>()?.is_some() {
            is_whole = false;
        }
        Ok(List { items, is_whole })
    }
}

impl List<'_> {
    fn read<T>(&self, item: impl Fn(&RawValue) -> Option<T>) -> Result<Vec<T>, MalformedManifest> {
        if !self.is_whole {
            return Err(MalformedManifest::TooMany);
        }
        Ok(self.items.iter().filter_map(|raw| item(raw)).collect())
    }
}

impl Manifest {
    /// Parses what a registry sent. The structure decides, not the content type. A document that is
    /// both an index and an image is refused, because the next tool may read it differently. A byte
    /// order mark is ignored (RFC 8259, section 8.1).
    ///
    /// # Errors
    ///
    /// If it is neither an index nor an image manifest.
    pub fn parse(document: &Document) -> Result<Self, MalformedManifest> {
        let text = String::from_utf8_lossy(&document.bytes);
        let json = |error: serde_json::Error| MalformedManifest::Json(excerpt(&error.to_string()));
        let raw: Raw<'_> =
            serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(json)?;
        match (raw.manifests, raw.layers) {
            (Some(entries), None) => Ok(Self::Index(entries.read(entry)?)),
            (None, Some(layers)) => Ok(Self::Image(layers.read(layer)?)),
            (Some(_), Some(_)) | (None, None) => {
                let content_type = document.content_type.as_deref().unwrap_or_default();
                Err(MalformedManifest::Shape { content_type: excerpt(content_type) })
            }
        }
    }
}

/// An annotation of the document itself.
pub(crate) fn annotation(document: &Document, name: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Annotated<'a> {
        #[serde(borrow)]
        annotations: Option<&'a RawValue>,
    }
    let text = std::str::from_utf8(&document.bytes).ok()?;
    let annotated: Annotated<'_> = serde_json::from_str(text).ok()?;
    let mut all: HashMap<String, Value> = said(annotated.annotations?)?;
    match all.remove(name)? {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn entry(raw: &RawValue) -> Option<Entry> {
    let raw: RawEntry<'_> = said(raw)?;
    Some(Entry {
        digest: digest(raw.digest),
        platform: raw.platform.map_or(Platform::Open, platform),
        flavor: raw.annotations.and_then(flavor),
        media_type: media_type(raw.media_type),
    })
}

fn flavor(raw: &RawValue) -> Option<Flavor> {
    let raw: RawAnnotations<'_> = said(raw)?;
    let text = |raw: &RawValue| said(raw).filter(|text: &String| text.len() <= MAX_WORD);
    Some(Flavor { cname: text(raw.cname?)?, architecture: text(raw.architecture?)? })
}

/// A platform that we cannot read may be anything, so it boots nothing.
fn platform(raw: &RawValue) -> Platform {
    let read = || {
        let raw: RawPlatform<'_> = said(raw).ok_or(NotText)?;
        Ok::<_, NotText>((word(raw.architecture)?, word(raw.os)?, word(raw.variant)?))
    };
    let Ok((architecture, os, variant)) = read() else { return Platform::Foreign };
    let os = os.map(|os| os.to_ascii_lowercase());
    if os.as_deref().is_some_and(|os| NOT_LINUX.contains(&os)) {
        return Platform::Foreign;
    }
    let Some(architecture) = architecture else { return Platform::Open };
    let machine = Machine::new(&architecture, variant.as_deref());
    match os.as_deref() {
        None | Some("linux") => Platform::Of(machine),
        Some(_) => Platform::Distribution(machine),
    }
}

/// A value that is not a word, or too long to be one.
struct NotText;

/// A word, which may be missing or empty. Versions may be numbers.
fn word(raw: Option<&RawValue>) -> Result<Option<String>, NotText> {
    let Some(raw) = raw else { return Ok(None) };
    let text = match said(raw).ok_or(NotText)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(NotText),
    };
    if text.len() > MAX_WORD {
        return Err(NotText);
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn layer(raw: &RawValue) -> Option<Layer> {
    let raw: RawLayer<'_> = said(raw)?;
    let media_type = media_type(raw.media_type).unwrap_or_default();
    let content = || {
        let digest = digest(raw.digest)?;
        let size = raw.size.and_then(said);
        let size =
            size.ok_or_else(|| MalformedManifest::Descriptor("size is not a number".to_owned()))?;
        Ok(Descriptor { media_type: media_type.clone(), digest, size })
    };
    let title = raw.annotations.and_then(title);
    Some(Layer { content: content(), media_type, title })
}

/// The name of a file, or `None` if it is none that a URL would have: it begins in the folder of the
/// image, and never leaves it.
fn title(raw: &RawValue) -> Option<String> {
    let raw: RawTitle<'_> = said(raw)?;
    let title: String = said(raw.title?)?;
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    let is_file = title.len() <= MAX_TITLE
        && title.split('/').all(is_name)
        && !title.contains(|c: char| c.is_control() || c == '\\');
    is_file.then_some(title)
}

/// Media types are case-insensitive and may have parameters (RFC 9110, section 8.3.1). A longer one than
/// there is remains an unknown one.
fn media_type(raw: Option<&RawValue>) -> Option<String> {
    let text: String = said(raw?)?;
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = cut(essence, MAX_WORD);
    Some(essence.to_ascii_lowercase()).filter(|essence| !essence.is_empty())
}

fn digest(raw: Option<&RawValue>) -> Result<Digest, MalformedManifest> {
    let text: Option<String> = raw.and_then(said);
    let text =
        text.ok_or_else(|| MalformedManifest::Descriptor("digest is not a string".to_owned()))?;
    text.parse().map_err(|error: crate::digest::MalformedDigest| {
        MalformedManifest::Descriptor(error.to_string())
    })
}

/// The value, if it has the expected type.
fn said<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}
