//! What a client is told about booting (RFC 5970; UEFI 2.10, section 24.7).

use super::{
    client,
    decide::Request,
    wire::{Options, Packet, code},
};
use crate::{
    boot::decision::Identity,
    dhcp::{
        Architecture, architecture,
        booting::{Booting, Machine, is_interface, names_ipxe},
    },
};
use std::net::Ipv6Addr;

/// Intel, whose number PXE clients give for theirs.
const ENTERPRISE: [u8; 4] = 343_u32.to_be_bytes();

/// Which machine wants to boot; `None` for a client that only wants an address. `from` is where
/// the packet came from.
pub fn identity(packet: &Packet, from: Ipv6Addr) -> Option<Identity> {
    if booting(&packet.options) == Booting::No {
        return None;
    }
    Some(Identity { mac: client::mac(packet, from), uuid: client::uuid(packet) })
}

/// What kind of firmware a client is that there can be no boot file for; a number that nobody has
/// is an error. iPXE gets its script whatever it runs on.
pub fn unserved(packet: &Packet) -> Option<Result<Architecture, u16>> {
    let options = &packet.options;
    architecture::unserved(options.get(code::ARCHITECTURE))
        .filter(|_| booting(options) != Booting::Ipxe)
}

/// What a client wants to boot by: iPXE says so in its user class, firmware by its architecture, or
/// by its network interface and the architecture in the text of its vendor class, and nobody by
/// that text alone.
pub(super) fn booting(options: &Options) -> Booting {
    if options.all(code::USER_CLASS).any(names_ipxe) {
        return Booting::Ipxe;
    }
    // One of another enterprise says nothing about booting.
    let mut classes = options.all(code::VENDOR_CLASS);
    let classes = classes.find_map(|value| value.strip_prefix(&ENTERPRISE[..]));
    let class = strings(classes.unwrap_or_default()).next().unwrap_or_default();
    let is_firmware = is_interface(options.get(code::INTERFACE));
    Booting::of_firmware(options.get(code::ARCHITECTURE), class, is_firmware)
}

/// Adds to an answer what makes its receiver boot, as far as it asks for that.
pub(super) fn add(request: &Request<'_>, reply: &mut Options) {
    let Some((url, class)) = file(request).filter(|_| request.wants(code::BOOT_FILE)) else {
        return;
    };
    reply.push(code::BOOT_FILE, url);
    // EDK2 takes the URL of HTTP boot only from an answer with this class.
    if let Some(class) = class {
        reply.push(code::VENDOR_CLASS, [&ENTERPRISE[..], &string(class)].concat());
    }
    let parameters = &request.v6().boot.parameters;
    if !parameters.is_empty() && request.wants(code::BOOT_PARAMETERS) {
        let strings = parameters.iter().flat_map(|parameter| string(parameter.as_bytes()));
        reply.push(code::BOOT_PARAMETERS, strings.collect::<Vec<u8>>());
    }
}

/// The URL, and the class that the answer must have.
fn file<'a>(request: &Request<'a>) -> Option<(&'a str, Option<&'static [u8]>)> {
    let (urls, boot) = (&request.v6().boot, request.boot());
    match request.booting() {
        Booting::No => None,
        Booting::Ipxe => Some((urls.ipxe.as_deref().filter(|_| boot.has_script())?, None)),
        // What PXE loads is iPXE, which then asks for its script.
        Booting::Pxe(machine) => {
            let url = match machine {
                Machine::X64 => urls.uefi.as_deref(),
                Machine::Arm64 => urls.arm64.as_deref(),
                // A BIOS does not boot by IPv6.
                Machine::Bios | Machine::Other => None,
            };
            Some((url.filter(|_| boot.has_script())?, Some(b"PXEClient")))
        }
        Booting::Http(machine) => {
            let default = match machine {
                Machine::X64 => urls.http.as_deref(),
                Machine::Arm64 => urls.http_arm64.as_deref(),
                Machine::Bios | Machine::Other => None,
            };
            Some((boot.uki(default)?, Some(b"HTTPClient")))
        }
    }
}

/// Strings that each have their length before them; ends quietly where that is wrong.
fn strings(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let (string, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        data = rest;
        Some(string)
    })
}

fn string(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap_or_default();
    [&len.to_be_bytes(), &text[..usize::from(len)]].concat()
}
