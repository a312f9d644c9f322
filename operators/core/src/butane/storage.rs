//! What Ignition refuses of the files, directories and links of one configuration together.

use super::{
    Error, Path,
    node::{Kind, Node},
    translate::inside,
};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Kinds of nodes in a file system.
const KINDS: [&str; 3] = ["directories", "files", "links"];

/// A file, a directory or a link.
struct Entry<'a> {
    at: Path,
    path: &'a str,
    node: &'a Value,
    written: &'a Node,
}

impl Entry<'_> {
    fn field(&self, name: &str) -> Path {
        inside(self.written, &self.at, &[name])
    }

    fn wrong(&self, name: &str, expected: &'static str) -> Error {
        Error::Wrong { path: self.field(name), expected }
    }
}

/// Checks what was translated of `written`.
pub(super) fn check(document: &Map<String, Value>, written: &Node) -> Result<(), Error> {
    let (Some(storage), Some(written)) = (document.get("storage"), written.get("storage")) else {
        return Ok(());
    };
    let all: Vec<Entry<'_>> =
        KINDS.iter().flat_map(|kind| entries(storage, written, kind)).collect();
    let of = |kind: &str| entries(storage, written, kind);
    one_per_path(&all)?;
    all.iter().try_for_each(owners)?;
    of("files").iter().try_for_each(overwritten)?;
    below_no_link(&all, &of("links"))?;
    hard_links(&of("links"), &of("directories"))
}

fn entries<'a>(storage: &'a Value, written: &'a Node, kind: &str) -> Vec<Entry<'a>> {
    let nodes = storage.get(kind).and_then(Value::as_array).into_iter().flatten();
    let Some(Kind::List(items)) = written.get(kind).map(|list| &list.kind) else { return vec![] };
    let list = Path::root(written.line()).field("storage").field(kind);
    let pairs = nodes.zip(items).enumerate();
    pairs
        .filter_map(|(number, (node, written))| {
            let path = node.get("path")?.as_str()?;
            Some(Entry { at: list.item(number).on(written.line()), path, node, written })
        })
        .collect()
}

/// A file, a directory and a link of one path are one too many as well.
fn one_per_path(all: &[Entry<'_>]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match all.iter().find(|entry| !seen.insert(entry.path)) {
        Some(entry) => Err(Error::twice(entry.field("path"), entry.path)),
        None => Ok(()),
    }
}

fn owners(entry: &Entry<'_>) -> Result<(), Error> {
    for owner in ["user", "group"] {
        let has = |field| entry.node.get(owner).is_some_and(|owner| owner.get(field).is_some());
        if has("id") && has("name") {
            return Err(entry.wrong(owner, "either an id or a name, not both"));
        }
    }
    Ok(())
}

fn overwritten(entry: &Entry<'_>) -> Result<(), Error> {
    let source = entry.node.get("contents").and_then(|contents| contents.get("source"));
    if entry.node.get("overwrite") == Some(&Value::Bool(true)) && source.is_none() {
        return Err(entry.wrong("overwrite", "false, as there are no contents"));
    }
    Ok(())
}

/// What lies behind a link is somewhere else.
fn below_no_link(all: &[Entry<'_>], links: &[Entry<'_>]) -> Result<(), Error> {
    let links: HashSet<&str> = links.iter().map(|link| link.path).collect();
    for entry in all {
        let mut parents = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
        if parents.any(|parent| links.contains(parent)) {
            return Err(entry.wrong("path", "a path that leads through no link"));
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
            return Err(link.wrong("target", "no directory, as the link is hard"));
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
