//! What a person or a test can see of a fleet.

use super::{
    fleet::Fleet,
    hardware::Nic,
    journal::{Counters, Journal},
    mac::Mac,
    machine::{Cables, Host, Machine},
    power::Power,
};
use serde::Serialize;
use std::{collections::BTreeMap, net::Ipv4Addr};
use uuid::Uuid;

/// One machine.
#[derive(Clone, Debug, Serialize)]
pub struct MachineReport {
    /// Its number.
    pub index: u32,
    /// SMBIOS UUID.
    pub uuid: Uuid,
    /// Serial number.
    pub serial: String,
    /// The machine whose BMC it has: itself, unless it shares that of another one.
    pub bmc: u32,
    /// MAC of the BMC.
    pub bmc_mac: Mac,
    /// Address of the BMC, if it has one.
    pub bmc_address: Option<Ipv4Addr>,
    /// MACs of the host.
    pub nic_macs: Vec<Mac>,
    /// Address of the host, if it has one.
    pub host_address: Option<Ipv4Addr>,
    /// Cables.
    pub cables: Cables,
    /// Power of the host.
    pub power: Power,
    /// `Boot.BootSourceOverrideEnabled`.
    pub override_enabled: String,
    /// `Boot.BootSourceOverrideTarget`.
    pub override_target: String,
    /// The state of the host.
    pub host: Host,
    /// How many times things happened.
    pub counters: Counters,
    /// What happened; empty in a list of machines.
    #[serde(skip_serializing_if = "is_empty")]
    pub journal: Journal,
}

fn is_empty(journal: &Journal) -> bool {
    journal.entries().next().is_none()
}

/// Whether a report includes the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Brief,
    Whole,
}

/// The machine as it is now.
pub(super) fn machine(fleet: &Fleet, machine: &Machine, detail: Detail) -> MachineReport {
    let hardware = &machine.hardware;
    let bmc = fleet.machine(fleet.bmc_of(machine.index)).unwrap_or(machine);
    let bmc_address = bmc.lock().bmc_address;
    let state = machine.lock();
    MachineReport {
        index: machine.index,
        uuid: hardware.uuid(),
        serial: hardware.serial(),
        bmc: bmc.index,
        bmc_mac: bmc.hardware.bmc_mac(),
        bmc_address,
        nic_macs: hardware.nics().iter().map(|nic: &Nic| nic.mac).collect(),
        host_address: state.host_address,
        cables: state.cables,
        power: state.power,
        override_enabled: state.boot.enabled.to_string(),
        override_target: state.boot.target.to_string(),
        host: state.host.clone(),
        counters: state.counters,
        journal: match detail {
            Detail::Brief => Journal::default(),
            Detail::Whole => state.journal.clone(),
        },
    }
}

/// A fleet in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Machines.
    pub machines: usize,
    /// Number of hosts in each state.
    pub hosts: BTreeMap<&'static str, u32>,
    /// The sum of all machines.
    pub counters: Counters,
}

/// The fleet as it is now.
pub(super) fn summary(fleet: &Fleet) -> Summary {
    let mut summary = Summary { machines: fleet.machines().len(), ..Summary::default() };
    for machine in fleet.machines() {
        let state = machine.lock();
        summary.counters = summary.counters.plus(&state.counters);
        let host = match state.host {
            Host::Off => "off",
            Host::Firmware => "firmware",
            Host::Disk => "disk",
            Host::Discovery { .. } => "discovery",
            Host::Tenant { .. } => "tenant",
            Host::Vm { .. } => "vm",
            Host::Failed { .. } => "failed",
        };
        *summary.hosts.entry(host).or_default() += 1;
    }
    summary
}
