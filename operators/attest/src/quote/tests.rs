use super::*;
use crate::{
    EndorsementKey, KeyError, Request,
    testing::{Swtpm, machines},
};
use base64::{Engine, engine::general_purpose::STANDARD};

const NONCE: [u8; 32] = [7; 32];

/// Attributes, scheme and curve of an attestation key, by their offsets in its TPM2B_PUBLIC.
const FIELDS: [(usize, u8, &str); 8] = [
    (9, 0x02, "objectAttributes"),
    (9, 0x10, "objectAttributes"),
    (9, 0x20, "objectAttributes"),
    (7, 0x01, "objectAttributes"),
    (7, 0x04, "objectAttributes"),
    (7, 0x02, "objectAttributes"),
    (15, 0x02, "scheme"),
    (19, 0x07, "curveID"),
];

#[test]
fn a_quote_of_tpm2_tools_is_verified_by_key_nonce_selection_and_values() {
    let tpm = Swtpm::start();
    let key = attestation_key(&tpm);
    let quote = quoted(&tpm, "sha256:0,7");
    let wanted = [0, 7].into();
    assert_eq!(quote.verify(&key, &NONCE, &wanted), Ok(()));
    assert_eq!(quote.verify(&key, &[8; 32], &wanted), Err(QuoteError::Nonce));
    for other in [BTreeSet::from([0]), [0, 7, 8].into(), [].into()] {
        assert_eq!(quote.verify(&key, &NONCE, &other), Err(QuoteError::Selection));
    }
    let mut better = quote.clone();
    better.pcrs.insert(7, [1; 32]);
    assert_eq!(better.verify(&key, &NONCE, &wanted), Err(QuoteError::Values));
    let sha1 = quoted(&tpm, "sha1:0,7");
    assert_eq!(sha1.verify(&key, &NONCE, &wanted), Err(QuoteError::Selection));
    let both = quoted(&tpm, "sha1:0+sha256:0,7");
    assert_eq!(both.verify(&key, &NONCE, &wanted), Err(QuoteError::Selection));
}

#[test]
fn a_value_that_was_extended_is_another() {
    let tpm = Swtpm::start();
    let key = attestation_key(&tpm);
    tpm.tpm2("tpm2_pcrextend", &[&format!("7:sha256={}", "ab".repeat(32))]);
    let quote = quoted(&tpm, "sha256:0,7");
    assert_eq!(quote.verify(&key, &NONCE, &[0, 7].into()), Ok(()));
    assert_ne!(quote.pcrs[&7], [0; 32]);
    let before = Quote { pcrs: [(0, [0; 32]), (7, [0; 32])].into(), ..quote };
    assert_eq!(before.verify(&key, &NONCE, &[0, 7].into()), Err(QuoteError::Values));
}

#[test]
fn nothing_of_a_quote_can_be_changed_nor_another_key_have_signed_it() {
    let (tpm, other) = (Swtpm::start(), Swtpm::start());
    let (key, another) = (attestation_key(&tpm), attestation_key(&other));
    let quote = quoted(&tpm, "sha256:0,7");
    let wanted = [0, 7].into();
    assert_eq!(quote.verify(&another, &NONCE, &wanted), Err(QuoteError::Signature));
    for at in 0..quote.quoted.len() {
        let mut forged = quote.clone();
        forged.quoted[at] ^= 1;
        assert_eq!(forged.verify(&key, &NONCE, &wanted), Err(QuoteError::Signature), "{at}");
    }
    for at in 0..quote.signature.len() {
        let mut forged = quote.clone();
        forged.signature[at] ^= 1;
        assert!(forged.verify(&key, &NONCE, &wanted).is_err(), "{at}");
        let cut = Quote { signature: quote.signature[..at].to_vec(), ..quote.clone() };
        assert_eq!(cut.verify(&key, &NONCE, &wanted), Err(QuoteError::Malformed), "{at}");
    }
    // What the same key has signed of the time of its TPM is no quote.
    let nonce = hex(&NONCE);
    let args =
        ["-c", "ak", "-q", &nonce, "--attestation", "message", "-o", "signature", "-f", "tss"];
    tpm.tpm2("tpm2_gettime", &args);
    let (quoted, signature) = (tpm.read("message"), tpm.read("signature"));
    let time = Quote { quoted, signature, ..quote };
    assert_eq!(time.verify(&key, &NONCE, &wanted), Err(QuoteError::Malformed));
}

#[test]
fn a_key_that_would_sign_anything_is_none_for_attestation() {
    let tpm = Swtpm::start();
    attestation_key(&tpm);
    let good = tpm.read("ak.pub");
    for (at, bits, field) in FIELDS {
        let mut octets = good.clone();
        octets[at] ^= bits;
        match AttestationKey::parse(&octets) {
            Err(KeyError::Unsuitable { field: named, found, .. }) => {
                assert_eq!(named, field, "{at}");
                assert!(!found.contains("Tpm"), "people read {found}");
            }
            other => assert_eq!(other, Err(KeyError::Malformed), "{at} {bits:#x}"),
        }
    }
    for machine in machines() {
        let ek = STANDARD.decode(machine.ek_pub).unwrap();
        assert!(matches!(AttestationKey::parse(&ek), Err(KeyError::Unsuitable { .. })));
    }
    for len in 0..good.len() {
        assert_eq!(AttestationKey::parse(&good[..len]), Err(KeyError::Malformed), "{len}");
    }
}

#[test]
fn a_challenge_is_of_one_machine_its_keys_and_a_time() {
    let tpm = Swtpm::start();
    let (ak, pcrs) = (attestation_key(&tpm), BTreeSet::from([0, 7]));
    let [ek, other] = [0, 1].map(|at: usize| ek(at));
    let challenge = Challenge { machine: "uid", ek: &ek, ak: &ak, pcrs: &pcrs };
    let ticket = ChallengeSecret { salt: [1; 16], expires: 1000 };
    let nonce = challenge.nonce(&[9; 32], ticket);
    assert_eq!(challenge.nonce(&[9; 32], ticket), nonce, "any replica makes the same");
    let fewer = BTreeSet::from([0]);
    for changed in [
        challenge.nonce(&[8; 32], ticket),
        challenge.nonce(&[9; 32], ChallengeSecret { salt: [2; 16], ..ticket }),
        challenge.nonce(&[9; 32], ChallengeSecret { expires: 1001, ..ticket }),
        Challenge { machine: "uid2", ..challenge }.nonce(&[9; 32], ticket),
        Challenge { ek: &other, ..challenge }.nonce(&[9; 32], ticket),
        Challenge { pcrs: &fewer, ..challenge }.nonce(&[9; 32], ticket),
    ] {
        assert_ne!(changed, nonce);
    }
    assert!(ticket.is_valid(1000) && ticket.is_valid(880));
    assert!(!ticket.is_valid(1001) && !ticket.is_valid(879), "nobody makes one for longer");
}

/// The key of an exchange that was recorded.
fn ek(at: usize) -> EndorsementKey {
    Request::parse(machines()[at].body().as_bytes()).unwrap().ek
}

/// Has tpm2-tools create an attestation key.
fn attestation_key(tpm: &Swtpm) -> AttestationKey {
    tpm.tpm2("tpm2_createek", &["-G", "rsa", "-c", "ek", "-u", "ek.pub", "-f", "tss"]);
    tpm.tpm2("tpm2_flushcontext", &["-t"]);
    let kind = ["-G", "ecc", "-g", "sha256", "-s", "ecdsa"];
    let files = ["-C", "ek", "-c", "ak", "-u", "ak.pub", "-f", "tss"];
    tpm.tpm2("tpm2_createak", &[&files[..], &kind].concat());
    tpm.tpm2("tpm2_flushcontext", &["-t"]);
    AttestationKey::parse(&tpm.read("ak.pub")).unwrap()
}

/// Has tpm2-tools make a quote, and read the PCRs 0 and 7.
fn quoted(tpm: &Swtpm, selection: &str) -> Quote {
    let nonce = hex(&NONCE);
    let files = ["-m", "message", "-s", "signature", "-f", "tss"];
    let about = ["-c", "ak", "-l", selection, "-q", &nonce];
    tpm.tpm2("tpm2_quote", &[&about[..], &files].concat());
    tpm.tpm2("tpm2_flushcontext", &["-t"]);
    tpm.tpm2("tpm2_pcrread", &["sha256:0,7", "-o", "pcrs"]);
    let values = tpm.read("pcrs");
    let pcrs = [0, 7].into_iter().zip(values.chunks_exact(32).map(|it| it.try_into().unwrap()));
    let pcrs = pcrs.collect();
    Quote { quoted: tpm.read("message"), signature: tpm.read("signature"), pcrs }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
}
