//! Which file of its image a machine loads first.
//!
//! An image names one, but firmware only runs files built for it, which shows in the file's name
//! (UEFI 2.10, section 3.5.1.1): `shimx64.efi`, `grubaa64.efi`. A machine of another kind gets the
//! corresponding file instead, if the image has it.

use super::{Image, Reserved};
use crate::{
    architecture,
    boot_kind::{BootKind, FirmwareKind, is_interface},
    config::{BootFiles, MAX_FILE, TftpFile},
    v4::{Packet, code},
};
use std::{fmt::Write as _, net::Ipv4Addr};

/// The script that iPXE also looks for by itself; it is used in place of the boot file.
const IPXE_SCRIPT: &str = "autoexec.ipxe";

/// Names of machine kinds in file names.
const NAMES: [(&str, FirmwareKind); 8] = [
    ("x86_64", FirmwareKind::X64),
    ("amd64", FirmwareKind::X64),
    ("x64", FirmwareKind::X64),
    ("aarch64", FirmwareKind::Arm64),
    ("arm64", FirmwareKind::Arm64),
    ("aa64", FirmwareKind::Arm64),
    ("ia32", FirmwareKind::Other),
    ("riscv64", FirmwareKind::Other),
];
/// The same for corresponding files, in UEFI's terms.
const SIBLINGS: [(&str, &str); 3] = [("x64", "aa64"), ("x86_64", "arm64"), ("amd64", "arm64")];
/// File name endings of what a BIOS loads.
const BIOS: [&str; 5] = [".kpxe", ".kkpxe", ".pxe", ".0", ".lkrn"];

/// The boot files for a machine that sends this packet to our address `own`.
pub(super) fn files(machine: &Reserved<'_>, packet: &Packet, own: Ipv4Addr) -> BootFiles {
    let Some(image) = machine.image else { return BootFiles::default() };
    let file = |kind| file_for(&image, kind);
    let tftp = |kind| file(kind).map(|path| TftpFile { server: machine.tftp, path });
    let http = |kind| file(kind).map(|path| url(machine.url, &path));
    let script = (image.has)(IPXE_SCRIPT).then(|| url(machine.url, IPXE_SCRIPT));
    let loaded = || {
        // iPXE that is told to load iPXE would loop.
        let path = file(kind_of(packet)).filter(|path| !is_ipxe(path))?;
        Some(url(&format!("tftp://{}", machine.tftp.unwrap_or(own)), &path))
    };
    BootFiles {
        bios: tftp(FirmwareKind::Bios),
        uefi: tftp(FirmwareKind::X64),
        arm64: tftp(FirmwareKind::Arm64),
        http: http(FirmwareKind::X64),
        http_arm64: http(FirmwareKind::Arm64),
        // A reservation has a file of its own, and no boot URL.
        uefi_http: None,
        arm64_http: None,
        ipxe: script.or_else(loaded),
    }
}

/// What iPXE runs on.
fn kind_of(packet: &Packet) -> FirmwareKind {
    let options = &packet.options;
    let class = options.get(code::VENDOR_CLASS).unwrap_or_default();
    let is_firmware = is_interface(options.get(code::INTERFACE));
    match architecture::booting(options.get(code::ARCHITECTURE), class, is_firmware) {
        BootKind::Pxe(kind) | BootKind::Http(kind) => kind,
        BootKind::No | BootKind::Ipxe => FirmwareKind::Other,
    }
}

/// The file for machines of this kind.
fn file_for(image: &Image<'_>, kind: FirmwareKind) -> Option<String> {
    let path = image.boot_file.trim_start_matches('/');
    if path.is_empty() || path.len() > MAX_FILE || path.contains(char::is_control) {
        return None;
    }
    if is_for(path, kind) {
        return Some(path.to_owned());
    }
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let sibling = |(one, other): &(&str, &str)| {
        let (from, to) = if kind == FirmwareKind::Arm64 { (*one, *other) } else { (*other, *one) };
        let name = name.contains(from).then(|| name.replacen(from, to, 1))?;
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        (is_for(&path, kind) && (image.has)(&path)).then_some(path)
    };
    SIBLINGS.iter().find_map(sibling)
}

/// Whether firmware of this kind can run a file, judging by its name.
fn is_for(path: &str, kind: FirmwareKind) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    if BIOS.iter().any(|end| name.ends_with(end)) {
        return kind == FirmwareKind::Bios;
    }
    let named = NAMES.iter().find(|(text, _)| name.contains(text)).map(|(_, kind)| *kind);
    if name.strip_suffix(".efi").is_some() {
        return kind != FirmwareKind::Bios
            && kind != FirmwareKind::Other
            && named.is_none_or(|it| it == kind);
    }
    named.is_none_or(|it| it == kind)
}

fn is_ipxe(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    ["ipxe", "snponly", "undionly"].iter().any(|word| name.contains(word))
}

/// The URL of a file.
fn url(base: &str, path: &str) -> String {
    let mut url = format!("{}/", base.trim_end_matches('/'));
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            write!(url, "%{byte:02X}").ok();
        }
    }
    url
}
