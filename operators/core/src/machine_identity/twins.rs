//! Machines that share an address, or the UUID of their hardware.

use super::lease::{ipv4, mac};
use metal_api::{MacAddr, Machine, MachineStatus, Server, SystemUuid};
use std::{collections::BTreeSet, fmt, net::Ipv4Addr, sync::Arc};

/// How many addresses a message names.
const TOLD: usize = 8;

/// What identifies a machine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Address {
    /// The MAC address of a network interface.
    Mac(MacAddr),
    /// The IP address assigned to that interface.
    Ip(Ipv4Addr),
    /// The UUID of the hardware, in the [canonical](SystemUuid::canonical) byte order.
    Uuid(SystemUuid),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
            Self::Uuid(_) => f.write_str("the system UUID"),
        }
    }
}

/// Another Machine, or a Server, with an address of this one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Twin {
    /// The address.
    pub address: Address,
    /// Name of the other Machine, or the name of a Server, prefixed by its kind.
    pub name: String,
}

/// The addresses of a Machine that boots from the network, and the UUID of its hardware as far as its BMC has told
/// it; invalid ones are skipped. What firmware has told is not among them: it is that of the board at its last boot,
/// which may be in another machine by now.
pub fn addresses(machine: &Machine) -> Vec<Address> {
    identified(machine, uuid_by_bmc(machine))
}

/// What a Server or another program may know its hardware by: its addresses, and, without a BMC, the UUID that its
/// firmware has told.
pub fn hardware_addresses(machine: &Machine) -> Vec<Address> {
    identified(machine, uuid(machine))
}

fn identified(machine: &Machine, uuid: Option<SystemUuid>) -> Vec<Address> {
    let leases = machine.spec.pxe.iter().flat_map(|pxe| &pxe.dhcp_leases);
    let of = |lease| [mac(lease).map(Address::Mac), ipv4(lease).map(Address::Ip)];
    let all: BTreeSet<_> = leases.flat_map(of).flatten().chain(uuid.map(Address::Uuid)).collect();
    all.into_iter().collect()
}

/// The UUID of the hardware, which its BMC has told, or, where there is none, its firmware.
fn uuid(machine: &Machine) -> Option<SystemUuid> {
    let pxe = machine.spec.pxe.as_ref()?;
    if pxe.redfish.is_some() {
        return uuid_by_bmc(machine);
    }
    let told = machine.status.as_ref()?.system_uuid.as_deref()?;
    told.parse().ok().map(SystemUuid::canonical)
}

/// The UUID that was read at the BMC of the Machine as it is now.
pub fn uuid_by_bmc(machine: &Machine) -> Option<SystemUuid> {
    let redfish = machine.spec.pxe.as_ref()?.redfish.as_ref()?;
    let read = machine.status.as_ref()?.redfish.as_ref()?.system.as_ref()?;
    Some(read.uuid_at(&redfish.url, redfish.device_id.as_deref())?.canonical())
}

/// The status after the firmware of a Machine has told this UUID; `None` where that says nothing new. What a BMC
/// tells counts for more.
pub fn told_by_firmware(machine: &Machine, uuid: SystemUuid) -> Option<MachineStatus> {
    let has_bmc = machine.spec.pxe.as_ref().is_none_or(|pxe| pxe.redfish.is_some());
    let status = machine.status.clone().unwrap_or_default();
    let known = status.system_uuid.as_deref().and_then(|it| it.parse::<SystemUuid>().ok());
    if has_bmc || known.is_some_and(|known| known.is_same(uuid)) {
        return None;
    }
    Some(MachineStatus { system_uuid: Some(uuid.to_string()), ..status })
}

/// What identifies the hardware of a Server.
pub fn addresses_of_server(server: &Server) -> Vec<Address> {
    let macs = macs_of(server).map(Address::Mac);
    let uuid = server.spec.effective_uuid().map(|uuid| Address::Uuid(uuid.canonical()));
    macs.chain(uuid).collect()
}

fn macs_of(server: &Server) -> impl Iterator<Item = MacAddr> {
    let interfaces = server.status.iter().flat_map(|status| &status.network_interfaces);
    interfaces.filter_map(|it| it.mac_address.parse().ok())
}

/// Other Machines with an address of `machine`, sorted. `holders` returns all Machines with an
/// address.
pub fn twins(machine: &Machine, holders: impl Fn(Address) -> Vec<Arc<Machine>>) -> Vec<Twin> {
    let of = |address| {
        let others = holders(address).into_iter();
        let others = others.filter(|other| other.metadata.name != machine.metadata.name);
        let twin = |other: Arc<Machine>| {
            let name = other.metadata.name.clone().unwrap_or_default();
            Twin { address, name }
        };
        others.map(twin).collect::<Vec<_>>()
    };
    let mut twins: Vec<_> = addresses(machine).into_iter().flat_map(of).collect();
    twins.sort();
    twins
}

/// Whether an address that a Machine and a Server both have makes them the same hardware. Anybody in the network
/// of a Machine can tell a UUID by DHCP in its name, so one that no BMC has told counts as long as nothing else is
/// known of the Server: once its network interfaces are, these say whose hardware it is.
pub fn is_same_hardware(machine: &Machine, server: &Server, shared: Address) -> bool {
    match shared {
        Address::Uuid(uuid) => {
            uuid_by_bmc(machine) == Some(uuid) || macs_of(server).next().is_none()
        }
        Address::Mac(_) | Address::Ip(_) => true,
    }
}

/// Servers with a network interface or the UUID of `machine`, sorted: both objects represent the same
/// hardware. `holders` returns all Servers with an address.
pub fn servers_of(machine: &Machine, holders: impl Fn(Address) -> Vec<Arc<Server>>) -> Vec<Twin> {
    let of = |address| {
        let servers = holders(address).into_iter();
        let servers = servers.filter(|server| is_same_hardware(machine, server, address));
        let name = |server: Arc<Server>| server.metadata.name.clone().unwrap_or_default();
        let twin = move |server| Twin { address, name: format!("Server {}", name(server)) };
        servers.map(twin).collect::<Vec<_>>()
    };
    let mut twins: Vec<_> = hardware_addresses(machine).into_iter().flat_map(of).collect();
    twins.sort();
    twins
}

/// A message about them, with the fix; `None` if there are none.
pub fn describe(twins: &[Twin]) -> Option<String> {
    let shared: Vec<_> =
        twins.iter().map(|it| format!("{} is also used by {}", it.address, it.name)).collect();
    let (told, more) = shared.split_at(shared.len().min(TOLD));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let told = told.join(", ");
    (!told.is_empty())
        .then(|| format!("{told}{more}: correct all but one; until then none of them is served"))
}
