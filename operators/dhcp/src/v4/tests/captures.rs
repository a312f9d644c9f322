//! What real clients sent (`tests/fixtures/v4`), and how they must be answered.

use super::*;
use crate::boot_kind::{BootKind, FirmwareKind};

macro_rules! capture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/v4/", $name, ".bin")).as_slice()
    };
}

const IPXE_BIOS: [&[u8]; 2] =
    [capture!("ipxe-bios-bookworm-discover"), capture!("ipxe-bios-bookworm-request")];
const IPXE_SNPONLY: [&[u8]; 2] =
    [capture!("ipxe-snponly-bookworm-discover"), capture!("ipxe-snponly-bookworm-request")];
const OVMF2022_HTTP: [&[u8]; 2] =
    [capture!("ovmf2022-http-discover"), capture!("ovmf2022-http-request")];
const OVMF2025_HTTP: [&[u8]; 2] =
    [capture!("ovmf2025-http-discover"), capture!("ovmf2025-http-request")];
const OVMF2022_PXE: [&[u8]; 2] =
    [capture!("ovmf2022-pxe-discover"), capture!("ovmf2022-pxe-request")];
const OVMF2025_PXE: [&[u8]; 2] =
    [capture!("ovmf2025-pxe-discover"), capture!("ovmf2025-pxe-request")];
const UDHCP: [&[u8]; 2] = [capture!("udhcp-1.35-discover"), capture!("udhcp-1.35-request")];

pub(super) fn all() -> Vec<Vec<u8>> {
    let pairs =
        [IPXE_BIOS, IPXE_SNPONLY, OVMF2022_HTTP, OVMF2025_HTTP, OVMF2022_PXE, OVMF2025_PXE, UDHCP];
    pairs.as_flattened().iter().map(|bytes| bytes.to_vec()).collect()
}

#[test]
fn every_client_is_recognized() {
    let booting = |bytes: &[u8]| BootKind::of(&Packet::parse(bytes).unwrap().options);
    for (pair, expected) in [
        (IPXE_BIOS, BootKind::Ipxe),
        (IPXE_SNPONLY, BootKind::Ipxe),
        (OVMF2022_HTTP, BootKind::Http(FirmwareKind::X64)),
        (OVMF2025_HTTP, BootKind::Http(FirmwareKind::X64)),
        (OVMF2022_PXE, BootKind::Pxe(FirmwareKind::X64)),
        (OVMF2025_PXE, BootKind::Pxe(FirmwareKind::X64)),
        (UDHCP, BootKind::No),
    ] {
        assert_eq!(pair.map(booting), [expected; 2]);
        assert_eq!(pair.map(|bytes| is_up(&Packet::parse(bytes).unwrap())), [false; 2]);
    }
}

/// Firmware, boot loader and operating system are one machine, so it keeps its address.
#[test]
fn every_client_gets_its_lease_and_one_machine_keeps_its_address() {
    let mut lab = Lab::with(&CONFIG.replace("10.77.0.100-10.77.0.102", "10.77.0.133-10.77.0.140"));
    let mut addresses = Vec::new();
    for [first, second] in [OVMF2025_PXE, IPXE_SNPONLY, UDHCP, OVMF2025_HTTP, IPXE_BIOS] {
        let offer = lab.answer(&Packet::parse(first).unwrap());
        // The capture asks for an address of another server's lab.
        let mut request = Packet::parse(second).unwrap();
        assert_eq!(request.options.address(code::SERVER_ID), Some(SERVER));
        request.options.set(code::REQUESTED_ADDRESS, offer.packet.yiaddr.octets());
        let ack = lab.answer(&request);
        assert_eq!((offer.kind, ack.kind), (MessageType::Offer, MessageType::Ack));
        let boot_file =
            |reply: &Reply| reply.packet.options.get(code::BOOT_FILE).map(<[u8]>::to_vec);
        assert_eq!(boot_file(&offer), boot_file(&ack));
        assert_eq!(ack.packet.options.get(code::MACHINE_ID), machine_id(&ack, &request));
        addresses.push(ack.packet.yiaddr);
    }
    assert!(addresses.iter().all(|address| *address == addresses[0]), "{addresses:?}");
}

/// Option 97 is echoed to clients that boot.
fn machine_id<'a>(ack: &Reply, request: &'a Packet) -> Option<&'a [u8]> {
    ack.packet.options.get(code::BOOT_FILE).and(request.options.get(code::MACHINE_ID))
}

#[test]
fn clients_are_answered_where_they_listen() {
    let mut lab = Lab::new();
    // OVMF asks for broadcast; iPXE does not, and accepts it if nothing else is possible.
    for [discover, _] in [OVMF2022_PXE, IPXE_BIOS] {
        let packet = Packet::parse(discover).unwrap();
        let reply = lab.answer(&packet);
        assert_eq!(reply.to, to([255; 4], 68));
        assert_eq!(reply.packet.broadcast, packet.broadcast);
        assert_eq!(reply.direct.is_some(), !packet.broadcast);
    }
}
