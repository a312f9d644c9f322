//! What opens nothing, and what is too much.

use super::{
    machine::{Boot, Machine},
    site::{PATIENCE, Site, secret},
};
use e2e::cluster::Cluster;
use kube::api::{DeleteParams, Patch, PatchParams};
use metal_api::{BootBinding, BootTokenPhase};
use reqwest::StatusCode;
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn strangers_learn_nothing_from_a_refusal() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let machine = Machine::new().unwrap();
    let revoked = site.token("revoked", |_| {}).await.unwrap();
    let revoke = Patch::Merge(json!({ "spec": { "revoked": true } }));
    site.tokens().patch("revoked", &PatchParams::default(), &revoke).await.unwrap();
    site.phase("revoked", BootTokenPhase::Revoked).await.unwrap();
    let deleted = site.token("deleted", |_| {}).await.unwrap();
    let boot = machine.boot(&deleted).await.unwrap();
    site.tokens().delete("deleted", &DeleteParams::default()).await.unwrap();
    let consumed = site.token("consumed", |_| {}).await.unwrap();
    let installed = machine.install(&consumed).await.unwrap();
    assert_eq!(machine.register(&installed).await.unwrap().0, StatusCode::OK);
    // Two tokens with one hash.
    let (unknown, hash) = secret(&site.org).unwrap();
    for name in ["one", "two"] {
        site.token(name, |spec| spec.token_sha256.clone_from(&hash)).await.unwrap();
    }
    let base = format!("http://{}/api/ipxe", site.address);
    let never = secret(&site.org).unwrap().0;
    let urls = [
        revoked,
        deleted,
        consumed,
        format!("{base}/{unknown}"),
        format!("{base}/{never}"),
        format!("{base}/x"),
        format!("{base}/{}", "x".repeat(5000)),
    ];
    let mut answers = BTreeSet::new();
    for url in urls {
        let (status, text) = machine.get(&url).await.unwrap();
        assert!(text.starts_with("#!ipxe\n") && text.contains("This boot URL is not valid."));
        answers.insert((status.as_u16(), text));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    site.event("revoked", "Revoked", "the token is revoked").await.unwrap();
    site.event("consumed", "Consumed", "the token is consumed").await.unwrap();
    // What was given out before is void with the token.
    let (status, text) = machine.get(&format!("{}/kickstart", boot.0)).await.unwrap();
    assert_eq!((status, text.as_str()), (StatusCode::FORBIDDEN, "refused\n"));
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_is_not_the_one_of_the_binding_changes_nothing() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let machine = Machine::new().unwrap();
    let bind = |serial: &str| {
        let serial = Some(serial.to_owned());
        Some(BootBinding { serial, ..BootBinding::default() })
    };
    let url = site.token("web-1", |spec| spec.binding = bind("SN-2")).await.unwrap();
    // The right one has begun.
    let boot = machine.boot_as(&url, "serial=sn-2").await.unwrap();
    let report = machine.report(&boot, "Partitioning").await.unwrap();
    assert_eq!(report, StatusCode::NO_CONTENT);
    let first = machine.first(&url).await.unwrap();
    let (_, script) = machine.get(&format!("{}/boot?serial=SN-1", first.0)).await.unwrap();
    assert!(script.contains("This boot URL is for another machine."), "{script}");
    site.event("web-1", "Unfit", "its serial number is \"SN-1\"").await.unwrap();
    // It registers as SN-1.
    let installed = machine.installed(&boot).await.unwrap();
    let (status, _) = machine.register(&installed).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(site.all().await.unwrap(), [""; 0]);
    site.end().await.unwrap();
}

#[tokio::test]
async fn an_installation_is_ended_neither_by_who_opens_its_url_nor_by_another_machine() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let machine = Machine::new().unwrap();
    let url = site.token("web-1", |_| {}).await.unwrap();
    let boot = machine.boot(&url).await.unwrap();
    assert_eq!(machine.report(&boot, "Writing").await.unwrap(), StatusCode::NO_CONTENT);
    let other = machine.first(&url).await.unwrap();
    let other = format!("{}/boot?mac=02:00:00:00:00:02&serial=SN-2", other.0);
    let (_, script) = machine.get(&other).await.unwrap();
    assert!(script.contains("Another machine is being installed"), "{script}");
    site.event("web-1", "InUse", "\"SN-1\"").await.unwrap();
    let (status, _) = machine.get(&format!("{}/credential", boot.0)).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    // It fails: the other one is free to begin.
    assert_eq!(machine.report(&boot, "Failed").await.unwrap(), StatusCode::NO_CONTENT);
    let (_, script) = machine.get(&other).await.unwrap();
    let next = Boot::of(&script).unwrap();
    let (status, _) = machine.get(&format!("{}/credential", boot.0)).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    machine.installed(&next).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn who_guesses_is_not_heard_and_a_large_body_takes_no_memory() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let url = format!("http://{}/api/hosts/register", site.address);
    let before = site.peak_memory().unwrap();
    let http = reqwest::Client::new();
    for _ in 0..4 {
        let body = vec![b'x'; 100 << 20];
        // It may be told so, or cut off while it still writes.
        if let Ok(answer) = http.post(&url).body(body).timeout(PATIENCE).send().await {
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
    let grown = site.peak_memory().unwrap() - before;
    assert!(grown < 32 << 20, "{grown}");
    let machine = Machine::new().unwrap();
    for body in ["", "{}", "[]", r#"{"credential":1}"#, "\u{0}"] {
        let server = format!("http://{}", site.address);
        let path = "/api/hosts/register";
        let (status, _) = machine.tell(&server, path, "", body).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let mut last = StatusCode::OK;
    for _ in 0..31 {
        let url = format!("http://{}/c/{}/kickstart", site.address, secret(&site.org).unwrap().0);
        last = machine.get(&url).await.unwrap().0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    site.end().await.unwrap();
}
