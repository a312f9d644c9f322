//! A fleet of simulated machines: BMCs that speak Redfish, and hosts behind them that boot.
//!
//! One process and one Redfish socket serve all machines; the local address of a connection says
//! which BMC is meant. A machine is a few hundred bytes of state; its hardware follows from a seed,
//! and its resources are rendered on request.
//!
//! ```text
//!   client ──Redfish──► listener ──► redfish ──► machine ◄── life ──► firmware ──► boot service
//!   test ────control──► control  ──► faults         ▲                    └───────► registry
//!                                         vm ───────┴── bmc address (arithmetic or DHCP)
//! ```
//!
//! In a test: [`Simulator::start`], then [`Simulator::bmc`] for the address of a BMC. Everything
//! ends when the [`Simulator`] is dropped.

mod access;
mod agent;
mod bmc_address;
mod boot_settings;
mod config;
mod control;
mod dhcp;
mod dialect;
pub mod duration;
mod error;
mod faults;
mod fetch;
mod firmware;
mod fleet;
mod hardware;
mod ignition;
mod inventory;
mod ipxe;
mod journal;
mod life;
mod listener;
mod mac;
mod machine;
mod medium;
mod netboot;
mod orders;
mod os;
mod power;
mod random;
mod redfish;
mod report;
mod reset;
mod tasks;
mod tls;
mod vm;
mod vm_settings;

pub use boot_settings::{BootEnabled, BootMode, BootOption, BootSettings, BootTarget};
pub use config::{
    Account, Boot, Config, Dhcp, Expand, Limits, Profile, ResetAnswer, Timing, Transport,
};
pub use dhcp::{DhcpClients, DhcpError, Offered};
pub use dialect::Dialect;
pub use error::StartError;
pub use faults::{Action, Fault, FaultError};
pub use fetch::ClientError;
pub use hardware::Hardware;
pub use journal::{Counters, Entry, Event, Journal, Resets};
pub use mac::{Mac, MacPrefix, MacPrefixError};
pub use machine::{Cables, Host, Led};
pub use power::{Graceful, Power, Reset};
pub use report::{MachineReport, Summary};
pub use reset::Outcome;
pub use tls::TlsError;
pub use vm_settings::{Trust, Vm};

use fleet::Fleet;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::timeout};

/// How long stopping may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running fleet. Dropping it ends all tasks and closes all sockets.
#[derive(Debug)]
pub struct Simulator {
    fleet: Arc<Fleet>,
    redfish: SocketAddr,
    control: SocketAddr,
}

/// There is no such machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no machine {0}")]
pub struct NoSuchMachine(pub u32);

impl Simulator {
    /// Starts a fleet. Must be called in a tokio runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listener = listener::listen(config.listen, config.device.as_deref())
            .map_err(|error| StartError::Redfish(config.listen, error))?;
        let control_listener = TcpListener::bind(config.control)
            .await
            .map_err(|error| StartError::Control(config.control, error))?;
        let redfish =
            listener.local_addr().map_err(|error| StartError::Redfish(config.listen, error))?;
        let control = control_listener
            .local_addr()
            .map_err(|error| StartError::Control(config.control, error))?;
        let fleet = Arc::new(Fleet::new(config)?);
        fleet.running.spawn(listener::run(Arc::clone(&fleet), listener));
        fleet.running.spawn(control::run(Arc::clone(&fleet), control_listener));
        spawn_dhcp(&fleet);
        spawn_vms(&fleet);
        Ok(Self { fleet, redfish, control })
    }

    /// Address of this machine's BMC; `None` while it has none.
    pub fn bmc(&self, machine: u32) -> Option<SocketAddr> {
        let bmc = self.fleet.bmc_of(self.fleet.machine(machine)?.index);
        let bmc = self.fleet.machine(bmc)?;
        let address = bmc.lock().bmc_address?;
        Some(SocketAddr::from((address, self.redfish.port())))
    }

    /// Address of the Redfish socket.
    pub fn redfish(&self) -> SocketAddr {
        self.redfish
    }

    /// Address of the control API.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// The certificate of the authority that signs the BMCs' certificates, if they use TLS.
    pub fn authority(&self) -> Option<String> {
        self.fleet.authority.as_ref().map(tls::Authority::pem)
    }

    /// One machine, with its journal.
    pub fn machine(&self, machine: u32) -> Result<MachineReport, NoSuchMachine> {
        let found = self.fleet.machine(machine).ok_or(NoSuchMachine(machine))?;
        Ok(report::machine(&self.fleet, found, report::Detail::Whole))
    }

    /// The parts of one machine.
    pub fn hardware(&self, machine: u32) -> Result<Hardware, NoSuchMachine> {
        self.fleet.machine(machine).map(|found| found.hardware).ok_or(NoSuchMachine(machine))
    }

    /// All machines in numbers.
    pub fn summary(&self) -> Summary {
        report::summary(&self.fleet)
    }

    /// Injects a fault; returns the number that removes it.
    pub fn fault(&self, fault: Fault) -> Result<u32, FaultError> {
        self.fleet.faults.add(fault, tokio::time::Instant::now())
    }

    /// Removes one fault, or all.
    pub fn clear_faults(&self, id: Option<u32>) {
        self.fleet.faults.remove(id);
    }

    /// Resets a machine as a person at its button would, which the BMC does not count.
    pub fn reset(&self, machine: u32, reset: Reset) -> Result<Outcome, NoSuchMachine> {
        let found = self.fleet.machine(machine).ok_or(NoSuchMachine(machine))?;
        Ok(reset::reset(&self.fleet, found, reset))
    }

    /// Plugs the cables in.
    pub fn plug(&self, machine: u32) -> Result<(), NoSuchMachine> {
        let found = self.fleet.machine(machine).ok_or(NoSuchMachine(machine))?;
        reset::plug(&self.fleet, found);
        Ok(())
    }

    /// Unplugs the cables: the host loses power, and the BMC is unreachable.
    pub fn unplug(&self, machine: u32) -> Result<(), NoSuchMachine> {
        let found = self.fleet.machine(machine).ok_or(NoSuchMachine(machine))?;
        reset::unplug(&self.fleet, found);
        Ok(())
    }

    /// Stops everything, and waits for it.
    pub async fn stop(self) {
        self.fleet.stop.cancel();
        self.fleet.running.close();
        if timeout(FAREWELL, self.fleet.running.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.fleet.stop.cancel();
    }
}

/// Starts the tasks for DHCP.
fn spawn_dhcp(fleet: &Arc<Fleet>) {
    let mut links: Vec<_> = [&fleet.boot_link, &fleet.bmc_link].into_iter().flatten().collect();
    links.dedup_by(|one, other| Arc::ptr_eq(one, other));
    for link in links {
        let (link, stop) = (Arc::clone(link), fleet.stop.clone());
        fleet.running.spawn(async move { link.run(&stop).await });
    }
    for machine in fleet.machines() {
        bmc_address::spawn(fleet, machine);
    }
}

/// Starts the tasks for virtual machines.
fn spawn_vms(fleet: &Arc<Fleet>) {
    for index in fleet.config.vms.keys() {
        fleet.running.spawn(vm::run(Arc::clone(fleet), *index));
    }
}
