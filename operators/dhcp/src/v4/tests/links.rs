//! Clients that ask everybody on a link are in a subnet of that link.

use super::*;

/// Our address in each of the two subnets on the link, in the order of the kernel.
const LINK: &[Ipv4Addr] = &[Ipv4Addr::new(10, 78, 0, 1), SERVER];
const REVERSED: &[Ipv4Addr] = &[SERVER, LINK[0]];

/// Two subnets on one link, and a third elsewhere.
const SITE: &str = "
interfaces: [eth1]
subnets:
  - { subnet: 10.77.0.0/24, ranges: [10.77.0.100-10.77.0.101] }
  - subnet: 10.78.0.0/24
    ranges: [10.78.0.100-10.78.0.199]
    reservations: [{ mac: '02:00:00:00:00:98', ip: 10.78.0.9 }]
  - { subnet: 10.79.0.0/24, ranges: [10.79.0.100-10.79.0.199] }
";

fn lab() -> Lab {
    let mut lab = Lab::with(SITE);
    lab.arrival = Arrival { server: LINK[0], link: LINK, ..lab.arrival };
    lab
}

/// What a client gets by DISCOVER and REQUEST, and the server identifier in the answer.
fn bound(lab: &mut Lab, client: u8) -> (Ipv4Addr, Ipv4Addr) {
    let offer = lab.answer(&discover(client));
    let server = offer.packet.options.address(code::SERVER_ID).unwrap();
    let mut request = select(client, offer.packet.yiaddr);
    request.options.set(code::SERVER_ID, server.octets());
    let ack = lab.answer(&request);
    assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, offer.packet.yiaddr));
    (ack.packet.yiaddr, server)
}

#[test]
fn of_several_subnets_on_a_link_the_first_of_the_configuration_counts() {
    let mut lab = lab();
    let (address, server) = bound(&mut lab, 1);
    assert_eq!((address.octets()[..3].to_vec(), server), (vec![10, 77, 0], SERVER));
    lab.arrival = Arrival { server: SERVER, link: REVERSED, ..lab.arrival };
    assert_eq!(bound(&mut lab, 1), (address, SERVER), "in whatever order the kernel has them");
}

#[test]
fn a_reservation_in_another_subnet_of_the_link_is_kept() {
    let mut lab = lab();
    let (address, server) = bound(&mut lab, 0x98);
    assert_eq!((address, server), ([10, 78, 0, 9].into(), LINK[0]));
    let renewed = lab.answer(&renew(0x98, address));
    assert_eq!((renewed.kind, renewed.packet.yiaddr), (MessageType::Ack, address));
}

/// RFC 2131, section 4.3.2.
#[test]
fn a_client_that_rebinds_on_another_link_is_told_to_start_over() {
    let mut lab = lab();
    let elsewhere = Ipv4Addr::new(10, 79, 0, 1);
    lab.arrival = Arrival { server: elsewhere, link: &[], ..lab.arrival };
    let address = lab.answer(&discover(1)).packet.yiaddr;
    let mut request = select(1, address);
    request.options.set(code::SERVER_ID, elsewhere.octets());
    assert_eq!(lab.answer(&request).kind, MessageType::Ack);
    assert_eq!(address.octets()[..3], [10, 79, 0]);
    let until = lab.leases.get(address).unwrap().until;
    lab.pass(600);

    // It was moved, and asks everybody.
    lab.arrival =
        Arrival { server: SERVER, link: LINK, from: SocketAddrV4::new(address, 68), ..lab.arrival };
    let refused = lab.answer(&renew(1, address));
    assert_eq!((refused.kind, *refused.to.ip()), (MessageType::Nak, Ipv4Addr::BROADCAST));
    assert_eq!(lab.leases.get(address).unwrap().until, until, "the lease is not extended");
    // Alone it reaches us past a router, from where it was.
    lab.arrival.link = &[];
    assert_eq!(lab.answer(&renew(1, address)).kind, MessageType::Ack);
}
