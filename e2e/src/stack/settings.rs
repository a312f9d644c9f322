//! Settings of a stack.

use super::Login;
use metal_simulator::Timing;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// Settings of a stack. The default has no machines.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The machines; fleets must differ in their MAC prefix and in the addresses of their BMCs.
    /// Where they boot from is filled in.
    pub fleets: Vec<metal_simulator::Config>,
    /// Additional flags of metal-operator.
    pub metal: Vec<String>,
    /// Additional flags of boot-operator.
    pub boot: Vec<String>,
    /// Whether boot-operator has no flags but these: then it trusts nobody, as its defaults are, and
    /// machines boot by UEFI HTTP boot only where netboot assigns their addresses.
    pub trusts_nobody: bool,
    /// Where machines reach the operators, on their usual ports: an address of this machine that
    /// nobody else uses. If `None`, it is a loopback address with any ports.
    pub address: Option<IpAddr>,
    /// Media types and contents of the discovery image's layers; if empty, they are arbitrary data.
    pub discovery: Vec<(&'static str, Vec<u8>)>,
    /// The login that the registry requires, if any.
    pub login: Option<Login>,
    /// Folder of the operators' binaries; if `None`, they are built.
    pub binaries: Option<PathBuf>,
}

/// Timing of fast machines.
pub fn quick() -> Timing {
    Timing {
        power_on: Duration::from_millis(100),
        shutdown: Duration::from_millis(200),
        post: Duration::from_millis(300),
        // The boot service may be unavailable for a moment.
        boot_tries: 50,
        boot_retry: Duration::from_millis(500),
        ..Timing::default()
    }
}

/// Flags of boot-operator for machines that do not get their address and boot file from netboot:
/// they boot as with a peer's DHCP server, which asks on their behalf, and whose default image has
/// no token.
const WITHOUT_NETBOOT: [&str; 3] =
    ["--trusted-proxies=127.0.0.0/8", "--dhcp-servers=127.0.0.0/8", "--ignition-by-uuid=always"];

impl Settings {
    /// The flags of [`WITHOUT_NETBOOT`] that are needed and not set otherwise.
    pub(super) fn without_netboot(&self) -> Vec<String> {
        let is_alone =
            |fleet: &metal_simulator::Config| fleet.boot.dhcp.is_none() && fleet.vms.is_empty();
        let is_set = |flag: &str| {
            let name = flag.split('=').next().unwrap_or(flag);
            self.boot.iter().any(|set| set.split('=').next() == Some(name))
        };
        let flags = WITHOUT_NETBOOT.into_iter().filter(|flag| !is_set(flag));
        let are_needed = !self.trusts_nobody && self.fleets.iter().any(is_alone);
        flags.filter(|_| are_needed).map(str::to_owned).collect()
    }
}
