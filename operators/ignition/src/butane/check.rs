//! Restrictions on names and addresses in Butane documents. They are stricter than Ignition's, so
//! that what systemd or a server would refuse later is refused here (systemd.unit(5) for unit
//! names).

use super::since::{Since, ignition};
use crate::validation::check::{UNITS, data_url, require, scheme, scheme_since};

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

/// A URL that Ignition fetches from.
pub(super) fn source(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        return Ok(());
    }
    if let Some(data) = url.strip_prefix("data:") {
        return data_url(data);
    }
    let is_known = since(url).is_some();
    require(is_known, "a URL with the scheme http, https, tftp, s3, arn, gs or data")?;
    let is_arn = scheme(url).as_deref() == Some("arn");
    require(
        is_arn || has_host(url),
        "a URL with a host, without spaces and with valid percent-encoding",
    )
}

/// The Ignition version that can fetch from a URL of this scheme; `None` if none can.
pub(super) fn since(url: &str) -> Option<Since> {
    scheme_since(url).map(ignition)
}

/// Whether Ignition does not decompress content from this URL.
pub(super) fn is_bucket(url: &str) -> bool {
    scheme(url).is_some_and(|scheme| scheme == "s3" || scheme == "arn")
}

/// Whether a URL has a host, a numeric port if any, and no invalid characters.
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
