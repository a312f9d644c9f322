//! The client of a request: the Machine with the address of the peer, or with the address that a trusted proxy
//! names, and the token in the path.

use crate::{
    Context,
    confirm::{Confirmed, confirm},
};
use axum::{
    Extension, RequestPartsExt,
    extract::{FromRequestParts, RawPathParams},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use metal_api::Machine;
use metal_machine::attest::MachineLookupError;
use metal_runtime::{
    LogLimit,
    listener::{self, Local, Peer},
};
use std::{
    borrow::Cow,
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The token of an installation in a path.
const TOKEN: &str = "token";

/// The client of a request.
#[derive(Clone, Debug)]
pub(super) struct Requester {
    pub(super) address: Option<IpAddr>,
    /// Our address that it has connected to, unless a proxy has.
    here: Option<Ipv4Addr>,
    pub(super) token: Option<String>,
    told: Option<Arc<LogLimit>>,
}

impl FromRequestParts<Arc<Context>> for Requester {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, ctx: &Arc<Context>) -> Result<Self, Infallible> {
        let peer = parts.extract::<Extension<Peer>>().await.ok();
        let peer = peer.map(|Extension(Peer(peer))| peer);
        let here = parts.extensions.get::<Local>().and_then(|Local(here)| {
            match here.ip().to_canonical() {
                IpAddr::V4(here) => Some(here),
                IpAddr::V6(_) => None,
            }
        });
        let told = parts.extract::<Extension<Arc<LogLimit>>>().await.ok();
        let params = parts.extract::<RawPathParams>().await.ok();
        let mut params = params.iter().flatten();
        let token = params.find(|(name, _)| *name == TOKEN).map(|(_, token)| token.to_owned());
        let address = listener::client(peer, &parts.headers, &ctx.trusted_proxies);
        Ok(Self {
            here: here.filter(|_| peer.map(|peer| peer.ip().to_canonical()) == address),
            address,
            token,
            told: told.map(|Extension(told)| told),
        })
    }
}

impl Requester {
    /// The Machine of the client.
    ///
    /// # Errors
    ///
    /// The response if it is not known.
    pub(super) fn machine(&self, ctx: &Context) -> Result<Arc<Machine>, Box<Response>> {
        if !ctx.view.is_ready() {
            return Err(Box::new(super::unavailable("not ready yet")));
        }
        let found = self.address.ok_or(MachineLookupError::Unknown);
        found.and_then(|address| ctx.view.machine_at(address)).map_err(|error| {
            let status = match error {
                MachineLookupError::Unknown => StatusCode::NOT_FOUND,
                MachineLookupError::Ambiguous => StatusCode::CONFLICT,
            };
            Box::new((status, format!("{error}\n")).into_response())
        })
    }

    /// The Machine of the client, as far as the API server has to confirm it.
    ///
    /// # Errors
    ///
    /// The response if it is not known, or not confirmed.
    pub(super) async fn confirmed(&self, ctx: &Context) -> Result<Confirmed, Box<Response>> {
        let machine = self.machine(ctx)?;
        let confirmed = confirm(ctx, &machine, self.token.is_some()).await;
        confirmed.map_err(|behind| Box::new(super::unavailable(&behind.to_string())))
    }

    /// Where the machine reaches us, if that is known.
    pub(super) fn url(&self, ctx: &Context) -> Option<String> {
        ctx.serve_url.towards(self.here).map(Cow::into_owned)
    }

    /// Whether something about it may be logged.
    pub(super) fn may_tell(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.may())
    }
}
