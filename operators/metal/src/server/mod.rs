//! Controller of [`Server`]: `look` reads, [`metal_core::server`] decides, `change` writes.

mod change;
mod look;
mod prepare;
#[cfg(test)]
pub(crate) mod tests;

use crate::{
    Context, Error,
    bmc_users::BmcUser,
    error::STEP_FAILED,
    failure,
    memory::{Machine, Now},
    step_in_progress::StepInProgress,
    view::{ClaimKey, ServerKey},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use look::Asked;
use metal_api::{Server, ServerClaim, ServerState, ServerStatus, condition};
use metal_bmc::{Bmc as _, Connect, Error as BmcError};
use metal_core::{
    bmc::{note_of_server, unstored_of_server},
    claim::misses,
    failure::Failure,
    redfish::Step,
    server::{Change, ClaimSeen, Decision, Need, Observation, decide_in_any_case},
};
use metal_runtime::{Written, controller::Controller, index::Index, report, work::Next};
use std::{sync::Arc, time::Duration};

/// The controller.
pub(crate) struct Servers<C>(pub Arc<Context<C>>);

impl<C: Connect> Controller for Servers<C> {
    type Object = Server;
    type Key = String;
    type IndexKey = ServerKey;
    type Facts = Asked;
    type Status = ServerStatus;
    type Change = Change;
    type Need = Need;
    type Step = Step;
    type Error = Error;

    /// Of a slow BMC a pass may read the system twice, slots and parts, and then execute a step.
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
        Ok(Next::Wait)
    }

    async fn observe(&self, _: &Arc<Server>) -> Result<Asked, Error> {
        Ok(Asked::default())
    }

    fn decide(
        &self,
        server: &Arc<Server>,
        asked: &Asked,
        failed: Option<&report::Failure>,
    ) -> Decision {
        judge(&self.0, server, failure(failed).as_ref(), asked)
    }

    async fn look(
        &self,
        server: &Server,
        need: Need,
        asked: &mut Asked,
    ) -> Result<Option<Next>, Error> {
        look::look(&self.0, server, need, asked).await?;
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
    asked: &Asked,
) -> Decision {
    let name = server.name_any();
    // That of a step is remembered with the step.
    let failure = failure.filter(|failure| failure.reason != STEP_FAILED);
    let destination = ctx.destination_of(server);
    if let Ok(destination) = &destination {
        ctx.memories.keep_to(&name, &Machine::of(server, destination));
        if let Some(uri) = server.spec.known_system_uri() {
            ctx.memories.adopt(&name, destination, uri, Now::read());
        }
    }
    let memory = ctx.memories.of(&name);
    let reading = destination.as_ref().ok().and_then(|it| memory.reading_of(it));
    let media = destination.as_ref().ok().and_then(|it| memory.media_of(it));
    let medium = ctx.media.as_ref().and_then(|media| media.medium(server));
    let view = &ctx.view;
    let bmc = destination.as_ref().ok().map(|it| (it.host.clone(), it.port));
    let twins = view.twins(server, bmc.clone());
    let machines = view.machines_of(server, bmc);
    let configuration = server.spec.boot_configuration_ref.as_ref();
    let configuration =
        configuration.and_then(|it| view.configurations.named(Some(&it.namespace), &it.name));
    let (report, interfaces) = look::report_of(ctx, &name, asked);
    let held = look::claim_of(ctx, server, &asked.claim);
    let certificate = destination.as_ref().ok().and_then(|it| ctx.shown_by(server, it));
    let secret = ctx.secret_of_server(server);
    let note =
        destination.as_ref().ok().and_then(|it| note_of_server(server, secret.as_deref(), it));
    let unstored =
        destination.as_ref().ok().and_then(|it| unstored_of_server(server, secret.as_deref(), it));
    let missed_by = missed_by(ctx, server);
    let now = Now::read();
    let last_step = memory.last_step(now);
    let observation = Observation {
        server,
        access: destination.as_ref().map(drop).map_err(|missing| missing.message.as_str()),
        certificate: certificate.as_deref(),
        note: note.as_ref(),
        unstored: unstored.as_deref(),
        system: reading,
        media,
        medium: medium.as_ref(),
        inventory: memory.inventory(now.wall),
        twins: &twins,
        machines: &machines,
        configuration: configuration.as_deref(),
        claim: match &held {
            look::HoldingClaim::Unclaimed => ClaimSeen::Unclaimed,
            look::HoldingClaim::By(claim) => ClaimSeen::Holds(claim),
            look::HoldingClaim::NotCached => ClaimSeen::NotCached,
            look::HoldingClaim::Gone => ClaimSeen::Gone,
        },
        missed_by: missed_by.as_deref(),
        report: report.as_deref(),
        interfaces,
        was_off: memory.was_off,
        last_step: last_step.as_ref(),
        recorded: memory.recorded,
        failure,
        started: ctx.memories.since(now),
        now: now.wall,
    };
    decide_in_any_case(&observation, &ctx.settings)
}

/// The claim that has a server which no longer refers to it.
fn missed_by<C>(ctx: &Context<C>, server: &Server) -> Option<Arc<ServerClaim>> {
    if server.spec.server_claim_ref.is_some() {
        return None;
    }
    let named = ctx.view.claims.get(&ClaimKey::Server(server.name_any()));
    named.into_iter().find(|claim| misses(claim, server))
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
    let old = server.status.as_ref().and_then(|status| status.state.as_ref());
    if let Some(new) = status.state.as_ref().filter(|new| Some(*new) != old) {
        announce(ctx, server, old, new, status).await;
    }
    Ok(recorded)
}

/// Whether a medium is in a slot, or is to be.
fn has_medium(status: &ServerStatus) -> bool {
    let mut inserted = status.conditions.iter().filter(|c| c.type_ == condition::MEDIUM_INSERTED);
    inserted.any(|c| c.status == "True")
}

/// Reports a new state: always in the log, and as an event if a person has to act, or has requested
/// the change. During a rollout the states themselves show the progress.
async fn announce<C>(
    ctx: &Context<C>,
    server: &Server,
    old: Option<&ServerState>,
    new: &ServerState,
    status: &ServerStatus,
) {
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
