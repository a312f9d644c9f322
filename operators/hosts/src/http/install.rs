//! What a boot installs with.

use super::{
    ClientAddress, Failure, settle_boot,
    write::{TRIES, caught_up, judged, live, record},
};
use crate::{allowance, context::Context, view::TokenKey};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{BootStep, BootToken, Host};
use metal_core::{
    boot_token::{
        Refusal,
        fetch::may_install,
        installer::writes_disk_image,
        kept_until,
        kickstart::{DEFAULT_NAME, Urls, render},
        only, progress, tpm,
    },
    capability::{Claims, Purpose, issue, verify},
};
use metal_runtime::report::Chain;
use serde::{Serialize, de::DeserializeOwned};
use std::{ops::Not, sync::Arc};

/// The token of a capability, and the number of its boot, whether that is over or not.
pub(super) async fn claimed(
    ctx: &Context,
    text: &str,
    purpose: Purpose,
) -> Result<(Arc<BootToken>, i64), Failure> {
    let key = ctx.key.get().filter(|_| ctx.view.is_ready());
    let key = key.ok_or(Failure::Unavailable("not ready yet"))?;
    let claims = verify(&[key], text, purpose, ctx.now());
    let claims = claims.map_err(|_| Failure::Unproven("no capability of ours"))?;
    let found = ctx.view.tokens.get(&TokenKey::Uid(claims.server));
    let token = only(&found).cloned()?;
    let attempt = claims.boot.parse().map_err(|_| Failure::Unproven("no boot"))?;
    let recorded = token.status.as_ref().and_then(|status| status.attempts).unwrap_or_default();
    if attempt > recorded {
        // Another replica has given out this number after it had recorded it; or it is of a boot that is
        // about to begin.
        return Ok((caught_up(ctx, &token).await?, attempt));
    }
    Ok((token, attempt))
}

/// The token of the boot in progress that has this capability, as far as is known.
pub(super) async fn current(ctx: &Context, cap: &str) -> Result<(Arc<BootToken>, i64), Failure> {
    let (token, attempt) = claimed(ctx, cap, Purpose::Install).await?;
    let (token, ()) =
        judged(ctx, token, |token, host| may_install(token, host, attempt, ctx.now())).await?;
    Ok((token, attempt))
}

/// The same, for what a disk may be cleared by: the API server has to agree.
pub(super) async fn confirmed(ctx: &Context, cap: &str) -> Result<(Arc<BootToken>, i64), Failure> {
    let (token, attempt) = current(ctx, cap).await?;
    let (token, host) = live(ctx, &token).await?;
    Ok((installs(ctx, token, host.as_deref(), attempt)?, attempt))
}

fn installs(
    ctx: &Context,
    token: Arc<BootToken>,
    host: Option<&Host>,
    attempt: i64,
) -> Result<Arc<BootToken>, Failure> {
    match may_install(&token, host, attempt, ctx.now()) {
        Ok(()) => Ok(token),
        Err(refusal) => Err(Failure::Refused(refusal, Some(token))),
    }
}

/// What the installer is to do.
pub(super) async fn kickstart(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
) -> Response {
    let answer = rendered(&ctx, &cap).await;
    settle_boot(&ctx, &asker, "kickstart", answer)
}

async fn rendered(ctx: &Context, cap: &str) -> Result<Response, Failure> {
    let (token, _) = confirmed(ctx, cap).await?;
    if writes_disk_image(&token, ctx.installer.as_ref()) {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let name = token.spec.template.as_deref().unwrap_or(DEFAULT_NAME);
    let unusable = |why: String| Failure::Unusable(why, Some(Arc::clone(&token)));
    let template = ctx.templates.read(name).await;
    let template = template.map_err(|error| unusable(Chain(&error).to_string()))?;
    let base = format!("{}/c/{cap}", ctx.service_url);
    let urls = Urls { base: &base, server: &ctx.service_url };
    let text = render(name, &template, &token, urls);
    let text = text.map_err(|error| unusable(error.to_string()))?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// What the installed system registers with.
#[derive(Debug, Serialize)]
struct Installed {
    server: String,
    namespace: String,
    host: String,
    credential: String,
    /// It has to prove its TPM before.
    #[serde(skip_serializing_if = "Not::not")]
    tpm: bool,
}

/// Gives the installer what the installed system registers with.
pub(super) async fn credential(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
) -> Response {
    let answer = issued(&ctx, &cap).await.map(|it| Json(it).into_response());
    settle_boot(&ctx, &asker, "credential", answer)
}

async fn issued(ctx: &Context, cap: &str) -> Result<Installed, Failure> {
    let (token, attempt) = confirmed(ctx, cap).await?;
    let key = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
    let claims = Claims {
        purpose: Purpose::HostRegistration,
        server: token.uid().unwrap_or_default(),
        boot: attempt.to_string(),
        expires: kept_until(&token).ok_or(Refusal::Expired)?,
    };
    let credential = issue(&key, &claims);
    let credential = credential.map_err(|error| Failure::Unusable(error.to_string(), None))?;
    Ok(Installed {
        server: ctx.service_url.clone(),
        namespace: token.namespace().unwrap_or_default(),
        host: token.spec.host_name.clone(),
        credential: credential.as_str().to_owned(),
        tpm: tpm::bound(&token).is_some(),
    })
}

/// Takes a report of the installer.
pub(super) async fn progress(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
    body: Bytes,
) -> Response {
    let answer = reported(&ctx, &cap, || parse(&body)).await;
    settle_boot(&ctx, &asker, "progress", answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}

/// What a body says.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Malformed(format!("body: {error}")))
}

/// Records a report, which is read only for somebody who has a capability.
pub(super) async fn reported(
    ctx: &Context,
    cap: &str,
    report: impl FnOnce() -> Result<progress::InstallReport, Failure>,
) -> Result<(), Failure> {
    let (mut token, attempt) = claimed(ctx, cap, Purpose::Install).await?;
    let report = report()?;
    if report.step == BootStep::Partitioning {
        // A disk is cleared after this, whether it is written or not.
        match confirmed(ctx, cap).await {
            Ok((confirmed, _)) => token = confirmed,
            // One of a crowd: what is written is not taken if somebody has ended the boot.
            Err(Failure::Unavailable(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    for _ in 0..TRIES {
        let next = progress::record(&token, attempt, &report, ctx.now());
        let next = next.map_err(|refusal| Failure::Refused(refusal, Some(Arc::clone(&token))))?;
        let Some(status) = next else { return Ok(()) };
        if !is_allowed(ctx, &token, report.step) {
            let is_last = report.step == BootStep::Done;
            // Only after that one anything else is answered, so it is to be said again.
            let later = Failure::Unavailable("it reports too often");
            return if is_last { Err(later) } else { Ok(()) };
        }
        let (new, is_recorded) = record(ctx, &token, &status).await?;
        if is_recorded {
            publish_event(ctx, &new, &report);
            return Ok(());
        }
        token = new;
    }
    Err(Failure::Unavailable("others write the BootToken all the time"))
}

/// Whether one more report is written. That of the last step is, however many were written before it.
fn is_allowed(ctx: &Context, token: &BootToken, step: BootStep) -> bool {
    let last = token.status.as_ref().and_then(|status| status.progress.as_ref());
    let is_same = last.is_some_and(|last| last.step == step);
    match step {
        BootStep::Done => ctx.allowances.may_in_a_crowd(token, allowance::DONE),
        _ if is_same => ctx.allowances.may(token, allowance::REPORTS),
        _ => ctx.allowances.may(token, allowance::STEPS),
    }
}

fn publish_event(ctx: &Context, token: &BootToken, report: &progress::InstallReport) {
    let status = token.status.as_ref().and_then(|status| status.progress.as_ref());
    let message = status.map(|progress| progress.message.clone()).unwrap_or_default();
    match report.step {
        BootStep::Done => {
            let note = "the installer is done, and restarts the machine".to_owned();
            ctx.notices.publish_event(token, EventType::Normal, "Installed", note);
        }
        BootStep::Failed => {
            ctx.notices.publish_event(token, EventType::Warning, "InstallFailed", message);
        }
        BootStep::Started | BootStep::Partitioning | BootStep::Writing | BootStep::Configuring => {}
    }
}
