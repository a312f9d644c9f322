//! An independent client: tpm2-tools with swtpm open what was sealed for them.

use crate::{Request, Response, seal, testing::Swtpm};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::SystemRandom,
};

#[test]
fn a_tpm_opens_what_was_sealed_for_its_rsa_key() {
    opens_what_was_sealed("rsa");
}

#[test]
fn a_tpm_opens_what_was_sealed_for_its_ecc_key() {
    opens_what_was_sealed("ecc");
}

#[test]
fn a_tpm_opens_nothing_that_was_sealed_for_another() {
    let (ours, theirs) = (Swtpm::start(), Swtpm::start());
    let [sealed_for, _] = [&ours, &theirs].map(|tpm| request(tpm, "rsa"));
    let sealed = seal(&sealed_for, b"secret", &SystemRandom::new()).unwrap();
    keep(&theirs, &sealed.into_response(None));
    assert!(!activates(&theirs));
}

fn opens_what_was_sealed(algorithm: &str) {
    let tpm = Swtpm::start();
    let request = request(&tpm, algorithm);
    let sealed = seal(&request, b"header.payload.signature", &SystemRandom::new()).unwrap();
    let response = sealed.into_response(None);
    keep(&tpm, &response);
    assert!(activates(&tpm));
    let key = UnboundKey::new(&AES_256_GCM, &tpm.read("credential")).unwrap();
    let nonce = decoded(&response.gcm_nonce).try_into().unwrap();
    let mut token = decoded(&response.encrypted_token);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let token = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), &mut token).unwrap();
    assert_eq!(token, b"header.payload.signature");
}

/// Creates the keys of a TPM, and a request with their public parts.
fn request(tpm: &Swtpm, algorithm: &str) -> Request {
    Request::parse(tpm.body(algorithm, &[]).as_bytes()).unwrap()
}

/// Writes a response in the format of tpm2-tools: with a magic number and a version in front.
fn keep(tpm: &Swtpm, response: &Response) {
    let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
    let (blob, secret) = (decoded(&response.credential_blob), decoded(&response.encrypted_secret));
    tpm.write("wrapped", &[&head[..], &blob, &secret].concat());
}

/// Whether a TPM unwraps the written response.
fn activates(tpm: &Swtpm) -> bool {
    tpm.tpm2("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
    tpm.tpm2("tpm2_policysecret", &["-S", "session", "-c", "e"]);
    let keys = ["-c", "srk", "-C", "ek", "-P", "session:session"];
    let files = ["-i", "wrapped", "-o", "credential"];
    let activated = tpm.try_tpm2("tpm2_activatecredential", &[&keys[..], &files].concat());
    activated.status.success()
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
