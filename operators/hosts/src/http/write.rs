//! Writes to tokens and Hosts that somebody who asks brings about, and what is read for an answer that
//! must not be an old one.

use super::Failure;
use crate::{allowance, context::Context, fresh_tokens::Found, view::trim};
use kube::{Resource, ResourceExt, core::response::reason, runtime::events::EventType};
use metal_api::{BootToken, BootTokenStatus, Host, HostStatus};
use metal_base::cut;
use metal_core::boot_token::Refusal;
use metal_runtime::{OkIf, report::Chain};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// The longest reason of the API server for a refusal that is repeated, in bytes: it may repeat what it was sent.
const REFUSAL: usize = 512;
/// How often it is tried again because somebody else has written meanwhile.
pub(super) const TRIES: usize = 8;

/// Records the status of a token on the condition that nobody has written it since; returns the
/// token as it is then, with whether this was recorded.
pub(super) async fn record(
    ctx: &Context,
    token: &Arc<BootToken>,
    status: &BootTokenStatus,
) -> Result<(Arc<BootToken>, bool), Failure> {
    let namespace = token.namespace().unwrap_or_default();
    let written = ctx.tokens(&namespace).record_status(token, status).await;
    ctx.live.forget(token);
    match written.ok_if_not_found() {
        Ok(None) => Err(Refusal::Unknown.into()),
        Ok(Some(_)) => {
            let new = ctx.view.tokens.named(Some(&namespace), &token.name_any());
            let new = new.filter(|new| new.metadata.uid == token.metadata.uid);
            match new {
                Some(new) if new.status.as_ref() == Some(status) => Ok((new, true)),
                Some(_) | None => Ok((again(ctx, token).await?, true)),
            }
        }
        Err(kube::Error::Api(answer)) if answer.is_conflict() => {
            Ok((again(ctx, token).await?, false))
        }
        Err(error) => Err(not_taken(ctx, &**token, error)),
    }
}

/// A write that failed. Where the API server has understood it and does not take it, as by a policy, or because the
/// object is too large, the next attempt fails in the same way: whoever can mend that is told.
fn not_taken<K: Resource<DynamicType = ()>>(
    ctx: &Context,
    object: &K,
    error: kube::Error,
) -> Failure {
    if let kube::Error::Api(answer) = &error
        && matches!(answer.code, 400 | 403 | 413 | 422)
    {
        let why = cut(&answer.message, REFUSAL);
        let note = format!("the API server does not take its status: {why}");
        ctx.notices.publish_event(object, EventType::Warning, "NotRecorded", note);
    }
    Failure::Api(Box::new(error))
}

/// The token as the API server has it.
pub(super) async fn again(ctx: &Context, token: &BootToken) -> Result<Arc<BootToken>, Failure> {
    let namespace = token.namespace().unwrap_or_default();
    let read = ctx.tokens(&namespace).api().get(&token.name_any()).await;
    let read = read.ok_if_not_found().map_err(|error| Failure::Api(Box::new(error)))?;
    let same = read.filter(|read| read.metadata.uid == token.metadata.uid);
    same.map(Arc::new).ok_or_else(|| Refusal::Unknown.into())
}

/// A token and the Host of its name, as the API server has them now: another replica may have
/// revoked or replaced what this one still believes in. While it gives no answer at all, what is
/// known counts, so that an installation goes on.
pub(super) async fn live(
    ctx: &Context,
    token: &Arc<BootToken>,
) -> Result<(Arc<BootToken>, Option<Arc<Host>>), Failure> {
    match ctx.live.look(token, Box::pin(read(ctx, token))).await {
        Found::There(read, host) => Ok((read.ok_or(Refusal::Unknown)?, host)),
        Found::Silence => Ok((Arc::clone(token), known_host(ctx, token)?)),
        Found::Failed => Err(Failure::Unavailable("the cluster does not answer")),
    }
}

/// The Host of the name of a token, as far as it is known.
///
/// # Errors
///
/// If there is one that is not kept.
pub(super) fn known_host(
    ctx: &Context,
    token: &Arc<BootToken>,
) -> Result<Option<Arc<Host>>, Failure> {
    let refused = |refusal| Failure::Refused(refusal, Some(Arc::clone(token)));
    ctx.host_of(token).map_err(refused)
}

/// What is decided about a token and the Host of its name as far as they are known. Nobody is refused for a Host that
/// only a replica that is behind still knows.
///
/// # Errors
///
/// If it is refused, or the API server does not say whether there is that Host.
pub(super) async fn judged<T>(
    ctx: &Context,
    token: Arc<BootToken>,
    judge: impl Fn(&BootToken, Option<&Host>) -> Result<T, Refusal>,
) -> Result<(Arc<BootToken>, T), Failure> {
    let host = known_host(ctx, &token)?;
    let (token, judgement) = match judge(&token, host.as_deref()) {
        Err(Refusal::HostNameTaken(_)) => {
            let (token, host) = live(ctx, &token).await?;
            let judgement = judge(&token, host.as_deref());
            (token, judgement)
        }
        judgement => (token, judgement),
    };
    match judgement {
        Ok(it) => Ok((token, it)),
        Err(refusal) => Err(Failure::Refused(refusal, Some(token))),
    }
}

/// The token as the API server has it, for somebody who knows of a later boot than this replica does.
///
/// # Errors
///
/// If nobody can say.
pub(super) async fn caught_up(
    ctx: &Context,
    token: &Arc<BootToken>,
) -> Result<Arc<BootToken>, Failure> {
    asked(ctx, token).await.map(|(token, _)| token)
}

/// A token and the Host of its name, as the API server has them.
///
/// # Errors
///
/// If nobody can say.
pub(super) async fn asked(
    ctx: &Context,
    token: &Arc<BootToken>,
) -> Result<(Arc<BootToken>, Option<Arc<Host>>), Failure> {
    match ctx.live.look(token, Box::pin(read(ctx, token))).await {
        Found::There(read, host) => Ok((read.ok_or(Refusal::Unknown)?, host)),
        Found::Silence | Found::Failed => Err(Failure::Unavailable("the cluster does not answer")),
    }
}

/// How long somebody waits for the API server before what is known counts.
const PATIENCE: Duration = Duration::from_secs(2);

/// A look is kept for a while, and so is only what is used of it.
fn trimmed<K: Resource>(mut object: K) -> Arc<K> {
    trim(&mut object);
    Arc::new(object)
}

/// Looks at a token, and at the Host of its name.
async fn read(ctx: &Context, token: &BootToken) -> Found {
    let namespace = token.namespace().unwrap_or_default();
    let (tokens, hosts) = (ctx.tokens(&namespace), ctx.hosts(&namespace));
    let (name, host) = (token.name_any(), &token.spec.host_name);
    let read = async {
        let token = async { tokens.api().get(&name).await.ok_if_not_found() };
        let host = async { hosts.api().get(host).await.ok_if_not_found() };
        tokio::try_join!(token, host)
    };
    match timeout(PATIENCE, read).await {
        Ok(Ok((read, host))) => {
            let same = read.filter(|read| read.metadata.uid == token.metadata.uid);
            Found::There(same.map(trimmed), host.map(trimmed))
        }
        Err(_) => Found::Silence,
        Ok(Err(error)) if is_unanswered(&error) => Found::Silence,
        Ok(Err(error)) => {
            if ctx.told.may() {
                tracing::warn!(token = %format!("{namespace}/{name}"), error = %Chain(&error), "not read");
            }
            Found::Failed
        }
    }
}

/// Whether the API server has given no answer at all: nobody is there, or a proxy in its place says so (RFC 9110,
/// sections 15.6.3 to 15.6.5). What the API server itself says has a reason of its own.
fn is_unanswered(error: &kube::Error) -> bool {
    match error {
        kube::Error::Service(_) | kube::Error::HyperError(_) => true,
        kube::Error::Api(answer) => {
            matches!(answer.code, 502..=504) && !reason::is_known(&answer.reason)
        }
        _ => false,
    }
}

/// Whoever reports for a Host that was deleted is told that it is none, and not to try again.
fn gone() -> Failure {
    Failure::Unproven("its Host is gone")
}

/// Writes what `next` makes of a Host as it is, unless that is nothing.
pub(super) async fn record_host(
    ctx: &Context,
    host: &Arc<Host>,
    next: impl Fn(&Host) -> Option<HostStatus>,
) -> Result<(), Failure> {
    let namespace = host.namespace().unwrap_or_default();
    let (mut host, mut is_allowed) = (Arc::clone(host), false);
    for _ in 0..TRIES {
        let Some(status) = next(&host) else { return Ok(()) };
        is_allowed = is_allowed || ctx.allowances.may(&*host, allowance::STATUS);
        if !is_allowed {
            return Err(Failure::Unavailable("it reports too often"));
        }
        match ctx.hosts(&namespace).record_status(&host, &status).await.ok_if_not_found() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => return Err(gone()),
            Err(kube::Error::Api(answer)) if answer.is_conflict() => {
                let read = ctx.hosts(&namespace).api().get(&host.name_any()).await;
                let read = read.ok_if_not_found().map_err(|error| Failure::Api(Box::new(error)))?;
                let same = read.filter(|read| read.metadata.uid == host.metadata.uid);
                host = Arc::new(same.ok_or_else(gone)?);
            }
            Err(error) => return Err(not_taken(ctx, &*host, error)),
        }
    }
    Err(Failure::Unavailable("others write the Host all the time"))
}
