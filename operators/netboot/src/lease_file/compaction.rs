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
        let writer = spawn_blocking(move || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            Ok(file)
        });
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

    /// Adds what was missed, and replaces the old log. That has been handed to the disk, so the fresh one is handed to
    /// it first. Nothing is committed meanwhile, and what was missed is short.
    pub(super) async fn finish(self, path: &Path) -> io::Result<Finished> {
        let Self { writer, len, lines, missed } = self;
        let mut file = writer.await.map_err(io::Error::other)??;
        let len = len + missed.len() as u64;
        let path = path.to_owned();
        let replaced = spawn_blocking(move || {
            file.write_all(missed.as_bytes())?;
            file.sync_data()?;
            fs::rename(beside(&path), &path)?;
            Ok::<_, io::Error>(file)
        });
        let file = replaced.await.map_err(io::Error::other)??;
        Ok(Finished { file, len, lines })
    }
}

/// Removes what a process has left that died while writing.
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
