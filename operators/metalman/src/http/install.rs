//! The progress reports of an installer.

use super::{
    Requester,
    disable::{BEHIND, STILL_READY, node, stale},
    unavailable,
};
use crate::{
    Context,
    confirm::Confirmed,
    status_writes::{Decision, Recorded, record},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{
    Machine, MachineStatus, condition,
    installation::{InstallPhase, InstallProgress},
};
use metal_machine::{
    operations::{installs, is_heard, may_report, reported},
    provisioning::access::{TokenOf, token_of},
};
use metal_runtime::report::Chain;
use std::sync::Arc;

/// The largest report, in bytes.
const LARGEST: usize = 4096;

/// Records how far the installation that is due is, if the token belongs to it. Who tells too often is
/// answered as if it had counted: an installer has nothing better to do with the answer.
pub(super) async fn progress(
    State(ctx): State<Arc<Context>>,
    requester: Requester,
    body: Bytes,
) -> Response {
    let Confirmed { machine, is_live } = match requester.confirmed(&ctx).await {
        Ok(confirmed) => confirmed,
        Err(refused) => return *refused,
    };
    let Some(token) = requester.token.as_deref() else { return stale() };
    let Some(key) = ctx.key.get() else { return unavailable("not ready yet") };
    let repave = match token_of(&key, &machine, token, ctx.now()) {
        TokenOf::Due(repave) => repave,
        TokenOf::Done | TokenOf::None if is_live => return stale(),
        TokenOf::Awaited | TokenOf::Done | TokenOf::None => return unavailable(BEHIND),
    };
    if !may_report(&machine, node(&ctx, &machine).as_deref()) {
        return unavailable(STILL_READY);
    }
    if body.len() > LARGEST {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let Ok(progress) = serde_json::from_slice(&body) else {
        return (StatusCode::BAD_REQUEST, "this is no progress of an installation\n")
            .into_response();
    };
    follow(&ctx, &machine, repave, &progress).await
}

/// Notes that the installer of the installation that is due has begun, if nothing was heard of it before: not
/// every image has one that reports.
pub(crate) async fn has_begun(ctx: &Context, machine: &Arc<Machine>) {
    let Some(repave) = installs(machine, ctx.now()).filter(|_| !is_heard(machine)) else {
        return;
    };
    let phase = InstallPhase::Started;
    let progress = InstallProgress { phase, written: 0, total: None, message: String::new() };
    follow(ctx, machine, repave, &progress).await;
}

async fn follow(
    ctx: &Context,
    machine: &Arc<Machine>,
    repave: i64,
    progress: &InstallProgress,
) -> Response {
    let name = machine.name_any();
    let next = |machine: &Machine| reported(machine, repave, progress, ctx.now());
    if next(machine).is_none() {
        return StatusCode::OK.into_response();
    }
    if !may_record(ctx, &name, progress.phase) {
        tracing::debug!(machine = name, "too many installation reports");
        return StatusCode::OK.into_response();
    }
    let decide = |machine: &Machine| {
        let status = next(machine).map(Box::new);
        Decision { result: status.as_deref().and_then(told), status }
    };
    match record(ctx, Arc::clone(machine), decide).await {
        Ok(Recorded { machine, result: Some(note), is_news: true }) => {
            if let Some(reason) = warning(progress) {
                tracing::warn!(machine = name, reason, error = note, "the installer warns");
                ctx.publish_event(&machine, EventType::Warning, reason, &note).await;
            }
        }
        Ok(_) => {}
        Err(error) => {
            let error = Chain(&error);
            tracing::warn!(machine = name, %error, "progress of an installation not recorded");
            return unavailable("the status could not be written");
        }
    }
    StatusCode::OK.into_response()
}

/// Whether one more report is written. Each phase counts by itself: what an installer says a second after it has
/// gone on may be the last that is heard of it.
fn may_record(ctx: &Context, name: &str, phase: InstallPhase) -> bool {
    if phase == InstallPhase::Failed {
        return ctx.failures.may(name);
    }
    let phase: &str = phase.into();
    ctx.installs.may(&format!("{name} {phase}"))
}

/// The reason of an event, if a person should know about the report.
fn warning(progress: &InstallProgress) -> Option<&'static str> {
    match progress.phase {
        InstallPhase::Failed => Some("InstallFailed"),
        InstallPhase::Done if !progress.message.is_empty() => Some("InstallWarning"),
        _ => None,
    }
}

/// The record of the installation in the status.
fn told(status: &MachineStatus) -> Option<String> {
    let mut conditions = status.conditions.iter();
    conditions.find(|it| it.type_ == condition::REPAVED).map(|it| it.message.clone())
}
