//! Boot files alongside another DHCP server.

use super::*;
use metal_core::boot::decision::Reason;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 150);

/// A proxy, whose clients have no addresses.
fn proxy() -> Lab {
    let ranges = "    ranges: [10.77.0.100-10.77.0.102]\n";
    let config = CONFIG.replacen(ranges, "    mode: proxy\n", 1).replace("    bmc: true\n", "");
    let begin = config.find("    router").unwrap();
    let end = config.find("  - subnet: 10.88").unwrap();
    Lab::with(&[&config[..begin], &config[end..]].concat())
}

fn booting(kind: MessageType, architecture: u8) -> Packet {
    let mut packet = packet(kind, mac(1));
    packet.options.set(code::ARCHITECTURE, [0, architecture]);
    packet.options.set(code::MACHINE_ID, [0; 17]);
    packet
}

fn text(reply: &Reply, code: u8) -> &str {
    let text = reply.packet.options.get(code).unwrap_or_default();
    std::str::from_utf8(text).unwrap().trim_end_matches('\0')
}

#[test]
fn a_discover_is_answered_with_a_boot_file_and_no_address() {
    for (architecture, class, file) in [
        (0, "PXEClient", "undionly.kpxe"),
        (7, "PXEClient", "snponly.efi"),
        (16, "HTTPClient", "http://10.77.0.2:8082/httpboot/uki.efi"),
    ] {
        let mut lab = proxy();
        let decision = lab.send(&booting(MessageType::Discover, architecture));
        assert_eq!((decision.changes.len(), decision.probe), (0, None));
        let offer = decision.answer.unwrap();
        assert_eq!((offer.kind, offer.to), (MessageType::Offer, to([255; 4], 68)));
        assert_eq!(offer.packet.yiaddr, Ipv4Addr::UNSPECIFIED);
        assert_eq!(
            (text(&offer, code::VENDOR_CLASS), text(&offer, code::BOOT_FILE)),
            (class, file)
        );
        assert_eq!(offer.packet.options.get(code::MACHINE_ID), Some(&[0; 17][..]));
        assert_eq!(offer.packet.options.address(code::SERVER_ID), Some(SERVER));
        let not_ours = [code::LEASE_TIME, code::SUBNET_MASK, code::ROUTER, code::DNS];
        assert!(not_ours.iter().all(|code| offer.packet.options.get(*code).is_none()));
    }
}

#[test]
fn ipxe_takes_the_file_from_the_answer_of_a_proxy() {
    let mut packet = booting(MessageType::Discover, 7);
    packet.options.set(code::IPXE, []);
    let offer = proxy().answer(&packet);
    assert_eq!(text(&offer, code::VENDOR_CLASS), "PXEClient");
    assert_eq!(text(&offer, code::BOOT_FILE), "http://10.77.0.2:8082/ipxe/${uuid}");
    assert_eq!(offer.packet.siaddr, SERVER, "without it, iPXE takes no file");
    assert_eq!(offer.packet.options.get(code::IPXE), None, "it is to wait for proxies");
}

#[test]
fn addresses_are_the_business_of_the_other_server() {
    let mut lab = proxy();
    let silence = |lab: &mut Lab, packet: &Packet| lab.send(packet).answer.unwrap_err();
    assert_eq!(silence(&mut lab, &discover(1)), DropReason::NothingToBoot);
    for packet in [select(1, CLIENT), renew(1, CLIENT), reboot(1, [1, 2, 3, 4].into())] {
        assert_eq!(silence(&mut lab, &packet), DropReason::OtherServer, "also no NAK");
    }
    for packet in [release(1, CLIENT), decline(1, CLIENT)] {
        assert_eq!(silence(&mut lab, &packet), DropReason::OtherServer);
    }
    lab.boot = Boot::Nothing(Reason::NotReferred);
    let packet = booting(MessageType::Discover, 7);
    assert_eq!(silence(&mut lab, &packet), DropReason::NothingToBoot);
}

#[test]
fn at_the_port_of_the_boot_server_the_client_is_answered_where_it_is() {
    let mut lab = proxy();
    lab.arrival.port = BOOT_SERVER_PORT;
    lab.arrival.from = SocketAddrV4::new(CLIENT, 4011);
    for kind in [MessageType::Request, MessageType::Inform, MessageType::Discover] {
        let packet = Packet { ciaddr: CLIENT, ..booting(kind, 7) };
        let ack = lab.answer(&packet);
        assert_eq!((ack.kind, ack.to), (MessageType::Ack, lab.arrival.from));
        assert_eq!(text(&ack, code::BOOT_FILE), "snponly.efi");
        assert_eq!(ack.packet.siaddr, Ipv4Addr::new(10, 77, 0, 2));
        assert_eq!((ack.packet.ciaddr, ack.packet.yiaddr), (CLIENT, Ipv4Addr::UNSPECIFIED));
    }
}

#[test]
fn where_we_give_out_addresses_the_port_of_the_boot_server_is_silent() {
    let mut lab = Lab::new();
    lab.arrival.port = BOOT_SERVER_PORT;
    let packet = booting(MessageType::Discover, 7);
    assert_eq!(lab.send(&packet).answer, Err(DropReason::WrongPort));
}

#[test]
fn a_client_of_a_proxy_that_informs_is_told_its_boot_file_at_its_address() {
    let packet = Packet { ciaddr: CLIENT, ..booting(MessageType::Inform, 7) };
    let ack = proxy().answer(&packet);
    assert_eq!((ack.kind, ack.to), (MessageType::Ack, SocketAddrV4::new(CLIENT, 68)));
}

#[test]
fn behind_a_relay_the_proxy_answers_the_relay() {
    let mut packet = booting(MessageType::Discover, 7);
    packet.giaddr = [10, 77, 0, 254].into();
    packet.options.set(code::RELAY, [1, 1, 9]);
    let offer = proxy().answer(&packet);
    assert_eq!(offer.to, to([10, 77, 0, 254], 67));
    assert_eq!(offer.packet.options.iter().last(), Some((code::RELAY, &[1, 1, 9][..])));
}
