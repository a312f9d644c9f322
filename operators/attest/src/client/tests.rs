use super::*;
use crate::{
    Request, Response, seal,
    testing::{Machine, machines},
};
use ring::rand::SystemRandom;

/// What `TPM2_CreatePrimary` sends before the template: sessions, size, command, hierarchy, empty
/// password, empty sensitive.
fn head(hierarchy: u8) -> Vec<u8> {
    let sessions: &[u8] = &[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0];
    let sensitive: &[u8] = &[0, 4, 0, 0, 0, 0];
    [&[0x40, 0, 0, hierarchy], sessions, sensitive].concat()
}

#[test]
fn keys_are_created_from_the_templates_of_go_tpm() {
    let create = |template| create_ek(template).unwrap();
    for (command, hierarchy, recorded, unique) in [
        (create(EkTemplate::Rsa2048), 0x0b, rsa().ek_pub, &[(256, 258)][..]),
        (create(EkTemplate::P256), 0x0b, ecc().ek_pub, &[(32, 34), (32, 34)]),
        (create_srk().unwrap(), 0x01, rsa().srk_pub, &[(256, 258)]),
    ] {
        // The template is the key that go-tpm has created, without its modulus or point.
        let mut template = STANDARD.decode(recorded).unwrap();
        let mut end = template.len();
        for (len, step) in unique {
            template[end - len..end].fill(0);
            end -= step;
        }
        let parts = [&head(hierarchy)[..], &template, &[0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(command[..2], [0x80, 2], "TPM_ST_SESSIONS");
        assert_eq!(command[6..10], [0, 0, 1, 0x31], "TPM_CC_CreatePrimary");
        assert_eq!(command[10..], parts);
    }
}

#[test]
fn an_answer_that_go_tpm_made_opens_with_its_credential() {
    for machine in machines() {
        let wrapped = EncryptedCredential::of(&machine.response).unwrap();
        let credential = machine.activate(&sized(&wrapped.blob), &sized(&wrapped.secret)).unwrap();
        let credential = credential.try_into().unwrap();
        assert_eq!(open(&machine.response, &credential).unwrap(), machine.token);
        assert_eq!(open(&machine.response, &[7; 32]), Err(OpenError::Decrypt));
    }
}

#[test]
fn a_request_is_written_as_the_peer_writes_it() {
    for machine in machines() {
        let [ek, srk] = [&machine.ek_pub, &machine.srk_pub].map(|it| STANDARD.decode(it).unwrap());
        let body = request(Presented { ek: &ek, srk: &srk, ..Presented::default() }).unwrap();
        let written: serde_json::Value = serde_json::from_str(&body).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(&machine.body()).unwrap();
        assert_eq!(written, recorded);
    }
}

#[test]
fn what_is_no_token_is_never_put_into_a_header() {
    let machine = rsa();
    let opened = |token: &[u8]| {
        let request = Request::parse(machine.body().as_bytes()).unwrap();
        let response = seal(&request, token, &SystemRandom::new()).unwrap().into_response(None);
        let wrapped = EncryptedCredential::of(&response).unwrap();
        let credential = machine.activate(&sized(&wrapped.blob), &sized(&wrapped.secret)).unwrap();
        open(&response, &credential.try_into().unwrap())
    };
    assert_eq!(opened(b"aZ0.-_").unwrap(), "aZ0.-_");
    for token in [&b""[..], b"a b", b"a\r\nHost: x", b"a\0", "\u{e9}".as_bytes()] {
        assert_eq!(opened(token), Err(OpenError::Token), "{token:?}");
    }
    assert_eq!(opened(&vec![b'a'; MAX_TOKEN]), Err(OpenError::Field("encryptedToken")));
}

#[test]
fn an_answer_that_is_damaged_says_which_field_is() {
    let damaged = |change: fn(&mut Response)| {
        let mut response = rsa().response;
        change(&mut response);
        EncryptedCredential::of(&response).and_then(|_| open(&response, &[7; 32])).unwrap_err()
    };
    for (change, field) in [
        ((|it| it.credential_blob = "?".to_owned()) as fn(&mut Response), "credentialBlob"),
        (|it| it.credential_blob = "AAA=".to_owned() + "A", "credentialBlob"),
        (|it| it.credential_blob = String::new(), "credentialBlob"),
        (|it| it.encrypted_secret = "AAUA".to_owned(), "encryptedSecret"),
        (|it| it.gcm_nonce = "AAAA".to_owned(), "gcmNonce"),
        (|it| it.encrypted_token = "!".to_owned(), "encryptedToken"),
    ] {
        assert_eq!(damaged(change), OpenError::Field(field));
    }
    assert_eq!(damaged(|_| ()), OpenError::Decrypt);
}

#[test]
fn a_credential_that_fits_no_command_is_refused() {
    let handle = Handle(0x8000_0000);
    for (blob, secret) in [(vec![0; 5000], vec![]), (vec![], vec![0; 5000])] {
        let wrapped = EncryptedCredential { blob, secret };
        let built = activate_credential(handle, handle, handle, &wrapped);
        assert_eq!(built, Err(BuildError));
    }
}

#[test]
fn what_a_tpm_says_is_told_apart() {
    let rc = |code: u32| match done(&response(code)) {
        Err(ResponseError::Refused(rc)) => rc,
        other => panic!("{other:?}"),
    };
    for busy in [0x922, 0x908, 0x90a] {
        assert!(rc(busy).is_busy(), "{busy:#x}");
    }
    // Of a session, of a handle, and as the resource manager of the kernel passes it on.
    for password in [0x9a2, 0x98e, 0x000b_09a2] {
        assert!(rc(password).is_password() && !rc(password).is_busy(), "{password:#x}");
    }
    assert!(rc(0x185).is_disabled());
    assert_eq!(rc(0x9a2).to_string(), "TPM_RC_BAD_AUTH (0x9a2)");
    assert_eq!(rc(0xffff_ffff).to_string(), "0xffffffff");
    assert_eq!(done(&response(0)), Ok(()));
}

#[test]
fn octets_that_are_no_response_are_refused_at_every_length() {
    let whole = response(0);
    for len in 0..whole.len() {
        assert_eq!(done(&whole[..len]), Err(ResponseError::Malformed), "{len}");
    }
    assert_eq!(created(&whole), Err(ResponseError::Malformed));
    assert_eq!(started(&whole), Err(ResponseError::Malformed));
    assert_eq!(activated(&whole), Err(ResponseError::Malformed));
    assert_eq!(done(&[0; 5000]), Err(ResponseError::Malformed));
}

fn response(code: u32) -> Vec<u8> {
    [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat()
}

fn sized(octets: &[u8]) -> Vec<u8> {
    crate::credential::sized(octets)
}

#[test]
fn certificates_are_found_one_behind_the_other_and_what_fills_the_rest_is_none() {
    let long = [&[0x30, 0x82, 1, 0][..], &[7; 256]].concat();
    let short = [0x30, 0x82, 0, 1, 9];
    for fill in [&[][..], &[0; 9], &[0xff; 9], &[0x30, 0x82, 0, 9, 1]] {
        let area = [&long, &short[..], fill].concat();
        assert_eq!(certificates(&area), [&long[..], &short]);
    }
    assert_eq!(certificates(&short.repeat(20)).len(), 8);
    assert_eq!(certificates(&[]), [&[] as &[u8]; 0]);
}

#[test]
fn an_area_is_read_by_whoever_may_and_in_pieces() {
    let area = |attributes: u32| {
        let public = [&[1, 0xc0, 0, 2, 0, 0x0b][..], &attributes.to_be_bytes(), &[0, 0, 4, 1]];
        let body = [&[0, 14][..], &public.concat(), &[0, 0]].concat();
        let len = u8::try_from(body.len() + 10).unwrap();
        nv_area(&[&[0x80, 1, 0, 0, 0, len, 0, 0, 0, 0][..], &body].concat())
    };
    let readable = area(0x2006_0000).unwrap().unwrap();
    assert_eq!((readable.index, readable.by, readable.len), (0x01c0_0002, 0x4000_0001, 1025));
    assert_eq!(area(0x2204_0000).unwrap().unwrap().by, 0x01c0_0002, "by itself");
    for (attributes, why) in [
        (0x0006_0000, "never written"),
        (0x3006_0000, "locked"),
        (0x2008_0000, "by a policy"),
        (0x2004_0000, "its password might be a wrong one, which counts"),
    ] {
        assert_eq!(area(attributes), Ok(None), "{why}");
    }
    let piece = |offset| nv_read(readable, offset).unwrap().map(|it| it[it.len() - 4..].to_vec());
    assert_eq!(piece(0).unwrap(), [2, 0, 0, 0]);
    assert_eq!(piece(1024).unwrap(), [0, 1, 4, 0]);
    assert_eq!((piece(1025), piece(u16::MAX)), (None, None));
}

fn ecc() -> Machine {
    machines().into_iter().find(|machine| machine.kind == "ecc-p256").unwrap()
}

fn rsa() -> Machine {
    machines().into_iter().find(|machine| machine.kind == "rsa2048").unwrap()
}
