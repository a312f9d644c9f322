//! Controller of [`Server`]: `look` reads, [`metal_core::server`] decides, `change` writes.

mod change;
mod look;
mod prepare;
#[cfg(test)]
pub(crate) mod tests;
mod unreadable;

use crate::{
    Context, Error,
    bmc_users::BmcUser,
    error::STEP_FAILED,
    failure,
    memory::{Machine, Memory, Now},
    step_in_progress::StepInProgress,
    view::{ClaimKey, ServerKey},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use look::Lookups;
use metal_api::{
    Server, ServerBootConfiguration, ServerClaim, ServerClaimSpec, ServerState, ServerStatus,
    condition,
};
use metal_bmc::{Bmc as _, Connect, Error as BmcError};
use metal_core::{
    bmc::{Destination, note_of_server, unstored_of_server},
    claim::misses,
    failure::Failure,
    redfish::Step,
    server::{Change, Decision, Need, Observation, decide_in_any_case},
};
use metal_runtime::{Written, controller::Controller, index::Index, report, work::Next};
use std::{sync::Arc, time::Duration};

/// The controller.
pub(crate) struct Servers<C>(pub Arc<Context<C>>);

impl<C: Connect> Controller for Servers<C> {
    type Object = Server;
    type Key = String;
    type IndexKey = ServerKey;
    type Facts = Lookups;
    type Status = ServerStatus;
    type Change = Change;
    type Need = Need;
    type Step = Step;
    type Error = Error;

    /// With a slow BMC, a pass may read the system twice, slots and parts, and then execute a step.
    const DEADLINE: Duration = Duration::from_mins(20);

    fn index(&self) -> &Index<Server, ServerKey> {
        &self.0.view.servers
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    fn ignores(&self, _: &Server) -> bool {
        false
    }

    async fn gone(&self, name: &String) -> Result<Next, Error> {
        self.0.memories.forget(name);
        self.0.leave(&BmcUser::Server(name.clone())).await;
        if self.index().is_withdrawn(None, name) {
            return unreadable::release(&self.0, name).await;
        }
        Ok(Next::Wait)
    }

    async fn observe(&self, _: &Arc<Server>) -> Result<Lookups, Error> {
        Ok(Lookups::default())
    }

    fn decide(
        &self,
        server: &Arc<Server>,
        lookups: &Lookups,
        failed: Option<&report::Failure>,
    ) -> Decision {
        judge(&self.0, server, failure(failed).as_ref(), lookups)
    }

    async fn look(
        &self,
        server: &Server,
        need: Need,
        lookups: &mut Lookups,
    ) -> Result<Option<Next>, Error> {
        look::look(&self.0, server, need, lookups).await?;
        Ok(None)
    }

    async fn record(&self, server: &Server, status: &ServerStatus) -> Result<Next, Error> {
        Ok(record(&self.0, server, status).await?.into())
    }

    async fn change(&self, server: &Server, change: Change) -> Result<Next, Error> {
        Ok(change::carry_out(&self.0, server, &change).await?.into())
    }

    async fn act(&self, server: &Server, step: Step) -> Result<(), Error> {
        act(&self.0, server, step).await
    }
}

/// Observes and decides.
fn judge<C: Connect>(
    ctx: &Context<C>,
    server: &Server,
    failure: Option<&Failure>,
    lookups: &Lookups,
) -> Decision {
    let name = server.name_any();
    // That of a step is remembered with the step.
    let failure = failure.filter(|failure| failure.reason != STEP_FAILED);
    let destination = ctx.destination_of(server);
    let at = destination.as_ref().ok();
    let memory = remembered(ctx, server, at);
    let medium = ctx.media.as_ref().and_then(|media| media.medium(server));
    let bmc = at.map(|at| (at.host.clone(), at.port));
    let (report, interfaces) = look::report_of(ctx, &name, lookups);
    let held = look::claim_of(ctx, server, &lookups.claim);
    let certificate = at.and_then(|at| ctx.shown_by(server, at));
    let secret = ctx.secret_of_server(server);
    let note = at.and_then(|at| note_of_server(server, secret.as_deref(), at));
    let unstored = at.and_then(|at| unstored_of_server(server, secret.as_deref(), at));
    let now = Now::read();
    let last_step = memory.last_step(now);
    decide_in_any_case(
        &Observation {
            server,
            access: destination.as_ref().map(drop).map_err(|missing| missing.message.as_str()),
            certificate: certificate.as_deref(),
            note: note.as_ref(),
            unstored: unstored.as_deref(),
            system: at.and_then(|at| memory.reading_of(at)),
            media: at.and_then(|at| memory.media_of(at)),
            medium: medium.as_ref(),
            inventory: memory.inventory(now.wall),
            twins: &ctx.view.twins(server, bmc.clone()),
            machines: &ctx.view.machines_of(server, bmc),
            configuration: configuration_of(ctx, server).as_deref(),
            claim: held.seen(),
            missed_by: missed_by(ctx, server).as_deref(),
            report: report.as_deref(),
            interfaces,
            was_off: memory.was_off,
            off_for: memory.off_for(now),
            last_step: last_step.as_ref(),
            recorded: memory.recorded,
            failure,
            started: ctx.memories.since(now),
            now: now.wall,
        },
        &ctx.settings,
    )
}

/// What is remembered of a server whose BMC is at this address.
fn remembered<C>(ctx: &Context<C>, server: &Server, at: Option<&Destination>) -> Arc<Memory> {
    let name = server.name_any();
    if let Some(at) = at {
        ctx.memories.keep_to(&name, &Machine::of(server, at));
        ctx.memories.edit(&name, |memory| memory.recall_power(server));
        if let Some(uri) = server.spec.known_system_uri() {
            ctx.memories.adopt(&name, at, uri, Now::read());
        }
    }
    ctx.memories.of(&name)
}

/// The boot configuration that a server refers to.
fn configuration_of<C>(ctx: &Context<C>, server: &Server) -> Option<Arc<ServerBootConfiguration>> {
    let reference = server.spec.boot_configuration_ref.as_ref()?;
    ctx.view.configurations.named(Some(&reference.namespace), &reference.name)
}

/// The claim that has a server which no longer refers to it.
fn missed_by<C>(ctx: &Context<C>, server: &Server) -> Option<Arc<ServerClaim>> {
    if server.spec.server_claim_ref.is_some() {
        return None;
    }
    let named = ctx.view.claims.get(&ClaimKey::Server(server.name_any()));
    named.into_iter().find(|claim| misses(claim, server)).or_else(|| unread_claim(ctx, server))
}

/// The claim that was last seen to hold a server, if it is there and cannot be read, or is not kept:
/// it may have the server still. A claim of its name that was made since does not.
fn unread_claim<C>(ctx: &Context<C>, server: &Server) -> Option<Arc<ServerClaim>> {
    let bound = server.status.as_ref()?.bound_claim.as_ref()?;
    let uid = Some(bound.uid.as_str()).filter(|uid| !uid.is_empty());
    if !ctx.view.claims.is_withdrawn_as(Some(&bound.namespace), &bound.name, uid) {
        return None;
    }
    let mut claim = ServerClaim::new(&bound.name, ServerClaimSpec::default());
    claim.metadata.namespace = Some(bound.namespace.clone());
    Some(Arc::new(claim))
}

async fn record<C>(
    ctx: &Context<C>,
    server: &Server,
    status: &ServerStatus,
) -> Result<Written, Error> {
    let recorded = ctx.writer(&ctx.view.servers).record_status(server, status).await;
    let recorded = recorded.map_err(Error::Record)?;
    ctx.memories.edit(&server.name_any(), |memory| {
        memory.recorded = Some(Timestamp::now());
        if status.state != Some(ServerState::Initial) {
            memory.forget_inventory();
        }
        if !has_medium(status) {
            memory.forget_media();
        }
    });
    announce(ctx, server, status).await;
    Ok(recorded)
}

/// Whether a medium is in a slot, or is to be.
fn has_medium(status: &ServerStatus) -> bool {
    let mut inserted = status.conditions.iter().filter(|c| c.type_ == condition::MEDIUM_INSERTED);
    inserted.any(|c| c.status == "True")
}

/// Reports the state in a status that was recorded, if it is a new one: always in the log, and as an
/// event if a person has to act, or has requested the change. During a rollout the states themselves
/// show the progress.
async fn announce<C>(ctx: &Context<C>, server: &Server, status: &ServerStatus) {
    let old = server.status.as_ref().and_then(|status| status.state.as_ref());
    let Some(new) = status.state.as_ref().filter(|new| Some(*new) != old) else { return };
    let from = old.map_or("nothing", ServerState::as_str);
    tracing::info!(server = server.name_any(), %from, to = %new, "state entered");
    match new {
        ServerState::Initial | ServerState::Discovery | ServerState::Available => {}
        ServerState::Error => {
            let why = status.conditions.iter().find(|c| c.type_ == condition::READY);
            let why = why.map(|c| c.message.clone()).unwrap_or_default();
            ctx.announce(server, EventType::Warning, new.as_str(), why).await;
        }
        _ => {
            let note = format!("{from} -> {new}");
            ctx.announce(server, EventType::Normal, new.as_str(), note).await;
        }
    }
}

/// Carries out one step on the machine.
async fn act<C: Connect>(ctx: &Context<C>, server: &Server, step: Step) -> Result<(), Error> {
    let name = server.name_any();
    let Ok(destination) = ctx.destination_of(server) else { return Ok(()) };
    let memory = ctx.memories.of(&name);
    let uri = memory.reading.as_ref().and_then(|(_, reading)| reading.result.as_ref().ok());
    let Some(uri) = uri.map(|system| system.uri.clone()) else { return Ok(()) };
    let bmc = ctx.connect(server, &destination).permitted(ctx.permit());
    let pending = server.status.as_ref().and_then(|status| status.pending.as_ref());
    let since = pending.map(|pending| pending.since.0);
    let in_progress = StepInProgress::new(&ctx.memories, &name, step.clone(), since);
    let done = bmc.perform(&uri, &step).await;
    if let Err(error @ BmcError::Withdrawn(_)) = done {
        // Nothing was done, so read the facts again and decide again.
        in_progress.withdrawn();
        return Err(Error::Withdrawn(error));
    }
    // A failed step may have had its effect, too: read back before anything else.
    tracing::info!(server = name, ?step, ok = done.is_ok(), "executed a step on the machine");
    in_progress.ended(done.as_ref().map_err(|error| report::Chain(error).to_string()).copied());
    Ok(done?)
}
