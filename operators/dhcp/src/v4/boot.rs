//! Boot options in answers (RFC 4578; PXE 2.1; UEFI 2.10, section 24.7).

use super::request::Request;
use crate::{
    boot_kind::{BootKind, FirmwareKind},
    config::{BootFiles, MAX_FILE, TftpFile},
};
use metal_core::boot::{decision::Boot, url::MAX_URL};
use metal_wire::v4::{Packet, code};
use std::net::Ipv4Addr;

/// PXE sub-option 6, discovery control, bit 3: load the file named in this answer, without
/// discovering boot servers or showing a menu.
const USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 0xff];
/// iPXE sub-option 0xb0, no-pxedhcp: do not wait for answers of a `ProxyDHCP` server.
pub(super) const NO_PROXY_DHCP: [u8; 3] = [0xb0, 1, 1];

/// Adds the boot options to `reply`. Returns whether there are any.
pub(super) fn add(request: &Request<'_>, reply: &mut Packet) -> bool {
    let (files, boot) = (&request.config().boot, request.boot());
    let is_added = match request.booting() {
        BootKind::No => false,
        BootKind::Ipxe => boot.script(files.ipxe.as_deref()).is_some_and(|url| {
            add_url(&url, reply);
            true
        }),
        // PXE firmware loads iPXE, which then asks for its script.
        BootKind::Pxe(machine) => {
            tftp_file(files, machine).filter(|_| boot.has_script()).is_some_and(|file| {
                add_tftp(file, request.own_address(), reply);
                true
            })
        }
        BootKind::Http(machine) => {
            let url = http_url(files, boot, machine).filter(|url| url.len() <= MAX_URL);
            url.is_some_and(|url| {
                // EDK2 accepts the URL only from an answer with this class.
                reply.options.set(code::VENDOR_CLASS, b"HTTPClient");
                reply.options.set(code::BOOT_FILE, text(url));
                true
            })
        }
    };
    if let Some(id) = request.packet.options.get(code::MACHINE_ID).filter(|_| is_added) {
        reply.options.set(code::MACHINE_ID, id);
    }
    is_added
}

fn tftp_file(files: &BootFiles, machine: FirmwareKind) -> Option<&TftpFile> {
    match machine {
        FirmwareKind::Bios => files.bios.as_ref(),
        FirmwareKind::X64 => files.uefi.as_ref(),
        FirmwareKind::Arm64 => files.arm64.as_ref(),
        FirmwareKind::Other => None,
    }
}

fn http_url<'a>(files: &'a BootFiles, boot: &'a Boot, machine: FirmwareKind) -> Option<&'a str> {
    let (default, ipxe) = match machine {
        FirmwareKind::X64 => (&files.http, &files.uefi_http),
        FirmwareKind::Arm64 => (&files.http_arm64, &files.arm64_http),
        FirmwareKind::Bios | FirmwareKind::Other => return None,
    };
    boot.loaded(default.as_deref(), ipxe.as_deref())
}

/// A string for firmware. Boot ROMs that treat it as a C string would read on into the next option,
/// and EDK2 writes a zero at that position, so it ends with one, as with dnsmasq; clients have to
/// tolerate that (RFC 2132, section 2). A string that fills its option has no room for it.
pub(super) fn text(text: &str) -> Vec<u8> {
    let end = (text.len() < MAX_URL).then_some(0);
    text.bytes().chain(end).collect()
}

/// Sets both option 66, which EDK2 ignores, and `siaddr`, which other firmware ignores.
fn add_tftp(file: &TftpFile, here: Ipv4Addr, reply: &mut Packet) {
    let server = file.server.unwrap_or(here);
    reply.siaddr = server;
    reply.file = file.path.clone().into_bytes();
    reply.options.set(code::VENDOR_CLASS, b"PXEClient");
    reply.options.set(code::VENDOR_SPECIFIC, USE_BOOT_FILE);
    reply.options.set(code::TFTP_SERVER, text(&server.to_string()));
    reply.options.set(code::BOOT_FILE, text(&file.path));
}

fn add_url(url: &str, reply: &mut Packet) {
    if url.len() <= MAX_FILE {
        reply.file = url.as_bytes().to_vec();
    }
    reply.options.set(code::BOOT_FILE, text(url));
}
