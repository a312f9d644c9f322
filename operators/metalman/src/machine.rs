//! Controller of [`Machine`]: says in its status how far it is.

use crate::{Context, Error};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Machine, MachineStatus};
use metal_base::Never;
use metal_core::machine::{Address, Decision, Observation, decide};
use metal_runtime::{controller::Controller, index::Index, report::Failure, work::Next};
use std::sync::Arc;

/// The controller.
pub struct Machines(pub Arc<Context>);

impl Controller for Machines {
    type Object = Machine;
    type Key = String;
    type IndexKey = Address;
    type Facts = ();
    type Status = MachineStatus;
    type Change = Never;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<Machine, Address> {
        &self.0.view.machines
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    async fn observe(&self, _: &Arc<Machine>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(&self, machine: &Arc<Machine>, (): &(), _: Option<&Failure>) -> Decision {
        let view = &self.0.view;
        decide(&Observation {
            machine,
            twins: &view.twins(machine),
            node: view.nodes.named(None, &machine.name_any()).as_deref(),
            now: Timestamp::now(),
        })
    }

    async fn record(&self, machine: &Machine, status: &MachineStatus) -> Result<Next, Error> {
        let recorded = self.0.machines().record_status(machine, status).await;
        Ok(recorded.map_err(|error| Error::Record(Box::new(error)))?.into())
    }

    async fn change(&self, _: &Machine, never: Never) -> Result<Next, Error> {
        match never {}
    }
}
