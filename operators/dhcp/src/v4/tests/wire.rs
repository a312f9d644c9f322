//! Compares the codec with dhcproto's messages, of which it uses only the framing.

use super::*;
use dhcproto::{Decodable, Encodable, Encoder, v4};

#[test]
fn what_is_encoded_parses_to_the_same() {
    let mut lab = Lab::new();
    let mut packet = lab.answer(&discover(1)).packet;
    packet.options.set(code::VENDOR_SPECIFIC, vec![1; 700]);
    packet.options.set(code::IPXE, []);
    packet.sname = b"boot".to_vec();
    assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
}

#[test]
fn an_independent_decoder_reads_what_we_write() {
    let mut lab = Lab::new();
    let packet = lab.answer(&discover(0x99)).packet;
    let other = v4::Message::from_bytes(&packet.encode()).unwrap();
    assert_eq!(other.opcode(), v4::Opcode::BootReply);
    assert_eq!((other.xid(), other.yiaddr()), (7, [10, 77, 0, 9].into()));
    assert_eq!(other.chaddr(), [2, 0, 0, 0, 0, 0x99]);
    let option = |code: v4::OptionCode| other.opts().get(code).cloned();
    assert_eq!(other.opts().msg_type(), Some(v4::MessageType::Offer));
    assert_eq!(
        option(v4::OptionCode::DomainNameServer),
        Some(v4::DhcpOption::DomainNameServer(vec![[10, 77, 0, 3].into(), [10, 77, 0, 4].into()]))
    );
    assert_eq!(option(v4::OptionCode::Rebinding), Some(v4::DhcpOption::Rebinding(3150)));
    assert_eq!(
        option(v4::OptionCode::Hostname),
        Some(v4::DhcpOption::Hostname("rack1-u1".to_owned()))
    );
}

#[test]
fn we_read_what_an_independent_encoder_writes() {
    let mut message = v4::Message::new_with_id(
        9,
        [10, 77, 0, 5].into(),
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        [10, 88, 0, 1].into(),
        &[2, 0, 0, 0, 0, 1],
    );
    message.set_flags(v4::Flags::default().set_broadcast()).set_fname_str("a.efi");
    message.opts_mut().insert(v4::DhcpOption::MessageType(v4::MessageType::Inform));
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!((packet.xid, packet.broadcast, packet.file.as_slice()), (9, true, &b"a.efi"[..]));
    assert_eq!((packet.ciaddr, packet.giaddr), ([10, 77, 0, 5].into(), [10, 88, 0, 1].into()));
    assert_eq!(MessageType::of(&packet), Some(MessageType::Inform));
    assert_eq!(Client::of(&packet), Some(Client::Mac(mac(1))));
}

#[test]
fn packets_are_padded_to_what_old_relays_forward() {
    assert_eq!(Packet::default().encode().len(), 300);
}

#[test]
fn options_may_continue_in_file_and_sname() {
    let mut bytes = discover(1).encode();
    bytes.truncate(240);
    bytes.extend([code::OVERLOAD, 1, 3, code::HOST_NAME, 2, b'a', b'b', code::END]);
    // In `file`: more of the host name, and an overload option that must be ignored.
    let file =
        [code::HOST_NAME, 1, b'c', code::OVERLOAD, 1, 3, code::MESSAGE_TYPE, 1, 1, code::END];
    bytes[108..118].copy_from_slice(&file);
    bytes[44..48].copy_from_slice(&[code::HOST_NAME, 1, b'd', code::END]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.options.get(code::HOST_NAME), Some(&b"abcd"[..]));
    assert_eq!(MessageType::of(&packet), Some(MessageType::Discover));
    assert_eq!((packet.file, packet.sname), (vec![], vec![]));
}

#[test]
fn text_without_a_zero_fills_its_field() {
    let packet = Packet { file: vec![b'x'; 200], ..discover(1) };
    assert_eq!(Packet::parse(&packet.encode()).unwrap().file, [b'x'; 128]);
}
