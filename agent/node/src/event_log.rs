//! The event log of the firmware: it explains to metalman why a PCR has its value, and proves nothing.

use metal_base::Chain;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Reads a log of up to `most` octets. If it does not exist, or is longer, none is sent: the quote is what
/// counts.
pub(crate) fn read(path: Option<&Path>, most: usize) -> Vec<u8> {
    let Some(path) = path.filter(|_| most > 0) else { return vec![] };
    match read_file(path, most) {
        Ok(log) if log.len() <= most => log,
        Ok(_) => {
            tracing::warn!(path = %path.display(), most, "the event log is longer than metalman reads");
            vec![]
        }
        Err(error) => {
            let (path, error) = (path.display(), Chain(&error));
            tracing::info!(%path, %error, "the event log cannot be read");
            vec![]
        }
    }
}

/// Reads a file, and not much more than `most` octets of it.
fn read_file(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut log = vec![];
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut log)?;
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_metalman_would_not_read_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"events").unwrap();
        for (path, most, log) in [
            (Some(path.as_path()), 6, &b"events"[..]),
            (Some(&path), 5, b""),
            (Some(&path), 0, b""),
            (None, 6, b""),
            (Some(folder.path()), 6, b""),
            (Some(Path::new("/nowhere/log")), 6, b""),
        ] {
            assert_eq!(read(path, most), log, "{path:?} {most}");
        }
        assert_eq!(read(Some(Path::new("/dev/zero")), 6), b"", "what does not end");
    }
}
