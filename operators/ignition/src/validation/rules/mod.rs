//! Ignition's rules for values, beyond their types.

#[cfg(test)]
mod tests;

use super::{
    check::{self, Check, UNITS, require},
    disks,
    fault::{Fault, Requirement, Step},
    storage, unit,
};
use serde_json::Value;
use std::collections::HashSet;

/// Flatcar's own scheme.
const OEM: &str = "oem";
/// What a value must be that is too new for a document of version 3.`index - 1`.
const SINCE: [&str; 7] = [
    "used with version 3.0.0 or later",
    "used with version 3.1.0 or later",
    "used with version 3.2.0 or later",
    "used with version 3.3.0 or later",
    "used with version 3.4.0 or later",
    "used with version 3.5.0 or later",
    "used with version 3.6.0 or later",
];
/// Minor version of Ignition 3 since which there are proxies; older ones only warn about the fields.
const PROXIES: u8 = 1;
/// Minor version of Ignition 3 since which what is merged, and authorities, need a source.
const SOURCES: u8 = 1;
/// Stands for every entry of a list.
const EACH: &str = "*";

/// A rule for the values in a place.
enum Rule {
    /// A string in this format.
    Text(Check),
    /// The URL of a proxy.
    Proxy,
    /// Permissions.
    Mode,
    /// Content by URL.
    Resource,
    /// The same, which is nothing without one.
    Reference,
    /// Arguments that are to be there, and others that are not.
    KernelArguments,
    /// A list of objects that must differ in this field.
    Unique(&'static str),
    /// A list of distinct strings.
    UniqueTexts,
}

const RULES: &[(&[&str], Rule)] = &[
    (&["ignition", "config", "merge"], Rule::Unique("source")),
    (&["ignition", "config", "merge", EACH], Rule::Reference),
    (&["ignition", "config", "replace"], Rule::Resource),
    (&["ignition", "proxy", "httpProxy"], Rule::Proxy),
    (&["ignition", "proxy", "httpsProxy"], Rule::Proxy),
    (&["ignition", "proxy", "noProxy"], Rule::UniqueTexts),
    (&["ignition", "security", "tls", "certificateAuthorities"], Rule::Unique("source")),
    (&["ignition", "security", "tls", "certificateAuthorities", EACH], Rule::Reference),
    (&["kernelArguments"], Rule::KernelArguments),
    (&["passwd", "groups"], Rule::Unique("name")),
    (&["passwd", "users"], Rule::Unique("name")),
    (&["passwd", "users", EACH, "groups"], Rule::UniqueTexts),
    (&["passwd", "users", EACH, "sshAuthorizedKeys"], Rule::UniqueTexts),
    (&["storage", "directories", EACH, "mode"], Rule::Mode),
    (&["storage", "directories", EACH, "path"], Rule::Text(check::path)),
    (&["storage", "disks"], Rule::Unique("device")),
    (&["storage", "disks", EACH, "device"], Rule::Text(check::path)),
    (&["storage", "files", EACH, "append", EACH], Rule::Resource),
    (&["storage", "files", EACH, "contents"], Rule::Resource),
    (&["storage", "files", EACH, "mode"], Rule::Mode),
    (&["storage", "files", EACH, "path"], Rule::Text(check::path)),
    (&["storage", "filesystems"], Rule::Unique("device")),
    (&["storage", "links", EACH, "path"], Rule::Text(check::path)),
    (&["storage", "luks"], Rule::Unique("name")),
    (&["storage", "luks", EACH, "keyFile"], Rule::Resource),
    (&["storage", "raid"], Rule::Unique("name")),
    (&["storage", "raid", EACH, "devices"], Rule::UniqueTexts),
    (&["storage", "raid", EACH, "devices", EACH], Rule::Text(check::path)),
    (&["systemd", "units"], Rule::Unique("name")),
    (&["systemd", "units", EACH, "contents"], Rule::Text(unit::check)),
    (&["systemd", "units", EACH, "dropins"], Rule::Unique("name")),
    (&["systemd", "units", EACH, "dropins", EACH, "contents"], Rule::Text(unit::check)),
    (&["systemd", "units", EACH, "dropins", EACH, "name"], Rule::Text(dropin_name)),
    (&["systemd", "units", EACH, "name"], Rule::Text(unit_name)),
];

/// Checks a document of version 3.`minor`, whose types are correct.
pub(crate) fn check(document: &Value, minor: u8) -> Result<(), Fault> {
    for (path, rule) in RULES {
        each(document, path, &mut vec![], &mut |value, at| judge(rule, value, at, minor))?;
    }
    disks::check(document, minor)?;
    storage::check(document, minor)
}

/// Calls `judge` with each non-null value at a path.
fn each(
    value: &Value,
    path: &[&'static str],
    at: &mut Vec<Step>,
    judge: &mut impl FnMut(&Value, &[Step]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some((&first, rest)) = path.split_first() else {
        return if value.is_null() { Ok(()) } else { judge(value, at) };
    };
    let inner: Vec<(Step, &Value)> = if first == EACH {
        let items = value.as_array().into_iter().flatten().enumerate();
        items.map(|(number, item)| (Step::Item(number), item)).collect()
    } else {
        value.get(first).map(|value| (Step::Field(first), value)).into_iter().collect()
    };
    for (step, value) in inner {
        at.push(step);
        each(value, rest, at, judge)?;
        at.pop();
    }
    Ok(())
}

fn judge(rule: &Rule, value: &Value, at: &[Step], minor: u8) -> Result<(), Fault> {
    match rule {
        Rule::Text(check) => text(*check, value, at),
        Rule::Proxy if minor < PROXIES => Ok(()),
        Rule::Proxy => text(check::proxy, value, at),
        Rule::Mode => {
            let is_mode = value.as_u64().is_some_and(|mode| mode <= 0o7777);
            let expected = "a mode in decimal, from 0 to 4095 (0644 is 420)";
            require(is_mode, expected).map_err(|must| Fault::of(at, &[], Requirement::Be(must)))
        }
        Rule::Resource => resource(value, at, minor),
        Rule::Reference => {
            let source = value.get("source").and_then(Value::as_str).unwrap_or_default();
            let is_given = !source.is_empty() || minor < SOURCES;
            let given = require(is_given, "given: there is nothing to fetch");
            given.map_err(|must| Fault::of(at, &["source"], Requirement::Be(must)))?;
            resource(value, at, minor)
        }
        Rule::KernelArguments => kernel_arguments(value, at),
        Rule::Unique(field) => unique(value, at, Some(field)),
        Rule::UniqueTexts => unique(value, at, None),
    }
}

fn text(check: Check, value: &Value, at: &[Step]) -> Result<(), Fault> {
    let text = value.as_str().unwrap_or_default();
    check(text).map_err(|expected| Fault::of(at, &[], Requirement::Be(expected)))
}

fn unique(list: &Value, at: &[Step], field: Option<&'static str>) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for (number, item) in list.as_array().into_iter().flatten().enumerate() {
        let name = field.map_or(Some(item), |field| item.get(field)).and_then(Value::as_str);
        let Some(name) = name else { continue };
        if !seen.insert(name) {
            let at: Vec<Step> = at.iter().copied().chain([Step::Item(number)]).collect();
            return Err(Fault::of(&at, field.as_slice(), Requirement::BeOnce(name.to_owned())));
        }
    }
    Ok(())
}

/// No argument is in one of the lists twice, or in both.
fn kernel_arguments(value: &Value, at: &[Step]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for list in ["shouldExist", "shouldNotExist"] {
        let arguments = value.get(list).and_then(Value::as_array).into_iter().flatten();
        for (number, argument) in arguments.enumerate() {
            let Some(argument) = argument.as_str() else { continue };
            if !seen.insert(argument) {
                let at: Vec<Step> =
                    at.iter().copied().chain([Step::Field(list), Step::Item(number)]).collect();
                return Err(Fault::of(&at, &[], Requirement::BeOnce(argument.to_owned())));
            }
        }
    }
    Ok(())
}

fn resource(value: &Value, at: &[Step], minor: u8) -> Result<(), Fault> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let must = |fields: &[&'static str]| {
        let fields = fields.to_vec();
        move |expected| Fault::of(at, &fields, Requirement::Be(expected))
    };
    let of = text("source").unwrap_or_default();
    source(of, minor).map_err(must(&["source"]))?;
    check::compression(text("compression").unwrap_or_default()).map_err(must(&["compression"]))?;
    let hash = value.get("verification").and_then(|it| it.get("hash")).and_then(Value::as_str);
    if let Some(hash) = hash {
        let must = must(&["verification", "hash"]);
        check::hash(hash).map_err(&must)?;
        since(check::hash_since(hash), minor).map_err(&must)?;
        require(text("source").is_some(), "absent, because there is no source").map_err(must)?;
    }
    match value.get("httpHeaders") {
        Some(Value::Array(list)) if !list.is_empty() => {
            let takes = check::takes_headers(of);
            let expected = "absent, because the source is not http or https";
            require(takes, expected).map_err(must(&["httpHeaders"]))?;
            headers(list, at)
        }
        Some(_) | None => Ok(()),
    }
}

/// Headers have names, each its own, and values that are not empty.
fn headers(list: &[Value], at: &[Step]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for (number, header) in list.iter().enumerate() {
        let fault = |field, must| {
            let place = [Step::Field("httpHeaders"), Step::Item(number)];
            let at: Vec<Step> = at.iter().copied().chain(place).collect();
            Fault::of(&at, &[field], must)
        };
        for field in ["name", "value"] {
            if header.get(field).and_then(Value::as_str) == Some("") {
                return Err(fault(field, Requirement::Be("text that is not empty")));
            }
        }
        let name = header.get("name").and_then(Value::as_str).unwrap_or_default();
        if !seen.insert(name) {
            return Err(fault("name", Requirement::BeOnce(name.to_owned())));
        }
    }
    Ok(())
}

fn source(url: &str, minor: u8) -> Result<(), &'static str> {
    if url.is_empty() {
        return Ok(());
    }
    match check::scheme(url).as_deref() {
        Some("data") => check::data_url(url.get("data:".len()..).unwrap_or_default()),
        Some(OEM) => Ok(()),
        scheme => {
            let introduced = check::scheme_since(url);
            let expected = "a URL with the scheme http, https, tftp, s3, arn, gs or data";
            since(introduced.ok_or(expected)?, minor)?;
            check::url(url)?;
            match scheme {
                Some("arn") => check::arn(url).and_then(|()| check::object_version(url)),
                Some("s3") => check::object_version(url),
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// Whether version 3.`minor` has what version 3.`introduced` brought.
fn since(introduced: u8, minor: u8) -> Result<(), &'static str> {
    let expected = SINCE.get(usize::from(introduced)).copied();
    require(minor >= introduced, expected.unwrap_or("used with a later version"))
}

/// The name of a unit, of which Ignition only checks the suffix.
fn unit_name(name: &str) -> Result<(), &'static str> {
    let is_unit = UNITS.iter().any(|end| name.ends_with(end));
    require(is_unit, "the name of a unit, such as example.service")
}

/// The name of a drop-in.
fn dropin_name(name: &str) -> Result<(), &'static str> {
    require(name.strip_suffix(".conf").is_some(), "the name of a drop-in, such as 10-example.conf")
}
