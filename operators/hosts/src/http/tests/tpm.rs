use super::*;
use metal_attest::{
    EndorsementKey, Response,
    testing::{Machine as Tpm, machines},
};
use metal_core::boot_token::tpm::subject;
use serde_json::json;

const ATTEST: &str = "/api/hosts/attest";
const REGISTER: &str = "/api/hosts/register";

/// A token of the second boot that is bound to the TPM with this endorsement key, in base64.
fn bound(ek: &str) -> BootToken {
    let mut token = token(1);
    let ek = EndorsementKey::parse(&STANDARD.decode(ek).unwrap()).unwrap();
    let ek_hash = Some(ek.fingerprint());
    token.spec.binding = Some(BootBinding { ek_hash, ..BootBinding::default() });
    token
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_tpm_is_consumed_only_with_what_that_tpm_has_decrypted() {
    let [ours, theirs]: [Tpm; 2] = machines().try_into().unwrap();
    let site = Site::new(vec![bound(&ours.ek_pub)], vec![], vec![]).await;
    let (machine, thief) = (Machine::new(), Machine::new());
    let (_, told) = site.get(&format!("{}/credential", boot(1))).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["tpm"], true, "the installed system knows that it has to");
    let credential = told["credential"].as_str().unwrap();
    let body = |machine: &Machine, more: Value| {
        let mut body = json!({ "credential": credential, "publicKey": machine.pem() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let attest = async |machine: &Machine, tpm: &Tpm| {
        let body = body(machine, json!({ "ekPub": tpm.ek_pub, "srkPub": tpm.srk_pub }));
        site.signed(machine, (Method::POST, ATTEST, &*body), "").await
    };
    let register = async |machine: &Machine, proof: &str| {
        let body = body(machine, json!({ "proof": proof }));
        site.signed(machine, (Method::POST, REGISTER, &*body), "").await
    };
    // Another TPM is refused as every other machine is.
    let refused = (REFUSED.0, REFUSED.1.to_owned());
    assert_eq!(attest(&machine, &theirs).await, refused);
    let (status, sealed) = attest(&machine, &ours).await;
    assert_eq!(status, StatusCode::OK, "{sealed}");
    let sealed: Response = serde_json::from_str(&sealed).unwrap();
    assert!(theirs.open(&sealed).is_err());
    let proof = String::from_utf8(ours.open(&sealed).unwrap()).unwrap();

    // None, nonsense, one for another key, one for another token, one whose time is over.
    let proof_of = |server: &str, minutes: i64| {
        let ek = site.ctx.view.tokens.named(Some("org"), "web-1").unwrap();
        let boot = subject(
            &PublicKey::parse(&machine.pem()).unwrap(),
            ek.spec.binding.as_ref().unwrap().ek_hash.as_deref().unwrap(),
        );
        let expires = Timestamp::now() + SignedDuration::from_mins(minutes);
        let claims = Claims { purpose: Purpose::HostTpm, server: server.to_owned(), boot, expires };
        issue(&key(), &claims).unwrap().as_str().to_owned()
    };
    let without = body(&machine, json!({}));
    assert_eq!(site.signed(&machine, (Method::POST, REGISTER, &*without), "").await, refused);
    assert_eq!(register(&thief, &proof).await, refused);
    for other in ["x".to_owned(), proof_of("of-another", 5), proof_of("uid-of-token", -1)] {
        assert_eq!(register(&machine, &other).await, refused, "{other}");
    }
    assert_eq!(site.api.written().len(), 0, "the token is not consumed");
    let (status, text) = register(&machine, &proof).await;
    assert_eq!(status, StatusCode::OK, "{text}");
}

#[tokio::test]
async fn nothing_is_sealed_for_who_has_not_signed_or_presents_no_endorsement_key() {
    let [ours, _]: [Tpm; 2] = machines().try_into().unwrap();
    let site = Site::new(vec![bound(&ours.ek_pub)], vec![], vec![]).await;
    let (machine, other) = (Machine::new(), Machine::new());
    let credential = capability(Purpose::HostRegistration, 1);
    let body = |ek: &str| {
        let srk = &ours.srk_pub;
        json!({ "credential": credential, "publicKey": machine.pem(), "ekPub": ek, "srkPub": srk })
            .to_string()
    };
    let whole = body(&ours.ek_pub);
    let answer = site.signed(&other, (Method::POST, ATTEST, &*whole), "").await;
    assert_eq!(answer, (REFUSED.0, REFUSED.1.to_owned()));
    let no_key = body(&ours.srk_pub);
    let (status, _) = site.signed(&machine, (Method::POST, ATTEST, &*no_key), "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = site.signed(&machine, (Method::POST, ATTEST, "{}"), "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
