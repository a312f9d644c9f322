//! The file of a transfer.

use super::Found;
use metal_dhcp::tftp::Refusal;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::Mode,
};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path, sync::Arc};

/// Size of the chunk of a file in memory, unless a block is longer.
const PIECE: usize = 64 << 10;

/// A file to serve, and its size when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    content: Content,
    pub(super) size: u64,
}

#[derive(Debug)]
enum Content {
    File(File),
    Bytes(Arc<[u8]>),
}

/// Opens a file.
///
/// # Errors
///
/// If it does not exist or is not a regular file, with the error of the kernel.
pub(super) fn open_found(found: &Found) -> Result<Opened, (Refusal, io::Error)> {
    match found {
        Found::File { root, path, .. } => open_below(root, path),
        Found::Bytes { bytes, .. } => {
            Ok(Opened { size: bytes.len() as u64, content: Content::Bytes(Arc::clone(bytes)) })
        }
    }
}

/// Opens a file in a folder. Symbolic links that do not leave the folder are followed, because
/// mounted `ConfigMap`s consist of them.
///
/// # Errors
///
/// If it does not exist or is not a regular file, with the error of the kernel.
fn open_below(root: &Path, path: &str) -> Result<Opened, (Refusal, io::Error)> {
    let refused = |errno: Errno| {
        let refusal = match errno {
            Errno::ENOENT | Errno::ENOTDIR => Refusal::Missing,
            Errno::EXDEV | Errno::ELOOP => Refusal::LeadsOutside,
            Errno::ENXIO | Errno::EISDIR => Refusal::NotFile,
            _ => Refusal::Unreadable,
        };
        (refusal, errno.into())
    };
    let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let folder = open(root, folder, Mode::empty()).map_err(refused)?;
    // Opening a pipe would wait for a writer.
    let read = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(read).resolve(beneath);
    let file = File::from(openat2(folder, path, how).map_err(refused)?);
    let metadata = file.metadata().map_err(|error| (Refusal::Unreadable, error))?;
    if !metadata.is_file() {
        return Err((Refusal::NotFile, io::ErrorKind::InvalidInput.into()));
    }
    Ok(Opened { size: metadata.len(), content: Content::File(file) })
}

/// A file divided into blocks, with a chunk of them in memory. The first block has number 1.
#[derive(Debug)]
pub(super) struct Blocks {
    content: Content,
    size: u64,
    blksize: usize,
    /// Number of blocks in a chunk.
    count: u64,
    /// The first chunk is a single block, because the address of the client may be forged.
    is_first_alone: bool,
    piece: Vec<u8>,
    /// The blocks in the chunk.
    held: Range<u64>,
}

impl Content {
    /// Fills a chunk, beginning at an offset.
    ///
    /// # Errors
    ///
    /// If the file is shorter.
    fn read(&self, piece: &mut [u8], start: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(piece, start),
            Self::Bytes(bytes) => {
                let start = usize::try_from(start).map_err(io::Error::other)?;
                let there = bytes.get(start..).and_then(|rest| rest.get(..piece.len()));
                piece.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

impl Blocks {
    /// Divides a file into blocks of this size, for windows of this many blocks.
    pub(super) fn new(opened: Opened, blksize: u16, windowsize: u16) -> Self {
        let fitting = (PIECE / usize::from(blksize.max(1))).max(1) as u64;
        let windowsize = u64::from(windowsize.max(1));
        // A window that is completely in a chunk is sent with one system call.
        let whole = fitting / windowsize * windowsize;
        let count = if whole == 0 { fitting } else { whole };
        let Opened { content, size } = opened;
        let is_first_alone = windowsize == 1;
        let (blksize, piece, held) = (blksize.into(), Vec::new(), 0..0);
        Self { content, size, blksize, count, is_first_alone, piece, held }
    }

    /// Loads a block, and returns the end of the loaded blocks that follow it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is shorter than it was.
    pub(super) fn hold(&mut self, block: u64) -> io::Result<u64> {
        if !self.held.contains(&block) {
            self.held = 0..0;
            let last = self.size / self.blksize as u64 + 1;
            let count = if block == 1 && self.is_first_alone { 1 } else { self.count };
            let end = (block + count).min(last + 1);
            let start = (block - 1) * self.blksize as u64;
            let length = ((end - block) * self.blksize as u64).min(self.size - start);
            self.piece.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
            self.content.read(&mut self.piece, start)?;
            self.held = block..end;
        }
        Ok(self.held.end)
    }

    /// A loaded block; after the end of a file that consists of full blocks, it is empty.
    pub(super) fn block(&self, block: u64) -> &[u8] {
        let skipped = usize::try_from(block - self.held.start).unwrap_or(usize::MAX);
        let start = skipped.saturating_mul(self.blksize).min(self.piece.len());
        &self.piece[start..self.piece.len().min(start + self.blksize)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn refusal(root: &Path, path: &str) -> Refusal {
        open_below(root, path).unwrap_err().0
    }

    #[test]
    fn only_files_below_the_folder_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("sub/..data")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        fs::write(root.join("sub/..data/a.efi"), "abc").unwrap();
        symlink("sub/..data/a.efi", root.join("inside")).unwrap();
        symlink("../secret", root.join("outside")).unwrap();
        symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), Mode::S_IRWXU).unwrap();

        assert_eq!(open_below(&root, "sub/..data/a.efi").unwrap().size, 3);
        assert_eq!(open_below(&root, "inside").unwrap().size, 3);
        for (path, expected) in [
            ("outside", Refusal::LeadsOutside),
            ("absolute", Refusal::LeadsOutside),
            ("up/secret", Refusal::LeadsOutside),
            ("../secret", Refusal::LeadsOutside),
            ("/etc/passwd", Refusal::LeadsOutside),
            ("loop", Refusal::LeadsOutside),
            ("sub", Refusal::NotFile),
            ("pipe", Refusal::NotFile),
            ("none", Refusal::Missing),
            ("inside/none", Refusal::Missing),
            ("", Refusal::Missing),
        ] {
            assert_eq!(refusal(&root, path), expected, "{path}");
        }
        assert_eq!(refusal(&root.join("none"), "a"), Refusal::Missing);
    }

    #[test]
    fn blocks_are_those_of_the_file_whatever_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        fs::write(folder.path().join("a"), &bytes).unwrap();
        let (root, name) = (folder.path().to_owned(), "a".to_owned());
        let on_disk = Found::File { root, path: name.clone(), name };
        let in_memory = Found::Bytes { name: "a".to_owned(), bytes: bytes.clone().into() };
        for (blksize, windowsize) in [(512, 1), (1468, 1), (1468, 64), (65464, 4), (30_000, 3)] {
            for found in [&on_disk, &in_memory] {
                let mut blocks = Blocks::new(open_found(found).unwrap(), blksize, windowsize);
                let size = usize::from(blksize);
                let last = bytes.len() / size + 1;
                for block in (1..=last).chain((1..=last).rev()).chain([1, last / 2, 2, last]) {
                    let end = blocks.hold(block as u64).unwrap();
                    assert!(end > block as u64 && end <= last as u64 + 1);
                    let start = (block - 1) * size;
                    let expected = &bytes[start..bytes.len().min(start + size)];
                    assert_eq!(blocks.block(block as u64), expected, "{blksize} {block}");
                    assert!(blocks.piece.capacity() <= 2 * PIECE);
                }
            }
        }
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_and_not_a_short_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, vec![1; 100_000]).unwrap();
        let mut blocks = Blocks::new(open_below(folder.path(), "a").unwrap(), 512, 1);
        blocks.hold(1).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(70_000).unwrap();
        assert!(blocks.hold(190).is_err());
        assert!(blocks.hold(190).is_err(), "and stays one");
    }
}
