use super::*;
use metal_attest::{
    EndorsementKey, Request,
    client::{self, EkTemplate},
    seal,
    testing::{Maker, Swtpm},
};
use ring::rand::SystemRandom;
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
        let body = client::request(keys.ek(), keys.srk(), &keys.certificates()).unwrap();
        let request = Request::parse(body.as_bytes()).unwrap();
        let response = seal(&request, b"token", &SystemRandom::new()).unwrap().into_response(None);
        let credential = keys.activate(&client::Wrapped::of(&response).unwrap()).unwrap();
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
    let body = client::request(keys.ek(), keys.srk(), &[]).unwrap();
    let request = Request::parse(body.as_bytes()).unwrap();
    let response = seal(&request, b"token", &SystemRandom::new()).unwrap().into_response(None);
    let credential = keys.activate(&client::Wrapped::of(&response).unwrap()).unwrap();
    assert_eq!(client::open(&response, &credential).unwrap(), "token");
}

#[test]
fn nothing_stays_loaded_after_an_answer_that_is_for_another_tpm() {
    let software = Swtpm::start();
    let other = Swtpm::start();
    for _ in 0..5 {
        let theirs = Keys::create(Tpm::open(&place(&other)).unwrap(), EkTemplate::Rsa2048).unwrap();
        let body = client::request(theirs.ek(), theirs.srk(), &[]).unwrap();
        let request = Request::parse(body.as_bytes()).unwrap();
        let response = seal(&request, b"token", &SystemRandom::new()).unwrap().into_response(None);
        let mut ours =
            Keys::create(Tpm::open(&place(&software)).unwrap(), EkTemplate::Rsa2048).unwrap();
        let opened = ours.activate(&client::Wrapped::of(&response).unwrap());
        let refused = matches!(opened, Err(TpmError::Response(ResponseError::Refused(_))));
        assert!(refused, "{opened:?}");
    }
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
    let place: Place = "/nowhere/tpm0".parse().unwrap();
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
        assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
    }
    for text in ["", "tpm0", "swtpm:", "swtpm:tpm", "mssim:/x"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
}

fn place(software: &Swtpm) -> Place {
    Place::Unix(software.socket())
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
    Tpm::open(&Place::Unix(path)).unwrap()
}
