//! The address from which a request comes, through trusted proxies as well.

use crate::context::Context;
use axum::{extract::FromRequestParts, http::request::Parts};
use metal_runtime::listener::{Peer, client};
use std::{convert::Infallible, fmt, net::IpAddr, sync::Arc};

/// The address from which somebody asks; through a proxy, that of who asks the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress {
    /// Unknown if a trusted proxy names none.
    pub(crate) address: Option<IpAddr>,
}

impl FromRequestParts<Arc<Context>> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, ctx: &Arc<Context>) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>().map(|Peer(address)| *address);
        Ok(Self { address: client(peer, &parts.headers, &ctx.trusted_proxies) })
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("an unknown address"),
        }
    }
}
