//! Bodies of responses, as they arrive or as a whole.

use super::Error;
use crate::reference::Registry;
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use reqwest::{
    Response,
    header::{CONTENT_RANGE, HeaderMap},
};

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

/// The offset of the first byte of a part (RFC 9110, section 14.4), which may be another one than was asked
/// for; `None` if the registry does not say.
pub(super) fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let (unit, range) = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().split_once(' ')?;
    let (first, _) = range.split_once('-')?;
    first.trim().parse().ok().filter(|_| unit.eq_ignore_ascii_case("bytes"))
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
