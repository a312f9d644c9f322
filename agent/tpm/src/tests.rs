use super::*;
use metal_attest::{
    Challenge, ChallengeSecret, EndorsementKey, Request, challenge,
    client::{self, EkTemplate, Presented},
    seal,
    testing::{Maker, Swtpm},
};
use ring::{
    agreement::{self, ECDH_P256, EphemeralPrivateKey, agree_ephemeral},
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    thread,
};

#[test]
fn a_tpm_opens_what_was_sealed_for_it_again_and_again() {
    let software = Swtpm::start();
    let mut eks = vec![];
    // A TPM has room for three objects and three sessions: whoever leaves one behind fails soon.
    for _ in 0..5 {
        let mut keys =
            Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
        let body = body(&keys);
        let request = Request::parse(body.as_bytes()).unwrap();
        let response = seal(&request, b"token", &SystemRandom::new()).unwrap().into_response(None);
        let credential =
            keys.activate(&client::EncryptedCredential::of(&response).unwrap()).unwrap();
        assert_eq!(client::open(&response, &credential).unwrap(), "token");
        eks.push(keys.ek().to_vec());
    }
    assert!(eks.iter().all(|ek| *ek == eks[0]), "the same key each time");
    let theirs = EndorsementKey::parse(&software.tpm2_ek()).unwrap();
    assert_eq!(EndorsementKey::parse(&eks[0]).unwrap(), theirs, "as tpm2-tools create it");
}

#[test]
fn the_certificates_of_a_key_are_read_and_that_there_are_none_is_no_error() {
    let create = |software: &Swtpm, template| {
        let keys = Keys::create(Tpm::open(&place(software)).unwrap(), template).unwrap();
        keys.certificates().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let without = Swtpm::start();
    assert!(create(&without, EkTemplate::Rsa2048).is_empty());
    // In two areas is what belongs together; the second begins in the middle of a certificate.
    let certified = Maker::new().tpm();
    let own = certified.certificate();
    let chain = [&[0x30, 0x82, 3, 0][..], &[1; 0x300], &[0x30, 0x82, 0, 2, 2, 2]].concat();
    certified.write_nv("0x01c00100", &chain[..600]);
    certified.write_nv("0x01c00101", &chain[600..]);
    let found = create(&certified, EkTemplate::Rsa2048);
    assert_eq!(found, [own, chain[..0x304].to_vec(), chain[0x304..].to_vec()]);
    assert!(create(&certified, EkTemplate::P256).is_empty(), "its chain alone is of no use");
    assert_eq!(certified.loaded(), "");
}

#[test]
fn an_area_that_cannot_be_read_is_as_none() {
    let software = Swtpm::start();
    software.tpm2("tpm2_nvdefine", &["0x01c00002", "-C", "o", "-s", "32"]);
    let keys = Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
    assert!(keys.certificates().is_empty(), "nobody has written it");
    drop(keys);
    software.tpm2("tpm2_nvundefine", &["0x01c00002", "-C", "o"]);
    software.tpm2(
        "tpm2_nvdefine",
        &["0x01c00002", "-C", "o", "-s", "32", "-a", "ownerwrite|authread", "-p", "secret"],
    );
    software.write("certificate", &[0x30; 32]);
    software.tpm2("tpm2_nvwrite", &["0x01c00002", "-C", "o", "-i", "certificate"]);
    let keys = Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
    assert!(keys.certificates().is_empty(), "it has a password");
}

#[test]
fn a_tpm_opens_what_was_sealed_for_its_key_on_p_256() {
    let software = Swtpm::start();
    let mut keys = Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::P256).unwrap();
    let body = body(&keys);
    let request = Request::parse(body.as_bytes()).unwrap();
    let response = seal(&request, b"token", &SystemRandom::new()).unwrap().into_response(None);
    let credential = keys.activate(&client::EncryptedCredential::of(&response).unwrap()).unwrap();
    assert_eq!(client::open(&response, &credential).unwrap(), "token");
}

#[test]
fn nothing_stays_loaded_after_an_answer_that_is_for_another_tpm() {
    let software = Swtpm::start();
    let other = Swtpm::start();
    for _ in 0..5 {
        let theirs = Keys::create(Tpm::open(&place(&other)).unwrap(), EkTemplate::Rsa2048).unwrap();
        let body = body(&theirs);
        let request = Request::parse(body.as_bytes()).unwrap();
        let response = seal(&request, b"token", &SystemRandom::new()).unwrap().into_response(None);
        let mut ours =
            Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
        let opened = ours.activate(&client::EncryptedCredential::of(&response).unwrap());
        let refused = matches!(opened, Err(TpmError::Response(ResponseError::Refused(_))));
        assert!(refused, "{opened:?}");
    }
    assert_eq!(software.loaded(), "");
}

#[test]
fn a_quote_answers_a_challenge_and_tpm2_tools_take_it() {
    let software = Swtpm::start();
    let mut keys =
        Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
    let request = Request::parse(body(&keys).as_bytes()).unwrap();
    let ak = request.ak.as_ref().unwrap();
    // More than a TPM tells at a time.
    let pcrs = (0..=16).collect();
    let about = Challenge { machine: "uid", ek: &request.ek, ak, pcrs: &pcrs };
    let random = SystemRandom::new();
    // As often as somebody asks: sessions are given back.
    for now in 0..5 {
        let ticket = ChallengeSecret::new(now, &random).unwrap();
        let asked = challenge(&about, &[9; 32], ticket, &random).unwrap();
        let wrapped = client::EncryptedCredential::of_challenge(&asked).unwrap();
        let quote = keys.quote(&wrapped, &asked.pcrs).unwrap();
        let nonce = about.nonce(&[9; 32], ticket);
        assert_eq!(quote.verify(ak, &nonce, &pcrs), Ok(()));
        for (name, content) in
            [("ak", keys.ak()), ("message", &quote.quoted), ("signature", &quote.signature)]
        {
            software.write(name, content);
        }
        let args = ["-u", "ak", "-m", "message", "-s", "signature", "-g", "sha256", "-q"];
        let check = |nonce: &[u8]| {
            let nonce = metal_base::hex(nonce);
            let checked = software.try_tpm2("tpm2_checkquote", &[&args[..], &[&nonce]].concat());
            checked.status.success()
        };
        assert!(check(&nonce) && !check(&[8; 32]));
    }
    let response = seal(&request, b"token", &random).unwrap().into_response(None);
    let credential = keys.activate(&client::EncryptedCredential::of(&response).unwrap()).unwrap();
    assert_eq!(client::open(&response, &credential).unwrap(), "token");
    drop(keys);
    assert_eq!(software.loaded(), "");
}

#[test]
fn a_challenge_for_another_tpm_is_not_answered() {
    let (software, other) = (Swtpm::start(), Swtpm::start());
    let theirs = Keys::create(Tpm::open(&place(&other)).unwrap(), EkTemplate::Rsa2048).unwrap();
    let mut ours =
        Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
    let [their, our] = [&theirs, &ours].map(|it| Request::parse(body(it).as_bytes()).unwrap());
    let (pcrs, random) = ([7].into(), SystemRandom::new());
    let ticket = ChallengeSecret::new(0, &random).unwrap();
    // The key of another endorsement, and another key of this one.
    for (ek, ak) in [(&their.ek, &our.ak), (&our.ek, &their.ak)] {
        let about = Challenge { machine: "uid", ek, ak: ak.as_ref().unwrap(), pcrs: &pcrs };
        let asked = challenge(&about, &[9; 32], ticket, &random).unwrap();
        let answered =
            ours.quote(&client::EncryptedCredential::of_challenge(&asked).unwrap(), &asked.pcrs);
        let refused = matches!(answered, Err(TpmError::Response(ResponseError::Refused(_))));
        assert!(refused, "{answered:?}");
    }
}

#[tokio::test]
async fn a_tpm_signs_and_agrees_with_a_key_that_is_the_same_after_each_restart() {
    let software = Swtpm::start();
    let place = place(&software);
    let salt = HostKey::salt().unwrap();
    let key = HostKey::create(&place, salt).await.unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.point());
    // As often as somebody asks: a TPM has room for three objects.
    for at in 0..5_u8 {
        let message = [at; 100];
        let digest = digest(&SHA256, &message).as_ref().try_into().unwrap();
        public.verify(&message, &key.sign(digest).await.unwrap()).unwrap();
    }
    // Both sides find the same secret.
    let random = SystemRandom::new();
    let other = EphemeralPrivateKey::generate(&ECDH_P256, &random).unwrap();
    let peer = other.compute_public_key().unwrap().as_ref().try_into().unwrap();
    let theirs = agreement::UnparsedPublicKey::new(&ECDH_P256, key.point());
    let secret = agree_ephemeral(other, &theirs, <[u8]>::to_vec).unwrap();
    assert_eq!(key.agree(peer).await.unwrap().to_vec(), secret);
    assert_eq!(software.loaded(), "");

    assert_eq!(HostKey::create(&place, salt).await.unwrap().point(), key.point());
    let another = HostKey::create(&place, HostKey::salt().unwrap()).await.unwrap();
    assert_ne!(another.point(), key.point(), "another installation");
    // Of a point that is not on the curve it says nothing.
    let refused = key.agree([4; 65]).await.unwrap_err();
    assert!(matches!(refused, TpmError::Response(ResponseError::Refused(_))), "{refused:?}");
    assert_eq!(software.loaded(), "");
    software.tpm2("tpm2_clear", &[]);
    assert!(matches!(key.sign([0; 32]).await, Err(TpmError::Cleared)));
    assert_eq!(software.loaded(), "");
}

#[test]
fn a_hierarchy_with_a_password_is_named_with_what_to_do_about_it() {
    for (hierarchy, flag) in [("owner", "o"), ("endorsement", "e")] {
        let software = Swtpm::start();
        software.tpm2("tpm2_changeauth", &["-c", flag, "secret"]);
        let keys = Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048);
        let error = keys.err().unwrap();
        assert!(matches!(error, TpmError::Password(it) if it == hierarchy), "{error:?}");
        assert!(error.to_string().contains(&format!("tpm2_changeauth -c {hierarchy}")));
    }
}

#[test]
fn a_hierarchy_that_is_disabled_is_named() {
    let software = Swtpm::start();
    software.tpm2("tpm2_hierarchycontrol", &["-C", "p", "shEnable", "clear"]);
    let error =
        Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).err().unwrap();
    assert!(matches!(error, TpmError::Disabled("owner")), "{error:?}");
}

#[test]
fn a_tpm_that_is_missing_is_named() {
    let place: TpmLocation = "/nowhere/tpm0".parse().unwrap();
    assert_eq!(Tpm::open(&place).err().unwrap().to_string(), "TPM /nowhere/tpm0 cannot be opened");
}

#[test]
fn a_busy_tpm_is_asked_again_and_one_that_talks_nonsense_is_not() {
    let response = |code: u16| [&[0x80, 1, 0, 0, 0, 10, 0, 0][..], &code.to_be_bytes()].concat();
    // Retry, testing, yielded, and then it works; in two pieces.
    let mut tpm = scripted([0x922, 0x90a, 0x908, 0].map(response).into());
    assert!(tpm.run(b"command", client::done).is_ok());
    let mut tpm = scripted(vec![response(0x101)]);
    let refused = tpm.run(b"command", client::done).unwrap_err();
    assert_eq!(refused.to_string(), "the TPM answered TPM_RC_FAILURE (0x101)");
    for len in [0_u32, 9, 4097, u32::MAX] {
        let nonsense = [&[0x80, 1][..], &len.to_be_bytes(), &[0; 4]].concat();
        let mut tpm = scripted(vec![nonsense]);
        let error = tpm.run(b"command", client::done).unwrap_err();
        assert!(matches!(error, TpmError::Exchange(_)), "{error:?}");
    }
    let mut tpm = scripted(vec![]);
    assert!(matches!(tpm.run(b"command", client::done), Err(TpmError::Exchange(_))));
}

#[test]
fn a_place_is_a_device_or_a_socket() {
    for text in ["/dev/tpm0", "swtpm:/run/tpm", "swtpm:127.0.0.1:2321"] {
        assert_eq!(text.parse::<TpmLocation>().unwrap().to_string(), text);
    }
    for text in ["", "tpm0", "swtpm:", "swtpm:tpm", "mssim:/x"] {
        assert!(text.parse::<TpmLocation>().is_err(), "{text}");
    }
}

#[test]
fn the_event_log_of_a_device_is_where_linux_has_it() {
    let log = |place: &str| place.parse::<TpmLocation>().unwrap().event_log();
    let of = |tpm: &str| format!("/sys/kernel/security/{tpm}/binary_bios_measurements");
    for (place, tpm) in [("/dev/tpmrm0", "tpm0"), ("/dev/tpm0", "tpm0"), ("/dev/tpmrm12", "tpm12")]
    {
        assert_eq!(log(place), Some(of(tpm).into()));
    }
    for place in ["/dev/tpm", "/dev/tpmrm", "/dev/vtpm0", "/dev/tpm0a", "swtpm:/run/tpm0"] {
        assert_eq!(log(place), None, "{place}");
    }
}

fn body(keys: &Keys) -> String {
    let certificates = keys.certificates();
    let (ek, srk, ak) = (keys.ek(), keys.srk(), Some(keys.ak()));
    let presented = Presented { ek, srk, certificates: &certificates, ak, quote: None };
    client::request(presented).unwrap()
}

fn place(software: &Swtpm) -> TpmLocation {
    TpmLocation::Unix(software.socket())
}

/// A TPM with these responses, each of which it sends in two pieces, and nothing more.
fn scripted(responses: Vec<Vec<u8>>) -> Tpm {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tpm");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut command = [0; 7];
        for response in responses {
            stream.read_exact(&mut command).unwrap();
            let (first, second) = response.split_at(4);
            stream.write_all(first).unwrap();
            stream.flush().unwrap();
            stream.write_all(second).unwrap();
        }
        stream.read_exact(&mut command).ok(); // What comes then gets no answer.
    });
    Tpm::open(&TpmLocation::Unix(path)).unwrap()
}
