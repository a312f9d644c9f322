//! Values of fields, and errors about invalid ones.

use metal_core::{boot::url::MAX_URL, macdb::MacPrefix};
use metal_text::located::{Located, Text};
use std::{collections::HashMap, hash::Hash, net::Ipv4Addr, str::FromStr};

/// The configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not YAML, or does not have this structure.
    #[error("not a DHCP configuration: {0}")]
    Yaml(String),
    /// A field has an invalid value.
    #[error("line {line}: {field}: {problem}")]
    Field {
        /// Line of the value; 0 if it is missing.
        line: u64,
        /// The field.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Longest name of an interface in Linux (`IFNAMSIZ` less the terminating zero).
const MAX_INTERFACE: usize = 15;

pub(super) fn interface(name: &Text, field: &'static str) -> Result<String, ConfigError> {
    let is_name = |c: char| c.is_ascii_graphic() && c != '/';
    let fits = (1..=MAX_INTERFACE).contains(&name.value.len()) && name.value.chars().all(is_name);
    let problem = || format!("`{}` is not an interface name; use, for example, `eth1`", name.value);
    fits.then(|| name.value.clone()).ok_or_else(|| fail(name, field, problem()))
}

pub(super) fn mac_prefix(text: &Text, field: &'static str) -> Result<MacPrefix, ConfigError> {
    let problem = |error| format!("`{}` {error}", text.value);
    text.value.parse().map_err(|error| fail(text, field, problem(error)))
}

pub(super) fn http_url(text: &Text, field: &'static str) -> Result<String, ConfigError> {
    let url = &text.value;
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if has_host && url.len() <= MAX_URL && url.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(url.clone());
    }
    let problem = format!(
        "`{url}` is not a valid URL; use http:// or https:// with a host and a path, at most \
         {MAX_URL} visible ASCII characters"
    );
    Err(fail(text, field, problem))
}

pub(super) fn address(text: &Text, field: &'static str) -> Result<Ipv4Addr, ConfigError> {
    scalar(text, field, "an IPv4 address", "10.0.0.1")
}

/// Parses a value, or reports what it should be.
pub(super) fn scalar<T: FromStr>(
    text: &Text,
    field: &'static str,
    what: &str,
    example: &str,
) -> Result<T, ConfigError> {
    let problem = || format!("`{}` is not {what}; use, for example, `{example}`", text.value);
    text.value.parse().map_err(|_| fail(text, field, problem()))
}

/// Parses the values of a list, which may not contain duplicates.
pub(super) fn distinct<T: Clone + Eq + Hash>(
    list: &[Text],
    field: &'static str,
    parse: impl Fn(&Text) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let mut first = HashMap::new();
    let mut values = Vec::with_capacity(list.len());
    for text in list {
        let value = parse(text)?;
        if let Some(line) = first.insert(value.clone(), line_of(text)) {
            let problem = format!("`{}` is already in line {line}; remove one of them", text.value);
            return Err(fail(text, field, problem));
        }
        values.push(value);
    }
    Ok(values)
}

pub(super) fn line_of<T>(value: &Located<T>) -> u64 {
    value.line
}

pub(super) fn fail<T>(
    value: &Located<T>,
    field: &'static str,
    problem: impl Into<String>,
) -> ConfigError {
    ConfigError::Field { line: line_of(value), field, problem: problem.into() }
}
