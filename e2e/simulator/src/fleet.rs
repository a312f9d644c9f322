//! All machines, and what they share.

use super::{
    config::{Config, Dhcp, Transport},
    dhcp::Link,
    error::StartError,
    faults::Faults,
    fetch::Fetcher,
    machine::{Machine, offset},
    tls::Authority,
};
use metal_base::RwLocked;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, RwLock},
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// At most this many BMCs ask for their first address at a time.
const DHCP_TURNS: usize = 64;

/// All machines, and what they share.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) config: Config,
    machines: Vec<Machine>,
    /// Leased addresses; not used if machines have consecutive ones.
    leased: RwLock<HashMap<Ipv4Addr, u32>>,
    pub(super) faults: Faults,
    pub(super) fetcher: Fetcher,
    /// Signs the certificates of BMCs that speak TLS.
    pub(super) authority: Option<Authority>,
    /// How machines reach DHCP.
    pub(super) boot_link: Option<Arc<Link>>,
    /// How BMCs reach DHCP.
    pub(super) bmc_link: Option<Arc<Link>>,
    /// At most this many BMCs ask for their first address at a time.
    pub(super) dhcp_turns: Semaphore,
    /// Everything that runs.
    pub(super) running: TaskTracker,
    /// Ends everything that runs.
    pub(super) stop: CancellationToken,
}

impl Fleet {
    /// A fleet in which nothing runs yet.
    pub(super) fn new(config: Config) -> Result<Self, StartError> {
        let open = |dhcp: &Option<Dhcp>| {
            dhcp.as_ref().map(Link::open).transpose().map_err(StartError::Dhcp)
        };
        let boot_link = open(&config.boot.dhcp)?.map(Arc::new);
        let bmc_link = match &boot_link {
            Some(link) if config.boot.dhcp == config.bmc_dhcp => Some(Arc::clone(link)),
            _ => open(&config.bmc_dhcp)?.map(Arc::new),
        };
        if let Some((&index, _)) = config.vms.range(config.machines..).next() {
            return Err(StartError::Vm(index, config.machines.saturating_sub(1)));
        }
        let authority = match config.profile.transport {
            Transport::Http => None,
            Transport::Https => Some(Authority::new()?),
        };
        Ok(Self {
            machines: (0..config.machines).map(|index| Machine::new(&config, index)).collect(),
            leased: RwLock::default(),
            faults: Faults::default(),
            fetcher: Fetcher::new(config.timing.step_deadline)?,
            authority,
            boot_link,
            bmc_link,
            dhcp_turns: Semaphore::new(DHCP_TURNS),
            running: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
        })
    }

    /// Machine `index`.
    pub(super) fn machine(&self, index: u32) -> Option<&Machine> {
        self.machines.get(usize::try_from(index).ok()?)
    }

    /// Every machine.
    pub(super) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The machine whose BMC a machine has: the first of those that are its systems.
    pub(super) fn bmc_of(&self, index: u32) -> u32 {
        self.config.systems_beside(index).start
    }

    /// System `number` of this BMC, counted from 1.
    pub(super) fn system(&self, bmc: &Machine, number: u32) -> Option<&Machine> {
        let mut systems = self.config.systems_beside(bmc.index);
        self.machine(systems.nth(usize::try_from(number.checked_sub(1)?).ok()?)?)
    }

    /// The machine whose BMC has this address.
    pub(super) fn at(&self, address: IpAddr) -> Option<&Machine> {
        let IpAddr::V4(address) = address.to_canonical() else { return None };
        let index = match self.bmc_link {
            Some(_) => *self.leased.read_locked().get(&address)?,
            None => address.to_bits().wrapping_sub(self.config.bmc_base.to_bits()),
        };
        self.machine(index).filter(|_| self.bmc_of(index) == index)
    }

    /// Records that this address is now this machine's BMC.
    pub(super) fn lease(&self, address: Ipv4Addr, index: u32) {
        self.leased.write_locked().insert(address, index);
    }

    /// Frees this address, unless another machine has it by now.
    pub(super) fn release(&self, address: Ipv4Addr, index: u32) {
        let mut leased = self.leased.write_locked();
        if leased.get(&address) == Some(&index) {
            leased.remove(&address);
        }
    }

    /// Address of a host that does not use DHCP.
    pub(super) fn host_address(&self, index: u32) -> Ipv4Addr {
        offset(self.config.boot.host_base, index)
    }
}
