use super::*;

/// Destination, source, EtherType.
const HEADER: &[u8] = b"\x01\x80\xc2\x00\x00\x0e\x02\x00\x00\x00\x00\x01\x88\xcc";
const CHASSIS: &[u8] = b"\x02\x07\x04\x00\x1b\x21\x3a\x4b\x5c";
const PORT: &[u8] = b"\x04\x0a\x05Ethernet1";
const TTL: &[u8] = b"\x06\x02\x00\x78";
const END: &[u8] = b"\x00\x00";

#[test]
fn an_announcement_is_read_field_by_field() {
    let read = Announcement::parse(&full()).unwrap();
    assert_eq!(
        read,
        Announcement {
            chassis_id: "00:1b:21:3a:4b:5c".into(),
            port_id: "Ethernet1".into(),
            ttl: 120,
            port_description: "to rack 7".into(),
            system_name: "leaf-1".into(),
            system_description: "SONiC 4.1".into(),
            management_ip: Some("10.0.0.1".parse().unwrap()),
            capabilities: vec!["Bridge", "Router"],
            vlan_id: Some(100),
        }
    );
}

#[test]
fn a_frame_cut_at_any_byte_is_refused_or_says_no_more_than_it_has() {
    let frame = full();
    let whole = Announcement::parse(&frame).unwrap();
    let mandatory = HEADER.len() + CHASSIS.len() + PORT.len() + TTL.len();
    for length in 0..frame.len() {
        match Announcement::parse(&frame[..length]) {
            Err(error) => assert_eq!(error, FrameError::Truncated, "at {length}"),
            Ok(part) => {
                assert!(length >= mandatory, "at {length}");
                assert_eq!(part.chassis_id, whole.chassis_id);
                assert_eq!(part.ttl, whole.ttl);
                assert!(whole.system_name.starts_with(&part.system_name), "at {length}");
            }
        }
    }
}

#[test]
fn any_byte_may_be_wrong_without_a_panic() {
    let frame = full();
    for position in 0..frame.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = frame.clone();
            broken[position] = value;
            Announcement::parse(&broken).ok();
        }
    }
}

#[test]
fn chassis_port_and_time_to_live_come_first() {
    let table: [(&[&[u8]], FrameError); 6] = [
        (&[PORT, CHASSIS, TTL, END], FrameError::Order),
        (&[CHASSIS, PORT, END], FrameError::Order),
        (&[CHASSIS, PORT], FrameError::Truncated),
        (&[b"\x02\x01\x04", PORT, TTL, END], FrameError::Length(1)),
        (&[CHASSIS, b"\x04\x00", TTL, END], FrameError::Length(2)),
        (&[CHASSIS, PORT, b"\x06\x01\x00", END], FrameError::Length(3)),
    ];
    for (tlvs, error) in table {
        assert_eq!(Announcement::parse(&frame(tlvs)), Err(error), "{tlvs:x?}");
    }
}

#[test]
fn identifiers_have_the_form_of_their_subtype() {
    let table: [(&[u8], &str); 7] = [
        (b"\x02\x07\x04\xaa\xbb\xcc\xdd\xee\xff", "aa:bb:cc:dd:ee:ff"),
        (b"\x02\x04\x04\xaa\xbb\xcc", "aa:bb:cc"),
        (b"\x02\x06\x05\x01\x0a\x00\x00\x02", "10.0.0.2"),
        (b"\x02\x04\x05\x07\xab\xcd", "07:ab:cd"),
        (b"\x02\x06\x07local", "local"),
        (b"\x02\x03\x06\x01\x02", "01:02"),
        (b"\x02\x07\x07a\x1b[31mb"[..9].as_ref(), "a [31m"),
    ];
    for (chassis, expected) in table {
        let read = Announcement::parse(&frame(&[chassis, PORT, TTL, END])).unwrap();
        assert_eq!(read.chassis_id, expected);
    }
}

#[test]
fn an_optional_tlv_of_a_wrong_length_costs_only_itself() {
    let address = b"\x10\x04\xff\x01\x0a\x00";
    let read = Announcement::parse(&frame(&[CHASSIS, PORT, TTL, address, b"\x0a\x02sw", END]));
    let read = read.unwrap();
    assert_eq!((read.management_ip, read.system_name.as_str()), (None, "sw"));
}

#[test]
fn a_vlan_tag_and_padding_are_skipped() {
    let mut tagged = HEADER[..12].to_vec();
    tagged.extend_from_slice(b"\x81\x00\x00\x05\x88\xcc");
    tagged.extend_from_slice(&[CHASSIS, PORT, TTL, END, &[0; 20]].concat());
    assert_eq!(Announcement::parse(&tagged).unwrap().port_id, "Ethernet1");
}

#[test]
fn another_protocol_is_refused() {
    assert_eq!(Announcement::parse(&[0; 60]), Err(FrameError::EtherType));
}

#[test]
fn the_port_vlan_goes_before_a_named_one() {
    let named = b"\xfe\x0a\x00\x80\xc2\x03\x00\xc8\x03two";
    let port = b"\xfe\x06\x00\x80\xc2\x01\x00\x64";
    let named_only = Announcement::parse(&frame(&[CHASSIS, PORT, TTL, named, END])).unwrap();
    assert_eq!(named_only.vlan_id, Some(200));
    let both = Announcement::parse(&frame(&[CHASSIS, PORT, TTL, named, port, END])).unwrap();
    assert_eq!(both.vlan_id, Some(100));
}

fn full() -> Vec<u8> {
    frame(&[
        CHASSIS,
        PORT,
        TTL,
        b"\x08\x09to rack 7",
        b"\x0a\x06leaf-1",
        b"\x0c\x09SONiC 4.1",
        b"\x0e\x04\x00\x14\x00\x14",
        b"\x10\x0c\x05\x01\x0a\x00\x00\x01\x02\x00\x00\x00\x01\x00",
        b"\xfe\x06\x00\x80\xc2\x01\x00\x64",
        b"\xfe\x06\x00\x12\x0f\x04\x05\xdc",
        END,
    ])
}

fn frame(tlvs: &[&[u8]]) -> Vec<u8> {
    [HEADER, &tlvs.concat()].concat()
}
