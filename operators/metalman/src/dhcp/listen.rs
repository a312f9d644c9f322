//! Where packets are received.

use metal_dhcp::v4::Packet;
use metal_serve::dhcp::{
    Sockets,
    link::{
        Error,
        v4::{BindTarget, Link, interface_of},
    },
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where packets are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// To machines and relays on the link of an interface.
    Interface {
        /// Its name.
        name: String,
        /// The port.
        port: u16,
    },
    /// The same, on the interface with this address.
    InterfaceOf {
        /// The address.
        address: Ipv4Addr,
        /// The port.
        port: u16,
    },
    /// To relays that send to this address, or, if it is unspecified, to any of our addresses.
    Relays(SocketAddrV4),
}

impl Listen {
    /// The current bind targets.
    pub(super) fn bind_targets(&self) -> Vec<BindTarget> {
        match self {
            Self::Interface { name, port } => {
                vec![BindTarget::Interface { name: name.clone(), port: *port }]
            }
            Self::InterfaceOf { address, port } => {
                let name = interface_of(*address);
                name.into_iter().map(|name| BindTarget::Interface { name, port: *port }).collect()
            }
            Self::Relays(address) => vec![BindTarget::Address(*address)],
        }
    }

    /// Serves another interface if the address has moved there. While no interface has it, nothing
    /// changes.
    ///
    /// # Errors
    ///
    /// If the other interface cannot be served; it is retried.
    pub(super) fn follow(&self, sockets: &mut Sockets<Link>) -> Result<(), Error> {
        let targets = self.bind_targets();
        let is_served =
            |target: &BindTarget| sockets.links().iter().any(|link| link.bind_target == *target);
        if targets.is_empty() || targets.iter().all(is_served) {
            return Ok(());
        }
        sockets.serve(&targets)
    }

    /// Whether a packet is for us: without an interface, only what relays send, and renewals that
    /// are sent to us by unicast. Broadcasts on a link are for another server there.
    pub(super) fn hears(&self, packet: &Packet, to: Option<Ipv4Addr>) -> bool {
        match self {
            Self::Interface { .. } | Self::InterfaceOf { .. } => true,
            Self::Relays(_) => !packet.giaddr.is_unspecified() || to.is_some(),
        }
    }

    /// What is missing before machines can be answered.
    pub(super) fn waits_for(&self, links: &[Link]) -> Option<String> {
        match self {
            Self::Relays(_) => None,
            Self::InterfaceOf { address, .. } if links.is_empty() => {
                Some(format!("an interface with the address {address}"))
            }
            Self::Interface { .. } | Self::InterfaceOf { .. } => {
                let without = links.iter().find(|link| link.address.is_none());
                without.map(|link| format!("an IPv4 address on {}", link.bind_target))
            }
        }
    }
}
