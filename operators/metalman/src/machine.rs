//! Controller of [`Machine`]: updates its status, and reboots and installs it.

use crate::{
    Context, Error, open,
    operations::{Bmcs, Memories, Nodes, moment},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{Machine, MachineRedfish, MachineStatus};
use metal_bmc::{Connect, Error as BmcError};
use metal_core::{
    machine::{
        Address, Decision, Observation, actor, decide,
        netboot::pass::with_image,
        operations::{
            Certificate, Change, Known, Limits, Memory, Need, Outcome, news, pending, place,
            system_uri,
        },
    },
    redfish::Step,
};
use metal_runtime::{Written, controller::Controller, index::Index, report::Failure, work::Next};
use std::{sync::Arc, time::Duration};

/// When to retry a BMC that is busy with another request.
const BUSY: Duration = Duration::from_secs(1);
/// When to check again whether pods are gone.
const DRAINING: Duration = Duration::from_secs(5);

/// The controller.
pub struct Machines<C> {
    ctx: Arc<Context>,
    bmcs: Bmcs<C>,
    memories: Memories,
    limits: Limits,
}

impl<C> Machines<C> {
    /// A controller without memories.
    pub(crate) fn new(ctx: Arc<Context>, bmcs: Bmcs<C>, limits: Limits) -> Self {
        Self { ctx, bmcs, memories: Memories::default(), limits }
    }
}

/// What was read in one pass.
#[derive(Debug, Default)]
pub struct Facts {
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

    fn index(&self) -> &Index<Machine, Address> {
        &self.ctx.view.machines
    }

    fn is_ready(&self) -> bool {
        self.ctx.view.is_ready() && self.ctx.view.servers.is_ready()
    }

    async fn gone(&self, name: &String) -> Result<Next, Error> {
        let memory = self.memories.forget(name);
        if let Some(redfish) = memory.as_ref().and_then(Memory::redfish) {
            self.bmcs.forget(redfish).await;
        }
        Ok(Next::Wait)
    }

    async fn observe(&self, _: &Arc<Machine>) -> Result<Facts, Error> {
        Ok(Facts::default())
    }

    fn decide(&self, machine: &Arc<Machine>, facts: &Facts, _: Option<&Failure>) -> Decision {
        let (view, name, at) = (&self.ctx.view, machine.name_any(), moment());
        let (sharing, now) = (self.sharing(machine), Timestamp::now());
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
                    done: memory.done(at),
                    sharing: &sharing,
                    plain_http: self.bmcs.access.plain_http,
                    limits: self.limits,
                },
                now,
            })
        });
        with_image(decision, machine, &open::state(&self.ctx, machine), now)
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
        if let Some((is_fine, reason, note)) = news(&old, status) {
            tracing::info!(machine = machine.name_any(), reason, note, "operation");
            let type_ = if is_fine { EventType::Normal } else { EventType::Warning };
            self.ctx.tell(machine, type_, &reason, &note).await;
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
            Change::Evict => {
                nodes.evict(&name).await?;
                return Ok(Next::After(DRAINING));
            }
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
        let done = self.bmcs.perform(machine, &uri, &step).await;
        let outcome = match &done {
            Ok(()) => Outcome::Taken,
            Err(Error::Bmc(error)) => match **error {
                // Nothing was done: read the facts again, and decide anew.
                BmcError::Withdrawn(_) => {
                    self.memories.with(&name, Memory::forget_reading);
                    return done;
                }
                BmcError::Failed { .. } | BmcError::Misbehaving { .. } => Outcome::Refused,
                _ => Outcome::Unknown,
            },
            Err(_) => return done,
        };
        tracing::info!(machine = name, uri, ?step, ?outcome, "executed a step on the machine");
        self.memories.with(&name, |memory| memory.acted(&step, outcome, moment()));
        done
    }
}

impl<C: Connect> Machines<C> {
    /// Removes an annotation after what it accepts was pinned, and publishes an event with its
    /// author.
    async fn settle(&self, machine: &Machine, annotation: &str) -> Result<Next, Error> {
        let actor = actor(&machine.metadata, annotation).unwrap_or("an unknown program").to_owned();
        let (machines, annotations) = (self.ctx.machines(), [(annotation, None)].into());
        let settled = machines.patch_annotations(machine, &annotations).await;
        let settled = settled.map_err(|error| Error::Settle(Box::new(error)))?;
        let note = format!("{annotation}, set by {actor}, was accepted");
        tracing::warn!(machine = machine.name_any(), annotation, actor, "replaced a pin");
        self.ctx.tell(machine, EventType::Normal, "PinReplaced", &note).await;
        Ok(settled.into())
    }

    fn nodes(&self) -> Nodes<'_> {
        Nodes::new(&self.ctx.client, &self.ctx.view.nodes)
    }

    /// Other Machines with the same system of the same BMC, on which an action would have the same
    /// effect.
    fn sharing(&self, machine: &Machine) -> Vec<String> {
        if is_idle(machine) {
            return vec![];
        }
        let system = |machine: &Machine| {
            let redfish = redfish(machine)?;
            let place = place(redfish, true).ok()?;
            Some((place.host, place.port, system_uri(redfish).ok()?))
        };
        let Some(ours) = system(machine) else { return vec![] };
        let all = self.ctx.view.machines.all();
        let others = all.iter().filter(|other| {
            other.metadata.uid != machine.metadata.uid && system(other).as_ref() == Some(&ours)
        });
        let mut names: Vec<_> = others.map(|other| other.name_any()).take(8).collect();
        names.sort();
        names
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
