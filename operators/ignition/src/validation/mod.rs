//! Checks Ignition before a machine reads it. A machine that cannot read it would retry forever,
//! far from its author.
//!
//! The types of each version of the specification are those of `ignition-config`. Added here are:
//!
//! * which texts are Ignition at all: input for other systems is served from the same place,
//!   unchanged;
//! * limits that are enforced before a text is parsed ([`json`]);
//! * the path, line and column of a fault, but never the value, which may be a password;
//! * objects that are written as lists, which serde accepts and Ignition does not;
//! * Ignition's rules for values: paths, modes, unit names, sources, duplicates (`rules`,
//!   `storage`), and for disks (`disks`).
//!
//! Clevis is not checked beyond its types. What Ignition only warns about (unknown fields) is
//! accepted, and so are unknown versions: an old system reads 2.x, a new one whatever comes next.

pub(crate) mod check;
mod disks;
pub(crate) mod fault;
mod position;
pub(crate) mod rules;
mod storage;
#[cfg(test)]
mod tests;
mod typed;
pub(crate) mod unit;

use metal_text::json::{self, Bounds};
use position::Position;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::{borrow::Cow, fmt};

/// Largest text; Kubernetes limits a Secret to this anyway.
const MAX_TEXT: usize = 1 << 20;
/// More than any machine is configured with.
const BOUNDS: Bounds = Bounds { values: 100_000, entries: 20_000, depth: 64 };
/// Top-level fields of any version: a document with one of them is Ignition.
const FIELDS: [&str; 6] =
    ["ignition", "kernelArguments", "networkd", "passwd", "storage", "systemd"];

/// The content of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Ignition that a machine accepts.
    Valid,
    /// Ignition of an unknown version: JSON, otherwise unchecked.
    OtherVersion,
    /// Something else, which is not checked.
    Foreign,
}

/// Why a machine would refuse a text. Contains nothing of the text except names of Ignition fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {what}")]
pub struct Error {
    position: Position,
    what: Cow<'static, str>,
}

/// Determines what `bytes` contain, and checks them if they are Ignition.
///
/// # Errors
///
/// If they are meant to be Ignition, and a machine would refuse them.
pub fn check(bytes: &[u8]) -> Result<Content, Error> {
    let text = String::from_utf8_lossy(bytes);
    let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if is_wide(bytes) {
        return Err(Error::at(Position::START, "must be UTF-8: this is UTF-16"));
    }
    if !is_ignition(bare) {
        return Ok(Content::Foreign);
    }
    if bytes.len() > MAX_TEXT {
        return Err(Error::at(Position::START, "longer than 1 MiB"));
    }
    let text = str::from_utf8(bytes)
        .map_err(|error| Error::at(Position::of(bytes, error.valid_up_to()), "must be UTF-8"))?;
    if text.starts_with('\u{feff}') {
        let what = "must begin with {: remove the byte order mark";
        return Err(Error::at(Position::START, what));
    }
    check_text(text)
}

/// Like [`check`], for a text that is Ignition, of any length.
pub(crate) fn check_text(text: &str) -> Result<Content, Error> {
    json::check(text.as_bytes(), BOUNDS).map_err(|error| typed::malformed(text, &error))?;
    let Some((version, reader)) = typed::version(text)? else { return Ok(Content::OtherVersion) };
    let document = reader(text)?;
    rules::check(&document, version).map_err(|fault| Error::of(text, &fault))?;
    Ok(Content::Valid)
}

impl Error {
    fn at(position: Position, what: impl Into<Cow<'static, str>>) -> Self {
        Self { position, what: what.into() }
    }

    fn of(text: &str, fault: &fault::Fault) -> Self {
        let what: Cow<'_, str> = match fault.must {
            fault::Requirement::Be(expected) => format!("must be {expected}").into(),
            fault::Requirement::BeOnce(_) => "is duplicated".into(),
        };
        Self::at(Position::of_steps(text, &fault.at), what)
    }
}

/// Whether it is UTF-16 that begins like JSON, as some editors on Windows write it.
fn is_wide(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe, b'{', 0]) || bytes.starts_with(&[0xfe, 0xff, 0, b'{'])
}

/// Whether a text is meant to be Ignition: a JSON object, possibly incomplete, with a field of
/// Ignition or without any field.
fn is_ignition(text: &str) -> bool {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('{') else { return false };
    // Butane may also begin with a brace, and a template with two.
    if !inner.trim_start().starts_with(['"', '}']) && !inner.trim().is_empty() {
        return false;
    }
    let mut fields = Fields::default();
    let whole = serde_json::Deserializer::from_str(text).deserialize_map(&mut fields);
    let is_named = whole.is_err() && text.contains("\"ignition\"");
    fields.is_known || !fields.is_foreign || is_named
}

/// The top-level fields of a document, as far as it can be parsed.
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
