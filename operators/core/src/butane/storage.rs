//! What Ignition refuses of the files, directories and links of one configuration together.

use super::{Error, Path};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Kinds of nodes in a file system.
const KINDS: [&str; 3] = ["directories", "files", "links"];

/// A file, a directory or a link.
struct Entry<'a> {
    at: Path,
    path: &'a str,
    node: &'a Value,
}

pub(super) fn check(document: &Map<String, Value>) -> Result<(), Error> {
    let Some(storage) = document.get("storage") else { return Ok(()) };
    let all: Vec<Entry<'_>> = KINDS.iter().flat_map(|kind| entries(storage, kind)).collect();
    one_per_path(&all)?;
    all.iter().try_for_each(owners)?;
    entries(storage, "files").iter().try_for_each(overwritten)?;
    below_no_link(&all, &entries(storage, "links"))?;
    hard_links(&entries(storage, "links"), &entries(storage, "directories"))
}

fn entries<'a>(storage: &'a Value, kind: &str) -> Vec<Entry<'a>> {
    let nodes = storage.get(kind).and_then(Value::as_array).into_iter().flatten().enumerate();
    let at = |at| Path::default().field("storage").field(kind).item(at);
    nodes
        .filter_map(|(number, node)| {
            let path = node.get("path")?.as_str()?;
            Some(Entry { at: at(number), path, node })
        })
        .collect()
}

/// A file, a directory and a link of one path are one too many as well.
fn one_per_path(all: &[Entry<'_>]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match all.iter().find(|entry| !seen.insert(entry.path)) {
        Some(entry) => {
            Err(Error::Twice { path: entry.at.field("path"), name: entry.path.to_owned() })
        }
        None => Ok(()),
    }
}

fn owners(entry: &Entry<'_>) -> Result<(), Error> {
    for owner in ["user", "group"] {
        let has = |field| entry.node.get(owner).is_some_and(|owner| owner.get(field).is_some());
        if has("id") && has("name") {
            let path = entry.at.field(owner);
            return Err(Error::Wrong { path, expected: "either an id or a name, not both" });
        }
    }
    Ok(())
}

fn overwritten(entry: &Entry<'_>) -> Result<(), Error> {
    let source = entry.node.get("contents").and_then(|contents| contents.get("source"));
    if entry.node.get("overwrite") == Some(&Value::Bool(true)) && source.is_none() {
        let path = entry.at.field("overwrite");
        return Err(Error::Wrong { path, expected: "false, as there are no contents" });
    }
    Ok(())
}

/// What lies behind a link is somewhere else.
fn below_no_link(all: &[Entry<'_>], links: &[Entry<'_>]) -> Result<(), Error> {
    let links: HashSet<&str> = links.iter().map(|link| link.path).collect();
    for entry in all {
        let mut parents = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
        if parents.any(|parent| links.contains(parent)) {
            let path = entry.at.field("path");
            return Err(Error::Wrong { path, expected: "a path that leads through no link" });
        }
    }
    Ok(())
}

fn hard_links(links: &[Entry<'_>], directories: &[Entry<'_>]) -> Result<(), Error> {
    let directories: HashSet<&str> = directories.iter().map(|entry| entry.path).collect();
    for link in links.iter().filter(|link| link.node.get("hard") == Some(&Value::Bool(true))) {
        let target = link.node.get("target").and_then(Value::as_str).unwrap_or_default();
        let target = resolved(link.path, target);
        if directories.contains(target.as_str()) {
            let path = link.at.field("target");
            return Err(Error::Wrong { path, expected: "no directory, as the link is hard" });
        }
    }
    Ok(())
}

/// The absolute path of a target, which may be relative to where its link is.
fn resolved(link: &str, target: &str) -> String {
    let base = link.rsplit_once('/').map_or("", |(base, _)| base);
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
