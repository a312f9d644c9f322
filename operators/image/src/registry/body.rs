//! Bodies of responses, as they arrive or as a whole.

use super::Error;
use crate::reference::Registry;
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use reqwest::Response;

/// A body that broke off.
pub(super) struct Broken(reqwest::Error);

impl Broken {
    pub(super) fn of(self, registry: &Registry) -> Error {
        Error::unreachable(registry, self.0)
    }
}

pub(super) fn incoming(response: Response) -> impl Stream<Item = Result<Bytes, Broken>> {
    response.bytes_stream().map_err(Broken)
}

/// The whole body, or nothing if it is longer than `limit`.
pub(super) async fn read(response: Response, limit: usize) -> Result<Option<Bytes>, Broken> {
    let mut body = BytesMut::new();
    let mut pieces = std::pin::pin!(incoming(response));
    while let Some(piece) = pieces.try_next().await? {
        if body.len() + piece.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body.freeze()))
}
