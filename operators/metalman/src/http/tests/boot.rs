//! Machines that have to prove what they have booted.

use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use metal_api::{MachineAttestation, MachinePcr};
use metal_attest::{Answer, ChallengeMessage, testing::Swtpm};

#[tokio::test]
async fn who_cannot_make_a_quote_gets_no_token_where_one_is_asked_for() {
    let (server, ctx) = asking().await;
    for _ in 0..3 {
        // That of the agent of Azure/unbounded.
        let (status, body) = ask(&ctx, 1, rsa().body()).await;
        let expected = "no proof of a boot that is allowed: QuoteMissing\n";
        assert_eq!((status, body.as_str()), (StatusCode::FORBIDDEN, expected));
    }
    let recorded: Machine = server.object(None, "node-01").unwrap();
    let told = recorded.status.unwrap().conditions;
    let told = told.iter().find(|it| it.type_ == "BootVerified").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "QuoteMissing"));
    let events = server.written().into_iter().filter(Sent::is_event);
    let reasons: Vec<_> = events.map(|it| it.body["reason"].clone()).collect();
    assert_eq!(reasons, ["KeyVerified", "QuoteMissing"], "each is told once");
    assert!(writes(&server).iter().all(|it| it.ends_with("/node-01/status")), "no token");
}

#[tokio::test]
async fn a_key_that_signs_is_challenged_and_gets_no_token_before_it_answers() {
    let (server, ctx) = asking().await;
    let tpm = Swtpm::start();
    let body = with_ak(&tpm);
    let mut salts = vec![];
    for _ in 0..2 {
        let (status, body) = ask(&ctx, 1, body.clone()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let Answer::Challenge { challenge } = serde_json::from_str(&body).unwrap() else {
            panic!("{body}")
        };
        assert_eq!(challenge.pcrs, [0, 7]);
        salts.push(challenge.salt);
    }
    assert_ne!(salts[0], salts[1]);
    assert!(writes(&server).iter().all(|it| it.ends_with("/node-01/status")), "no token");
    // A Machine that asks for nothing gives the same agent its token.
    let (_, free) = cluster([machine("node-01", 1)]).await;
    let (_, body) = ask(&free, 1, body).await;
    assert!(matches!(serde_json::from_str(&body).unwrap(), Answer::Token(_)), "{body}");
}

#[tokio::test]
async fn tpm2_tools_answer_a_challenge_and_what_answered_it_counts_once() {
    let (server, ctx) = asking().await;
    let tpm = Swtpm::start();
    let keys = with_ak(&tpm);
    let (_, body) = ask(&ctx, 1, keys.clone()).await;
    let Answer::Challenge { challenge } = serde_json::from_str(&body).unwrap() else { panic!() };
    let answer = answered_by_tools(&tpm, &keys, &challenge);
    let (status, body) = ask(&ctx, 1, answer.clone()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(matches!(serde_json::from_str(&body).unwrap(), Answer::Token(_)), "{body}");
    let recorded: Machine = server.object(None, "node-01").unwrap();
    let told = recorded.status.unwrap().conditions;
    let told = told.iter().find(|it| it.type_ == "BootVerified").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("True", "Allowed"));
    // The same again may be of a boot that is over.
    let (status, body) = ask(&ctx, 1, answer).await;
    let refused = "no proof of a boot that is allowed: QuoteRefused\n";
    assert_eq!((status, body.as_str()), (StatusCode::FORBIDDEN, refused));
}

#[tokio::test]
async fn a_replica_that_does_not_know_the_key_yet_asks_to_come_again() {
    let (_, ctx) = asking().await;
    let key = metal_runtime::Deferred::default();
    let ctx = Arc::new(Context { key, ..Arc::into_inner(ctx).unwrap() });
    let tpm = Swtpm::start();
    assert_eq!(ask(&ctx, 1, with_ak(&tpm)).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

/// What a machine presents that can make a quote.
pub(super) fn with_ak(tpm: &Swtpm) -> String {
    let body = tpm.body("rsa", &[]);
    let kind = ["-G", "ecc", "-g", "sha256", "-s", "ecdsa"];
    let files = ["-C", "ek", "-c", "ak", "-u", "ak.pub", "-f", "tss"];
    tpm.tpm2("tpm2_createak", &[&files[..], &kind].concat());
    tpm.tpm2("tpm2_flushcontext", &["-t"]);
    let mut body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["akPub"] = STANDARD.encode(tpm.read("ak.pub")).into();
    body.to_string()
}

/// A Machine that asks for the PCRs 0 and 7, and a context that knows the key of challenges.
pub(super) async fn asking() -> (ApiServer, Arc<Context>) {
    let mut machine = machine("node-01", 1);
    let pcr = |index| MachinePcr { index, sha256: vec!["0".repeat(64)] };
    let pcrs = vec![pcr(0), pcr(7)];
    let attestation = MachineAttestation { pcrs, ..MachineAttestation::default() };
    machine.spec.pxe.as_mut().unwrap().attestation = Some(attestation);
    let (server, ctx) = cluster([machine]).await;
    let key = metal_core::capability::Key::new(&[7; 32]).unwrap();
    let key = metal_runtime::Deferred::from(key);
    (server, Arc::new(Context { key, ..Arc::into_inner(ctx).unwrap() }))
}

/// What tpm2-tools make of a challenge: PCRs 0 and 7.
pub(super) fn answered_by_tools(tpm: &Swtpm, keys: &str, asked: &ChallengeMessage) -> String {
    let [blob, secret] =
        [&asked.credential_blob, &asked.encrypted_secret].map(|it| STANDARD.decode(it).unwrap());
    let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
    tpm.write("wrapped", &[&head[..], &blob, &secret].concat());
    tpm.tpm2("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
    tpm.tpm2("tpm2_policysecret", &["-S", "session", "-c", "e"]);
    let (keys_of, files) = (["-c", "ak", "-C", "ek"], ["-i", "wrapped", "-o", "nonce"]);
    let session = ["-P", "session:session"];
    tpm.tpm2("tpm2_activatecredential", &[&keys_of[..], &session, &files].concat());
    tpm.tpm2("tpm2_flushcontext", &["-t"]);
    let nonce = metal_base::hex(&tpm.read("nonce"));
    let files = ["-m", "message", "-s", "signature", "-f", "tss"];
    tpm.tpm2("tpm2_quote", &[&["-c", "ak", "-l", "sha256:0,7", "-q", &nonce][..], &files].concat());
    tpm.tpm2("tpm2_pcrread", &["sha256:0,7", "-o", "pcrs"]);
    let values = tpm.read("pcrs");
    let [pcr0, pcr7] = [0, 32].map(|at| STANDARD.encode(&values[at..at + 32]));
    let mut body: serde_json::Value = serde_json::from_str(keys).unwrap();
    body["quote"] = serde_json::json!({
        "salt": asked.salt,
        "expires": asked.expires,
        "quoted": STANDARD.encode(tpm.read("message")),
        "signature": STANDARD.encode(tpm.read("signature")),
        "pcrs": {"0": pcr0, "7": pcr7},
    });
    body.to_string()
}
