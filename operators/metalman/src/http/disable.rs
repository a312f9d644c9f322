//! The endpoint at which an installer reports that it is done.

use super::{Requester, unavailable};
use crate::{
    Context,
    confirm::Confirmed,
    operations::{CallbackError, installer_is_done},
};
use axum::{
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use metal_api::{Machine, MachineInstalledDisk};
use metal_machine::{
    installed_disk,
    operations::{installs, may_end},
    provisioning::access::{TokenOf, token_of},
};
use metal_runtime::report::Chain;
use std::sync::Arc;

/// Response to an installer whose installation this replica may not know of yet.
pub(super) const BEHIND: &str = "it is not known whether this installation is pending";

/// Response to a client that claims to be an installer while the old system is running.
pub(super) const STILL_READY: &str = "the Node of this machine is still ready";

/// Response to a report that breaks off: the disk that it tells is one that must not be forgotten.
const CUT: &str = "the report could not be read to its end";

/// Ends the pending installation, if the token belongs to it. It is not an error to report that
/// again afterwards. An installer takes success and refusal as final, so it gets either only by what
/// the API server has at this moment.
pub(super) async fn disable(
    State(ctx): State<Arc<Context>>,
    requester: Requester,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Confirmed { machine, is_live } = match requester.confirmed(&ctx).await {
        Ok(confirmed) => confirmed,
        Err(refused) => return *refused,
    };
    let Some(token) = requester.token.as_deref() else {
        // An installed system may report this at each boot.
        return if installs(&machine, ctx.now()).is_none() {
            StatusCode::OK.into_response()
        } else {
            stale()
        };
    };
    if !is_live {
        return unavailable(BEHIND);
    }
    let Some(key) = ctx.key.get() else { return unavailable("not ready yet") };
    match token_of(&key, &machine, token, ctx.now()) {
        TokenOf::Due(_) if !may_end(&machine, node(&ctx, &machine).as_deref()) => {
            unavailable(STILL_READY)
        }
        TokenOf::Due(repave) => match body {
            // Its installer has got no answer, and tells it again.
            Err(cut) if cut.status() != StatusCode::PAYLOAD_TOO_LARGE => unavailable(CUT),
            // Not every installer says something, and what it says may mean nothing here.
            body => {
                let disk = body.ok().and_then(|body| installed_disk::told(&body));
                end(&ctx, machine, repave, disk).await
            }
        },
        TokenOf::Done => StatusCode::OK.into_response(),
        TokenOf::Awaited => unavailable(BEHIND),
        TokenOf::None => stale(),
    }
}

async fn end(
    ctx: &Context,
    machine: Arc<Machine>,
    repave: i64,
    disk: Option<MachineInstalledDisk>,
) -> Response {
    let name = machine.name_any();
    match installer_is_done(ctx, machine, Some(repave), disk).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(CallbackError::Stale) => stale(),
        Err(error) => {
            tracing::warn!(
                machine = name,
                error = %Chain(&error),
                "could not record the installation",
            );
            unavailable("the status could not be written")
        }
    }
}

/// The Node of that name.
pub(super) fn node(ctx: &Context, machine: &Machine) -> Option<Arc<Node>> {
    ctx.view.nodes.named(None, &machine.name_any())
}

pub(super) fn stale() -> Response {
    let stale = "this installer does not belong to the pending installation\n";
    (StatusCode::FORBIDDEN, stale).into_response()
}
