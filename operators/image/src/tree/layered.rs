//! The files of a folder of which several layers have some, from the highest layer to the lowest: what a
//! higher one has, or hides, a lower one does not have.

use super::header::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// Files of the folder, and bytes of all of them together.
pub(super) const FILES: usize = 128;
pub(super) const BYTES: usize = 4 << 20;

/// Files by their paths in the folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What names of files begin with that hide others.
const WHITEOUT: &str = ".wh.";
/// What remains of the name of one that hides all that lower layers have in its folder.
const OPAQUE: &str = ".wh..opq";

/// What one layer says of the folder. Paths are relative to it; the empty one is the folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) files: Files,
    /// What lower layers no longer have, with all below it.
    pub(super) hidden: BTreeSet<String>,
}

/// There are too many files, or they are too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// What the layers so far say.
#[derive(Debug, Default)]
pub(super) struct Union(Layer);

impl Union {
    /// Adds a layer below these.
    pub(super) fn add(&mut self, layer: Layer) -> Result<(), TooLarge> {
        let Self(above) = self;
        let is_left = |name: &String| {
            let is_hidden = above.hidden.iter().any(|it| is_in(it, name));
            // A file in place of a folder, or the other way round.
            !is_hidden && !above.files.keys().any(|it| is_in(it, name) || is_in(name, it))
        };
        let files: Files = layer.files.into_iter().filter(|(name, _)| is_left(name)).collect();
        above.files.extend(files);
        above.hidden.extend(layer.hidden);
        let size: usize = above.files.values().map(Vec::len).sum();
        if above.files.len() > FILES || size > BYTES { Err(TooLarge) } else { Ok(()) }
    }

    /// Whether lower layers have nothing that counts.
    pub(super) fn is_complete(&self) -> bool {
        self.0.hidden.contains("")
    }

    pub(super) fn files(self) -> Files {
        self.0.files
    }
}

/// Whether an entry only hides others.
pub(super) fn is_whiteout(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT))
}

/// What of the folder an entry hides in lower layers.
pub(super) fn hides(path: &str, kind: Kind, folder: &str) -> Option<String> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let target = match name.strip_prefix(WHITEOUT) {
        Some(OPAQUE) => above.to_owned(),
        Some(hidden) if above.is_empty() => hidden.to_owned(),
        Some(hidden) => format!("{above}/{hidden}"),
        // It takes the place of what was there.
        None if kind != Kind::Folder => path.to_owned(),
        None => return None,
    };
    if is_in(&target, folder) {
        return Some(String::new());
    }
    target.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned)
}

/// Whether a path is that of the folder or file, or below it.
fn is_in(around: &str, path: &str) -> bool {
    let rest = path.strip_prefix(around);
    around.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(files: &[(&str, &str)], hidden: &[&str]) -> Layer {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Layer { files: files.collect(), hidden: hidden.iter().map(|it| (*it).to_owned()).collect() }
    }

    #[test]
    fn every_layer_adds_its_files_and_a_higher_one_counts() {
        for (layers, expected) in [
            (vec![layer(&[("b", "2")], &[]), layer(&[("a", "1")], &[])], "a=1 b=2"),
            (vec![layer(&[("a", "2")], &[]), layer(&[("a", "1"), ("b", "1")], &[])], "a=2 b=1"),
            (
                vec![layer(&[], &["a"]), layer(&[("a", "1"), ("a/b", "1"), ("ab", "1")], &[])],
                "ab=1",
            ),
            (vec![layer(&[("c", "2")], &[""]), layer(&[("a", "1")], &[])], "c=2"),
            // What a layer hides is not its own.
            (vec![layer(&[("d/a", "2")], &["d"]), layer(&[("d/b", "1")], &[])], "d/a=2"),
            // A folder in place of a file, and a file in place of a folder.
            (vec![layer(&[("a/b", "2")], &[]), layer(&[("a", "1")], &[])], "a/b=2"),
            (vec![layer(&[("a", "2")], &[]), layer(&[("a/b", "1")], &[])], "a=2"),
            // What is hidden stays so further down.
            (vec![layer(&[], &["a"]), layer(&[("b", "2")], &[]), layer(&[("a", "1")], &[])], "b=2"),
        ] {
            let mut union = Union::default();
            for layer in layers {
                union.add(layer).unwrap();
            }
            let files = union.files();
            let shown =
                files.iter().map(|(name, it)| format!("{name}={}", String::from_utf8_lossy(it)));
            assert_eq!(shown.collect::<Vec<_>>().join(" "), expected);
        }
        let mut union = Union::default();
        union.add(layer(&[], &["a"])).unwrap();
        assert!(!union.is_complete());
        union.add(layer(&[], &[""])).unwrap();
        assert!(union.is_complete());
    }

    #[test]
    fn all_layers_together_are_not_larger_than_one_may_be() {
        let names: Vec<_> = (0..=FILES).map(|at| at.to_string()).collect();
        let mut union = Union::default();
        for (at, name) in names.iter().enumerate() {
            let added = union.add(layer(&[(name, "")], &[]));
            assert_eq!(added.is_err(), at == FILES);
        }
        let half = "x".repeat(BYTES / 2 + 1);
        let mut union = Union::default();
        union.add(layer(&[("a", &half)], &[])).unwrap();
        assert_eq!(union.add(layer(&[("b", &half)], &[])), Err(TooLarge));
    }
}
