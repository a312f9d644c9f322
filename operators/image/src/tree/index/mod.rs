//! The index of an image, which maps paths to files.

use super::{error::Unusable, path};
use crate::reference::excerpt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The folder that machines boot from.
pub(super) const DISK: &str = "disk";
/// Maximum number of links in the resolution of a path (`MAXSYMLINKS` of Linux).
const MOST_LINKS: usize = 40;
/// Prefix of the name of a file that hides a file of a lower layer (OCI image-spec 1.1,
/// "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// Name of a file that hides everything in its folder in lower layers.
const OPAQUE: &str = ".wh..wh..opq";

/// A file of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct File {
    /// Its number: its name in the folder of the image.
    pub(super) number: u32,
    /// Its size in bytes.
    pub size: u64,
}

impl File {
    /// Its name in the folder of the image.
    pub fn name(self) -> String {
        self.number.to_string()
    }
}

/// Everything below `/disk`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    root: Folder,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Folder(BTreeMap<String, Node>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Node {
    /// The layer that it comes from.
    layer: u16,
    what: NodeKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum NodeKind {
    Folder(Folder),
    File(File),
    Link(String),
}

impl Index {
    /// Whether there is a folder to boot from.
    pub fn has_disk(&self) -> bool {
        self.root.0.get(DISK).is_some_and(|node| matches!(node.what, NodeKind::Folder(_)))
    }

    /// The file at `path`, which is relative to `/disk`; links are followed.
    pub fn find(&self, path: &str) -> Option<File> {
        match self.follow(path)? {
            NodeKind::File(file) => Some(*file),
            NodeKind::Folder(_) | NodeKind::Link(_) => None,
        }
    }

    fn follow(&self, path: &str) -> Option<&NodeKind> {
        // The remaining parts of the path, in reverse order.
        let mut rest: Vec<&str> = split(path).rev().collect();
        rest.push(DISK);
        let mut at: Vec<&Folder> = vec![&self.root];
        let mut links = 0;
        loop {
            let folder = *at.last()?;
            let part = rest.pop()?;
            if part == ".." {
                // The parent of the root is the root.
                at.truncate(at.len().max(2) - 1);
                continue;
            }
            match &folder.0.get(part)?.what {
                NodeKind::Folder(inner) => at.push(inner),
                NodeKind::Link(target) => {
                    links += 1;
                    if links > MOST_LINKS || rest.len() > path::LONGEST {
                        return None;
                    }
                    if target.starts_with('/') {
                        at.truncate(1);
                    }
                    rest.extend(split(target).rev());
                }
                // A file in the root is `/disk` itself, which is not a folder then.
                file @ NodeKind::File(_) => {
                    return (rest.is_empty() && at.len() > 1).then_some(file);
                }
            }
        }
    }

    /// Paths of all files relative to `/disk`, without links.
    pub fn paths(&self) -> Vec<(String, File)> {
        let mut paths = vec![];
        if let Some(NodeKind::Folder(disk)) = self.root.0.get(DISK).map(|node| &node.what) {
            disk.paths("", &mut paths);
        }
        paths
    }

    /// All files at or below a path.
    pub(super) fn files(&self) -> Vec<File> {
        let mut files = vec![];
        self.root.collect(&mut files);
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Adds a folder; the content of an existing one is kept.
    pub(super) fn add_folder(&mut self, parts: &[String], layer: u16) -> Result<(), Unusable> {
        let (folder, name) = self.parent(parts, layer)?;
        let is_there = folder.0.get_mut(name);
        if let Some(node) = is_there
            && matches!(node.what, NodeKind::Folder(_))
        {
            node.layer = layer;
        } else {
            folder.put(name, layer, NodeKind::Folder(Folder::default()));
        }
        Ok(())
    }

    /// A file.
    pub(super) fn add_file(
        &mut self,
        parts: &[String],
        layer: u16,
        file: File,
    ) -> Result<(), Unusable> {
        let (folder, name) = self.parent(parts, layer)?;
        folder.put(name, layer, NodeKind::File(file));
        Ok(())
    }

    /// A symbolic link.
    pub(super) fn add_link(
        &mut self,
        parts: &[String],
        layer: u16,
        target: &[u8],
    ) -> Result<(), Unusable> {
        let text = String::from_utf8_lossy(target);
        if text.is_empty() || text.len() > path::LONGEST {
            return Err(refused(
                parts,
                "the target of the link is empty, or longer than 4,096 bytes",
            ));
        }
        let target = text.into_owned();
        let (folder, name) = self.parent(parts, layer)?;
        folder.put(name, layer, NodeKind::Link(target));
        Ok(())
    }

    /// Adds another name for the file at `target`.
    pub(super) fn add_name(
        &mut self,
        parts: &[String],
        layer: u16,
        target: &[String],
    ) -> Result<(), Unusable> {
        let mut at = Some(&self.root);
        let mut file = None;
        for (number, part) in target.iter().enumerate() {
            let node = at.take().and_then(|folder| folder.0.get(part));
            match node.map(|node| &node.what) {
                Some(NodeKind::Folder(folder)) => at = Some(folder),
                Some(NodeKind::File(found)) if number + 1 == target.len() => file = Some(*found),
                Some(NodeKind::File(_) | NodeKind::Link(_)) | None => {}
            }
        }
        let why = "the link target is not a file in /disk";
        let file = file.ok_or_else(|| refused(parts, why))?;
        self.add_file(parts, layer, file)
    }

    /// If the path is a whiteout, hides the files of lower layers; returns whether it is one.
    pub(super) fn hide(&mut self, parts: &[String], layer: u16) -> bool {
        let Some((name, parents)) = parts.split_last() else { return false };
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { return false };
        let mut folder = Some(&mut self.root);
        for part in parents {
            folder = folder.and_then(|folder| match &mut folder.0.get_mut(part)?.what {
                NodeKind::Folder(inner) => Some(inner),
                NodeKind::File(_) | NodeKind::Link(_) => None,
            });
        }
        if let Some(folder) = folder {
            if name == OPAQUE {
                folder.0.retain(|_, node| node.keep(layer));
            } else if folder.0.get_mut(hidden).is_some_and(|node| !node.keep(layer)) {
                folder.0.remove(hidden);
            }
        }
        true
    }

    /// The parent folder of a path; missing folders are created.
    fn parent<'a>(
        &mut self,
        parts: &'a [String],
        layer: u16,
    ) -> Result<(&mut Folder, &'a str), Unusable> {
        let (name, parents) = parts.split_last().ok_or_else(|| refused(parts, "it is the root"))?;
        let mut folder = &mut self.root;
        for part in parents {
            let new = || Node { layer, what: NodeKind::Folder(Folder::default()) };
            folder = match &mut folder.0.entry(part.clone()).or_insert_with(new).what {
                NodeKind::Folder(inner) => inner,
                NodeKind::File(_) | NodeKind::Link(_) => {
                    return Err(refused(parts, "the path passes through a link or a file"));
                }
            };
        }
        Ok((folder, name))
    }
}

fn split(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

fn refused(parts: &[String], why: &'static str) -> Unusable {
    Unusable::Path { path: excerpt(&parts.join("/")), why }
}

impl Folder {
    fn put(&mut self, name: &str, layer: u16, what: NodeKind) {
        self.0.insert(name.to_owned(), Node { layer, what });
    }

    fn paths(&self, above: &str, into: &mut Vec<(String, File)>) {
        for (name, node) in &self.0 {
            match &node.what {
                NodeKind::Folder(folder) => folder.paths(&format!("{above}{name}/"), into),
                NodeKind::File(file) => into.push((format!("{above}{name}"), *file)),
                NodeKind::Link(_) => {}
            }
        }
    }

    fn collect(&self, files: &mut Vec<File>) {
        for node in self.0.values() {
            match &node.what {
                NodeKind::Folder(folder) => folder.collect(files),
                NodeKind::File(file) => files.push(*file),
                NodeKind::Link(_) => {}
            }
        }
    }
}

impl Node {
    /// Removes everything from layers below `layer`; returns whether anything is left.
    fn keep(&mut self, layer: u16) -> bool {
        if let NodeKind::Folder(folder) = &mut self.what {
            folder.0.retain(|_, node| node.keep(layer));
            return self.layer >= layer || !folder.0.is_empty();
        }
        self.layer >= layer
    }
}

#[cfg(test)]
mod tests;
