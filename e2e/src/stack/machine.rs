//! A simulated machine and its objects.

use super::{Stack, until};
use crate::cluster::eventually;
use anyhow::{Context, Result, bail, ensure};
use kube::{Api, api::PostParams};
use metal_api::{Bmc, Endpoint, EndpointSpec, Server, ServerState};
use metal_simulator::{Host, MachineReport, Simulator};
use std::time::Duration;

/// How long a machine may take to reach a state.
const LIMIT: Duration = Duration::from_mins(10);

/// A tenant's running operating system.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Where its image layers came from.
    pub images: Vec<String>,
    /// SHA-256 of its Ignition configuration.
    pub ignition: Option<String>,
}

/// A simulated machine and its objects.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    stack: &'a Stack,
    simulator: &'a Simulator,
    fleet: usize,
    index: u32,
    /// The machine whose BMC it has.
    bmc: u32,
}

impl<'a> Machine<'a> {
    pub(super) fn new(stack: &'a Stack, fleet: usize, index: u32) -> Result<Self> {
        let simulator = stack.fleets.get(fleet).context("there is no such fleet")?;
        let bmc = simulator.machine(index)?.bmc;
        Ok(Self { stack, simulator, fleet, index, bmc })
    }

    /// Its number in the fleet.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The fleet it belongs to.
    pub fn simulator(&self) -> &'a Simulator {
        self.simulator
    }

    /// The current state of the machine, with its journal.
    ///
    /// # Errors
    ///
    /// None: the machine has existed since the fleet was started.
    pub fn report(&self) -> Result<MachineReport> {
        Ok(self.simulator.machine(self.index)?)
    }

    /// Name of its Endpoint, its BMC and its BMCSecret.
    pub fn name(&self) -> String {
        format!("fleet{}-{}", self.fleet, self.bmc)
    }

    /// Name of its Server. Those of one BMC are numbered in the order of its systems.
    pub fn server_name(&self) -> String {
        format!("{}-system-{}", self.name(), self.index - self.bmc)
    }

    /// Its Endpoint, as netboot would create it.
    ///
    /// # Errors
    ///
    /// If the BMC has no address.
    pub fn endpoint(&self) -> Result<Endpoint> {
        let address = self.simulator.bmc(self.index).context("the BMC has no address")?;
        let spec = EndpointSpec {
            mac_address: Some(self.report()?.bmc_mac.to_string()),
            ip: Some(address.ip().to_string()),
        };
        Ok(Endpoint::new(&self.name(), spec))
    }

    /// Creates its Endpoint, and returns at once.
    ///
    /// # Errors
    ///
    /// Errors of the API server.
    pub async fn plug_in(&self) -> Result<()> {
        let endpoints = Api::<Endpoint>::all(self.stack.client.clone());
        endpoints.create(&PostParams::default(), &self.endpoint()?).await?;
        Ok(())
    }

    /// Its BMC, once `holds`.
    ///
    /// # Errors
    ///
    /// If that takes too long.
    pub async fn bmc(&self, what: &str, holds: impl Fn(&Bmc) -> bool) -> Result<Bmc> {
        let bmcs = Api::<Bmc>::all(self.stack.client.clone());
        until(&bmcs, &self.name(), what, holds).await
    }

    /// Its Server, once `holds`.
    ///
    /// # Errors
    ///
    /// If that takes too long.
    pub async fn server(&self, what: &str, holds: impl Fn(&Server) -> bool) -> Result<Server> {
        let servers = Api::<Server>::all(self.stack.client.clone());
        until(&servers, &self.server_name(), what, holds).await
    }

    /// Its Server, once it is in this state.
    ///
    /// # Errors
    ///
    /// If that takes too long.
    pub async fn enters(&self, state: ServerState) -> Result<Server> {
        let what = state.as_str().to_owned();
        self.server(&what, |server| {
            server.status.as_ref().and_then(|status| status.state.as_ref()) == Some(&state)
        })
        .await
    }

    /// Waits until the machine's own state satisfies `holds`.
    ///
    /// # Errors
    ///
    /// If that takes too long; with its journal.
    pub async fn is(
        &self,
        what: &str,
        holds: impl Fn(&MachineReport) -> bool,
    ) -> Result<MachineReport> {
        eventually(LIMIT, async || {
            let report = self.report()?;
            ensure!(holds(&report), "{}: not {what}:\n{report:#?}", self.name());
            Ok(report)
        })
        .await
    }

    /// Waits until a tenant's system runs on it.
    ///
    /// # Errors
    ///
    /// If that takes too long; with its journal.
    pub async fn boots_tenant(&self) -> Result<Tenant> {
        eventually(LIMIT, async || {
            let report = self.report()?;
            match report.host {
                Host::Tenant { images, ignition } => Ok(Tenant { images, ignition }),
                _ => bail!("{}: no tenant's system runs:\n{report:#?}", self.name()),
            }
        })
        .await
    }
}
