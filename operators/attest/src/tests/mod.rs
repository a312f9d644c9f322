use super::*;
use crate::testing::{Machine, machines};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::SystemRandom;

mod tpm2_tools;

#[test]
fn an_answer_that_go_tpm_made_opens_to_its_token() {
    for machine in machines() {
        assert_eq!(machine.open(&machine.response), Ok(machine.token.clone().into_bytes()));
    }
}

#[test]
fn keys_of_recorded_exchanges_have_the_name_and_the_pem_that_go_tpm_gave_them() {
    for machine in machines() {
        let request = Request::parse(machine.body().as_bytes()).unwrap();
        assert_eq!(hex(request.srk.name()), machine.srk_name_hex);
        assert_eq!(request.ek.to_pem(), machine.status_ek_public_key_pem);
        assert_eq!(request.ek.is_in(&machine.status_ek_public_key_pem), Ok(true));
        let wrapped = machine.status_ek_public_key_pem.replace('\n', "\r\n  ");
        assert_eq!(request.ek.is_in(&wrapped), Ok(true));
        assert_eq!(request.ek.is_in("-----BEGIN PUBLIC KEY-----"), Err(UnreadablePem));
        assert_eq!(request.ek.is_in(""), Err(UnreadablePem));
    }
}

#[test]
fn what_is_sealed_opens_with_the_keys_that_it_was_sealed_for_and_no_others() {
    let all = machines();
    for machine in &all {
        let request = Request::parse(machine.body().as_bytes()).unwrap();
        let sealed = seal(&request, b"secret", &SystemRandom::new()).unwrap();
        let response = sealed.into_response(Some("CA".to_owned()));
        assert_eq!(response.cluster_ca.as_deref(), Some("CA"));
        assert_eq!(machine.open(&response).unwrap(), b"secret");
        for other in all.iter().filter(|other| other.kind != machine.kind) {
            assert_eq!(other.open(&response), Err(SealError));
            // The right EK, but the SRK of another TPM.
            let mut mixed = machine.clone();
            mixed.srk_pub.clone_from(&other.srk_pub);
            assert_eq!(mixed.open(&response), Err(SealError));
        }
    }
}

#[test]
fn each_of_many_machines_has_a_key_of_its_own() {
    let [one, other] = [0, 1].map(Machine::numbered);
    let request = Request::parse(one.body().as_bytes()).unwrap();
    let response = seal(&request, b"secret", &SystemRandom::new()).unwrap().into_response(None);
    assert_eq!(one.open(&response).unwrap(), b"secret");
    assert_eq!(other.open(&response), Err(SealError));
}

#[test]
fn nothing_is_sealed_twice_the_same_way() {
    for machine in machines() {
        let request = Request::parse(machine.body().as_bytes()).unwrap();
        let random = SystemRandom::new();
        let [one, two] =
            [(); 2].map(|()| seal(&request, b"secret", &random).unwrap().into_response(None));
        assert_ne!(one.credential_blob, two.credential_blob);
        assert_ne!(one.encrypted_secret, two.encrypted_secret);
        assert_ne!(one.encrypted_token, two.encrypted_token);
        assert_ne!(one.gcm_nonce, two.gcm_nonce);
    }
}

#[test]
fn the_wire_has_the_names_and_lengths_of_the_peer() {
    let machine = rsa();
    let request = Request::parse(machine.body().as_bytes()).unwrap();
    let sealed = seal(&request, machine.token.as_bytes(), &SystemRandom::new()).unwrap();
    let written = serde_json::to_value(sealed.into_response(Some(String::new()))).unwrap();
    let recorded = serde_json::to_value(&machine.response).unwrap();
    let lens = |answer: &serde_json::Value| {
        let fields = answer.as_object().unwrap().iter();
        fields.map(|(name, text)| (name.clone(), text.as_str().unwrap().len())).collect::<Vec<_>>()
    };
    assert_eq!(lens(&written), lens(&recorded), "without clusterCA, which is empty");
    // A damaged answer opens nothing.
    let mut damaged = machine.response.clone();
    damaged.encrypted_token.replace_range(..1, "P");
    assert_eq!(machine.open(&damaged), Err(SealError));
}

#[test]
fn an_ek_that_no_tpm_vouches_for_is_refused_by_the_field_that_is_wrong() {
    // Offsets in TPM2B_PUBLIC: length, type, nameAlg, objectAttributes, authPolicy, symmetric, ..
    for (at, octet, field) in [
        (3, 0x08, ""),
        (5, 0x0c, "nameAlg"),
        (9, 0xb0, "objectAttributes"),
        (8, 0x04, "objectAttributes"),
        (6, 0x80, "objectAttributes"),
        (12, 0x84, "authPolicy"),
        (47, 0x00, "symmetric"),
        (49, 0x44, "symmetric"),
        (52, 0x0c, "keyBits"),
        (57, 0x03, "exponent"),
    ] {
        let mut octets = STANDARD.decode(rsa().ek_pub).unwrap();
        octets[at] = octet;
        assert_eq!(field_of(&EndorsementKey::parse(&octets)), field, "octet {at}");
    }
    for (at, octet, field) in [(53, 0x04, "curveID"), (47, 0x00, "symmetric")] {
        let mut octets = STANDARD.decode(ecc().ek_pub).unwrap();
        octets[at] = octet;
        assert_eq!(field_of(&EndorsementKey::parse(&octets)), field, "octet {at}");
    }
}

#[test]
fn a_number_that_is_no_key_is_refused_before_anything_is_encrypted_with_it() {
    let end = |machine: Machine, octet: u8| {
        let mut octets = STANDARD.decode(machine.ek_pub).unwrap();
        *octets.last_mut().unwrap() ^= octet;
        EndorsementKey::parse(&octets)
    };
    assert_eq!(end(rsa(), 1), Err(KeyError::NoKey), "even");
    assert_eq!(end(ecc(), 1), Err(KeyError::NoKey), "not on the curve");
    let mut octets = STANDARD.decode(rsa().ek_pub).unwrap();
    octets[60] &= 0x7f;
    assert_eq!(EndorsementKey::parse(&octets), Err(KeyError::NoKey), "fewer than 2,048 bits");
}

#[test]
fn an_srk_has_to_be_a_storage_key_that_never_leaves_its_tpm() {
    let ek = STANDARD.decode(rsa().ek_pub).unwrap();
    // An EK is also a storage key.
    assert!(StorageKey::parse(&ek).is_ok());
    for (at, bit) in [(9, 0x02), (9, 0x10), (9, 0x20), (7, 0x01), (7, 0x02), (7, 0x04)] {
        let mut octets = STANDARD.decode(rsa().srk_pub).unwrap();
        octets[at] ^= bit;
        assert_eq!(field_of(&StorageKey::parse(&octets)), "objectAttributes", "{at} {bit:#x}");
    }
    let mut octets = STANDARD.decode(rsa().srk_pub).unwrap();
    octets[9] &= !0x40;
    assert!(StorageKey::parse(&octets).is_ok(), "tpm2_createprimary sets other attributes besides");
}

#[test]
fn octets_that_are_no_key_are_refused_at_every_length() {
    for machine in machines() {
        let octets = STANDARD.decode(machine.ek_pub).unwrap();
        for len in 0..octets.len() {
            assert_eq!(EndorsementKey::parse(&octets[..len]), Err(KeyError::Malformed), "{len}");
            let Some(body) = octets.get(2..len) else { continue };
            let sized = credential::sized(body);
            assert_eq!(StorageKey::parse(&sized), Err(KeyError::Malformed), "{len}");
        }
        let longer = [&octets[..], &[0]].concat();
        assert_eq!(EndorsementKey::parse(&longer), Err(KeyError::Malformed));
        let inside = credential::sized(&longer[2..]);
        assert_eq!(EndorsementKey::parse(&inside), Err(KeyError::Malformed), "behind the key");
    }
}

#[test]
fn a_body_that_is_no_request_is_refused_with_the_field_that_is_wrong() {
    let long = format!("{{\"ekPub\":\"{}\"}}", "A".repeat(MAX_BODY));
    let machine = rsa();
    let (ek, srk) = (&machine.ek_pub, &machine.srk_pub);
    for (body, expected) in [
        (long, "the body is larger than 16384 bytes"),
        ("{}".to_owned(), "the body is not a JSON object with the strings ekPub and srkPub"),
        (
            format!(r#"{{"ekPub":"{ek}"}}"#),
            "the body is not a JSON object with the strings ekPub and srkPub",
        ),
        (format!(r#"{{"ekPub":"","srkPub":"{srk}"}}"#), "ekPub: not a TPM2B_PUBLIC"),
        (format!(r#"{{"ekPub":"{ek}","srkPub":"AA"}}"#), "srkPub is not padded base64"),
        (format!(r#"{{"ekPub":"{ek}","srkPub":"AAAA"}}"#), "srkPub: not a TPM2B_PUBLIC"),
        (
            format!(r#"{{"ekPub":"{srk}","srkPub":"{srk}"}}"#),
            "ekPub: objectAttributes is 0x00030472, but must be 0x000300b2, as of an EK",
        ),
    ] {
        assert_eq!(Request::parse(body.as_bytes()).unwrap_err().to_string(), expected);
    }
    let more = format!(r#"{{"ekPub":"{ek}","srkPub":"{srk}","another":1}}"#);
    assert!(Request::parse(more.as_bytes()).is_ok(), "fields that are unknown are ignored");
}

#[test]
fn an_event_log_follows_a_request_with_a_quote_and_no_other() {
    let without = rsa().body();
    let mut with: serde_json::Value = serde_json::from_str(&without).unwrap();
    let salt = STANDARD.encode([0; 16]);
    with["quote"] = serde_json::json!({
        "salt": salt, "expires": 1, "quoted": "", "signature": "", "pcrs": {},
    });
    let with = with.to_string();
    for log in [vec![], vec![0; 10], vec![b' '; MAX_BODY], b"{}".to_vec()] {
        let body = [with.as_bytes(), &log].concat();
        let (request, end) = Request::parse_before_log(&body).unwrap();
        assert_eq!((request, end), (Request::parse(with.as_bytes()).unwrap(), with.len()));
    }
    for (body, is_long) in [
        ([without.as_bytes(), &[0]].concat(), false),
        ([without.as_bytes(), &[b' '; MAX_BODY]].concat(), true),
        (vec![b' '; MAX_BODY + 1], true),
        (b"nothing".repeat(MAX_BODY), false),
    ] {
        let error = Request::parse_before_log(&body).unwrap_err();
        assert_eq!(matches!(error, RequestError::TooLong), is_long, "{error}");
    }
    let spaced = format!("{without}\n");
    assert!(Request::parse_before_log(spaced.as_bytes()).is_ok(), "as the peer's agent ends it");
}

fn field_of<K>(parsed: &Result<K, KeyError>) -> &'static str {
    match parsed {
        Ok(_) => "accepted",
        Err(KeyError::Unsuitable { field, found, .. }) => {
            assert!(!found.contains("Tpm"), "people read {found}");
            field
        }
        Err(KeyError::Malformed | KeyError::NoKey) => "",
    }
}

fn rsa() -> Machine {
    machines().swap_remove(0)
}

fn ecc() -> Machine {
    machines().swap_remove(1)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
}
