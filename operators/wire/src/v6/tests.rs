use super::{
    value::{Architecture, DhcpOption, ORO, OptionCode, Status, StatusCode},
    *,
};
use std::net::Ipv6Addr;

fn packet() -> Packet {
    let mut packet =
        Packet { kind: MessageType::Solicit as u8, xid: [1, 2, 3], ..Packet::default() };
    packet.options.push(code::CLIENT_ID, [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
    packet
}

fn relay() -> Relay {
    let (link, peer) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
    Relay { is_reply: false, hops: 1, link, peer, options: Options::default() }
}

#[test]
fn what_is_written_is_read_again_in_its_order() {
    let mut packet = packet();
    packet.options.push(code::ZTP, vec![1; 65_535]);
    packet.options.push(code::IA_NA, [2; 3]);
    packet.options.push(code::RAPID_COMMIT, [5; 9]);
    packet.options.push(code::IA_NA, [1; 3]);
    packet.options.push(code::BOOT_FILE, []);
    assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
}

#[test]
fn a_message_comes_out_of_its_envelopes_as_it_went_in() {
    let mut packet = packet();
    packet.relays = vec![relay(), Relay { is_reply: true, hops: 0, ..relay() }];
    packet.relays[1].options.push(code::LINK_LAYER, [0, 1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
}

#[test]
fn an_option_that_is_too_long_is_left_out() {
    let mut long = packet();
    long.options.push(code::ZTP, vec![1; 65_536]);
    assert_eq!(Packet::parse(&long.encode()), Ok(packet()));
}

#[test]
fn relays_are_counted_before_they_are_opened() {
    let of = |relays| Packet { relays: vec![relay(); relays], ..packet() }.encode();
    assert!(Packet::parse(&of(9)).is_ok());
    assert_eq!(Packet::parse(&of(10)), Err(PacketError::TooManyRelays));
    // As many as fit into a datagram.
    assert_eq!(Packet::parse(&of(1_700)), Err(PacketError::TooManyRelays));
}

#[test]
fn options_of_dhcproto_are_written_as_bytes() {
    let mut options = Options::default();
    let message = "full".to_owned();
    options.add(&DhcpOption::StatusCode(StatusCode { status: Status::NoAddrsAvail, msg: message }));
    options.add(&DhcpOption::ElapsedTime(7));
    options.add(&DhcpOption::ORO(ORO { opts: vec![OptionCode::from(59), OptionCode::from(239)] }));
    options.add(&DhcpOption::ClientArchType(vec![Architecture(16), Architecture(19)]));
    assert_eq!(options.get(code::STATUS), Some(&b"\0\x02full"[..]));
    assert_eq!(options.get(code::ELAPSED), Some(&[0, 7][..]));
    assert_eq!(options.get(code::OPTION_REQUEST), Some(&[0, 59, 0, 239][..]));
    assert_eq!(options.get(code::ARCHITECTURE), Some(&[0, 16, 0, 19][..]));
}

#[test]
fn addresses_of_an_association_stay_in_their_order() {
    let addresses = [9, 1, 5].map(|last| Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last));
    let mut association = Association { id: [0, 0, 0, 1], t1: 2, t2: 3, ..Association::default() };
    for address in addresses {
        association.push(address, 4, 5);
    }
    let value = association.value();
    assert_eq!(value[..16], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 5, 0, 24]);
    assert_eq!(value[32..40], [0, 0, 0, 4, 0, 0, 0, 5]);
    let read = Association::parse(&value).unwrap();
    assert_eq!(read.addresses().collect::<Vec<_>>(), addresses.map(Ok));
    assert_eq!(read, association);
}

#[test]
fn an_association_says_which_of_its_parts_is_malformed() {
    let mut association = Association::default();
    association.push(Ipv6Addr::LOCALHOST, 1, 2);
    association.options.push(code::IA_ADDRESS, [0; 23]);
    association.options.push(code::IA_ADDRESS, [0; 25]);
    let addresses: Vec<_> = association.addresses().collect();
    assert_eq!(
        addresses,
        [Ok(Ipv6Addr::LOCALHOST), Err(PacketError::TooShort), Err(PacketError::TooShort)]
    );
    let value = association.value();
    assert_eq!(Association::parse(&value[..11]), Err(PacketError::TooShort));
    assert_eq!(Association::parse(&value[..20]), Err(PacketError::Truncated(code::IA_ADDRESS)));
}
