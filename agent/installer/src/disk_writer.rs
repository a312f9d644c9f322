//! Writes a disk image: everything but the first and the last MiB of the disk, which are kept in memory until
//! all of it has proved to be right. What is in between cannot be booted by itself.

use crate::gpt::WINDOW;
use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

/// How many bytes are written before we wait for the disk: it bounds what is in memory, and makes progress
/// reports true.
const SYNC: u64 = 64 << 20;
/// The smallest disk.
const LEAST: u64 = 16 * WINDOW as u64;

/// Why a disk cannot be written to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// The disk is too small for anything.
    #[error("the disk has {0} bytes; no disk image is that small")]
    Tiny(u64),
    /// The image is larger than the disk.
    #[error("the disk image is larger than the disk, which has {0} bytes")]
    Large(u64),
    /// The disk fails.
    #[error("the disk cannot be {0}")]
    Disk(&'static str, #[source] io::Error),
    /// The disk returns something else than was written.
    #[error("the disk returns other data than was written to it, at byte {0}")]
    Differs(u64),
}

/// The disk that is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TargetDisk<'a> {
    /// Open for reading and writing.
    pub(crate) disk: &'a File,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// The size of its sectors in bytes.
    pub(crate) sector: u64,
}

/// Writes an image to a disk, in chunks of a MiB at multiples of a MiB.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    disk: &'a File,
    size: u64,
    /// Offset of `chunk`.
    at: u64,
    chunk: Vec<u8>,
    /// The first MiB.
    pub(crate) head: Vec<u8>,
    /// The last MiB.
    pub(crate) tail: Vec<u8>,
    unsynced: u64,
}

impl<'a> Sink<'a> {
    /// Wipes both ends of a disk of this size, so that nothing on it boots or is recognized any more.
    ///
    /// # Errors
    ///
    /// If the disk is too small, or fails.
    pub(crate) fn wipe(disk: &'a File, size: u64) -> Result<Self, SinkError> {
        if size < LEAST {
            return Err(SinkError::Tiny(size));
        }
        let nothing = vec![0; WINDOW];
        for at in [0, size - WINDOW as u64] {
            disk.write_all_at(&nothing, at).map_err(|error| SinkError::Disk("wiped", error))?;
        }
        disk.sync_all().map_err(|error| SinkError::Disk("wiped", error))?;
        let (head, tail) = (nothing.clone(), nothing);
        Ok(Self { disk, size, at: 0, chunk: Vec::with_capacity(WINDOW), head, tail, unsynced: 0 })
    }

    /// Number of bytes that were accepted.
    pub(crate) fn taken(&self) -> u64 {
        self.at + self.chunk.len() as u64
    }

    /// Writes what is left, but for both ends, and waits for the disk.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(crate) fn finish(&mut self) -> Result<(), SinkError> {
        let written = self.place().and_then(|()| self.disk.sync_all());
        written.map_err(|error| SinkError::Disk("written", error))
    }

    /// Wipes the MiB before the last one, as far as nothing was written to it: at the end of a partition arrays and
    /// pools keep what they are recognized by (MD 0.90 and 1.0, ZFS). A root that was grown over it would be taken
    /// for a part of them.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(crate) fn wipe_before_tail(&self) -> Result<(), SinkError> {
        let last = self.size - WINDOW as u64;
        let from = self.taken().max(last - WINDOW as u64);
        let nothing = vec![0; usize::try_from(last.saturating_sub(from)).unwrap_or(0)];
        let wiped = self.disk.write_all_at(&nothing, from).and_then(|()| self.disk.sync_all());
        wiped.map_err(|error| SinkError::Disk("wiped", error))
    }

    /// Writes the chunk to its place.
    fn place(&mut self) -> io::Result<()> {
        let (window, last) = (WINDOW as u64, self.size - WINDOW as u64);
        let end = self.at + self.chunk.len() as u64;
        if self.at < window {
            self.head[..self.chunk.len()].copy_from_slice(&self.chunk);
        } else {
            // What is behind `last` belongs to the end.
            let before = usize::try_from(last.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let (middle, rest) = self.chunk.split_at(before.min(self.chunk.len()));
            self.disk.write_all_at(middle, self.at)?;
            let start = usize::try_from(self.at.max(last) - last).unwrap_or(usize::MAX);
            if let Some(tail) = self.tail.get_mut(start..start + rest.len()) {
                tail.copy_from_slice(rest);
            }
        }
        self.unsynced += end - self.at;
        self.at = end;
        self.chunk.clear();
        if self.unsynced >= SYNC {
            self.unsynced = 0;
            self.disk.sync_data()?;
        }
        Ok(())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(WINDOW - self.chunk.len());
        if self.taken() + length as u64 > self.size {
            return Err(io::Error::new(io::ErrorKind::StorageFull, SinkError::Large(self.size)));
        }
        self.chunk.extend_from_slice(&bytes[..length]);
        if self.chunk.len() == WINDOW {
            self.place()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads from the disk, and not from the page cache.
pub(crate) fn fresh(disk: &File, at: u64, length: usize) -> Result<Vec<u8>, SinkError> {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let (offset, whole) = (i64::try_from(at).unwrap_or(0), i64::try_from(length).unwrap_or(0));
    // It is only advice; reading works without it.
    posix_fadvise(disk, offset, whole, PosixFadviseAdvice::POSIX_FADV_DONTNEED).ok();
    let mut found = vec![0; length];
    disk.read_exact_at(&mut found, at).map_err(|error| SinkError::Disk("read back", error))?;
    Ok(found)
}

/// Whether the disk returns what was written to it.
pub(crate) fn same(disk: &File, at: u64, expected: &[u8]) -> Result<(), SinkError> {
    let found = fresh(disk, at, expected.len())?;
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    differs.map_or(Ok(()), |byte| Err(SinkError::Differs(at + byte as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{is_wiped, pattern};
    use std::{
        fs,
        io::{Read, copy},
    };
    use tempfile::NamedTempFile;

    const SIZE: u64 = 17 * WINDOW as u64 + 512;

    #[test]
    fn nothing_of_either_end_is_written() {
        for length in
            [1, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW + 7, 16 * WINDOW, 17 * WINDOW + 512]
        {
            let file = disk();
            let image = pattern(length);
            let mut sink = Sink::wipe(file.as_file(), SIZE).unwrap();
            // In pieces that fit to nothing.
            for piece in image.chunks(7919 * 13) {
                sink.write_all(piece).unwrap();
            }
            assert_eq!(sink.taken(), length as u64);
            sink.finish().unwrap();
            let (head, tail) = (sink.head, sink.tail);
            let before = fs::read(file.path()).unwrap();
            let ends = [&before[..WINDOW], &before[before.len() - WINDOW..]];
            assert!(ends.into_iter().all(is_wiped), "{length}");
            let middle = &before[WINDOW..before.len() - WINDOW];
            let after = [&head, middle, &tail].concat();
            assert_eq!(after.len() as u64, SIZE);
            assert!(after[..length] == image, "{length}");
            // The middle keeps what was there.
            let old = &after[length.max(WINDOW)..after.len() - WINDOW.min(after.len() - length)];
            assert!(old == vec![0xdd; old.len()], "{length}");
        }
    }

    #[test]
    fn an_image_that_is_larger_than_the_disk_is_refused_at_its_first_byte_too_many() {
        let file = disk();
        let mut sink = Sink::wipe(file.as_file(), SIZE).unwrap();
        copy(&mut io::repeat(1).take(SIZE), &mut sink).unwrap();
        let error = sink.write_all(&[1]).unwrap_err();
        assert!(error.to_string().contains("larger than the disk"), "{error}");
        let tiny = Sink::wipe(file.as_file(), LEAST - 1).unwrap_err();
        assert!(matches!(tiny, SinkError::Tiny(_)));
    }

    #[test]
    fn a_disk_that_returns_something_else_is_found_out() {
        let file = disk();
        same(file.as_file(), 512, &[0xdd; 1000]).unwrap();
        let mut wrong = vec![0xdd; 1000];
        wrong[999] = 0;
        let error = same(file.as_file(), 512, &wrong).unwrap_err();
        assert!(matches!(error, SinkError::Differs(1511)), "{error}");
        assert!(matches!(same(file.as_file(), SIZE, &wrong), Err(SinkError::Disk("read back", _))));
    }

    /// A file in place of a disk with something old on it.
    fn disk() -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), vec![0xdd; usize::try_from(SIZE).unwrap()]).unwrap();
        file
    }
}
