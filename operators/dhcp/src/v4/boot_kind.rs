//! How the sender of a packet boots, and which machine it is.

use crate::{
    architecture::{self, Architecture},
    boot_kind::{BootKind, is_interface, names_ipxe},
    client::Client,
};
use metal_api::SystemUuid;
use metal_core::boot::{
    decision::{Boot, Identity},
    url::MAX_URL,
};
use metal_wire::v4::{Options, Packet, code};

/// Identifies a machine that wants to boot; `None` for a client that only wants an address.
pub fn identity(packet: &Packet) -> Option<Identity> {
    if BootKind::of(&packet.options) == BootKind::No {
        return None;
    }
    let mac = Client::of(packet).and_then(|client| client.mac());
    Some(Identity { mac, uuid: machine_id(&packet.options) })
}

/// Whether the sender runs an operating system that asks like the UEFI HTTP boot of its firmware, as our agents do
/// to be told the same URL. It needs an address also while there is no URL. Unlike firmware, it asks for routes, does
/// not ask for the class of the answer, without which EDK2 takes no URL (`HttpBootBuildDhcp4Options`), and does not
/// tell the version of its interface. Firmware that was taken for one would go on to its disk.
pub fn is_up(packet: &Packet) -> bool {
    let options = &packet.options;
    let list = options.parameters().unwrap_or_default();
    let is_system = list.contains(&code::ROUTES) && !list.contains(&code::VENDOR_CLASS);
    let is_http = matches!(BootKind::of(options), BootKind::Http(_));
    is_http && is_system && options.get(code::INTERFACE).is_none()
}

/// The client's architecture, if no boot file can exist for it; an unassigned number is an error.
/// iPXE gets its script whatever it runs on.
pub fn unserved(packet: &Packet) -> Option<Result<Architecture, u16>> {
    let list = packet.options.get(code::ARCHITECTURE).filter(|_| !is_ipxe(&packet.options));
    architecture::unserved(list)
}

/// The length of the HTTP boot URL, if it is too long for an option, so that the client is not told
/// it. URLs in the configuration file are always short enough.
pub fn uncarried(packet: &Packet, boot: &Boot) -> Option<usize> {
    let is_http = matches!(BootKind::of(&packet.options), BootKind::Http(_));
    boot.uki(None).map(str::len).filter(|len| is_http && *len > MAX_URL)
}

/// The system UUID in option 97, in the byte order of the boot server and the BMC.
///
/// On the wire it is as in SMBIOS, whose first three fields are little-endian (RFC 4578, section
/// 2.3; SMBIOS 3.7, section 7.2.1). One that many boards share says nothing.
pub fn machine_id(options: &Options) -> Option<SystemUuid> {
    const GUID: u8 = 0;
    let [GUID, bytes @ ..] = options.array::<17>(code::MACHINE_ID)? else { return None };
    SystemUuid::from_smbios(bytes)
}

impl BootKind {
    pub(super) fn of(options: &Options) -> Self {
        if is_ipxe(options) {
            return Self::Ipxe;
        }
        let class = options.get(code::VENDOR_CLASS).unwrap_or_default();
        let is_machine = options.array::<17>(code::MACHINE_ID).is_some();
        let is_firmware = is_machine || is_interface(options.get(code::INTERFACE));
        architecture::booting(options.get(code::ARCHITECTURE), class, is_firmware)
    }
}

/// iPXE sends option 175, and a user class.
fn is_ipxe(options: &Options) -> bool {
    options.get(code::IPXE).is_some() || options.get(code::USER_CLASS).is_some_and(names_ipxe)
}
