//! What real clients sent (`tests/fixtures/v6`), and how they must be answered.

use super::*;
use crate::{
    boot_kind::{BootKind, FirmwareKind},
    v6::boot_kind::boot_kind,
};
use metal_core::boot::decision::Identity;

macro_rules! capture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/v6/", $name, ".bin")).as_slice()
    };
}

const IPXE_BIOS: [&[u8]; 2] =
    [capture!("ipxe-bios-bookworm-solicit"), capture!("ipxe-bios-bookworm-request")];
const IPXE_SNPONLY: [&[u8]; 2] =
    [capture!("ipxe-snponly-bookworm-solicit"), capture!("ipxe-snponly-bookworm-request")];
const OVMF_HTTP: [&[u8]; 2] =
    [capture!("ovmf2022-http-solicit"), capture!("ovmf2022-http-request")];
const OVMF_PXE: [&[u8]; 2] = [capture!("ovmf2022-pxe-solicit"), capture!("ovmf2022-pxe-request")];
const OVMF_RELEASE: &[u8] = capture!("ovmf2022-http-release");
const KEA: [&[u8]; 2] = [capture!("kea-2.2-http-advertise"), capture!("kea-2.2-http-reply")];

const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0x00ff, 0xfe12, 0x3456);
const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

pub(super) fn all() -> Vec<Vec<u8>> {
    let pairs = [IPXE_BIOS, IPXE_SNPONLY, OVMF_HTTP, OVMF_PXE, KEA];
    let all = pairs.as_flattened().iter().copied().chain([OVMF_RELEASE]);
    all.map(<[u8]>::to_vec).collect()
}

#[test]
fn every_packet_is_written_as_it_was_read() {
    for bytes in all() {
        assert_eq!(Packet::parse(&bytes).unwrap().encode(), bytes);
    }
}

#[test]
fn every_client_is_recognized() {
    for (pair, expected) in [
        (IPXE_BIOS, BootKind::Ipxe),
        (IPXE_SNPONLY, BootKind::Ipxe),
        (OVMF_HTTP, BootKind::Http(FirmwareKind::X64)),
        (OVMF_PXE, BootKind::Pxe(FirmwareKind::X64)),
    ] {
        for bytes in pair {
            let packet = Packet::parse(bytes).unwrap();
            assert_eq!(boot_kind(&packet.options), expected);
            // Its UUID, 11111111-2222-3333-4444-555555555555, is a placeholder.
            let expected = Identity { mac: Some(MAC), uuid: None };
            assert_eq!(identity(&packet, CLIENT), Some(expected));
        }
    }
    assert_eq!(identity(&Packet::parse(OVMF_RELEASE).unwrap(), CLIENT), None);
}

/// The capture, addressed to the server of the lab, with the address that it gave.
fn adapted(bytes: &[u8], given: Ipv6Addr) -> Packet {
    let mut packet = Packet::parse(bytes).unwrap();
    let iaid = packet.options.get(code::IA_NA).unwrap()[..4].to_vec();
    packet.options.remove(code::SERVER_ID);
    packet.options.push(code::SERVER_ID, SERVER_ID);
    packet.options.remove(code::IA_NA);
    packet.options.push(code::IA_NA, [iaid, ia(0, Some(given))[4..].to_vec()].concat());
    packet
}

#[test]
fn ovmf_boots_with_what_it_booted_with_from_kea() {
    let mut lab = Lab::new();
    let advertise = lab.send(&Packet::parse(OVMF_HTTP[0]).unwrap(), CLIENT).answer.unwrap();
    let offered = address(&advertise).unwrap();
    let reply = lab.send(&adapted(OVMF_HTTP[1], offered), CLIENT).answer.unwrap();
    for (ours, theirs) in [(&advertise, KEA[0]), (&reply, KEA[1])] {
        let theirs = Packet::parse(theirs).unwrap();
        assert_eq!((ours.packet.kind, ours.packet.xid[0]), (theirs.kind, theirs.xid[0]));
        for code in [code::CLIENT_ID, code::VENDOR_CLASS, code::BOOT_FILE] {
            assert_eq!(ours.packet.options.get(code), theirs.options.get(code), "{code}");
        }
    }
    assert_eq!(address(&reply), Some(offered));
    let released = lab.send(&adapted(OVMF_RELEASE, offered), CLIENT).answer.unwrap();
    assert_eq!(status(&released), (Some(0), None));
}

/// With that class OVMF does not load the file: it asks the file's host on port 4011, gets no answer
/// there, and says "PXE-E16: No valid offer received".
#[test]
fn ovmf_by_pxe_gets_a_file_in_answers_without_the_class_of_pxe() {
    let mut lab = Lab::new();
    let advertise = lab.send(&Packet::parse(OVMF_PXE[0]).unwrap(), CLIENT).answer.unwrap();
    let offered = address(&advertise).unwrap();
    let reply = lab.send(&adapted(OVMF_PXE[1], offered), CLIENT).answer.unwrap();
    for answer in [advertise, reply] {
        let options = &answer.packet.options;
        assert_eq!(options.get(code::BOOT_FILE), Some(&b"tftp://[fd77::2]/snponly.efi"[..]));
        assert_eq!(options.get(code::VENDOR_CLASS), None);
        assert_eq!(address(&answer), Some(offered));
    }
}

/// Firmware and boot loader are one machine, so it keeps its address.
#[test]
fn one_machine_keeps_its_address() {
    let mut lab = Lab::new();
    let mut addresses = Vec::new();
    for [solicit, request] in [OVMF_HTTP, OVMF_PXE, IPXE_SNPONLY, IPXE_BIOS] {
        let advertise = lab.send(&Packet::parse(solicit).unwrap(), CLIENT).answer.unwrap();
        let offered = address(&advertise).unwrap();
        let reply = lab.send(&adapted(request, offered), CLIENT).answer.unwrap();
        addresses.push(address(&reply).unwrap());
    }
    assert!(addresses.iter().all(|address| *address == addresses[0]), "{addresses:?}");
    assert_eq!(lab.leases.len(), 1);
}
