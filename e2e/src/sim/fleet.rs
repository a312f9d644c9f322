//! All machines, and what they share.

use super::{
    config::Config,
    faults::Faults,
    fetch::Fetcher,
    machine::{Machine, offset},
};
use std::net::{IpAddr, Ipv4Addr};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// All machines, and what they share.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) config: Config,
    machines: Vec<Machine>,
    pub(super) faults: Faults,
    pub(super) fetcher: Fetcher,
    /// Everything that runs.
    pub(super) running: TaskTracker,
    /// Ends everything that runs.
    pub(super) stop: CancellationToken,
}

impl Fleet {
    /// A fleet in which nothing runs yet.
    pub(super) fn new(config: Config, fetcher: Fetcher) -> Self {
        Self {
            machines: (0..config.machines).map(|index| Machine::new(&config, index)).collect(),
            config,
            faults: Faults::default(),
            fetcher,
            running: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Machine `index`.
    pub(super) fn machine(&self, index: u32) -> Option<&Machine> {
        self.machines.get(usize::try_from(index).ok()?)
    }

    /// Every machine.
    pub(super) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The machine whose BMC has this address.
    pub(super) fn at(&self, address: IpAddr) -> Option<&Machine> {
        let IpAddr::V4(address) = address.to_canonical() else { return None };
        self.machine(address.to_bits().wrapping_sub(self.config.bmc_base.to_bits()))
    }

    /// Address of a host where no DHCP gives one.
    pub(super) fn host_address(&self, index: u32) -> Ipv4Addr {
        offset(self.config.boot.host_base, index)
    }
}
