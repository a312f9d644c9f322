//! What different Machines have in common if they are the same hardware, at whatever site.

use metal_api::{MacAddr, Machine, MachineRedfish, SystemUuid};
use metal_core::{
    bmc_host::BmcHost,
    machine_identity::{BmcAddress, bmc_address, lease::mac, system_uri, uuid_by_bmc},
};

/// Ports of HTTP and HTTPS.
const USUAL: [u16; 2] = [80, 443];

/// Something that belongs to one machine or its BMC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hardware {
    /// A network interface.
    Mac(MacAddr),
    /// A BMC, at whatever port.
    Bmc(BmcHost),
    /// A system that was read at its BMC, in the lower one of both byte orders.
    System(SystemUuid),
    /// The endorsement key of its TPM that is pinned, by its SHA-256: that two have it concerns no BMC, so it is
    /// not among what [`hardware`] returns.
    Key(String),
}

/// The identifiers of a Machine; invalid ones are left out.
pub fn hardware(machine: &Machine) -> Vec<Hardware> {
    let leases = machine.spec.pxe.iter().flat_map(|pxe| &pxe.dhcp_leases);
    let mut all: Vec<_> = leases.filter_map(mac).map(Hardware::Mac).collect();
    all.extend(host(machine).map(Hardware::Bmc));
    all.extend(uuid_by_bmc(machine).map(Hardware::System));
    all
}

/// Whether an action on the system of one may be one on that of the other. Without an ID, it may be any system
/// of the BMC. A name and an address of one BMC lead to the same UUID.
pub fn shares_system(one: &Machine, other: &Machine) -> bool {
    let (Some(a), Some(b)) = (redfish(one), redfish(other)) else { return false };
    if uuid_by_bmc(one).is_some() && uuid_by_bmc(one) == uuid_by_bmc(other) {
        return true;
    }
    if !may_be_one_bmc(one, other) {
        return false;
    }
    match (system_uri(a), system_uri(b)) {
        (Ok(Some(a)), Ok(Some(b))) => a.eq_ignore_ascii_case(&b),
        (Ok(None), _) | (_, Ok(None)) => true,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// A BMC may be at several ports of its address. Two that are not those of HTTP are two BMCs behind one
/// address, to which each port leads.
fn may_be_one_bmc(one: &Machine, other: &Machine) -> bool {
    let (Some(a), Some(b)) = (at(one), at(other)) else { return false };
    let is_usual = |port| USUAL.contains(&port);
    a.host == b.host && (a.port == b.port || is_usual(a.port) || is_usual(b.port))
}

fn host(machine: &Machine) -> Option<BmcHost> {
    Some(at(machine)?.host)
}

fn at(machine: &Machine) -> Option<BmcAddress> {
    bmc_address(redfish(machine)?, true).ok()
}

fn redfish(machine: &Machine) -> Option<&MachineRedfish> {
    machine.spec.pxe.as_ref()?.redfish.as_ref()
}
