//! The medium in a BMC's virtual drive, which the BMC reads in pieces as needed.

use super::fetch::{Agent, FetchError, Fetcher};
use bytes::Bytes;
use std::{io, path::Path};
use tokio::{fs::File, io::AsyncWriteExt};

/// Size of a range request.
const PIECE: u64 = 4 << 20;
/// Room for the file systems' tables at the beginning; files come after it.
const HEAD: u64 = 1 << 20;
const ARGUMENT: &str = "ignition.config.url";

/// Why a medium cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum MediumError {
    /// It cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The copy cannot be written.
    #[error("file of the medium")]
    File(#[from] io::Error),
    /// Nothing is inserted.
    #[error("the drive has no medium")]
    None,
}

/// Copies the medium at `url` to a file.
pub(super) async fn copy(fetcher: &Fetcher, url: &str, to: &Path) -> Result<u64, MediumError> {
    let mut file = File::create(to).await?;
    let mut pieces = Pieces::of(fetcher, url).await?;
    while let Some(piece) = pieces.next().await? {
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    Ok(pieces.size)
}

/// Reads the whole medium at `url`: returns its size, and the URL in the kernel argument that is
/// stored next to the UKI.
pub(super) async fn read(
    fetcher: &Fetcher,
    url: &str,
) -> Result<(u64, Option<String>), MediumError> {
    let mut pieces = Pieces::of(fetcher, url).await?;
    let mut argument = None;
    while let Some(piece) = pieces.next().await? {
        if pieces.next - piece.len() as u64 == 0 {
            let head = &piece[..piece.len().min(usize::try_from(HEAD).unwrap_or(usize::MAX))];
            argument = ignition(head).map(|url| format!("{ARGUMENT}={url}"));
        }
    }
    Ok((pieces.size, argument))
}

/// The only URL in the tables and small files of a medium.
fn ignition(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let (at, _) = text.match_indices("http").find(|(at, _)| {
        let rest = &text[*at..];
        rest.starts_with("http://") || rest.starts_with("https://")
    })?;
    let end = |c: char| c.is_control() || c.is_whitespace();
    text[at..].split(end).next().map(str::to_owned)
}

/// The ranges of a medium, one after the other.
struct Pieces<'a> {
    fetcher: &'a Fetcher,
    url: &'a str,
    size: u64,
    next: u64,
}

impl<'a> Pieces<'a> {
    async fn of(fetcher: &'a Fetcher, url: &'a str) -> Result<Self, FetchError> {
        let size = fetcher.size(Agent::Bmc, url).await?;
        Ok(Self { fetcher, url, size, next: 0 })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let range = self.next..self.size.min(self.next + PIECE);
        if range.is_empty() {
            return Ok(None);
        }
        self.next = range.end;
        self.fetcher.part(Agent::Bmc, self.url, range).await.map(Some)
    }
}
