//! The transfer of a large file, over any number of connections.

use super::client::{Client, is_stale};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use metal_base::{Chain, Locked};
use metal_http::{Answer, RequestError};
use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// Some bytes of a file, or its end.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// There are no more bytes.
    End,
}

/// The progress of a transfer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfer {
    /// Number of bytes received.
    pub(crate) done: Arc<AtomicU64>,
    /// Number of bytes in total; 0 if unknown.
    pub(crate) total: Arc<AtomicU64>,
    /// Why nothing is received at the moment; empty otherwise.
    pub(crate) trouble: Arc<Mutex<String>>,
}

/// Why a transfer has to begin again, or must end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The file has changed, or the server cannot send a part of it.
    #[error("the file on the server has changed, or the server does not support range requests")]
    Changed,
    /// The server has sent more than it announced.
    #[error("the server sent more than its Content-Length")]
    More,
    /// The installation is no longer due.
    #[error("the installation is not due any more")]
    Stale(#[source] RequestError),
    /// There is no such file, or it is refused for another reason that will not pass.
    #[error("the server does not give the file out")]
    Refused(#[source] RequestError),
    /// The reader has gone away.
    #[error("the file is not wanted any more")]
    Unwanted,
}

/// What the server has said about the file.
#[derive(Debug, Default)]
struct Known {
    /// Its strong entity tag (RFC 9110, section 8.8.3).
    tag: Option<HeaderValue>,
    length: Option<u64>,
}

/// Transfers a file, forever if need be. A failure is shown on the console, and the transfer tried again.
///
/// # Errors
///
/// If it has to begin again, or is of no use.
pub(crate) async fn transfer(
    client: &Client,
    path: &str,
    to: &mpsc::Sender<Piece>,
    progress: &Transfer,
) -> Result<(), Broken> {
    let mut known = Known::default();
    let (mut backoff, mut refused_since) = (client.timeouts.resume(), None::<Instant>);
    progress.done.store(0, Ordering::Relaxed);
    progress.total.store(0, Ordering::Relaxed);
    progress.trouble.locked().clear();
    loop {
        let before = progress.done.load(Ordering::Relaxed);
        let broken = match client.open(path, range(before, &known)?).await {
            Ok(answer) => {
                refused_since = None;
                check(&answer, before, &mut known)?;
                progress.trouble.locked().clear();
                progress.total.store(known.length.unwrap_or(0), Ordering::Relaxed);
                let stall = client.timeouts.stall;
                match follow(answer, to, progress, (&known, stall)).await? {
                    None => {
                        return to.send(Piece::End).await.map_err(|_| Broken::Unwanted);
                    }
                    Some(broken) => broken,
                }
            }
            Err(refused) if is_stale(&refused) => return Err(Broken::Stale(refused)),
            Err(refused) if is_final(&refused) => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                // What has come is kept for a while: the server may be one that does not know yet.
                if before == 0 || since.elapsed() >= client.timeouts.unknown {
                    return Err(Broken::Refused(refused));
                }
                refused
            }
            Err(failure) => failure,
        };
        let done = progress.done.load(Ordering::Relaxed);
        if done > before {
            backoff.reset();
        }
        let pause = backoff.pause();
        tell(progress, pause, &broken);
        sleep(pause).await;
    }
}

/// Reports why nothing is received, on the console and with the next report.
fn tell(progress: &Transfer, pause: Duration, broken: &RequestError) {
    let (done, why) = (progress.done.load(Ordering::Relaxed), Chain(broken).to_string());
    let again_in = format!("{:.0} s", pause.as_secs_f32());
    tracing::warn!(done, again_in, "download of the disk image interrupted: {why}");
    *progress.trouble.locked() = why;
}

/// Whether the same request would fail again (RFC 9110, section 15.5): there may be another order by now.
fn is_final(error: &RequestError) -> bool {
    let RequestError::Refused(status, _) = error else { return false };
    let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !passes.contains(status)
}

/// The headers that request the rest of exactly this file.
fn range(from: u64, known: &Known) -> Result<HeaderMap, Broken> {
    let mut headers = HeaderMap::new();
    if from > 0 {
        let tag = known.tag.clone().ok_or(Broken::Changed)?;
        let range = HeaderValue::try_from(format!("bytes={from}-")).map_err(|_| Broken::Changed)?;
        headers.insert(header::RANGE, range);
        headers.insert(header::IF_RANGE, tag);
    }
    Ok(headers)
}

/// Whether a response continues where the last one ended.
fn check(answer: &Answer, from: u64, known: &mut Known) -> Result<(), Broken> {
    let headers = answer.response.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let tag = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned();
    if from == 0 {
        let length = text(header::CONTENT_LENGTH).and_then(|it| it.parse().ok());
        *known = Known { tag, length };
        // A part was not requested.
        return if answer.response.status() == StatusCode::OK {
            Ok(())
        } else {
            Err(Broken::Changed)
        };
    }
    let expected = |of: &str| {
        let (place, whole) = of.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = place.split_once('-')?;
        let whole: u64 = whole.parse().ok()?;
        let goes_on = first.parse() == Ok(from) && last.parse() == Ok(whole.checked_sub(1)?);
        (goes_on && known.length.is_none_or(|length| length == whole)).then_some(())
    };
    let is_part = answer.response.status() == StatusCode::PARTIAL_CONTENT;
    let is_same = tag.is_some() && tag == known.tag;
    let goes_on = text(header::CONTENT_RANGE).and_then(expected);
    if is_part && is_same && goes_on.is_some() { Ok(()) } else { Err(Broken::Changed) }
}

/// Passes on what is received; returns why it ended too early, if it did.
async fn follow(
    mut answer: Answer,
    to: &mpsc::Sender<Piece>,
    progress: &Transfer,
    (known, stall): (&Known, Duration),
) -> Result<Option<RequestError>, Broken> {
    let body = answer.response.body_mut();
    loop {
        let frame = match timeout(stall, body.frame()).await {
            Err(_) => return Ok(Some(RequestError::Deadline(stall))),
            Ok(Some(Err(error))) => return Ok(Some(error.into())),
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
        };
        let Ok(bytes) = frame.into_data() else { continue };
        let done = progress.done.load(Ordering::Relaxed) + bytes.len() as u64;
        if known.length.is_some_and(|length| done > length) {
            return Err(Broken::More);
        }
        to.send(Piece::Bytes(bytes)).await.map_err(|_| Broken::Unwanted)?;
        progress.done.store(done, Ordering::Relaxed);
    }
    let done = progress.done.load(Ordering::Relaxed);
    let is_short = known.length.is_some_and(|length| done < length);
    let short = || RequestError::Answer("it ends too early".into());
    Ok(is_short.then(short))
}

/// The receiving end, for a thread that reads.
#[derive(Debug)]
pub(crate) struct Pieces {
    from: mpsc::Receiver<Piece>,
    now: Bytes,
    ended: bool,
}

impl Pieces {
    /// Reads what is sent.
    pub(crate) fn new(from: mpsc::Receiver<Piece>) -> Self {
        Self { from, now: Bytes::new(), ended: false }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() && !self.ended {
            match self.from.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.now = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::other("the transfer was given up")),
            }
        }
        let length = into.len().min(self.now.len());
        into[..length].copy_from_slice(&self.now.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
