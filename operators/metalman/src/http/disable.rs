//! The endpoint at which an installer reports that it is done.

use super::{Requester, unavailable};
use crate::{
    Context,
    operations::{CallbackError, installer_is_done},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kube::ResourceExt;
use metal_core::machine::{netboot::access::is_token, operations::installs};
use metal_runtime::report::Chain;
use std::sync::Arc;

/// Ends the pending installation, if the token belongs to it. It is not an error to report that
/// again afterwards.
pub(super) async fn disable(State(ctx): State<Arc<Context>>, requester: Requester) -> Response {
    let machine = match requester.machine(&ctx) {
        Ok(machine) => machine,
        Err(refused) => return *refused,
    };
    let Some(repave) = installs(&machine) else { return StatusCode::OK.into_response() };
    let Some(key) = ctx.key.get() else { return unavailable("not ready yet") };
    if !requester.token.as_deref().is_some_and(|token| is_token(&key, &machine, repave, token)) {
        return stale();
    }
    let name = machine.name_any();
    match installer_is_done(&ctx, machine, Some(repave)).await {
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

pub(super) fn stale() -> Response {
    let stale = "this installer does not belong to the pending installation\n";
    (StatusCode::FORBIDDEN, stale).into_response()
}
