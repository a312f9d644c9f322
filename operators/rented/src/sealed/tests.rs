use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use p256::SecretKey;

const HOST: &str = "org/web-1";
/// `{"a":1}` for this host with the key of 32 times 7, and 32 times 9 as the ephemeral key; encrypted by
/// Python's cryptography 48 as docs/hosts.md says.
const RECORDED: &str = "BHE1+k/ZOgnc6Yu/aBtL/PUOfA1jVOYq+wv/KjQpYXhl7UwfAt25Aj7lalV+UV1qncZs\
    EfIglg3llDNN9Yh3ZyTpLSresTBsRZBNkEOIP7DTih24EszTcQ==";

fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).unwrap()
}

#[test]
fn what_another_program_has_encrypted_as_documented_opens() {
    let opened = open(&secret(7), HOST, ALGORITHM, RECORDED);
    assert_eq!(opened.as_deref(), Ok(&b"{\"a\":1}"[..]));
}

#[test]
fn what_is_altered_or_for_somebody_else_does_not_open() {
    let open = |algorithm: &str, text: &str| open(&secret(7), HOST, algorithm, text);
    let unknown = OpenError::UnknownAlgorithm("none".to_owned());
    assert_eq!(open("none", RECORDED), Err(unknown));
    assert_eq!(open(ALGORITHM, "?"), Err(OpenError::Base64));
    assert_eq!(open(ALGORITHM, ""), Err(OpenError::TooShort));
    let bytes = STANDARD.decode(RECORDED).unwrap();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let altered = STANDARD.encode(altered);
        assert_eq!(open(ALGORITHM, &altered), Err(OpenError::Unreadable), "{at}");
    }
    let short = STANDARD.encode(&bytes[..bytes.len() - 1]);
    assert_eq!(open(ALGORITHM, &short), Err(OpenError::Unreadable));
    for (number, host) in [(7, "org/web-2"), (8, HOST)] {
        let opened = super::open(&secret(number), host, ALGORITHM, RECORDED);
        assert_eq!(opened, Err(OpenError::Unreadable));
    }
}

#[cfg(feature = "seal")]
#[test]
fn what_is_sealed_for_a_host_opens_with_its_key_and_for_no_other_host() {
    use crate::{PublicKey, key::POINT};
    use p256::elliptic_curve::sec1::ToEncodedPoint;

    let point = secret(7).public_key().to_encoded_point(false);
    let key = PublicKey::of_point(point.as_bytes()).unwrap();
    let sealed = seal(&key, HOST, b"{\"a\":1}").unwrap();
    assert_eq!(open(&secret(7), HOST, ALGORITHM, &sealed).as_deref(), Ok(&b"{\"a\":1}"[..]));
    assert!(open(&secret(7), "org/web-2", ALGORITHM, &sealed).is_err());
    let ephemeral = |text: &str| STANDARD.decode(text).unwrap()[..POINT].to_vec();
    assert_ne!(ephemeral(&seal(&key, HOST, b"").unwrap()), ephemeral(&sealed));
    let nowhere = PublicKey::of_point(&[4; POINT]).unwrap();
    assert_eq!(seal(&nowhere, HOST, b""), Err(SealError), "no point of the curve");
}
