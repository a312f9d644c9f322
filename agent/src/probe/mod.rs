//! The collectors: one file per subsystem, each a function from the machine to its part of the
//! report. They run in parallel, each with a deadline, and may fail independently.

mod boot;
mod cpu;
mod memory;
mod network;
mod nics;
mod notes;
mod numa;
mod pci;
mod smbios;
mod storage;
mod sysfs;

pub(crate) use notes::Notes;
pub use storage::{disks, nvme_controllers};

use crate::{kernel::Kernel, pci_ids::PciIds, root::Root};
use metal_api::inventory::{Failure, Report};
use std::{sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::timeout};

/// A device that hangs in the kernel loses its part of the report only.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the collectors read from.
#[derive(Debug)]
pub struct Machine {
    /// The file tree.
    pub root: Root,
    /// Names of PCI devices.
    pub pci_ids: PciIds,
    /// What is not in files.
    pub kernel: Box<dyn Kernel>,
}

impl Machine {
    /// The machine whose file tree is at `root`.
    pub fn new(root: Root, kernel: Box<dyn Kernel>) -> Self {
        Self { pci_ids: PciIds::load(&root), root, kernel }
    }
}

/// Runs all collectors. Neighbors and the timestamp are left to the caller.
pub(crate) async fn collect(machine: &Arc<Machine>) -> Report {
    let (firmware, cpu, memory, storage, network, nics, pci, numa, boot) = tokio::join!(
        run("smbios", machine, smbios::collect),
        run("cpu", machine, cpu::collect),
        run("memory", machine, memory::total),
        run("storage", machine, storage::collect),
        run("network", machine, network::collect),
        run("nics", machine, nics::collect),
        run("pci", machine, pci::collect),
        run("numa", machine, numa::collect),
        run("boot", machine, boot::collect),
    );
    let mut report = boot.0;
    report.cpu = cpu.0;
    cpu::complete(&mut report.cpu, &firmware.0.processors);
    report.system_info = firmware.0.system;
    report.memory = firmware.0.memory;
    report.memory_total_bytes = memory.0;
    report.storage = storage.0;
    report.network_interfaces = network.0;
    report.nics = nics.0;
    name_permanent_addresses(&mut report);
    report.pci_devices = pci.0;
    report.numa_nodes = numa.0;
    let failures =
        [firmware.1, cpu.1, memory.1, storage.1, network.1, nics.1, pci.1, numa.1, boot.1];
    report.failures = failures.into_iter().flatten().collect();
    report
}

/// Adds the permanent address to interfaces whose address was changed, by a bond for example.
fn name_permanent_addresses(report: &mut Report) {
    for interface in &mut report.network_interfaces {
        let nic = report.nics.iter().find(|nic| nic.name == interface.name);
        if let Some(nic) = nic.filter(|nic| nic.mac != interface.mac_address) {
            interface.permanent_mac_address.clone_from(&nic.mac);
        }
    }
}

/// Runs a collector off the runtime; what it could not find out becomes failures.
async fn run<T: Default + Send + 'static>(
    collector: &'static str,
    machine: &Arc<Machine>,
    collect: fn(&Machine, &mut Notes) -> T,
) -> (T, Vec<Failure>) {
    let machine = Arc::clone(machine);
    let task = spawn_blocking(move || {
        let mut notes = Notes::default();
        (collect(&machine, &mut notes), notes)
    });
    let (found, notes) = match timeout(DEADLINE, task).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => (T::default(), Notes::of("the collector panicked")),
        Err(_) => (T::default(), Notes::of("the collector took longer than 10 s")),
    };
    (found, notes.into_failures(collector))
}

#[cfg(test)]
mod tests;
