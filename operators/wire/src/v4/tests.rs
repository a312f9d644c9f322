use super::*;

fn packet() -> Packet {
    let mut packet = Packet { xid: 7, broadcast: true, secs: 3, ..Packet::default() };
    packet.chaddr[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Discover as u8]);
    packet
}

#[test]
fn what_is_written_is_read_again_in_its_order() {
    let mut packet = packet();
    packet.file = vec![b'f'; 128];
    packet.sname = b"boot".to_vec();
    packet.giaddr = [10, 0, 0, 1].into();
    packet.options.set(code::VENDOR_SPECIFIC, vec![1; 700]);
    packet.options.set(code::IPXE, []);
    packet.options.set(code::RELAY, [1, 2, 0xff, 0xff]);
    packet.options.set(code::SUBNET_MASK, [255; 4]);
    assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
}

#[test]
fn a_hardware_address_is_as_long_as_it_says_and_never_longer_than_its_field() {
    for hlen in 0..=u8::MAX {
        let mut bytes = packet().encode();
        bytes[2] = hlen;
        bytes[28..44].fill(9);
        match Packet::parse(&bytes) {
            Ok(packet) => {
                let len = usize::from(hlen);
                assert!(packet.chaddr[..len].iter().all(|byte| *byte == 9));
                assert!(packet.chaddr[len..].iter().all(|byte| *byte == 0));
                assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
            }
            Err(error) => assert!(hlen > 16 && error == PacketError::HardwareAddress),
        }
    }
}

#[test]
fn pieces_of_an_option_are_joined_wherever_they_stand() {
    let mut bytes = packet().encode();
    bytes.truncate(243);
    bytes.extend([code::HOST_NAME, 1, b'a', code::HOST_NAME, 1, b'b', code::MTU, 2, 5, 0]);
    bytes.extend([code::PAD, code::HOST_NAME, 1, b'c', code::OVERLOAD, 1, 1, code::END]);
    bytes[108..112].copy_from_slice(&[code::HOST_NAME, 1, b'd', code::END]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.options.get(code::HOST_NAME), Some(&b"abcd"[..]));
    assert_eq!(packet.options.u16(code::MTU), Some(1280));
    assert!(packet.file.is_empty());
}

#[test]
fn a_value_of_fixed_length_counts_once_if_it_is_repeated_and_not_at_all_if_they_differ() {
    const REQUEST: u8 = MessageType::Request as u8;
    let mut bytes = packet().encode();
    bytes.truncate(HEADER_LEN);
    for last in [7, 8] {
        bytes.extend([code::MESSAGE_TYPE, 1, REQUEST, code::MTU, 2, 5, 0]);
        bytes.extend([code::SERVER_ID, 4, 10, 0, 0, 1]);
        bytes.extend([code::REQUESTED_ADDRESS, 4, 10, 0, 0, last]);
    }
    bytes.extend([code::LEASE_TIME, 4, 0, 0, 0, 9, code::LEASE_TIME, 2, 0, 0, code::END]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(MessageType::of(&packet), Some(MessageType::Request));
    assert_eq!(packet.options.address(code::SERVER_ID), Some([10, 0, 0, 1].into()));
    assert_eq!(packet.options.u16(code::MTU), Some(1280));
    assert_eq!(packet.options.address(code::REQUESTED_ADDRESS), None);
    assert_eq!(packet.options.u32(code::LEASE_TIME), None);
    let options = |kind: &[u8]| {
        let mut packet = Packet::default();
        packet.options.set(code::MESSAGE_TYPE, kind);
        MessageType::of(&packet)
    };
    assert_eq!([&[][..], &[1, 3], &[9]].map(options), [None; 3]);
}

#[test]
fn a_list_of_nothing_that_is_asked_for_is_no_list() {
    let mut options = Options::default();
    assert_eq!(options.parameters(), None);
    options.set(code::PARAMETERS, []);
    assert_eq!(options.parameters(), None);
    options.set(code::PARAMETERS, [code::MTU]);
    assert_eq!(options.parameters(), Some(&[code::MTU][..]));
}

#[test]
fn what_is_malformed_ends_its_field_and_harms_nothing_else() {
    let whole = packet().encode();
    for end in 0..whole.len() {
        match Packet::parse(&whole[..end]) {
            Ok(packet) => assert!(end >= HEADER_LEN && packet.xid == 7),
            Err(error) => assert!(end < HEADER_LEN && error == PacketError::TooShort),
        }
    }
    let cut = [&whole[..243], &[code::MTU, 2, 5, 0, code::HOST_NAME, 9, b'a']].concat();
    let packet = Packet::parse(&cut).unwrap();
    assert_eq!(MessageType::of(&packet), Some(MessageType::Discover));
    assert_eq!(packet.options.u16(code::MTU), Some(1280));
    assert_eq!(packet.options.get(code::HOST_NAME), None);
}
