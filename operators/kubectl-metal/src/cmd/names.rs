//! Names as a person writes them: `ORG`, `ORG/HOST`, `ORG/HOST:TAG`, and of Machines and Nodes with or
//! without their kind.

use anyhow::{Result, ensure};
use std::path::Path;

/// Characters of the name of an object, at most.
const LONGEST: usize = 253;
/// What `kubectl` and this plugin print in front of the name of a Machine, and what a person writes there.
const MACHINE: [&str; 5] =
    ["machine.unbounded-cloud.io", "machines.unbounded-cloud.io", "machine", "machines", "mach"];
/// The same of a Node.
const NODE: [&str; 3] = ["node", "nodes", "no"];

/// A name of Kubernetes (RFC 1123, section 2.1).
///
/// # Errors
///
/// If it is not one.
pub(crate) fn parse(name: &str) -> Result<&str> {
    let is_name = name.len() <= 63 && is_label(name);
    ensure!(is_name, "{name:?} is not a name: use lower-case letters, digits and -");
    Ok(name)
}

fn is_label(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(is_fine) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether an object may have this name.
fn is_subdomain(text: &str) -> bool {
    text.len() <= LONGEST && text.split('.').all(is_label)
}

/// The name of a namespace, as an argument.
///
/// # Errors
///
/// If it is not one.
pub(crate) fn label(text: &str) -> Result<String, String> {
    parse(text).map(str::to_owned).map_err(|error| error.to_string())
}

/// The name of an object, as an argument.
///
/// # Errors
///
/// If no object can have it.
pub(crate) fn object(text: &str) -> Result<String, String> {
    let wrong = || "write a name of lower-case letters, digits, - and ., as node-01".to_owned();
    if is_subdomain(text) { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// The name of a Machine that is there, as an argument: alone, or as `-o name` prints it.
///
/// # Errors
///
/// If no Machine can have it.
pub(crate) fn machine(text: &str) -> Result<String, String> {
    object(without_kind(text, &MACHINE))
}

/// The same of a Node.
///
/// # Errors
///
/// If no Node can have it.
pub(crate) fn node(text: &str) -> Result<String, String> {
    object(without_kind(text, &NODE))
}

fn without_kind<'a>(text: &'a str, kinds: &[&str]) -> &'a str {
    match text.split_once('/') {
        Some((kind, name)) if kinds.contains(&kind) => name,
        Some(_) | None => text,
    }
}

/// `ORG/HOST`.
///
/// # Errors
///
/// If it is not.
pub(crate) fn host(text: &str) -> Result<(&str, &str)> {
    let parts = text.split_once('/');
    let (org, host) = parts.ok_or_else(|| anyhow::anyhow!("{text:?}: write ORG/HOST"))?;
    Ok((parse(org)?, parse(host)?))
}

/// `ORG/HOST`, as an argument.
///
/// # Errors
///
/// If it is not.
pub(crate) fn host_of_org(text: &str) -> Result<String, String> {
    as_it_is(text, host(text))
}

/// `ORG` or `ORG/HOST`, as an argument.
///
/// # Errors
///
/// If it is neither.
pub(crate) fn org_or_host(text: &str) -> Result<String, String> {
    if text.contains('/') { host_of_org(text) } else { label(text) }
}

/// `ORG/HOST:TAG`, as an argument.
///
/// # Errors
///
/// If it is not.
pub(crate) fn release_of_host(text: &str) -> Result<String, String> {
    as_it_is(text, release(text))
}

fn as_it_is<T>(text: &str, parsed: Result<T>) -> Result<String, String> {
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// `ORG/HOST:TAG`: namespace, name of the host, and name of its release `HOST-TAG`.
///
/// # Errors
///
/// If it is not.
pub(crate) fn release(text: &str) -> Result<(&str, &str, String)> {
    let parts = text.rsplit_once(':');
    let (of, tag) = parts.ok_or_else(|| anyhow::anyhow!("{text:?}: write ORG/HOST:TAG"))?;
    let (org, host) = host(of)?;
    let name = format!("{host}-{tag}");
    let is_tag = tag.len() <= 63 && is_subdomain(&name);
    ensure!(
        is_tag,
        "{tag:?} is not a tag: use lower-case letters and digits, with - and . between them, as v1.2"
    );
    Ok((org, host, name))
}

/// Whether what a person gives in place of a release is the name of a file.
pub(crate) fn is_file(text: &str) -> bool {
    let is_known = extension(text).is_some_and(|it| ["json", "yaml", "yml"].contains(&it));
    text == "-" || (is_known && release(text).is_err())
}

/// What stands behind the last point of the name of a file.
pub(crate) fn extension(name: &str) -> Option<&str> {
    Path::new(name).extension()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        assert_eq!(host("org/web-1").unwrap(), ("org", "web-1"));
        let named = release("org/web-1:v1.2").unwrap();
        assert_eq!(named, ("org", "web-1", "web-1-v1.2".to_owned()));
        for bad in ["org", "/web", "org/", "Org/web", "org/-a", "org/a b", "a/b/c"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        for bad in ["org/web", "org/web:", "org/web:V1", "org/web:a/b", "web:v1", "org/web:v."] {
            assert!(release(bad).is_err(), "{bad}");
        }
        for bad in ["org/web:v1..2", "org/web:.v1", "org/web:v1.-2", "org/web:v1-.2"] {
            assert!(release(bad).is_err(), "{bad}: the API server takes no such name");
        }
    }

    #[test]
    fn a_machine_is_named_alone_or_as_it_is_printed_and_never_by_a_path() {
        for said in ["node-01", "machine/node-01", "machine.unbounded-cloud.io/node-01"] {
            assert_eq!(machine(said).as_deref(), Ok("node-01"), "{said}");
        }
        assert_eq!(node("node/rack-1.example.org").as_deref(), Ok("rack-1.example.org"));
        for bad in ["", "Node", "a/b", "machine/", "node/a", "../nodes/a", "a?b", "a b", "a..b"] {
            assert!(machine(bad).is_err(), "{bad}");
        }
        assert!(object("machine/a").is_err() && object(&"a".repeat(254)).is_err());
    }

    #[test]
    fn the_name_of_a_file_is_told_from_that_of_a_release() {
        for file in ["config.json", "a/b/config.yaml", "./c.yml", "-"] {
            assert!(is_file(file), "{file}");
        }
        for release in ["org/web-1:v1", "org/web:v1.json", "config", "org/web-1"] {
            assert!(!is_file(release), "{release}");
        }
    }
}
