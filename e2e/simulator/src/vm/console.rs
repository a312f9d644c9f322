//! The serial console: a file of limited size.

use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
};

/// The longest file; there may be two of them.
const LONGEST: usize = 1 << 20;

/// Appends input to the file `path`, until the input ends.
pub(super) async fn keep(mut from: impl AsyncRead + Unpin, path: &Path) -> io::Result<()> {
    keep_up_to(LONGEST, &mut from, path).await
}

async fn keep_up_to(
    longest: usize,
    from: &mut (impl AsyncRead + Unpin),
    path: &Path,
) -> io::Result<()> {
    let mut file = append(path).await?;
    let mut length = usize::try_from(file.metadata().await?.len()).unwrap_or(usize::MAX);
    let mut buffer = vec![0; 4096.min(longest)];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if length.saturating_add(count) > longest {
            fs::rename(path, older(path)).await?;
            (file, length) = (append(path).await?, 0);
        }
        file.write_all(&buffer[..count]).await?;
        // tokio's files write in the background.
        file.flush().await?;
        length += count;
    }
}

async fn append(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path).await
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".old");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_console_keeps_the_end_and_no_more_than_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        let printed: Vec<u8> = (b'a'..=b'z').collect();
        for part in printed.chunks(3) {
            keep_up_to(8, &mut &*part, &path).await.unwrap();
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&older(&path)) + &read(&path), "mnopqrstuvwxyz");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
