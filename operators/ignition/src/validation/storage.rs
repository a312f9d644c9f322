//! What Ignition refuses about the files, directories and links of a configuration together, and
//! about the units that systemd gets in addition.

use super::fault::{Fault, Requirement, Step};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The kinds of file system nodes.
const KINDS: [&str; 3] = ["directories", "files", "links"];
/// Minor version of Ignition 3 since which a file must not have the path of a unit's file.
const UNITS_ARE_FILES: u8 = 4;
/// That since which a link has to have a target, which may be left out of its type since.
const LINKS_HAVE_TARGETS: u8 = 3;

/// A file, a directory or a link.
struct Entry<'a> {
    at: [Step; 3],
    path: &'a str,
    node: &'a Value,
}

impl Entry<'_> {
    fn must_be(&self, field: &'static str, expected: &'static str) -> Fault {
        Fault::of(&self.at, &[field], Requirement::Be(expected))
    }
}

/// Checks a configuration of version 3.`minor`.
pub(super) fn check(document: &Value, minor: u8) -> Result<(), Fault> {
    let Some(storage) = document.get("storage") else { return Ok(()) };
    let all: Vec<Entry<'_>> = KINDS.iter().flat_map(|kind| entries(storage, kind)).collect();
    one_per_path(&all)?;
    all.iter().try_for_each(owners)?;
    entries(storage, "files").try_for_each(|file| overwritten(&file))?;
    let links: Vec<Entry<'_>> = entries(storage, "links").collect();
    below_no_link(&all, &links)?;
    if minor >= LINKS_HAVE_TARGETS {
        links.iter().try_for_each(has_target)?;
    }
    hard_links(&links, entries(storage, "directories"))?;
    if minor >= UNITS_ARE_FILES { beside_units(&all, &units(document)) } else { Ok(()) }
}

fn entries<'a>(storage: &'a Value, kind: &'static str) -> impl Iterator<Item = Entry<'a>> {
    items(storage, kind).iter().enumerate().filter_map(move |(number, node)| {
        let path = node.get("path")?.as_str()?;
        Some(Entry {
            at: [Step::Field("storage"), Step::Field(kind), Step::Item(number)],
            path,
            node,
        })
    })
}

/// No two files, directories or links have the same path.
fn one_per_path(all: &[Entry<'_>]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    match all.iter().find(|entry| !seen.insert(entry.path)) {
        Some(entry) => {
            Err(Fault::of(&entry.at, &["path"], Requirement::BeOnce(entry.path.to_owned())))
        }
        None => Ok(()),
    }
}

fn owners(entry: &Entry<'_>) -> Result<(), Fault> {
    for owner in ["user", "group"] {
        let of = entry.node.get(owner);
        let id = of.and_then(|owner| owner.get("id")).is_some_and(|id| !id.is_null());
        let name = of.and_then(|owner| owner.get("name")).and_then(Value::as_str);
        if id && name.is_some_and(|name| !name.is_empty()) {
            return Err(entry.must_be(owner, "either an id or a name, not both"));
        }
    }
    Ok(())
}

fn overwritten(entry: &Entry<'_>) -> Result<(), Fault> {
    let source = entry.node.get("contents").and_then(|contents| contents.get("source"));
    let has_source = source.is_some_and(|source| !source.is_null());
    if entry.node.get("overwrite") == Some(&Value::Bool(true)) && !has_source {
        return Err(entry.must_be("overwrite", "false, because there are no contents"));
    }
    Ok(())
}

/// No path leads through a link, which would end up elsewhere. Whatever is below a link follows its
/// path and a slash in the order of all paths.
fn below_no_link(all: &[Entry<'_>], links: &[Entry<'_>]) -> Result<(), Fault> {
    let mut ordered: Vec<(&str, usize)> =
        all.iter().enumerate().map(|(at, entry)| (entry.path, at)).collect();
    ordered.sort_unstable();
    let below = |link: &Entry<'_>| {
        let inside = || link.path.bytes().chain([b'/']);
        let next = ordered.partition_point(|(path, _)| path.bytes().lt(inside()));
        let (path, at) = ordered.get(next)?;
        let rest = path.strip_prefix(link.path)?;
        rest.starts_with('/').then_some(*at)
    };
    match links.iter().filter_map(below).min().and_then(|at| all.get(at)) {
        Some(entry) => Err(entry.must_be("path", "a path that does not pass through a link")),
        None => Ok(()),
    }
}

fn has_target(link: &Entry<'_>) -> Result<(), Fault> {
    let target = link.node.get("target").and_then(Value::as_str).unwrap_or_default();
    if target.is_empty() {
        Err(link.must_be("target", "given: a link leads to it"))
    } else {
        Ok(())
    }
}

fn hard_links<'a>(
    links: &[Entry<'a>],
    directories: impl Iterator<Item = Entry<'a>>,
) -> Result<(), Fault> {
    let directories: HashSet<&str> = directories.map(|entry| entry.path).collect();
    for link in links.iter().filter(|link| link.node.get("hard") == Some(&Value::Bool(true))) {
        let target = link.node.get("target").and_then(Value::as_str).unwrap_or_default();
        // Ignition checks a relative target as one below the link itself, and links to one below the root.
        let is_directory = |base| directories.contains(resolved(base, target).as_str());
        if [link.path, ""].into_iter().any(is_directory) {
            return Err(
                link.must_be("target", "a file, because a hard link cannot point to a directory")
            );
        }
    }
    Ok(())
}

/// The absolute path of a target, which may be relative to `base`.
fn resolved(base: &str, target: &str) -> String {
    let whole =
        if target.starts_with('/') { target.to_owned() } else { format!("{base}/{target}") };
    let mut parts: Vec<&str> = vec![];
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// By the name of a unit, which of its drop-ins are written to files, and with `None` whether itself is.
type UnitFiles<'a> = HashMap<&'a str, HashSet<Option<&'a str>>>;

fn units(document: &Value) -> UnitFiles<'_> {
    let mut files = UnitFiles::new();
    let systemd = document.get("systemd").map(|systemd| items(systemd, "units"));
    for unit in systemd.into_iter().flatten() {
        let Some(name) = text(unit, "name") else { continue };
        let of_unit = files.entry(name).or_default();
        let dropins = items(unit, "dropins").iter().filter(|dropin| is_written(dropin));
        of_unit.extend(dropins.filter_map(|dropin| text(dropin, "name")).map(Some));
        if is_written(unit) {
            of_unit.insert(None);
        }
    }
    files
}

/// Whether a path is that of a unit's file, or of a drop-in's.
fn is_unit_file(path: &str, units: &UnitFiles<'_>) -> bool {
    let Some(file) = path.strip_prefix("/etc/systemd/system/") else { return false };
    let writes = |unit, dropin| units.get(unit).is_some_and(|files| files.contains(&dropin));
    let dropin = file.rsplit_once(".d/");
    writes(file, None) || dropin.is_some_and(|(unit, dropin)| writes(unit, Some(dropin)))
}

fn is_written(unit: &Value) -> bool {
    text(unit, "contents").is_some_and(|contents| !contents.is_empty())
}

fn items<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, field: &str) -> Option<&'a str> {
    of.get(field)?.as_str()
}

fn beside_units(all: &[Entry<'_>], units: &UnitFiles<'_>) -> Result<(), Fault> {
    match all.iter().find(|entry| is_unit_file(entry.path, units)) {
        Some(entry) => Err(entry.must_be(
            "path",
            "different from the units and drop-ins in \
                                                  systemd.units",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::validation::{Content, check};

    #[test]
    fn a_link_without_a_target_is_refused_by_the_versions_that_need_one() {
        let said = |minor: u8, link: &str| {
            let text = format!(
                r#"{{"ignition":{{"version":"3.{minor}.0"}},"storage":{{"links":[{link}]}}}}"#
            );
            check(text.as_bytes())
        };
        for minor in 3..=6 {
            for link in [r#"{"path":"/a"}"#, r#"{"path":"/a","target":"","hard":true}"#] {
                let error = said(minor, link).unwrap_err().to_string();
                assert!(error.starts_with("$.storage.links.0.target: line 1, column "), "{error}");
                assert!(error.ends_with(": must be given: a link leads to it"), "{error}");
            }
            assert_eq!(said(minor, r#"{"path":"/a","target":"b"}"#), Ok(Content::Valid));
        }
        assert_eq!(said(2, r#"{"path":"/a","target":""}"#), Ok(Content::Valid));
    }

    #[test]
    fn a_hard_link_is_refused_as_ignition_checks_its_target_and_as_it_makes_it() {
        for (directory, target, is_valid) in [
            ("/c", "../c", false),
            ("/a/c", "../c", false),
            ("/c", "c", false),
            ("/a/l/c", "c", false),
            ("/a/c", "c", true),
            ("/a/b/c", "../c", true),
            ("/c", "/c", false),
        ] {
            let text = format!(
                r#"{{"ignition":{{"version":"3.4.0"}},"storage":{{
                "directories":[{{"path":"{directory}"}}],
                "links":[{{"path":"/a/l","target":"{target}","hard":true}}]}}}}"#
            );
            assert_eq!(check(text.as_bytes()) == Ok(Content::Valid), is_valid, "{text}");
        }
    }
}
