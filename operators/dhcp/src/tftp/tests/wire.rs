use super::*;

#[test]
fn a_request_is_read_whatever_the_case_of_its_words() {
    let bytes = request_for("/boot\\a.efi", "OcTeT", &[("BLKSIZE", "1468"), ("tsize", "0")]);
    let request = read(&bytes);
    assert_eq!((&*request.file, request.mode), ("/boot\\a.efi", Mode::Octet));
    assert_eq!(request.options.len(), 2);
    assert_eq!(read(&request_for("a", "netascii", &[])).mode, Mode::Other);
}

#[test]
fn an_option_that_is_cut_off_is_none() {
    let mut bytes = request(&[("tsize", "0"), ("blksize", "1468")]);
    bytes.pop();
    assert_eq!(read(&bytes).options, [(&b"tsize"[..], &b"0"[..])]);
}

#[test]
fn what_is_no_packet_is_told_apart() {
    let long = request_for(&"a".repeat(MAX_REQUEST), "octet", &[]);
    for (bytes, problem) in [
        (&b""[..], DecodeError::Truncated),
        (b"\0", DecodeError::Truncated),
        (b"\0\x01", DecodeError::Truncated),
        (b"\0\x01a\0", DecodeError::Truncated),
        (b"\0\x01a\0octet", DecodeError::Truncated),
        (b"\0\x04\0", DecodeError::Truncated),
        (b"\0\x05\0", DecodeError::Truncated),
        (b"\0\0", DecodeError::UnknownOpcode),
        (b"\0\x07\0\0", DecodeError::UnknownOpcode),
        (&long, DecodeError::TooLong),
    ] {
        assert_eq!(Packet::decode(bytes), Err(problem), "{bytes:?}");
    }
}

#[test]
fn every_packet_of_a_client_is_known() {
    assert!(matches!(Packet::decode(b"\0\x02a\0octet\0"), Ok(Packet::Write(_))));
    assert_eq!(Packet::decode(b"\0\x04\x01\x02"), Ok(Packet::Ack(0x102)));
    assert_eq!(Packet::decode(b"\0\x03\0\x01data"), Ok(Packet::Foreign));
    assert_eq!(Packet::decode(b"\0\x06tsize\x000\0"), Ok(Packet::Foreign));
    let error = Packet::Error { code: 8, message: "User aborted".into() };
    assert_eq!(Packet::decode(b"\0\x05\0\x08User aborted\0"), Ok(error));
    let error = Packet::Error { code: 0, message: "\u{fffd}".into() };
    assert_eq!(Packet::decode(b"\0\x05\0\0\xff"), Ok(error));
}

#[test]
fn block_numbers_roll_over_to_zero() {
    assert_eq!(data_header(1), [0, 3, 0, 1]);
    assert_eq!(data_header(65535), [0, 3, 255, 255]);
    assert_eq!(data_header(65536), [0, 3, 0, 0]);
    assert_eq!(data_header(65537), [0, 3, 0, 1]);
}

#[test]
fn an_error_has_its_number_and_its_text() {
    let error = encode_error(Code::AccessViolation, Refusal::Write);
    assert_eq!(error, b"\0\x05\0\x02only read requests are supported\0");
}
