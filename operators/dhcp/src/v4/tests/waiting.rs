//! A server that was powered on to boot by UEFI HTTP what is not ready yet.

use super::*;

const CLASS: &[u8] = b"HTTPClient:Arch:00016:UNDI:003000";

/// As firmware asks, but for the list of what it asks for.
fn by_http(parameters: &[u8]) -> Packet {
    let mut packet = discover(1);
    packet.options.set(code::VENDOR_CLASS, CLASS);
    packet.options.set(code::ARCHITECTURE, [0, 16]);
    packet.options.set(code::PARAMETERS, parameters);
    packet
}

/// Of EDK2, in part.
fn of_firmware() -> Packet {
    by_http(&[1, 2, 3, 6, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97])
}

/// Of metalprobe.
fn of_agent() -> Packet {
    by_http(&[1, 121, 3, 6, 26, 51, 58, 67])
}

fn waiting() -> Lab {
    let mut lab = Lab::new();
    lab.boot = Boot::Waits { http: true, script: true, uuid: None };
    lab
}

#[test]
fn an_agent_gets_its_address_while_the_firmware_of_its_server_waits() {
    let mut lab = waiting();
    assert_eq!(lab.send(&of_firmware()).answer, Err(DropReason::BootNotReady));
    let mut told = of_agent();
    told.options.set(code::INTERFACE, [1, 0, 0]);
    let mut unlisted = of_agent();
    unlisted.options.set(code::PARAMETERS, []);
    // Of dhclient, which asks for no routes.
    let short = by_http(&[1, 28, 2, 3, 15, 6, 12]);
    for other in [told, unlisted, short] {
        assert_eq!(lab.send(&other).answer, Err(DropReason::BootNotReady), "{:?}", other.options);
    }
    let offer = lab.answer(&of_agent());
    assert_eq!(offer.kind, MessageType::Offer);
    assert_eq!(offer.packet.options.get(code::BOOT_FILE), None);
    let mut request = of_agent();
    request.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    request.options.set(code::SERVER_ID, SERVER.octets());
    request.options.set(code::REQUESTED_ADDRESS, offer.packet.yiaddr.octets());
    let ack = lab.answer(&request);
    assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, offer.packet.yiaddr));
}

#[test]
fn an_agent_is_told_the_url_that_firmware_is_told() {
    let mut lab = waiting();
    let uki = Some("http://boot/a.efi".to_owned());
    lab.boot = Boot::Assigned { uki, script: false, uuid: None };
    let [url, same] = [of_firmware(), of_agent()].map(|packet| {
        let reply = lab.answer(&packet);
        reply.packet.options.get(code::BOOT_FILE).map(<[u8]>::to_vec)
    });
    assert_eq!((&url, &url), (&same, &Some(b"http://boot/a.efi\0".to_vec())));
}
