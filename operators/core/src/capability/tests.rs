use super::*;

#[test]
fn a_token_vouches_for_exactly_what_it_was_issued_for() {
    let token = issue(&key(1), &claims()).unwrap();
    let verified = verify(&[key(1)], token.as_str(), Purpose::Ignition, before());
    assert_eq!(verified, Ok(claims()));
    assert_eq!(issue(&key(1), &claims()), Ok(token));
}

#[test]
fn a_token_is_one_segment_of_a_path() {
    let token = issue(&key(1), &claims()).unwrap();
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(token.as_str().chars().all(safe));
}

#[test]
fn derived_keys_are_those_of_hkdf_and_differ_by_label_and_by_key() {
    // RFC 5869, A.1.
    let salt: Vec<u8> = (0..=0x0c).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    let expanded = expand(&extract(&salt, &[0x0b; 22]).unwrap(), &info);
    let expected = [
        0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f,
        0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4,
        0xc5, 0xbf,
    ];
    assert_eq!(expanded, expected);

    let derived = key(1).derive("a");
    assert_eq!(derived, key(1).derive("a"));
    assert_ne!(derived, key(1).derive("b"));
    assert_ne!(derived, key(2).derive("a"));
}

#[test]
fn no_bit_of_a_token_can_be_changed() {
    let token = issue(&key(1), &claims()).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let text = URL_SAFE_NO_PAD.encode(forged);
        let refusal = verify(&[key(1)], &text, Purpose::Ignition, before()).unwrap_err();
        assert!(
            matches!(refusal, CapabilityError::Forged | CapabilityError::Malformed),
            "bit {bit}"
        );
    }
}

#[test]
fn bytes_cannot_move_between_the_names() {
    let shifted = Claims { server: "node-1u".into(), boot: "id-1".into(), ..claims() };
    assert_eq!(format!("{}{}", shifted.server, shifted.boot), "node-1uid-1");
    assert_ne!(issue(&key(1), &shifted), issue(&key(1), &claims()));
}

#[test]
fn a_truncated_or_lengthened_token_is_refused() {
    let token = issue(&key(1), &claims()).unwrap();
    for length in 0..token.as_str().len() {
        let text = &token.as_str()[..length];
        assert!(verify(&[key(1)], text, Purpose::Ignition, before()).is_err(), "{length}");
    }
    for text in [format!("{}A", token.as_str()), format!("{}=", token.as_str())] {
        assert!(verify(&[key(1)], &text, Purpose::Ignition, before()).is_err());
    }
}

#[test]
fn input_without_bound_is_refused_before_it_is_decoded() {
    let text = "A".repeat(MAX_TEXT + 1);
    let verified = verify(&[key(1)], &text, Purpose::Ignition, before());
    assert_eq!(verified, Err(CapabilityError::Malformed));
}

#[test]
fn a_token_is_void_from_its_expiry_on() {
    let token = issue(&key(1), &claims()).unwrap();
    let at = |now| verify(&[key(1)], token.as_str(), Purpose::Ignition, now);
    assert_eq!(at(claims().expires), Err(CapabilityError::Expired));
    assert_eq!(at(Timestamp::MAX), Err(CapabilityError::Expired));
    assert!(at(before()).is_ok());
}

#[test]
fn a_token_serves_one_purpose() {
    let token = issue(&key(1), &claims()).unwrap();
    let verified = verify(&[key(1)], token.as_str(), Purpose::Registration, before());
    assert_eq!(verified, Err(CapabilityError::OtherPurpose(Purpose::Ignition)));
}

#[test]
fn a_foreign_key_is_refused_and_an_old_one_still_verifies() {
    let token = issue(&key(1), &claims()).unwrap();
    let with = |keys: &[Key]| verify(keys, token.as_str(), Purpose::Ignition, before());
    assert_eq!(with(&[key(2)]), Err(CapabilityError::Forged));
    assert_eq!(with(&[]), Err(CapabilityError::Forged));
    assert!(with(&[key(2), key(1)]).is_ok());
}

#[test]
fn the_longest_names_fit_and_longer_ones_are_refused() {
    let name = "n".repeat(MAX_NAME);
    let long = Claims { server: name.clone(), boot: name, ..claims() };
    let token = issue(&key(1), &long).unwrap();
    assert_eq!(verify(&[key(1)], token.as_str(), Purpose::Ignition, before()), Ok(long));

    let refused = |server: String| issue(&key(1), &Claims { server, ..claims() });
    let length = |length| Err(TokenError::Length { field: "server", length });
    assert_eq!(refused("n".repeat(MAX_NAME + 1)), length(MAX_NAME + 1));
    assert_eq!(refused(String::new()), length(0));
}

#[test]
fn a_key_has_as_many_bytes_as_its_digest() {
    assert_eq!(Key::new(&[7; 31]).unwrap_err(), WeakKey(31));
    assert!(Key::new(&[7; 32]).is_ok());
}

#[test]
fn a_short_token_vouches_for_one_boot_of_one_server_and_fits_into_any_link() {
    let short = Claims { purpose: Purpose::Uki, boot: BOOT.to_owned(), ..claims() };
    let token = issue_short(&key(1), &short).unwrap();
    assert_eq!(token.as_str().len(), 51);
    let ask = |keys: &[Key], purpose, now, server: Option<&str>| {
        let server_of = |boot: &str| {
            assert_eq!(boot, BOOT);
            server.map(str::to_owned)
        };
        verify_short(keys, token.as_str(), purpose, now, server_of)
    };
    let (ours, node) = ([key(1)], Some("node-1"));
    assert_eq!(ask(&ours, Purpose::Uki, before(), node), Ok(short.clone()));
    assert_eq!(ask(&ours, Purpose::Uki, before(), Some("node-2")), Err(CapabilityError::Forged));
    assert_eq!(ask(&ours, Purpose::Uki, before(), None), Err(CapabilityError::Forged));
    assert_eq!(ask(&[key(2)], Purpose::Uki, before(), node), Err(CapabilityError::Forged));
    assert_eq!(ask(&ours, Purpose::Uki, short.expires, node), Err(CapabilityError::Expired));
    let other = Err(CapabilityError::OtherPurpose(Purpose::Uki));
    assert_eq!(ask(&ours, Purpose::Ignition, before(), node), other);
    // Neither form is mistaken for the other.
    let long = verify(&ours, token.as_str(), Purpose::Uki, before());
    assert_eq!(long, Err(CapabilityError::Malformed));
    let long = issue(&key(1), &short).unwrap();
    let server_of = |_: &str| Some("node-1".to_owned());
    let read = verify_short(&ours, long.as_str(), Purpose::Uki, before(), server_of);
    assert_eq!(read, Err(CapabilityError::Malformed));
}

#[test]
fn no_bit_of_a_short_token_can_be_changed() {
    let short = Claims { purpose: Purpose::Uki, boot: BOOT.to_owned(), ..claims() };
    let token = issue_short(&key(1), &short).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).unwrap();
    let server_of = |_: &str| Some("node-1".to_owned());
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let text = URL_SAFE_NO_PAD.encode(forged);
        let refused = verify_short(&[key(1)], &text, Purpose::Uki, before(), server_of);
        assert!(refused.is_err(), "bit {bit}");
    }
    for length in 0..token.as_str().len() {
        let cut = &token.as_str()[..length];
        let refused = verify_short(&[key(1)], cut, Purpose::Uki, before(), server_of);
        assert!(refused.is_err(), "{length}");
    }
}

#[test]
fn a_short_token_is_for_a_boot_with_a_uid_and_a_time_that_fits() {
    let short = Claims { purpose: Purpose::Uki, boot: BOOT.to_owned(), ..claims() };
    let refused = |claims: Claims| issue_short(&key(1), &claims).unwrap_err();
    for boot in ["uid-1", "", &BOOT.to_uppercase()] {
        let claims = Claims { boot: boot.to_owned(), ..short.clone() };
        assert_eq!(refused(claims), TokenError::Boot);
    }
    assert_eq!(refused(Claims { expires: Timestamp::MAX, ..short.clone() }), TokenError::Expiry);
    let before_1970 = Timestamp::from_second(-1).unwrap();
    assert_eq!(refused(Claims { expires: before_1970, ..short }), TokenError::Expiry);
}

#[test]
fn neither_keys_nor_tokens_show_in_debug_output() {
    let token = issue(&key(1), &claims()).unwrap();
    assert_eq!(format!("{token:?} {:?}", key(1)), "Token(..) Key(..)");
}

const BOOT: &str = "0b3e2f6c-1111-2222-3333-444455556666";

fn key(byte: u8) -> Key {
    Key::new(&[byte; Key::MIN]).unwrap()
}

fn before() -> Timestamp {
    Timestamp::from_second(1_699_999_999).unwrap()
}

fn claims() -> Claims {
    Claims {
        purpose: Purpose::Ignition,
        server: "node-1".to_owned(),
        boot: "uid-1".to_owned(),
        expires: Timestamp::from_second(1_700_000_000).unwrap(),
    }
}
