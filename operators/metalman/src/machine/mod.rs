//! Controller of [`Machine`]: updates its status, and reboots and installs it.

use crate::{
    Context, Error, image_files,
    operations::{Bmcs, Memories, Nodes, moment},
    user_data::UserDataError,
};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{Machine, MachineRedfish, MachineStatus, condition};
use metal_bmc::{Connect, Error as BmcError};
use metal_core::{
    machine_identity::{Address, bmc_address},
    redfish::Step,
};
use metal_machine::{
    Decision, Observation, actor, decide,
    operations::{
        Certificate, Change, DRAIN, Hardware, Known, Limits, Memory, Need, Outcome,
        is_cordoned_by_us, news, pending,
    },
    provisioning::{decide::with_image, image, user_data},
    removed,
};
use metal_runtime::{
    Written,
    controller::Controller,
    index::Index,
    report::Failure,
    work::{NOT_LISTED, Next},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// When to retry a BMC that is busy with another request.
const BUSY: Duration = Duration::from_secs(1);
/// When to check the templates of an image again if others were being checked.
const LOOKED_AT: SignedDuration = SignedDuration::from_secs(5);
/// When to check again whether pods are gone.
const DRAINING: Duration = Duration::from_secs(5);
/// How many Nodes are evicted from at a time, so that webhooks that hang leave most passes, and most requests
/// to the API server, to other Machines.
const DRAINS: usize = 8;

/// The controller.
pub(crate) struct Machines<C> {
    ctx: Arc<Context>,
    bmcs: Bmcs<C>,
    memories: Memories,
    drains: Semaphore,
    limits: Limits,
}

impl<C> Machines<C> {
    /// A controller without memories.
    pub(crate) fn new(ctx: Arc<Context>, bmcs: Bmcs<C>, limits: Limits) -> Self {
        let (memories, drains) = (Memories::default(), Semaphore::new(DRAINS));
        Self { ctx, bmcs, memories, drains, limits }
    }
}

/// What was read in one pass.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Unknown while others keep those busy who look at its templates.
    image: Option<image::ImageState>,
    /// What is wrong with user-data that was missing before, if anything.
    user_data: Option<Result<(), user_data::InvalidUserData>>,
    certificate: Option<Certificate>,
    pods: Option<usize>,
}

impl<C: Connect> Controller for Machines<C> {
    type Object = Machine;
    type Key = String;
    type IndexKey = Address;
    type Facts = Facts;
    type Status = MachineStatus;
    type Change = Change;
    type Need = Need;
    type Step = Step;
    type Error = Error;

    /// A pass may read templates, user-data and the system of a slow BMC, and then execute a step.
    const DEADLINE: Duration = Duration::from_mins(10);

    fn index(&self) -> &Index<Machine, Address> {
        &self.ctx.view.machines
    }

    fn is_ready(&self) -> bool {
        self.ctx.view.is_ready() && self.ctx.view.servers.is_ready()
    }

    /// Somebody's finalizer may hold one that is being deleted for long: what was begun for it is taken back
    /// at once.
    fn ignores(&self, _: &Machine) -> bool {
        false
    }

    async fn gone(&self, name: &String) -> Result<Next, Error> {
        let memory = self.memories.forget(name);
        if let Some(redfish) = memory.as_ref().and_then(Memory::redfish) {
            self.leave(redfish, name, None).await;
        }
        self.release(name).await
    }

    async fn observe(&self, machine: &Arc<Machine>) -> Result<Facts, Error> {
        let name = machine.name_any();
        let former = self.memories.with(&name, |memory| memory.keep_to(machine, moment()));
        if let Some(former) = former {
            self.leave(&former, &name, Some(machine)).await;
        }
        let image = image_files::state(&self.ctx, machine).await;
        let user_data = self.user_data(machine).await;
        Ok(Facts { image, user_data, ..Facts::default() })
    }

    fn decide(&self, machine: &Arc<Machine>, facts: &Facts, _: Option<&Failure>) -> Decision {
        let (view, name, at) = (&self.ctx.view, machine.name_any(), moment());
        let (sharing, now) = (self.sharing(machine), self.ctx.now());
        let decision = self.memories.with(&name, |memory| {
            memory.keep_to(machine, at);
            decide(&Observation {
                machine,
                twins: &view.twins(machine),
                node: view.nodes.named(None, &name).as_deref(),
                known: Known {
                    reading: memory.aged(at),
                    certificate: facts.certificate.as_ref(),
                    pods: facts.pods,
                    left: memory.evictions().left(),
                    done: memory.done(at),
                    sharing: &sharing,
                    asks: view.asks(&name, &self.ctx.machine_namespace),
                    lacks_image: self.ctx.images.of(machine).is_none(),
                    runs_on: self.ctx.node_name.as_deref(),
                    plain_http: self.bmcs.access.plain_http,
                    limits: self.limits,
                },
                now: now.wall,
                steady: now.steady,
            })
        });
        let image = facts.image.clone().unwrap_or_default();
        let decision = match with_image(decision, machine, &image, now.wall) {
            Decision::Rest(rest) if facts.image.is_none() => Decision::Rest(rest.min(LOOKED_AT)),
            decision => decision,
        };
        with_user_data(decision, machine, facts.user_data.as_ref(), now.wall)
    }

    async fn look(
        &self,
        machine: &Machine,
        need: Need,
        facts: &mut Facts,
    ) -> Result<Option<Next>, Error> {
        let name = machine.name_any();
        match need {
            Need::Certificate => {
                let Some(redfish) = redfish(machine) else { return Ok(Some(Next::Again)) };
                facts.certificate = self.bmcs.certificate(redfish).await;
                Ok(facts.certificate.is_none().then_some(Next::After(BUSY)))
            }
            Need::System => {
                let asked = moment();
                let Some(reading) = self.bmcs.system(machine).await? else {
                    return Ok(Some(Next::After(BUSY)));
                };
                self.memories.with(&name, |memory| memory.read(reading, asked));
                Ok(None)
            }
            Need::Pods => {
                self.memories.with(&name, |memory| memory.drains(moment()));
                facts.pods = Some(self.nodes().pods(&name).await?.len());
                Ok(None)
            }
        }
    }

    async fn record(&self, machine: &Machine, status: &MachineStatus) -> Result<Next, Error> {
        let recorded = self.ctx.machines().record_status(machine, status).await;
        let recorded = recorded.map_err(|error| Error::Record(Box::new(error)))?;
        let old = machine.status.clone().unwrap_or_default();
        for (is_fine, reason, note) in news(&old, status) {
            tracing::info!(machine = machine.name_any(), reason, note, "operation");
            let type_ = if is_fine { EventType::Normal } else { EventType::Warning };
            self.ctx.publish_event(machine, type_, &reason, &note).await;
        }
        Ok(recorded.into())
    }

    async fn change(&self, machine: &Machine, change: Change) -> Result<Next, Error> {
        let (name, nodes) = (machine.name_any(), self.nodes());
        if let Change::Settle { annotation } = change {
            return self.settle(machine, annotation).await;
        }
        let Some(node) = self.ctx.view.nodes.named(None, &name) else { return Ok(Next::Again) };
        let written = match change {
            Change::Cordon => nodes.cordon(&node, machine).await?,
            Change::Uncordon => nodes.uncordon(&node).await?,
            Change::DeleteNode => nodes.delete(&node).await?,
            Change::Evict => return self.evict(&name).await,
            Change::Settle { .. } => Written::Unseen,
        };
        Ok(written.into())
    }

    async fn act(&self, machine: &Machine, step: Step) -> Result<(), Error> {
        let name = machine.name_any();
        let uri = self.memories.with(&name, |memory| {
            memory.reading().and_then(|reading| reading.as_ref().ok()).map(|it| it.uri.clone())
        });
        let Some(uri) = uri else { return Ok(()) };
        let in_progress = self.memories.step(&name, &step);
        let done = self.bmcs.perform(machine, &uri, &step).await;
        let outcome = match &done {
            Ok(()) => Outcome::Taken,
            Err(Error::Bmc(error)) => match **error {
                // Nothing was done: read the facts again, and decide anew.
                BmcError::Withdrawn(_) => {
                    in_progress.not_sent();
                    self.memories.with(&name, Memory::forget_reading);
                    return done;
                }
                BmcError::Failed { .. } | BmcError::Misbehaving { .. } => Outcome::Refused,
                _ => Outcome::Unknown,
            },
            Err(_) => {
                in_progress.not_sent();
                return done;
            }
        };
        tracing::info!(machine = name, uri, ?step, ?outcome, "executed a step on the machine");
        in_progress.ended(outcome);
        done
    }
}

impl<C: Connect> Machines<C> {
    /// What is wrong with the user-data of a Machine that had none that could be used, if anything.
    async fn user_data(&self, machine: &Machine) -> Option<Result<(), user_data::InvalidUserData>> {
        let mut conditions = machine.status.iter().flat_map(|status| &status.conditions);
        let told = conditions.find(|it| it.type_ == condition::USER_DATA_READY)?;
        if told.status == "True" {
            return None;
        }
        let Some(reference) = user_data::reference(machine) else { return Some(Ok(())) };
        let Context { client, user_data_namespace, user_data, .. } = &*self.ctx;
        match user_data.read(client, user_data_namespace, reference).await {
            // Whether it goes with what the image says is seen when the machine asks for both.
            Ok(_) => (!user_data::is_not_a_list(&told.reason)).then_some(Ok(())),
            Err(UserDataError::Unusable(wrong)) => Some(Err(wrong)),
            Err(UserDataError::Silent(_) | UserDataError::Late) => None,
        }
    }

    /// A round of evictions, if there are not too many of them.
    async fn evict(&self, name: &str) -> Result<Next, Error> {
        let Ok(_turn) = self.drains.try_acquire() else { return Ok(Next::After(DRAINING)) };
        let (before, draining) = self.memories.with(name, |memory| {
            (memory.evictions().clone(), memory.done(moment()).draining.unwrap_or_default())
        });
        let left = Duration::try_from(DRAIN - draining).unwrap_or_default();
        let round = self.nodes().evict(name, &before, left).await?;
        self.memories.with(name, |memory| memory.evicted(round));
        Ok(Next::After(DRAINING))
    }

    /// Removes an annotation after what it accepts was recorded, and publishes an event with its
    /// author.
    async fn settle(&self, machine: &Machine, key: &str) -> Result<Next, Error> {
        let actor = actor(&machine.metadata, key).unwrap_or("an unknown program").to_owned();
        let (machines, annotations) = (self.ctx.machines(), [(key, None)].into());
        let settled = machines.patch_annotations(machine, &annotations).await;
        let settled = settled.map_err(|error| Error::Settle(Box::new(error)))?;
        let (reason, note) = removed(key, &actor);
        tracing::warn!(machine = machine.name_any(), key, actor, note, "removed an annotation");
        self.ctx.publish_event(machine, EventType::Normal, reason, &note).await;
        Ok(settled.into())
    }

    /// Logs out of a BMC that a Machine no longer has, unless it, as it is now, or another one has it.
    async fn leave(&self, former: &MachineRedfish, name: &str, machine: Option<&Machine>) {
        let of = |machine: &Machine| bmc_address(redfish(machine)?, true).ok();
        let Ok(place) = bmc_address(former, true) else { return };
        let is_there = |it: &Machine| of(it).as_ref() == Some(&place);
        let others = self.ctx.view.everywhere.get(&Hardware::Bmc(place.host.clone()));
        let mut others = others.iter().filter(|it| it.metadata.name.as_deref() != Some(name));
        if !machine.is_some_and(is_there) && !others.any(|it| is_there(it.as_ref())) {
            self.bmcs.forget(former).await;
        }
    }

    fn nodes(&self) -> Nodes<'_> {
        Nodes::new(&self.ctx.client, &self.ctx.view.nodes)
    }

    /// Other Machines with the same system of the same BMC, on which an action would have the same
    /// effect.
    fn sharing(&self, machine: &Machine) -> Vec<String> {
        if is_idle(machine) { vec![] } else { self.ctx.view.sharing(machine) }
    }

    /// A Node that is cordoned for a Machine that no longer exists takes pods again.
    async fn release(&self, name: &str) -> Result<Next, Error> {
        let view = &self.ctx.view;
        let Some(node) = view.nodes.named(None, name).filter(|it| is_cordoned_by_us(it)) else {
            return Ok(Next::Wait);
        };
        if !view.is_ready() {
            return Ok(Next::After(NOT_LISTED));
        }
        // A Machine of another site is released by the leader there.
        if view.everywhere.named(None, name).is_some() {
            return Ok(Next::Wait);
        }
        Ok(self.nodes().uncordon(&node).await?.into())
    }
}

/// The decision, and before it what has become of user-data that was missing.
fn with_user_data(
    decision: Decision,
    machine: &Machine,
    found: Option<&Result<(), user_data::InvalidUserData>>,
    now: Timestamp,
) -> Decision {
    let told =
        found.and_then(|found| user_data::with_condition(machine, found.as_ref().err(), now));
    match (decision, told) {
        (Decision::Record(status), _) => Decision::Record(status),
        (_, Some(status)) => Decision::Record(Box::new(status)),
        (decision, None) => decision,
    }
}

/// Whether no operation is in progress or requested.
fn is_idle(machine: &Machine) -> bool {
    let operations = machine.status.as_ref().and_then(|status| status.operations.as_ref());
    let is_under_way = operations.is_some_and(|operations| operations.current.is_some());
    !is_under_way && pending(machine).is_nothing()
}

fn redfish(machine: &Machine) -> Option<&MachineRedfish> {
    machine.spec.pxe.as_ref()?.redfish.as_ref()
}

#[cfg(test)]
mod tests;
