//! Event logs, which explain what a machine has booted.

use super::{
    boot::{answered_by_tools, asking, with_ak},
    *,
};
use bytes::Bytes;
use futures::stream;
use metal_attest::{
    Answer, EventLog, MAX_BODY, MAX_EVENT_LOG,
    testing::{FirmwareLog, Swtpm},
};
use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

const CONFIG: u32 = 0x8000_0001;

#[tokio::test]
async fn an_event_log_that_leads_to_a_value_that_is_not_allowed_says_what_was_measured() {
    let log = FirmwareLog::default().measured(7, CONFIG, b"SecureBoot").measured(7, 4, &[0; 4]);
    let told = refused(&log, log.octets()).await;
    assert!(
        told.ends_with(", by the events #1 EV_EFI_VARIABLE_DRIVER_CONFIG, #2 EV_SEPARATOR)"),
        "{told}"
    );
    assert!(!told.contains("SecureBoot"));
}

#[tokio::test]
async fn an_event_log_that_leads_elsewhere_or_is_none_is_told_and_changes_nothing_else() {
    let log = FirmwareLog::default().measured(7, CONFIG, b"SecureBoot");
    let other = FirmwareLog::default().measured(7, CONFIG, b"another");
    let told = refused(&log, other.octets()).await;
    assert!(told.ends_with(", to which its event log does not lead)"), "{told}");
    let told = refused(&log, b"no log").await;
    assert!(told.ends_with("; the event log cannot be read: its event 0 is malformed)"), "{told}");
    let told = refused(&log, &vec![0; MAX_EVENT_LOG + 1]).await;
    assert!(told.ends_with("; the event log cannot be read: it is too long)"), "{told}");
    // Of a boot that is allowed, even such a log costs no token.
    let (_, ctx) = asking().await;
    let tpm = Swtpm::start();
    let answer = [&answered(&ctx, &tpm).await, &b"no log"[..]].concat();
    let (status, body) = post(&ctx, Body::from(answer)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn what_was_measured_in_a_boot_that_is_allowed_is_kept_and_compared() {
    let (server, ctx) = asking().await;
    let tpm = Swtpm::start();
    let empty = FirmwareLog::default();
    let answer = [&answered(&ctx, &tpm).await, empty.octets()].concat();
    assert_eq!(post(&ctx, Body::from(answer)).await.0, StatusCode::OK);
    let recorded: Machine = server.object(None, "node-01").unwrap();
    let kept = recorded.status.clone().unwrap().tpm.unwrap().measured;
    let kept: Vec<_> = kept.iter().map(|it| (it.index, it.events.len())).collect();
    assert_eq!(kept, [(0, 0), (7, 0)]);

    crate::fixture::list(&ctx, &[recorded]).await;
    let log = empty.measured(7, CONFIG, b"SecureBoot");
    extend(&tpm, &log);
    let answer = [&answered(&ctx, &tpm).await, log.octets()].concat();
    assert_eq!(post(&ctx, Body::from(answer)).await.0, StatusCode::FORBIDDEN);
    let told = told(&server);
    let new = ": new since the last boot that was allowed #1 EV_EFI_VARIABLE_DRIVER_CONFIG)";
    assert!(told.ends_with(new), "{told}");
}

#[tokio::test]
async fn the_log_of_whoever_has_not_proved_its_tpm_is_not_read() {
    let (_, ctx) = asking().await;
    let tpm = Swtpm::start();
    let answer = answered(&ctx, &tpm).await;
    let mut forged: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    forged["quote"]["pcrs"]["7"] = forged["quote"]["salt"].clone();
    let spoiled = forged.to_string().into_bytes();
    let mut forged: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    forged["quote"]["expires"] = 1.into();
    let keys = with_ak(&tpm).into_bytes();
    for (body, expected) in [
        (spoiled, StatusCode::BAD_REQUEST),
        (forged.to_string().into_bytes(), StatusCode::FORBIDDEN),
        (keys, StatusCode::PAYLOAD_TOO_LARGE),
        (vec![b' '; MAX_BODY], StatusCode::PAYLOAD_TOO_LARGE),
        (b"{".to_vec(), StatusCode::PAYLOAD_TOO_LARGE),
        (b"nothing".to_vec(), StatusCode::BAD_REQUEST),
    ] {
        let read = Arc::new(AtomicUsize::new(0));
        let (status, text) = post(&ctx, endless(body, &read)).await;
        assert_eq!(status, expected, "{text}");
        let read = read.load(Ordering::Relaxed);
        assert!(read <= MAX_BODY + 2048, "{read} octets are read: {text}");
    }
}

#[tokio::test]
async fn a_log_that_does_not_come_is_waited_for_in_vain_and_costs_no_token() {
    let (_, ctx) = asking().await;
    let answer = Bytes::from(answered(&ctx, &Swtpm::start()).await);
    let silent = futures::StreamExt::chain(
        stream::iter([Ok::<_, Infallible>(answer), Ok(Bytes::from(vec![0; MAX_BODY]))]),
        stream::pending(),
    );
    tokio::time::pause();
    let (status, body) = post(&ctx, Body::from_stream(silent)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn bodies_of_other_requests_are_as_short_as_before() {
    let (_, ctx) = asking().await;
    for path in ["/cloudinit/log", "/install/progress", "/c/token/install/progress"] {
        let read = Arc::new(AtomicUsize::new(0));
        let request = Request::post(path).body(endless(vec![], &read)).unwrap();
        let status = super::answered(&ctx, 1, request).await.status();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert!(read.load(Ordering::Relaxed) <= (16 << 10) + 2048, "{path}");
    }
}

/// What comes of a boot with this log in its PCRs, which sends another one perhaps.
async fn refused(measured: &FirmwareLog, sent: &[u8]) -> String {
    let (server, ctx) = asking().await;
    let tpm = Swtpm::start();
    extend(&tpm, measured);
    let answer = [&answered(&ctx, &tpm).await, sent].concat();
    let (status, body) = post(&ctx, Body::from(answer)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert_eq!(body, "no proof of a boot that is allowed: PCRDiffers\n");
    told(&server)
}

/// What the Machine says of the boot.
fn told(server: &ApiServer) -> String {
    let recorded: Machine = server.object(None, "node-01").unwrap();
    let conditions = recorded.status.unwrap().conditions;
    conditions.into_iter().find(|it| it.type_ == "BootVerified").unwrap().message
}

/// Extends the TPM by what is in a log.
fn extend(tpm: &Swtpm, log: &FirmwareLog) {
    let log = EventLog::parse(log.octets()).unwrap();
    for event in log.of(7) {
        let digest = metal_base::hex(&event.digest);
        tpm.tpm2("tpm2_pcrextend", &[&format!("7:sha256={digest}")]);
    }
}

/// The answer to a challenge that this TPM gets.
async fn answered(ctx: &Arc<Context>, tpm: &Swtpm) -> Vec<u8> {
    let keys = with_ak(tpm);
    let (_, body) = ask(ctx, 1, keys.clone()).await;
    let Answer::Challenge { challenge } = serde_json::from_str(&body).unwrap() else {
        panic!("{body}")
    };
    assert_eq!(challenge.event_log, MAX_EVENT_LOG);
    answered_by_tools(tpm, &keys, &challenge).into_bytes()
}

async fn post(ctx: &Arc<Context>, body: Body) -> (StatusCode, String) {
    let request = Request::post("/attest").body(body).unwrap();
    let response = super::answered(ctx, 1, request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A body that does not end, and how much of it is read.
fn endless(begin: Vec<u8>, read: &Arc<AtomicUsize>) -> Body {
    let read = Arc::clone(read);
    let pieces = std::iter::once(begin).chain(std::iter::repeat_with(|| vec![b' '; 1024]));
    let pieces = pieces.map(move |piece| {
        read.fetch_add(piece.len(), Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from(piece))
    });
    Body::from_stream(stream::iter(pieces))
}
