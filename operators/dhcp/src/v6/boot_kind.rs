//! How the sender of a packet boots, and which machine it is (RFC 5970).

use super::client;
use crate::{
    architecture::{self, Architecture},
    boot_kind::{BootKind, is_interface, names_ipxe},
};
use metal_core::boot::decision::Identity;
use metal_wire::v6::{Options, Packet, code};
use std::net::Ipv6Addr;

/// Intel's enterprise number, which PXE clients use.
pub(super) const ENTERPRISE: [u8; 4] = 343_u32.to_be_bytes();

/// Identifies a machine that wants to boot; `None` for a client that only wants an address. `from`
/// is the source address of the packet.
pub fn identity(packet: &Packet, from: Ipv6Addr) -> Option<Identity> {
    if boot_kind(&packet.options) == BootKind::No {
        return None;
    }
    Some(Identity { mac: client::mac(packet, from), uuid: client::uuid(packet) })
}

/// The client's architecture, if no boot file can exist for it; an unassigned number is an error.
/// iPXE gets its script whatever it runs on.
pub fn unserved(packet: &Packet) -> Option<Result<Architecture, u16>> {
    let options = &packet.options;
    architecture::unserved(options.get(code::ARCHITECTURE))
        .filter(|_| boot_kind(options) != BootKind::Ipxe)
}

/// How a client wants to boot. iPXE shows in its user class; firmware in its architecture, or in
/// its network interface together with the architecture in the text of its vendor class; nothing
/// follows from that text alone.
pub(super) fn boot_kind(options: &Options) -> BootKind {
    if options.all(code::USER_CLASS).any(names_ipxe) {
        return BootKind::Ipxe;
    }
    // A class of another enterprise says nothing about booting.
    let mut classes = options.all(code::VENDOR_CLASS);
    let classes = classes.find_map(|value| value.strip_prefix(&ENTERPRISE[..]));
    let class = strings(classes.unwrap_or_default()).next().unwrap_or_default();
    let is_firmware = is_interface(options.get(code::INTERFACE));
    architecture::booting(options.get(code::ARCHITECTURE), class, is_firmware)
}

/// Strings that are preceded by their lengths, up to the first invalid length.
fn strings(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let (string, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        data = rest;
        Some(string)
    })
}
