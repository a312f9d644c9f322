//! Clients, relays and servers of others: Debian's dhclient, dhcrelay and dhcpd.

mod scripts;

use metal_dhcp::v4::{MessageType, Packet, code};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    env::current_exe,
    io::Read as _,
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

/// What OVMF 2022.11 sends when it boots by PXE.
const DISCOVER: &[u8] =
    include_bytes!("../../dhcp/tests/fixtures/v4/ovmf2022-pxe-discover.bin").as_slice();

#[test]
fn dhclient_gets_its_lease_and_firmware_its_boot_file_beside_dhcpd() {
    let firmware = current_exe().unwrap();
    let seen = scripts::seen("namespaces.sh", "peers.sh", &[firmware.as_os_str()]);
    let direct = seen["client"];
    assert!(direct.starts_with("10.77.0.1"), "{seen:?}");
    assert!(seen["remote"].starts_with("10.88.0.1"), "{seen:?}");
    assert_eq!(seen["script"], format!("BOUND {direct} 10.77.0.1 10.77.0.3"));
    assert_eq!(seen["again"], direct, "the lease survived kill -9: {seen:?}");
    assert_eq!(seen["discovers"], "0", "the address was confirmed at once: {seen:?}");
    assert_eq!(seen["released"], direct, "{seen:?}");
    assert!(seen["beside"].starts_with("10.77.0.1"), "{seen:?}");
    assert_ne!(seen["beside"], direct, "somebody uses it: {seen:?}");
    assert_eq!(seen["rests"], direct, "{seen:?}");
    assert!(seen["foreign"].starts_with("10.99.0.1"), "{seen:?}");
    let offered = seen["firmware-alone"];
    assert!(offered.starts_with("02:00:00:00:00:aa 10.77.0.1"), "{seen:?}");
    assert!(seen["firmware-to-all"].starts_with("ff:ff:ff:ff:ff:ff 255.255.255.255"), "{seen:?}");
    let file = "PXEClient 10.99.0.9 snponly.efi snponly.efi";
    assert_eq!(seen["firmware-offer"], format!("0.0.0.0 {file}"), "{seen:?}");
    assert_eq!(seen["firmware-ack"], format!("0.0.0.0 {file}"), "{seen:?}");
    assert_eq!(seen["ended"], "0", "{seen:?}");
}

/// What namespaces.sh runs next to dhcpd.
#[cfg(test)]
mod firmware {
    use super::*;

    #[test]
    #[ignore = "run by namespaces.sh"]
    fn asks_both_servers_and_the_boot_server() {
        let [socket, broadcast] = ["0.0.0.0:4011", "0.0.0.0:68"].map(|address| {
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_broadcast(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            SockRef::from(&socket).bind_device(Some(b"eth0")).unwrap();
            socket
        });
        let mut packet = Packet::parse(DISCOVER).unwrap();
        broadcast.send_to(DISCOVER, "255.255.255.255:67").unwrap();
        // Both servers answer; one of them with an address.
        let offers = [answer(&broadcast), answer(&broadcast)];
        let proxy = offers.iter().find(|offer| offer.yiaddr.is_unspecified()).unwrap();
        tell("firmware-offer", proxy);

        packet.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
        let own = offers.iter().map(|offer| offer.yiaddr).find(|address| !address.is_unspecified());
        packet.ciaddr = own.unwrap();
        let server = proxy.options.address(code::SERVER_ID).unwrap();
        assert_eq!(server, Ipv4Addr::new(10, 99, 0, 1));
        socket.send_to(&packet.encode(), (server, 4011)).unwrap();
        tell("firmware-ack", &answer(&socket));
    }

    /// The kernel of a client without an address delivers no packets to one, so what arrives is
    /// read as frames.
    #[test]
    #[ignore = "run by namespaces.sh"]
    fn sees_to_whom_its_answers_go() {
        let broadcast = UdpSocket::bind("0.0.0.0:68").unwrap();
        broadcast.set_broadcast(true).unwrap();
        SockRef::from(&broadcast).bind_device(Some(b"eth0")).unwrap();
        let all = Protocol::from(i32::from(3_u16.to_be()));
        let mut frames = Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
        frames.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut packet = Packet::parse(DISCOVER).unwrap();
        packet.chaddr[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xaa]);
        for (what, flag) in [("alone", false), ("to-all", true)] {
            packet.broadcast = flag;
            broadcast.send_to(&packet.encode(), "255.255.255.255:67").unwrap();
            let frame = loop {
                let mut frame = vec![0; 2000];
                let len = frames.read(&mut frame).unwrap();
                if len > 42 && frame[12..14] == [8, 0] && frame[36..38] == [0, 68] {
                    break frame;
                }
            };
            let mac = frame[..6].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
            let [a, b, c, d] = frame[30..34] else { panic!("four bytes") };
            println!("\nfirmware-{what} {} {}", mac.join(":"), Ipv4Addr::new(a, b, c, d));
        }
    }

    fn answer(socket: &UdpSocket) -> Packet {
        let mut buffer = [0; 4096];
        let (len, _) = socket.recv_from(&mut buffer).unwrap();
        Packet::parse(&buffer[..len]).unwrap()
    }

    fn tell(what: &str, packet: &Packet) {
        // With a zero, for boot ROMs that treat it as a C string.
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).unwrap().trim_end_matches('\0').to_owned()
        };
        let option = |code| packet.options.get(code).map(text).unwrap_or_default();
        let (class, file) = (option(code::VENDOR_CLASS), option(code::BOOT_FILE));
        let (address, server, field) = (packet.yiaddr, packet.siaddr, text(&packet.file));
        // On a new line after the test harness's output.
        println!("\n{what} {address} {class} {server} {field} {file}");
    }
}
