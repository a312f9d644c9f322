//! What the files of an image were when they were written: a disk that has changed a bit since then is found
//! before anything of it is served.

use super::index::Index;
use crate::digest::{Algorithm, Digest, Hasher};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read},
    path::Path,
};
use tokio_util::sync::CancellationToken;

const SUMS: &str = "sums.json";
/// Bytes to read at a time.
const PIECE: usize = 256 << 10;

/// Digests of files by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<String, Digest>);

impl Sums {
    /// A file of this name was written.
    pub(super) fn add(&mut self, name: String, digest: Digest) {
        self.0.insert(name, digest);
    }

    /// Forgets a file that was removed again.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Writes them into the folder of the image.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let all: BTreeMap<_, _> = self.0.iter().map(|(name, it)| (name, it.to_string())).collect();
        let file = OpenOptions::new().write(true).create_new(true).open(dir.join(SUMS))?;
        let mut file = BufWriter::new(file);
        serde_json::to_writer(&mut file, &all)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    fn read(dir: &Path) -> io::Result<Self> {
        let all: BTreeMap<String, String> =
            serde_json::from_slice(&std::fs::read(dir.join(SUMS))?)?;
        let all = all.into_iter().map(|(name, text)| Ok((name, text.parse()?)));
        let all = all.collect::<Result<_, crate::digest::MalformedDigest>>();
        Ok(Self(all.map_err(io::Error::other)?))
    }
}

/// Whether an image in its folder is what was written there; `index` is the name of the file with its
/// index. Reads all of it.
///
/// # Errors
///
/// It is not, or the disk fails, or the process is shutting down.
pub(super) fn verify(
    dir: &Path,
    (name, index): (&str, &Index),
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let Sums(sums) = Sums::read(dir)?;
    let files = index.files().into_iter().map(super::index::File::name);
    for name in files.chain([name.to_owned()]) {
        let expected = sums.get(&name).ok_or_else(|| other(&name))?;
        if digest(&dir.join(&name), shutdown)? != *expected {
            return Err(other(&name));
        }
    }
    Ok(())
}

/// The digest of a file.
pub(super) fn digest(path: &Path, shutdown: &CancellationToken) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let (mut file, mut piece) = (File::open(path)?, vec![0; PIECE]);
    loop {
        if shutdown.is_cancelled() {
            return Err(io::Error::other("shutting down"));
        }
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn other(name: &str) -> io::Error {
    io::Error::other(format!("file {name} is not what was written"))
}
