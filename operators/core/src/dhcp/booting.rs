//! What a packet says about how its sender boots, and which machine it is.

use super::{
    architecture::{self, Architecture, listed},
    boot::MAX_URL,
    client::Client,
    option::{Options, code},
    wire::Packet,
};
use crate::{
    boot::decision::{Boot, Identity},
    system_uuid::identifying,
};
use uuid::Uuid;

/// What a client wants to boot by.
///
/// Decided by what only such a client sends (options 93, 94, 97, 175, 77), never by the text of
/// option 60 alone: operating systems and BMCs copy that from wherever they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booting {
    /// Nothing: it only wants an address.
    No,
    /// iPXE: a script.
    Ipxe,
    /// PXE firmware: a file by TFTP.
    Pxe(Machine),
    /// UEFI HTTP boot: a URL.
    Http(Machine),
}

/// Kinds of machines that we have boot files for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// x86 with a BIOS.
    Bios,
    /// x86-64 with UEFI.
    X64,
    /// 64-bit ARM with UEFI.
    Arm64,
    /// Something else.
    Other,
}

const PXE_CLASS: &[u8] = b"PXEClient";
const HTTP_CLASS: &[u8] = b"HTTPClient";

/// Which machine wants to boot; `None` for a client that only wants an address.
pub fn identity(packet: &Packet) -> Option<Identity> {
    if Booting::of(&packet.options) == Booting::No {
        return None;
    }
    let mac = Client::of(packet).and_then(|client| client.mac());
    Some(Identity { mac, uuid: machine_id(&packet.options) })
}

/// What kind of firmware a client is that there can be no boot file for; a number that nobody has
/// is an error. iPXE gets its script whatever it runs on.
pub fn unserved(packet: &Packet) -> Option<Result<Architecture, u16>> {
    let list = packet.options.get(code::ARCHITECTURE).filter(|_| !is_ipxe(&packet.options));
    architecture::unserved(list)
}

/// Length of the link that firmware is to boot by HTTP, if no option carries it, so that it is told
/// none. What the configuration file names is shorter.
pub fn uncarried(packet: &Packet, boot: &Boot) -> Option<usize> {
    let is_http = matches!(Booting::of(&packet.options), Booting::Http(_));
    boot.uki(None).map(str::len).filter(|len| is_http && *len > MAX_URL)
}

/// The system UUID in option 97, as a boot server and a BMC tell it.
///
/// On the wire it is as in SMBIOS, whose first three fields are little-endian (RFC 4578, section
/// 2.3; SMBIOS 3.7, section 7.2.1). One that many boards share says nothing.
pub fn machine_id(options: &Options) -> Option<Uuid> {
    const GUID: u8 = 0;
    let (&GUID, bytes) = options.get(code::MACHINE_ID)?.split_first()? else { return None };
    identifying(Uuid::from_bytes_le(bytes.try_into().ok()?))
}

impl Booting {
    pub(super) fn of(options: &Options) -> Self {
        if is_ipxe(options) {
            return Self::Ipxe;
        }
        let class = options.get(code::VENDOR_CLASS).unwrap_or_default();
        let is_machine = options.get(code::MACHINE_ID).is_some_and(|value| value.len() == 17);
        let is_firmware = is_machine || is_interface(options.get(code::INTERFACE));
        Self::of_firmware(options.get(code::ARCHITECTURE), class, is_firmware)
    }

    /// By the list of a client's architectures, and its vendor class. The list is in order of
    /// preference: what counts is the first entry that there can be a file for. Where there is no
    /// list, the text of the class counts if another option says that it `is_firmware`.
    pub(crate) fn of_firmware(list: Option<&[u8]>, class: &[u8], is_firmware: bool) -> Self {
        let named = in_text(class).filter(|_| list.is_none() && is_firmware);
        let named = named.map(|code| Architecture::from_repr(code).ok_or(code));
        let codes = listed(list.unwrap_or_default()).chain(named);
        let known = codes.clone().map(Self::of_architecture).find(|booting| booting.is_known());
        let booting = known.or_else(|| codes.clone().next().map(Self::of_architecture));
        match booting.unwrap_or(Self::No) {
            // Some firmware gives its HTTP client the architecture of its PXE client.
            Self::Pxe(machine) if class.starts_with(HTTP_CLASS) => Self::Http(machine),
            booting @ (Self::No | Self::Ipxe | Self::Pxe(_) | Self::Http(_)) => booting,
        }
    }

    /// What a number that nobody has is, is only told by the class.
    fn of_architecture(architecture: Result<Architecture, u16>) -> Self {
        architecture.map_or(Self::Pxe(Machine::Other), Architecture::booting)
    }

    pub(super) fn is_known(self) -> bool {
        !matches!(self, Self::Pxe(Machine::Other) | Self::Http(Machine::Other))
    }
}

/// The architecture in the text of option 60: `PXEClient:Arch:00007:UNDI:003000`.
fn in_text(class: &[u8]) -> Option<u16> {
    let rest = class.strip_prefix(PXE_CLASS).or_else(|| class.strip_prefix(HTTP_CLASS))?;
    let digits = rest.strip_prefix(b":Arch:")?.get(..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the value of an option is a network interface as only firmware has one: kind, and
/// version of UNDI (RFC 4578, section 2.2; RFC 5970, section 3.4).
pub(crate) fn is_interface(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.len() == 3)
}

/// iPXE sends option 175, and a user class.
fn is_ipxe(options: &Options) -> bool {
    options.get(code::IPXE).is_some() || options.get(code::USER_CLASS).is_some_and(names_ipxe)
}

/// Whether a user class is iPXE's, in DHCPv4 and DHCPv6 alike: plain text, or one of a list of
/// strings with their lengths, in one octet (RFC 3004, section 4) or in two (RFC 9915, section
/// 21.15). Upstream has plain text in DHCPv4 and the list in DHCPv6; forks, and loaders with an
/// iPXE heritage, have either in both. Who is not understood gets iPXE again, for ever.
pub(crate) fn names_ipxe(class: &[u8]) -> bool {
    is_name(class) || has_name(class, 1) || has_name(class, 2)
}

fn is_name(text: &[u8]) -> bool {
    text.strip_prefix(b"iPXE").is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// Whether the name is in a list of strings that have their lengths in `width` octets before them.
fn has_name(mut list: &[u8], width: usize) -> bool {
    while let Some((len, rest)) = list.split_at_checked(width) {
        let len = len.iter().fold(0, |len, octet| len << 8 | usize::from(*octet));
        let Some((class, rest)) = rest.split_at_checked(len) else { return false };
        if is_name(class) {
            return true;
        }
        list = rest;
    }
    false
}
