//! Images in a folder: what is complete there survives a crash, and what is not is removed.
//!
//! ```text
//! references.json      which digest a reference had when it was last asked for
//! sha256-<hex>/        an image: index.json, sums.json, and the files 0, 1, 2, …
//!                      its time of change is when it was last used
//! sha256-<hex>.part/   one in the middle of it
//! ```

use super::{
    index::Index,
    sums::{self, Sums},
    unpacked::Tree,
};
use crate::{digest::Digest, store::Readings};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tokio_util::sync::CancellationToken;

const REFERENCES: &str = "references.json";
const INDEX: &str = "index.json";
const PART: &str = "part";

/// Images by what is wanted of a registry.
pub(super) type References = BTreeMap<String, Opened>;

/// An image, and by which version of its opener it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) digest: Digest,
    pub(super) version: String,
}

impl Opened {
    fn parse(text: &str) -> Option<Self> {
        let (digest, version) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { digest: digest.parse().ok()?, version: version.to_owned() })
    }
}

/// Without a version as it always was: a digest.
impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, version } = self;
        if version.is_empty() { write!(f, "{digest}") } else { write!(f, "{digest} {version}") }
    }
}

/// Reads the folder, making it if it is not there. The image that was not used for the longest time comes first.
pub(super) fn read(dir: &Path, readings: &Readings) -> io::Result<(References, Vec<Arc<Tree>>)> {
    fs::create_dir_all(dir)?;
    let mut trees = vec![];
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(PART)) {
            remove(&path)?;
            continue;
        }
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let Ok(digest) = Digest::parse_dashed(name) else { continue };
        match tree(&path, &digest, readings) {
            Ok(tree) => trees.push((fs::symlink_metadata(&path)?.modified()?, Arc::new(tree))),
            Err(error) => {
                tracing::warn!(%error, %digest, "image in the cache is not usable, removing it");
                remove(&path)?;
            }
        }
    }
    let mut references = references(&dir.join(REFERENCES));
    references.retain(|_, opened| trees.iter().any(|(_, tree)| *tree.digest() == opened.digest));
    trees.sort_by_key(|(used, _)| *used);
    Ok((references, trees.into_iter().map(|(_, tree)| tree).collect()))
}

/// Notes on the disk that an image is used.
pub(super) fn used(dir: &Path) -> io::Result<()> {
    File::open(dir)?.set_modified(SystemTime::now())
}

/// What is not readable was not written by us, and is asked for again.
fn references(path: &Path) -> References {
    let text = fs::read(path).unwrap_or_default();
    let all: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
    let all = all.into_iter();
    all.filter_map(|(name, digest)| Some((name, Opened::parse(&digest)?))).collect()
}

/// An image whose files are all as long as the index says.
fn tree(dir: &Path, digest: &Digest, readings: &Readings) -> io::Result<Tree> {
    let file = BufReader::new(File::open(dir.join(INDEX))?);
    let index: Index = serde_json::from_reader(file)?;
    for file in index.files() {
        let size = fs::symlink_metadata(dir.join(file.name()))?.len();
        if size != file.size {
            return Err(io::Error::other(format!("file {} has another size", file.name())));
        }
    }
    Ok(Tree::new(digest.clone(), dir.to_owned(), index, readings))
}

/// Whether an image of an earlier process is what that has written; reads all of it.
pub(super) fn verify(tree: &Tree, shutdown: &CancellationToken) -> io::Result<()> {
    sums::verify(tree.dir(), (INDEX, tree.index()), shutdown)
}

/// Writes which digests references have.
pub(super) fn write_references(dir: &Path, references: &References) -> io::Result<()> {
    let all: BTreeMap<_, _> = references.iter().map(|(name, it)| (name, it.to_string())).collect();
    let (unfinished, complete) = (dir.join("references.json.new"), dir.join(REFERENCES));
    let mut file = BufWriter::new(File::create(&unfinished)?);
    serde_json::to_writer_pretty(&mut file, &all)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(unfinished, complete)?;
    sync(dir)
}

/// An image in the middle of being unpacked.
pub(super) struct PartialTree<'a> {
    dir: &'a Path,
    digest: &'a Digest,
    folder: PathBuf,
}

impl<'a> PartialTree<'a> {
    /// A new, empty folder for an image.
    pub(super) fn begin(dir: &'a Path, digest: &'a Digest) -> io::Result<Self> {
        let folder = place(dir, digest).with_added_extension(PART);
        remove(&folder)?;
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { dir, digest, folder })
    }

    /// Where it is unpacked.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The image is complete, and from then on survives a power failure.
    pub(super) fn complete(
        &self,
        (index, mut sums): (Index, Sums),
        readings: &Readings,
    ) -> io::Result<Tree> {
        let path = self.folder.join(INDEX);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let mut file = BufWriter::new(file);
        serde_json::to_writer(&mut file, &index)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        // Of an image that was just written there is no need to look.
        sums.add(INDEX.to_owned(), sums::digest(&path, &CancellationToken::new())?);
        sums.write(&self.folder)?;
        sync(&self.folder)?;
        let place = place(self.dir, self.digest);
        // What could not be removed before. This folder has the name that it would be given for that.
        unless_missing(fs::remove_dir_all(&place))?;
        fs::rename(&self.folder, &place)?;
        sync(self.dir)?;
        Ok(Tree::new(self.digest.clone(), place, index, readings))
    }
}

/// Removes a folder, if it is there; one that was complete is not from the first moment on.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let part = path.with_extension(PART);
    if path != part {
        // A former one may have been stopped halfway.
        unless_missing(fs::remove_dir_all(&part))?;
        unless_missing(fs::rename(path, &part))?;
    }
    unless_missing(fs::remove_dir_all(&part))
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn place(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn which_image_was_used_last_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let digests = ["a", "b", "c"].map(|name| Digest::of(name.as_bytes()));
        for (digest, seconds) in digests.iter().zip([2, 3, 1]) {
            let part = PartialTree::begin(dir.path(), digest).unwrap();
            part.complete((Index::default(), Sums::default()), &Readings::default()).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::open(place(dir.path(), digest)).unwrap().set_modified(at).unwrap();
        }
        let order = || {
            let (_, trees) = read(dir.path(), &Readings::default()).unwrap();
            trees.iter().map(|tree| tree.digest().clone()).collect::<Vec<_>>()
        };
        let [a, b, c] = &digests;
        assert_eq!(order(), [c.clone(), a.clone(), b.clone()]);
        used(&place(dir.path(), c)).unwrap();
        assert_eq!(order(), [a.clone(), b.clone(), c.clone()]);
    }

    #[test]
    fn whatever_an_earlier_removal_has_left_an_image_is_removed_and_completed() {
        let (dir, digest) = (tempfile::tempdir().unwrap(), Digest::of(b"a"));
        let image = place(dir.path(), &digest);
        let leave = |path: &Path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("0"), "left").unwrap();
        };
        leave(&image);
        leave(&image.with_extension(PART));
        // Neither is an image, so both go.
        let (references, trees) = read(dir.path(), &Readings::default()).unwrap();
        assert!(references.is_empty() && trees.is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        leave(&image);
        let part = PartialTree::begin(dir.path(), &digest).unwrap();
        part.complete((Index::default(), Sums::default()), &Readings::default()).unwrap();
        assert!(!image.join("0").exists() && image.join(INDEX).exists());
        assert!(!part.folder().exists());
        remove(&image).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
