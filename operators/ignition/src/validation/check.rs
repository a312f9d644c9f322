//! What Ignition refuses at the first boot, when nobody can correct it any longer (Ignition
//! configuration specification).
//!
//! A check that fails says what the text must be.

/// Suffixes of unit names.
pub(crate) const UNITS: [&str; 12] = [
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
/// URL schemes that Ignition fetches from, and the minor version of Ignition 3 that introduced each.
const SCHEMES: [(&str, u8); 6] =
    [("http", 0), ("https", 0), ("tftp", 0), ("s3", 0), ("gs", 2), ("arn", 4)];

/// Checks a text; an error says what it must be.
pub(crate) type Check = fn(&str) -> Result<(), &'static str>;

pub(crate) fn require(holds: bool, expected: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(expected) }
}

/// An absolute path in canonical form, which Ignition calls clean.
pub(crate) fn path(path: &str) -> Result<(), &'static str> {
    require(path.starts_with('/'), "an absolute path")?;
    let inner = path.strip_prefix('/').unwrap_or_default();
    let is_clean =
        inner.is_empty() || inner.split('/').all(|part| !matches!(part, "" | "." | ".."));
    require(
        is_clean && !path.contains('\0'),
        "a path without //, /./, /../ and without a trailing slash",
    )
}

/// A compression format.
pub(crate) fn compression(name: &str) -> Result<(), &'static str> {
    require(matches!(name, "" | "gzip"), "gzip, or absent")
}

/// A digest, as `sha512-` and hexadecimal digits.
pub(crate) fn hash(text: &str) -> Result<(), &'static str> {
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

/// The scheme of a URL, in lower case.
pub(crate) fn scheme(url: &str) -> Option<String> {
    url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase())
}

/// The minor version of Ignition 3 since which URLs of this scheme are fetched; `None` if in none.
pub(crate) fn scheme_since(url: &str) -> Option<u8> {
    let scheme = scheme(url)?;
    SCHEMES.iter().find(|(known, _)| *known == scheme).map(|(_, since)| *since)
}

/// A URL as Go reads it (`net/url`), and so Ignition before it fetches anything.
pub(crate) fn url(url: &str) -> Result<(), &'static str> {
    let (before, fragment) = url.split_once('#').unwrap_or((url, ""));
    let rest = before.split_once(':').map_or(before, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        // What does not begin with a slash is taken as it is.
        None if !rest.starts_with('/') => ("", ""),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    require(
        !before.bytes().any(|byte| byte.is_ascii_control())
            && [user, host, path, fragment].into_iter().all(is_escaped)
            && user.chars().all(is_user)
            && is_host(host),
        "a URL with a valid host, port and percent-encoding, without control characters",
    )
}

/// Whether every percent sign begins an escape.
fn is_escaped(text: &str) -> bool {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.split('%').skip(1).all(is_escape)
}

/// Whether Go takes a host, with its port, if there is one.
fn is_host(host: &str) -> bool {
    let is_part = |c: char| {
        !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    let port = match host.strip_prefix('[') {
        Some(inner) => match inner.rsplit_once(']') {
            Some((_, "")) => Some(""),
            Some((_, port)) => port.strip_prefix(':'),
            None => None,
        },
        None => Some(host.rsplit_once(':').map_or("", |(_, port)| port)),
    };
    host.chars().all(is_part)
        && port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The ARN of an object in S3, by its bucket or an access point.
pub(crate) fn arn(url: &str) -> Result<(), &'static str> {
    let (arn, _) = url.split_once(['?', '#']).unwrap_or((url, ""));
    let sections: Vec<&str> = arn.splitn(6, ':').collect();
    let is_object = match sections.as_slice() {
        [_, _, "s3", _, _, resource] => {
            let parts = if resource.starts_with("accesspoint/") { 3 } else { 2 };
            arn.split('/').count() >= parts
        }
        _ => false,
    };
    require(is_object, "the ARN of an object in S3, such as arn:aws:s3:::bucket/object")
}

/// The version of an object in S3, if its URL has one.
pub(crate) fn object_version(url: &str) -> Result<(), &'static str> {
    let (before, _) = url.split_once('#').unwrap_or((url, ""));
    let (_, query) = before.split_once('?').unwrap_or((before, ""));
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let version = pairs.find(|(name, _)| *name == "versionId");
    require(
        version.is_none_or(|(_, version)| !version.is_empty()),
        "a URL whose versionId is given",
    )
}

/// The minor version of Ignition 3 since which a digest of this kind is verified.
pub(crate) fn hash_since(text: &str) -> u8 {
    u8::from(text.starts_with("sha256-"))
}

/// Whether headers are sent to a URL.
pub(crate) fn takes_headers(url: &str) -> bool {
    scheme(url).is_some_and(|scheme| scheme == "http" || scheme == "https")
}

/// The URL of a proxy.
pub(crate) fn proxy(url: &str) -> Result<(), &'static str> {
    require(takes_headers(url), "a URL with the scheme http or https")
}

/// The part of a URL after `data:` (RFC 2397).
pub(crate) fn data_url(rest: &str) -> Result<(), &'static str> {
    let (kind, data) = rest.split_once(',').ok_or("a data: URL with a comma")?;
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
        bytes.push(byte.ok_or("a data: URL with valid percent-encoding")?);
    }
    if kind.ends_with(";base64") {
        require(is_base64(&bytes), "a data: URL with valid base64")?;
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
