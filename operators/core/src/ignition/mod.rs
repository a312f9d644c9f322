//! Ignition, checked before a machine reads it: a machine that cannot would try for ever, far from
//! whoever wrote it.
//!
//! The types of each version of the specification are those of `ignition-config`. What is added:
//!
//! * which texts are Ignition at all: the same place serves what other systems read, as it is;
//! * bounds before anything is made of a text ([`json`]);
//! * the path, line and column of what is wrong, and never a value, which may be a password;
//! * an object that is written as a list, which serde takes and Ignition does not;
//! * what Ignition asks of the values: paths, modes, names of units, sources, what is there twice
//!   (`rules`, `storage`).
//!
//! Not checked are layouts of disks beyond their types and the paths of devices. What Ignition only
//! warns of (fields that it does not know) is left alone, and so are versions that are not known
//! here: an old system reads 2.x, a new one what comes next.

pub(crate) mod check;
pub(crate) mod fault;
mod place;
mod rules;
pub(crate) mod storage;
#[cfg(test)]
mod tests;
mod typed;

use crate::json::{self, Bounds};
use place::Place;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::{borrow::Cow, fmt};

/// Largest text; Kubernetes keeps a Secret to this anyway.
const MAX_TEXT: usize = 1 << 20;
/// More than any machine is configured with.
const BOUNDS: Bounds = Bounds { values: 100_000, entries: 20_000, depth: 64 };
/// Fields of a document, of any version: what has one of them is Ignition.
const FIELDS: [&str; 6] =
    ["ignition", "kernelArguments", "networkd", "passwd", "storage", "systemd"];

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Ignition that a machine takes.
    Valid,
    /// Ignition of a version that is not known here: JSON, and nothing else was checked.
    OtherVersion,
    /// Something else, which is none of our business.
    Foreign,
}

/// Why a text is not Ignition that a machine takes. Holds nothing of the text but names of fields
/// that Ignition has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Error {
    place: Place,
    what: Cow<'static, str>,
}

/// What `bytes` are, and whether a machine takes them if they are Ignition.
///
/// # Errors
///
/// If they are meant as Ignition, and a machine would refuse them.
pub fn check(bytes: &[u8]) -> Result<Content, Error> {
    let text = String::from_utf8_lossy(bytes);
    let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if is_wide(bytes) {
        return Err(Error::at(Place::START, "must be UTF-8: this is UTF-16"));
    }
    if !is_ignition(bare) {
        return Ok(Content::Foreign);
    }
    if bytes.len() > MAX_TEXT {
        return Err(Error::at(Place::START, "longer than 1 MiB"));
    }
    let text = str::from_utf8(bytes)
        .map_err(|error| Error::at(Place::of(bytes, error.valid_up_to()), "must be UTF-8"))?;
    if text.starts_with('\u{feff}') {
        let what = "must begin with {: remove the byte order mark";
        return Err(Error::at(Place::START, what));
    }
    check_text(text)
}

/// As [`check`], of a text that is Ignition, of any length.
pub(crate) fn check_text(text: &str) -> Result<Content, Error> {
    json::check(text.as_bytes(), BOUNDS).map_err(|error| typed::malformed(text, &error))?;
    let Some((version, reader)) = typed::version(text)? else { return Ok(Content::OtherVersion) };
    let document = reader(text)?;
    rules::check(&document, version).map_err(|fault| Error::of(text, &fault))?;
    Ok(Content::Valid)
}

impl Error {
    fn at(place: Place, what: impl Into<Cow<'static, str>>) -> Self {
        Self { place, what: what.into() }
    }

    fn of(text: &str, fault: &fault::Fault) -> Self {
        let what: Cow<'_, str> = match fault.must {
            fault::Must::Be(expected) => format!("must be {expected}").into(),
            fault::Must::BeOnce(_) => "is there twice".into(),
        };
        Self::at(Place::of_steps(text, &fault.at), what)
    }
}

/// Whether it is UTF-16 that begins like JSON, as an editor of Windows may write it.
fn is_wide(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe, b'{', 0]) || bytes.starts_with(&[0xfe, 0xff, 0, b'{'])
}

/// Whether a text is meant as Ignition: a JSON object, whole or not, with a field that Ignition has,
/// or with none at all.
fn is_ignition(text: &str) -> bool {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('{') else { return false };
    // Butane may begin with a brace as well, and a template with two.
    if !inner.trim_start().starts_with(['"', '}']) && !inner.trim().is_empty() {
        return false;
    }
    let mut fields = Fields::default();
    let whole = serde_json::Deserializer::from_str(text).deserialize_map(&mut fields);
    let is_named = whole.is_err() && text.contains("\"ignition\"");
    fields.is_known || !fields.is_foreign || is_named
}

/// Names of the fields of a document, as far as it can be read.
#[derive(Default)]
struct Fields {
    is_known: bool,
    is_foreign: bool,
}

impl<'de> Visitor<'de> for &mut Fields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(name) = object.next_key::<Cow<'_, str>>()? {
            let is_known = FIELDS.contains(&&*name);
            self.is_known |= is_known;
            self.is_foreign |= !is_known;
            object.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
