//! Configuration of a fleet: how many machines, where they answer, how they behave.

use super::{
    boot_settings::{BootMode, BootTarget},
    dialect::Dialect,
    mac::MacPrefix,
    power::{Graceful, Power},
    vm_settings::Vm,
};
use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::Range,
    time::Duration,
};
use url::Url;

/// Everything that [`Simulator::start`](crate::Simulator::start) needs to know. [`Config::default`] is one machine on
/// loopback that fetches nothing.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many machines.
    pub machines: u32,
    /// How many consecutive machines are systems of one BMC, which is that of the first of them.
    pub systems: u32,
    /// Determines the hardware: equal seeds give equal fleets.
    pub seed: u64,
    /// Where the BMCs listen. One socket serves all of them.
    pub listen: SocketAddr,
    /// Network device that the Redfish socket is bound to.
    pub device: Option<String>,
    /// Address of the BMC of machine 0; machine `i` has this plus `i`.
    pub bmc_base: Ipv4Addr,
    /// Where the control API listens.
    pub control: SocketAddr,
    /// First bytes of every BMC MAC.
    pub bmc_mac_prefix: MacPrefix,
    /// The one account of every BMC.
    pub account: Account,
    /// Delay of every Redfish response.
    pub latency: Duration,
    /// Power state that every machine starts in.
    pub power: Power,
    /// What the BMC firmware offers.
    pub profile: Profile,
    /// How long things take.
    pub timing: Timing,
    /// Sessions and lockout.
    pub limits: Limits,
    /// Where machines boot from.
    pub boot: Boot,
    /// BMCs ask for their address by DHCP, and answer only there.
    pub bmc_dhcp: Option<Dhcp>,
    /// Machines, by number, with a virtual machine behind their BMC. They start powered off; what
    /// `timing` and `boot` say about hosts does not apply to them.
    pub vms: BTreeMap<u32, Vm>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            machines: 1,
            systems: 1,
            seed: 0,
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            device: Some("lo".to_owned()),
            bmc_base: Ipv4Addr::new(127, 1, 0, 1),
            control: SocketAddr::from(([127, 0, 0, 1], 0)),
            bmc_mac_prefix: MacPrefix::default(),
            account: Account::default(),
            latency: Duration::ZERO,
            power: Power::Off,
            profile: Profile::default(),
            timing: Timing::default(),
            limits: Limits::default(),
            boot: Boot::default(),
            bmc_dhcp: None,
            vms: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The machines that share a BMC with this one, in the order of its systems.
    pub(super) fn systems_beside(&self, index: u32) -> Range<u32> {
        let systems = self.systems.max(1);
        let first = index - index % systems;
        first..self.machines.min(first.saturating_add(systems))
    }
}

/// A user name and a password. Its `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl Default for Account {
    fn default() -> Self {
        Self { username: "foo".to_owned(), password: "bar".to_owned() }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({}, ..)", self.username)
    }
}

/// How a BMC answers a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetAnswer {
    /// 204.
    #[default]
    Empty,
    /// 202 with a task.
    Task,
}

/// Whether `$expand` is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expand {
    /// 501, as the standard requires.
    #[default]
    Refused,
    /// On collections.
    Offered,
}

/// Plain or encrypted Redfish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Transport {
    /// `http`.
    #[default]
    Http,
    /// `https`, with certificates of an authority that is created at start.
    Https,
}

/// What the BMC firmware offers.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Plain or encrypted.
    pub transport: Transport,
    /// `BootSourceOverrideTarget@Redfish.AllowableValues`.
    pub boot_targets: Vec<BootTarget>,
    /// `BootSourceOverrideMode@Redfish.AllowableValues`; if empty, the BMC has no such property.
    pub boot_modes: Vec<BootMode>,
    /// Whether the host shuts down when asked.
    pub graceful: Graceful,
    /// How resets are answered.
    pub reset_answer: ResetAnswer,
    /// `$expand`.
    pub expand: Expand,
    /// How the firmware deviates.
    pub dialects: Vec<Dialect>,
}

impl Default for Profile {
    fn default() -> Self {
        use BootTarget::{Cd, Hdd, None, Pxe, UefiHttp};
        Self {
            transport: Transport::default(),
            boot_targets: vec![None, Pxe, Hdd, Cd, UefiHttp],
            boot_modes: vec![BootMode::Uefi, BootMode::Legacy],
            graceful: Graceful::default(),
            reset_answer: ResetAnswer::default(),
            expand: Expand::default(),
            dialects: Vec::new(),
        }
    }
}

/// How long things take.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From the reset to `On`.
    pub power_on: Duration,
    /// From a graceful shutdown to `Off`.
    pub shutdown: Duration,
    /// From a forced power-off to `Off`.
    pub force_off: Duration,
    /// From `On` to the first packet of a network boot.
    pub post: Duration,
    /// How long a BMC is unreachable after `Manager.Reset`.
    pub bmc_reset: Duration,
    /// How many times firmware tries a network boot.
    pub boot_tries: u32,
    /// Pause between two tries.
    pub boot_retry: Duration,
    /// Deadline of one download or post.
    pub step_deadline: Duration,
    /// How often the agent posts its report again.
    pub agent_interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            power_on: Duration::from_millis(300),
            shutdown: Duration::from_secs(1),
            force_off: Duration::ZERO,
            post: Duration::from_secs(2),
            bmc_reset: Duration::from_secs(5),
            boot_tries: 3,
            boot_retry: Duration::from_secs(2),
            step_deadline: Duration::from_mins(1),
            agent_interval: Duration::from_secs(30),
        }
    }
}

/// Limits of sessions and logins.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: usize,
    /// A session ends after this long without use.
    pub session_timeout: Duration,
    /// Wrong passwords before the account is locked; 0 means never.
    pub lockout_threshold: u32,
    /// How long it stays locked.
    pub lockout_duration: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 16,
            session_timeout: Duration::from_mins(30),
            lockout_threshold: 5,
            lockout_duration: Duration::from_mins(5),
        }
    }
}

/// Where machines boot from.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Root of the boot service: `/ipxe/<uuid>`, `/httpboot`, `/ignition/<uuid>`.
    pub url: Option<Url>,
    /// Machines ask DHCP what to boot; then `url` serves only the Ignition configuration of a UKI,
    /// and without a `url` that comes from where the UKI came from.
    pub dhcp: Option<Dhcp>,
    /// Address of the first NIC of machine 0 if no DHCP server assigns it; machine `i` has this
    /// plus `i`.
    pub host_base: Ipv4Addr,
}

impl Default for Boot {
    fn default() -> Self {
        Self { url: None, dhcp: None, host_base: Ipv4Addr::new(198, 18, 0, 1) }
    }
}

/// How to reach a DHCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp {
    /// Network device that the socket is bound to.
    pub device: String,
    /// Where clients listen.
    pub client: SocketAddrV4,
    /// Where servers listen; the broadcast address by default.
    pub server: SocketAddrV4,
    /// How long to wait for the first answer; doubled for each of three retries.
    pub patience: Duration,
}

impl Dhcp {
    /// The usual ports and addresses of DHCP, on this device.
    pub fn on(device: impl Into<String>) -> Self {
        Self {
            device: device.into(),
            client: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
            server: SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
            patience: Duration::from_secs(2),
        }
    }
}
