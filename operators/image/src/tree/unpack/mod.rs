//! Turns layers into numbered files and an index.

use super::{
    Limits,
    archive::{Archive, Entry, Failed},
    error::{Error, Unusable},
    header::Kind,
    index::{DISK, File, Index},
    path,
    sums::Sums,
    unpacked::BLOCK,
};
use crate::{
    digest::{Algorithm, Hasher},
    reference::excerpt,
};
use metal_base::compression::decompressed;
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Bytes to copy at a time.
const PIECE: usize = 256 << 10;
/// Approximate memory for a part of a path.
const NODE: usize = 128;

/// Receives the content of files.
pub(crate) trait Sink {
    /// Creates the file with this number.
    fn create(&mut self, number: u32) -> io::Result<()>;

    /// Appends to the file that was created last.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Completes the file that was created last.
    fn complete(&mut self) -> io::Result<()>;
}

/// Is asked for room before this many more bytes are written.
pub(super) type Room<'a> = &'a dyn Fn(u64) -> io::Result<()>;

/// Unpacks `layers`, lowest first, into the empty folder `into`; returns the index, and what was written.
pub(super) fn unpack(
    layers: &[Arc<fs::File>],
    into: &Path,
    limits: Limits,
    room: Room<'_>,
    shutdown: &CancellationToken,
) -> Result<(Index, Sums), Error> {
    if layers.len() > limits.layers {
        return Err(Error::TooManyLayers(limits.layers));
    }
    let sink = Files { folder: into, file: None, sums: Sums::default(), room };
    let mut unpacking = Unpacking::new(sink, limits, shutdown.clone());
    for (at, layer) in layers.iter().enumerate() {
        let bytes = BufReader::with_capacity(PIECE, OffsetReader { file: layer, offset: 0 });
        unpacking.layer(at, bytes).map_err(|failed| match failed {
            _ if shutdown.is_cancelled() => Error::Shutdown,
            Failed::Archive(what) => Error::Layer { layer: at + 1, what },
            Failed::Read(error) => error.into(),
        })?;
    }
    let Unpacking { index, number, sink: Files { mut sums, .. }, .. } = unpacking;
    if !index.has_disk() {
        return Err(Error::NoDisk);
    }
    let kept: BTreeSet<u32> = index.files().iter().map(|file| file.number).collect();
    for unused in (0..number).filter(|number| !kept.contains(number)) {
        fs::remove_file(into.join(unused.to_string()))?;
        sums.remove(&unused.to_string());
    }
    Ok((index, sums))
}

/// Unpacks one layer into a sink, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn unpack_archive(layer: &[u8], limits: Limits, sink: &mut impl Sink) -> Option<Index> {
    let mut unpacking = Unpacking::new(sink, limits, CancellationToken::new());
    unpacking.layer(0, layer).ok()?;
    Some(unpacking.index)
}

/// An image while it is being unpacked.
struct Unpacking<S> {
    index: Index,
    /// The number of the next file.
    number: u32,
    limits: Limits,
    /// Entries so far.
    entries: usize,
    /// Memory used by the index so far.
    spent: usize,
    /// Bytes so far, decompressed.
    bytes: u64,
    sink: S,
    shutdown: CancellationToken,
}

impl<S: Sink> Unpacking<S> {
    fn new(sink: S, limits: Limits, shutdown: CancellationToken) -> Self {
        let index = Index::default();
        Self { index, number: 0, limits, entries: 0, spent: 0, bytes: 0, sink, shutdown }
    }

    fn layer(&mut self, at: usize, bytes: impl BufRead) -> Result<(), Failed> {
        let decompressed = decompressed(bytes).map_err(content)?;
        let mut archive = Archive::new(decompressed, self.limits.bytes - self.bytes);
        let layer = u16::try_from(at).unwrap_or(u16::MAX);
        let unpacked = self.archive(layer, &mut archive);
        self.bytes = self.limits.bytes - archive.budget();
        unpacked.map_err(|failed| match failed {
            Failed::Archive(Unusable::TooLarge(_)) => Unusable::TooLarge(self.limits.bytes).into(),
            Failed::Read(error) => content(error),
            failed @ Failed::Archive(_) => failed,
        })
    }

    fn archive(&mut self, layer: u16, archive: &mut Archive<impl Read>) -> Result<(), Failed> {
        while let Some(entry) = archive.next()? {
            if self.shutdown.is_cancelled() {
                return Err(Failed::Read(io::Error::other("shutting down")));
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Unusable::TooManyEntries(self.limits.entries).into());
            }
            let parts = path::parts(&entry.name)?;
            let is_elsewhere = parts.first().is_none_or(|first| first != DISK);
            if !self.index.hide(&parts, layer) && !is_elsewhere {
                self.spent += parts.len() * NODE + entry.name.len() + entry.target.len();
                if self.spent > self.limits.index {
                    return Err(Unusable::TooManyFiles.into());
                }
                self.entry(layer, &entry, &parts, archive)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        layer: u16,
        entry: &Entry,
        parts: &[String],
        archive: &mut Archive<impl Read>,
    ) -> Result<(), Failed> {
        let index = &mut self.index;
        match entry.kind {
            Kind::Folder => index.add_folder(parts, layer)?,
            Kind::SymbolicLink => index.add_link(parts, layer, &entry.target)?,
            Kind::HardLink => index.add_name(parts, layer, &path::parts(&entry.target)?)?,
            Kind::File => {
                let file = File { number: self.number, size: entry.size };
                // Before its content is read, so that a forbidden file costs nothing.
                index.add_file(parts, layer, file)?;
                self.number += 1;
                self.content(file, archive)?;
            }
            Kind::Device
            | Kind::LongName
            | Kind::LongTarget
            | Kind::Extended
            | Kind::Global
            | Kind::Other => {
                let why = "not a file, folder or link";
                return Err(Unusable::Path { path: excerpt(&parts.join("/")), why }.into());
            }
        }
        Ok(())
    }

    fn content(&mut self, file: File, archive: &mut Archive<impl Read>) -> Result<(), Failed> {
        self.sink.create(file.number).map_err(disk)?;
        let most = usize::try_from(file.size).unwrap_or(PIECE).clamp(1, PIECE);
        let mut piece = vec![0; most];
        loop {
            if self.shutdown.is_cancelled() {
                return Err(Failed::Read(io::Error::other("shutting down")));
            }
            match archive.read(&mut piece)? {
                0 => return self.sink.complete().map_err(disk),
                read => self.sink.write(&piece[..read]).map_err(disk)?,
            }
        }
    }
}

/// A decompression error is the layer's fault, not the disk's.
fn content(error: io::Error) -> Failed {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Unusable::Archive(excerpt(&error.to_string())).into()
        }
        _ => Failed::Read(error),
    }
}

/// An error of the disk, whatever its kind.
fn disk(error: io::Error) -> Failed {
    Failed::Read(io::Error::other(error))
}

impl<S: Sink> Sink for &mut S {
    fn create(&mut self, number: u32) -> io::Result<()> {
        (**self).create(number)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).write(bytes)
    }

    fn complete(&mut self) -> io::Result<()> {
        (**self).complete()
    }
}

/// Files in a folder, named by their numbers.
struct Files<'a> {
    folder: &'a Path,
    file: Option<Writing>,
    sums: Sums,
    room: Room<'a>,
}

/// A file that is being written.
struct Writing {
    name: String,
    file: fs::File,
    hasher: Hasher,
}

impl Sink for Files<'_> {
    fn create(&mut self, number: u32) -> io::Result<()> {
        let name = number.to_string();
        let path = self.folder.join(&name);
        (self.room)(BLOCK)?;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.file = Some(Writing { name, file, hasher: Hasher::new(Algorithm::Sha256) });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(writing) = &mut self.file else { return Ok(()) };
        (self.room)(bytes.len() as u64)?;
        writing.hasher.update(bytes);
        writing.file.write_all(bytes)
    }

    fn complete(&mut self) -> io::Result<()> {
        let Some(Writing { name, file, hasher }) = self.file.take() else { return Ok(()) };
        self.sums.add(name, hasher.finish());
        file.sync_all()
    }
}

/// Reads a file with its own offset, as it has other readers.
struct OffsetReader<'a> {
    file: &'a fs::File,
    offset: u64,
}

impl Read for OffsetReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
