//! Endorsement keys that need a certificate.

use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use metal_api::MachineAttestation;
use metal_attest::{
    Roots,
    testing::{Maker, Swtpm},
};
use tokio::sync::watch;

#[tokio::test]
async fn where_roots_are_configured_the_first_key_needs_a_certificate_of_one_of_them() {
    let (maker, other) = (Maker::new(), Maker::new());
    let (ours, stranger) = (maker.tpm(), other.tpm());
    let (server, ctx) = trusting(&maker, machine("node-01", 1)).await;
    let cases = [
        (vec![], "the machine presented no certificate of its endorsement key", "Missing"),
        (vec![stranger.certificate()], "none of the roots has signed it", "Refused"),
        (vec![ours.certificate()], "it is of another key", "Refused"),
    ];
    for (certificates, why, reason) in cases {
        let (status, body) = ask(&ctx, 1, stranger.body("rsa", &certificates)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let expected = format!("the endorsement key needs a certificate: {why}");
        assert!(body.starts_with(&expected), "{body}");
        let status = server.object::<Machine>(None, "node-01").unwrap().status.unwrap();
        let told = status.conditions.iter().find(|it| it.type_ == "TPMVerified").unwrap();
        assert_eq!((told.reason.clone(), status.tpm), (format!("Certificate{reason}"), None));
        let event = server.written().into_iter().rfind(Sent::is_event).unwrap();
        assert_eq!(event.body["reason"], format!("Certificate{reason}"));
        let note = event.body["note"].as_str().unwrap();
        assert!(note.starts_with("10.0.0.1 presented the endorsement key with SHA-256"), "{note}");
    }
    assert!(writes(&server).iter().all(|it| it.ends_with("/node-01/status")), "no token");
    let body = ours.body("rsa", &[ours.certificate()]);
    assert_eq!(ask(&ctx, 1, body).await.0, StatusCode::OK);
    // What is pinned needs none any more, as the agent of Azure/unbounded has none.
    assert_eq!(ask(&ctx, 1, ours.body("rsa", &[])).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_the_machine_names_needs_no_certificate() {
    let (maker, tpm) = (Maker::new(), Swtpm::start());
    maker.tpm();
    let body = tpm.body("rsa", &[]);
    let ek = metal_attest::Request::parse(body.as_bytes()).unwrap().ek;
    let mut named = machine("node-01", 1);
    let attestation =
        MachineAttestation { ek_hash: Some(ek.fingerprint()), ..MachineAttestation::default() };
    named.spec.pxe.as_mut().unwrap().attestation = Some(attestation);
    let (_, ctx) = trusting(&maker, named).await;
    assert_eq!(ask(&ctx, 1, body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn refusals_that_alternate_without_end_cost_few_writes() {
    let maker = Maker::new();
    let ours = maker.tpm();
    let (server, ctx) = trusting(&maker, machine("node-01", 1)).await;
    let with = |certificate: &[u8]| {
        let (keys, certificate) = (rsa(), STANDARD.encode(certificate));
        let (ek, srk) = (keys.ek_pub, keys.srk_pub);
        serde_json::json!({"ekPub": ek, "srkPub": srk, "ekCertificates": [certificate]}).to_string()
    };
    let (another, junk) = (with(&ours.certificate()), with(b"junk"));
    for _ in 0..20 {
        for body in [&another, &junk] {
            assert_eq!(ask(&ctx, 1, body.clone()).await.0, StatusCode::FORBIDDEN);
        }
    }
    assert_eq!(writes(&server).len(), 12);
}

/// A Machine, and a context that trusts a maker of TPMs.
async fn trusting(maker: &Maker, machine: Machine) -> (ApiServer, Arc<Context>) {
    let mut roots = Roots::default();
    roots.add(&std::fs::read(maker.between()).unwrap()).unwrap();
    let ek_roots = Some(watch::channel(Arc::new(roots)).1);
    let (server, ctx) = cluster([machine]).await;
    (server, Arc::new(Context { ek_roots, ..Arc::into_inner(ctx).unwrap() }))
}
