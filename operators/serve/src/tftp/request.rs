//! A request that has not been looked at yet.

use std::net::{IpAddr, SocketAddr};

/// A received request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) client: SocketAddr,
    /// Our address that it was sent to.
    pub(super) here: IpAddr,
    pub(super) bytes: &'a [u8],
}
