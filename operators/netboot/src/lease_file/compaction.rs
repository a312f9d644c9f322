//! A fresh log to replace one that has grown too long, written while the old one is in use.

use metal_dhcp::lease::{Lease, record};
use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};
use tokio::task::{JoinHandle, spawn_blocking};

/// A fresh log that is being written.
#[derive(Debug)]
pub(super) struct Compaction {
    writer: JoinHandle<io::Result<File>>,
    len: u64,
    lines: usize,
    /// What was committed to the old log in the meantime.
    missed: String,
}

/// The log that has replaced the old one, open at its end.
pub(super) struct Finished {
    pub(super) file: File,
    pub(super) len: u64,
    pub(super) lines: usize,
}

impl Compaction {
    /// Starts writing `leases` to a file next to the log.
    pub(super) fn start<'a, A: Display + 'a>(
        path: &Path,
        leases: impl ExactSizeIterator<Item = &'a Lease<A>>,
    ) -> Self {
        let lines = leases.len();
        let mut text = String::new();
        leases.for_each(|lease| record::write(&mut text, lease));
        let len = text.len() as u64;
        let path = beside(path);
        let writer =
            spawn_blocking(move || write_new(&path, |file| file.write_all(text.as_bytes())));
        Self { writer, len, lines, missed: String::new() }
    }

    /// Records what was committed to the old log.
    pub(super) fn missed(&mut self, text: &str, lines: usize) {
        self.missed.push_str(text);
        self.lines += lines;
    }

    pub(super) fn is_written(&self) -> bool {
        self.writer.is_finished()
    }

    /// Adds what was missed, and replaces the old log. The old log has been synchronized to disk, so the fresh
    /// one is synchronized before it takes its place. Nothing is committed in the meantime, and what was missed
    /// is short.
    pub(super) async fn finish(self, path: &Path) -> io::Result<Finished> {
        let Self { writer, len, lines, missed } = self;
        let mut file = writer.await.map_err(io::Error::other)??;
        let len = len + missed.len() as u64;
        let path = path.to_owned();
        let replaced = spawn_blocking(move || {
            let new = beside(&path);
            let replaced = file.write_all(missed.as_bytes()).and_then(|()| file.sync_data());
            let replaced = replaced.and_then(|()| fs::rename(&new, &path));
            replaced.inspect_err(|_| _ = fs::remove_file(&new).ok())?;
            Ok::<_, io::Error>(file)
        });
        let file = replaced.await.map_err(io::Error::other)??;
        Ok(Finished { file, len, lines })
    }
}

/// Writes a file, and synchronizes it to disk. If that fails, the file is removed: the log needs the room.
fn write_new(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let written = write(&mut file).and_then(|()| file.sync_data());
    written.inspect_err(|_| _ = fs::remove_file(path).ok())?;
    Ok(file)
}

/// Removes the file of a process that died while it wrote.
pub(super) fn remove_leftover(path: &Path) -> io::Result<()> {
    match fs::remove_file(beside(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_log_that_cannot_be_written_takes_no_room_from_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.new");
        let full = write_new(&path, |file| {
            file.write_all(b"half of it")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!path.exists());
        write_new(&path, |file| file.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
