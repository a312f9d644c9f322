//! One machine: its BMC, and the host behind it.

use super::{
    access::Access,
    boot_settings::BootSettings,
    config::Config,
    dialect::Dialect,
    fetch::Fetcher,
    hardware::Hardware,
    journal::{Counters, Event, Journal},
    orders::Orders,
    power::Power,
    tasks::Tasks,
};
use jiff::Timestamp;
use metal_base::Locked;
use serde::Serialize;
use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// `IndicatorLED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum Led {
    /// On.
    Lit,
    /// Blinking.
    Blinking,
    /// Off.
    #[default]
    Off,
}

/// The state of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Host {
    /// No power.
    #[default]
    Off,
    /// Firmware is at work.
    Firmware,
    /// The disk was booted.
    Disk,
    /// The discovery image runs and reports.
    Discovery {
        /// The URL of its reports.
        registry_url: String,
        /// The machine's UUID in its reports.
        server_uuid: String,
    },
    /// A tenant's operating system runs.
    Tenant {
        /// What was loaded, in order.
        images: Vec<String>,
        /// SHA-256 of the Ignition configuration, if there was one.
        ignition: Option<String>,
    },
    /// QEMU runs; its console shows what the guest does.
    Vm {
        /// Its pid.
        process: u32,
        /// Its serial output.
        console: PathBuf,
    },
    /// Firmware found nothing to boot.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Whether the cables are plugged in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cables {
    /// Power and network.
    #[default]
    Plugged,
    /// Neither: the BMC is unreachable.
    Unplugged,
}

/// The mutable state of a machine.
#[derive(Debug)]
pub(super) struct State {
    pub(super) power: Power,
    pub(super) boot: BootSettings,
    /// URL of the inserted medium.
    pub(super) medium: Option<String>,
    pub(super) led: Led,
    pub(super) last_reset: Timestamp,
    pub(super) host: Host,
    /// Address of the first NIC.
    pub(super) host_address: Option<Ipv4Addr>,
    /// HTTP client with that address, if it is local.
    pub(super) fetcher: Option<Fetcher>,
    pub(super) cables: Cables,
    pub(super) bmc_address: Option<Ipv4Addr>,
    pub(super) bmc_last_reset: Timestamp,
    pub(super) bmc_away_until: Option<Instant>,
    pub(super) access: Access,
    pub(super) tasks: Tasks,
    pub(super) counters: Counters,
    pub(super) journal: Journal,
    /// Number of the current life; tasks of earlier ones may not change anything.
    pub(super) life: u64,
    pub(super) life_ends: CancellationToken,
    /// Cancels the task that keeps the BMC's address.
    pub(super) address_ends: CancellationToken,
}

impl State {
    /// Whether the BMC answers.
    pub(super) fn is_reachable(&self, now: Instant) -> bool {
        self.cables == Cables::Plugged && self.bmc_away_until.is_none_or(|until| now >= until)
    }

    /// The host loses power now.
    pub(super) fn power_off(&mut self) {
        self.power = Power::Off;
        self.host = Host::Off;
        (self.host_address, self.fetcher) = (None, None);
        self.journal.note(Event::PoweredOff, "");
    }
}

/// What somebody has left in the BMC, where nobody answers.
fn left_uri(config: &Config) -> Option<String> {
    let is_left = config.profile.dialects.contains(&Dialect::LeftBootUri);
    is_left.then(|| "http://127.0.0.1:1/left.efi".to_owned())
}

/// One machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) index: u32,
    pub(super) hardware: Hardware,
    /// What its virtual machine has been asked to do, if it is one.
    pub(super) orders: Option<Box<Orders>>,
    state: Mutex<State>,
}

impl Machine {
    /// Machine `index` of the fleet.
    pub(super) fn new(config: &Config, index: u32) -> Self {
        let now = Timestamp::now();
        let orders = config.vms.contains_key(&index).then(Box::default);
        // Virtual machines are switched on through the BMC.
        let power = if orders.is_some() { Power::Off } else { config.power };
        let is_on = power == Power::On;
        let has_bmc = config.systems_beside(index).start == index;
        let has_address = has_bmc && config.bmc_dhcp.is_none();
        let state = State {
            power,
            boot: BootSettings { http_boot_uri: left_uri(config), ..BootSettings::default() },
            medium: None,
            led: Led::default(),
            last_reset: now,
            host: if is_on { Host::Disk } else { Host::Off },
            host_address: None,
            fetcher: None,
            cables: Cables::default(),
            bmc_address: has_address.then(|| offset(config.bmc_base, index)),
            bmc_last_reset: now,
            bmc_away_until: None,
            access: Access::default(),
            tasks: Tasks::default(),
            counters: Counters::default(),
            journal: Journal::default(),
            life: 0,
            life_ends: CancellationToken::new(),
            address_ends: CancellationToken::new(),
        };
        Self { index, hardware: Hardware::of(config, index), orders, state: Mutex::new(state) }
    }

    /// Locks the mutable state. Never held over an `await`.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.locked()
    }
}

/// The address `index` after `base`.
pub(super) fn offset(base: Ipv4Addr, index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(base.to_bits().wrapping_add(index))
}
