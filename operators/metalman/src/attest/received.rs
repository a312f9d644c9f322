//! The body of a request: what is presented, and behind it perhaps an event log. The log is as long as sixteen
//! requests, so it is read only when the TPM of its machine has proved itself.

use super::Refused;
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use metal_attest::{MAX_BODY, MAX_EVENT_LOG, Request, RequestError};
use std::time::Duration;
use tokio::time::timeout;

/// Largest body.
pub(crate) const LARGEST: u64 = (MAX_BODY + MAX_EVENT_LOG) as u64;
/// How long a log may take: whoever sends it has one of few places meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// A body, of which the beginning is read.
pub(super) struct Received {
    read: Vec<u8>,
    rest: BodyDataStream,
}

/// A log that was sent, as far as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// None was.
    Nothing,
    /// It did not come, for this reason.
    Broken(&'static str),
    /// This.
    Log(Vec<u8>),
}

impl Received {
    /// Reads as much of a body as a request may have.
    ///
    /// # Errors
    ///
    /// The client breaks off.
    pub(super) async fn begin(body: Body) -> Result<Self, Refused> {
        let (mut read, mut rest) = (vec![], body.into_data_stream());
        while read.len() <= MAX_BODY
            && let Some(piece) = rest.next().await
        {
            let piece: Bytes = piece.map_err(|_| Refused::Broken)?;
            read.extend_from_slice(&piece);
        }
        Ok(Self { read, rest })
    }

    /// The request; what remains is its log.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(super) fn request(mut self) -> Result<(Request, Self), RequestError> {
        let (request, end) = Request::parse_before_log(&self.read)?;
        self.read.drain(..end);
        Ok((request, self))
    }

    /// Reads the log.
    pub(super) async fn log(self) -> Sent {
        let late = Sent::Broken("it was not sent in time");
        timeout(PATIENCE, self.read_log()).await.unwrap_or(late)
    }

    async fn read_log(self) -> Sent {
        let Self { mut read, mut rest } = self;
        while let Some(piece) = rest.next().await {
            let Ok(piece) = piece else { return Sent::Broken("it was not sent completely") };
            read.extend_from_slice(&piece);
            if read.len() > MAX_EVENT_LOG {
                break;
            }
        }
        if read.len() > MAX_EVENT_LOG {
            return Sent::Broken("it is too long");
        }
        if read.trim_ascii().is_empty() { Sent::Nothing } else { Sent::Log(read) }
    }
}
