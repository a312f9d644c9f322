//! The body of a request: a JSON document, which may be followed by an event log. The log may be sixteen times
//! as long as the document, so it is read only after the TPM of its machine has proved itself.

use super::Refused;
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use metal_attest::{MAX_BODY, MAX_EVENT_LOG, Request, RequestError};
use std::time::Duration;
use tokio::time::timeout;

/// Largest body.
pub(crate) const LARGEST: u64 = (MAX_BODY + MAX_EVENT_LOG) as u64;
/// Time limit for a log, because the client takes one of few places in the meantime.
const PATIENCE: Duration = Duration::from_secs(5);

/// A body whose beginning was read.
pub(super) struct Received {
    read: Vec<u8>,
    rest: BodyDataStream,
}

/// The event log of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// There was none.
    Nothing,
    /// It could not be received, for this reason.
    Broken(&'static str),
    /// Its bytes.
    Log(Vec<u8>),
}

impl Received {
    /// Reads as much of a body as a document may have.
    ///
    /// # Errors
    ///
    /// If the client breaks off.
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
    /// If the document is invalid.
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
