//! What Ignition refuses at the first boot, where nobody can correct it any more (Ignition
//! configuration specification, and systemd.unit(5) for the names of units).
//!
//! Each check says what a text must be, if it is not.

use super::schema::{self, Since};

/// Ends of the names of units.
const UNITS: [&str; 12] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".snapshot",
    ".slice",
    ".scope",
];
/// Schemes of addresses from which Ignition fetches, and since when.
const SCHEMES: [(&str, Since); 6] = [
    ("http", schema::ALWAYS),
    ("https", schema::ALWAYS),
    ("tftp", schema::ALWAYS),
    ("s3", schema::ALWAYS),
    ("arn", (4, "1.5.0, or 1.1.0 of flatcar")),
    ("gs", (2, "1.2.0")),
];

/// Says what a text must be, if it is not.
pub(super) type Check = fn(&str) -> Result<(), &'static str>;

fn require(holds: bool, expected: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(expected) }
}

/// The name of a unit.
pub(super) fn unit_name(name: &str) -> Result<(), &'static str> {
    let stem = UNITS.iter().find_map(|end| name.strip_suffix(end));
    let is_part = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let is_name = stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(is_part));
    require(is_name && name.len() <= 255, "the name of a unit, such as example.service")
}

/// The name of a drop-in.
pub(super) fn dropin_name(name: &str) -> Result<(), &'static str> {
    let stem = name.strip_suffix(".conf");
    let is_name = stem.is_some_and(|stem| !stem.is_empty() && !stem.contains('/'));
    require(is_name, "the name of a drop-in, such as 10-example.conf")
}

/// An absolute path, without detours: what Ignition calls clean.
pub(super) fn path(path: &str) -> Result<(), &'static str> {
    require(path.starts_with('/'), "an absolute path")?;
    let inner = path.strip_prefix('/').unwrap_or_default();
    let is_clean =
        inner.is_empty() || inner.split('/').all(|part| !matches!(part, "" | "." | ".."));
    require(is_clean && !path.contains('\0'), "a path without //, /./, /../ and a slash at the end")
}

/// How content is compressed.
pub(super) fn compression(name: &str) -> Result<(), &'static str> {
    require(matches!(name, "" | "gzip"), "gzip, or absent")
}

/// A digest, as `sha512-` and its hexadecimal digits.
pub(super) fn hash(text: &str) -> Result<(), &'static str> {
    let digits = match text.split_once('-') {
        Some(("sha512", hex)) => Some((hex, 128)),
        Some(("sha256", hex)) => Some((hex, 64)),
        Some(_) | None => None,
    };
    let is_hash = digits.is_some_and(|(hex, length)| {
        hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    require(is_hash, "sha512- and 128, or sha256- and 64 hexadecimal digits")
}

/// An address from which Ignition fetches.
pub(super) fn source(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        return Ok(());
    }
    if let Some(data) = url.strip_prefix("data:") {
        return data_url(data);
    }
    let is_known = since(url).is_some();
    require(is_known, "an address of http, https, tftp, s3, arn, gs or data")?;
    let is_arn = scheme(url).as_deref() == Some("arn");
    require(is_arn || has_host(url), "an address with a host, and without blanks and stray %")
}

/// Which Ignition fetches from an address of this scheme; `None` if none does.
pub(super) fn since(url: &str) -> Option<Since> {
    let scheme = scheme(url)?;
    SCHEMES.iter().find(|(known, _)| *known == scheme).map(|(_, since)| *since)
}

/// Whether an address is one of which Ignition unpacks nothing.
pub(super) fn is_bucket(url: &str) -> bool {
    scheme(url).is_some_and(|scheme| scheme == "s3" || scheme == "arn")
}

fn scheme(url: &str) -> Option<String> {
    url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase())
}

/// Whether an address has a host, a port that is a number, and nothing that no address has.
fn has_host(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (before_query, _) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let authority = before_query.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        Some(_) | None => (host, ""),
    };
    let escapes = before_query.split('%').skip(1);
    let is_escape = |text: &str| text.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    !name.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
        && escapes.into_iter().all(is_escape)
}

/// Whether an address is one to which headers are sent.
pub(super) fn takes_headers(url: &str) -> bool {
    scheme(url).is_some_and(|scheme| scheme == "http" || scheme == "https")
}

/// What follows `data:` (RFC 2397).
fn data_url(rest: &str) -> Result<(), &'static str> {
    let (kind, data) = rest.split_once(',').ok_or("a data: address with a comma")?;
    let mut bytes = Vec::with_capacity(data.len());
    let mut rest = data.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let byte = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(byte.ok_or("a data: address in which % stands before two digits")?);
    }
    if kind.ends_with(";base64") {
        require(is_base64(&bytes), "a data: address whose base64 is whole")?;
    }
    Ok(())
}

fn is_base64(bytes: &[u8]) -> bool {
    let bytes: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    padding <= 2
        && bytes.len().is_multiple_of(4)
        && bytes.iter().take(bytes.len() - padding).all(is_digit)
}

/// The text of a unit or a drop-in: sections, and options in them.
pub(super) fn unit(text: &str) -> Result<(), &'static str> {
    let (mut in_section, mut continues) = (false, false);
    for line in text.lines() {
        let trimmed = line.trim();
        // A comment may stand in the middle of a value.
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        if continues {
            continues = line.ends_with('\\');
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[') {
            let name = section.strip_suffix(']');
            let is_name = name.is_some_and(|name| !name.is_empty() && !name.contains(']'));
            require(is_name, "a unit whose sections are like [Service], each on a line")?;
            in_section = true;
        } else if in_section && !trimmed.is_empty() {
            require(trimmed.contains('='), "a unit whose options are like Name=value")?;
            continues = line.ends_with('\\');
        }
    }
    Ok(())
}
