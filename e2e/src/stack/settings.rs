//! What a stack is to be like.

use metal_simulator::Timing;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// What a stack is to be like. The default has no machines.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The machines; fleets must differ in their MAC prefix and in the addresses of their BMCs.
    /// Where they boot from is filled in.
    pub fleets: Vec<metal_simulator::Config>,
    /// More flags of the metal-operator.
    pub metal: Vec<String>,
    /// More flags of the boot-operator.
    pub boot: Vec<String>,
    /// Where machines reach the operators, on their usual ports: an address of this machine that
    /// is nobody else's; else one of loopback, on any ports.
    pub address: Option<IpAddr>,
    /// Media types and contents of the layers of the discovery image; else nothing executes them.
    pub discovery: Vec<(&'static str, Vec<u8>)>,
    /// Where the operators' binaries are; else they are built.
    pub binaries: Option<PathBuf>,
}

/// Machines that are quick.
pub fn quick() -> Timing {
    Timing {
        power_on: Duration::from_millis(100),
        shutdown: Duration::from_millis(200),
        post: Duration::from_millis(300),
        // The boot service may be away for a moment.
        boot_tries: 50,
        boot_retry: Duration::from_millis(500),
        ..Timing::default()
    }
}

/// Flags of the boot-operator for machines that get their address and boot file of no netboot: they
/// boot as with a DHCP server of the peer, which asks on their behalf, and whose default image has no
/// token.
const WITHOUT_NETBOOT: [&str; 2] = ["--trusted-proxies=127.0.0.0/8", "--ignition-by-uuid=always"];

impl Settings {
    /// Those of [`WITHOUT_NETBOOT`] that are needed and not set otherwise.
    pub(super) fn without_netboot(&self) -> Vec<String> {
        let is_alone =
            |fleet: &metal_simulator::Config| fleet.boot.dhcp.is_none() && fleet.vms.is_empty();
        let is_set = |flag: &str| {
            let name = flag.split('=').next().unwrap_or(flag);
            self.boot.iter().any(|set| set.split('=').next() == Some(name))
        };
        let flags = WITHOUT_NETBOOT.into_iter().filter(|flag| !is_set(flag));
        flags.filter(|_| self.fleets.iter().any(is_alone)).map(str::to_owned).collect()
    }
}
