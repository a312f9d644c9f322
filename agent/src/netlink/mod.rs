//! What only the kernel's netlink families know about a link: link modes, ports, permanent address,
//! firmware; the one setting that LLDP needs; and configuring addresses.
//!
//! The messages are few and small, so they are encoded and parsed here, over a safe socket.

mod address;
mod devlink;
mod ethtool;
mod generic;
mod link;
mod message;
mod route;
mod router_options;
mod socket;

pub(crate) use address::{Address, add_address, remove_address};
pub(crate) use ethtool::{LinkModes, PrivateFlag};
pub(crate) use link::{AllMulticast, set_mtu, set_up};
pub(crate) use route::{Route, add_route, remove_route};
pub(crate) use router_options::{RouterOptions, Servers};
pub(crate) use socket::NetlinkError;

use generic::Generic;
use socket::Netlink;

/// Protocol numbers of `AF_NETLINK`.
const ROUTE: i32 = 0;
const GENERIC: i32 = 16;

/// Facts about one link; each is missing if the driver does not report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFacts {
    /// Supported link modes and ports.
    pub modes: LinkModes,
    /// Permanent address.
    pub permanent_address: Option<String>,
    /// Running firmware.
    pub firmware: Option<String>,
}

/// Asks the kernel about a link; `pci` is the address of its adapter.
///
/// Old kernels and simple drivers lack some families, which is normal, so only an unusable socket
/// is an error.
pub(crate) fn link_facts(
    name: &str,
    index: u32,
    pci: Option<&str>,
) -> Result<LinkFacts, NetlinkError> {
    let permanent_address = link::permanent_address(&mut Netlink::open(ROUTE)?, index).ok();
    let mut generic = Generic::new(Netlink::open(GENERIC)?);
    Ok(LinkFacts {
        modes: ethtool::link_modes(&mut generic, name).unwrap_or_default(),
        permanent_address: permanent_address.flatten(),
        firmware: pci.and_then(|pci| devlink::firmware(&mut generic, pci).ok().flatten()),
    })
}

/// The private flags of a link's driver.
///
/// # Errors
///
/// If it has none, and on kernels before Linux 5.7, which do not tell them.
pub(crate) fn private_flags(name: &str) -> Result<Vec<PrivateFlag>, NetlinkError> {
    ethtool::private_flags(&mut Generic::new(Netlink::open(GENERIC)?), name)
}
