//! The server is killed, and the API server goes away, in the middle of it.

use super::{
    machine::{Boot, Machine},
    site::{PATIENCE, Site},
};
use anyhow::ensure;
use e2e::cluster::{Cluster, eventually};
use kube::ResourceExt;
use reqwest::StatusCode;
use std::time::Duration;
use tokio::time::sleep;

/// After how many milliseconds the server is killed: between any two of its writes, if not with
/// one then with another.
const MOMENTS: [u64; 8] = [0, 2, 4, 8, 12, 18, 26, 40];

#[tokio::test]
async fn who_was_told_yes_is_there_after_the_server_is_killed_and_nobody_else_is() {
    // A cluster of its own: no other server finishes what this one began.
    let cluster = Cluster::start().await.unwrap();
    cluster.install().await.unwrap();
    let mut site = Site::start(&cluster).await.unwrap();
    for (at, moment) in MOMENTS.into_iter().enumerate() {
        let (machine, thief) = (Machine::new().unwrap(), Machine::new().unwrap());
        let name = format!("web-{at}");
        let url = site.token(&name, |_| {}).await.unwrap();
        let installed = machine.install(&url).await.unwrap();
        let told = tokio::select! {
            told = machine.register(&installed) => told.is_ok_and(|told| told.0 == StatusCode::OK),
            () = sleep(Duration::from_millis(moment)) => false,
        };
        site.kill().await.unwrap();
        let hosts = site.hosts();
        let has_host = async || hosts.get_opt(&name).await.unwrap().is_some();
        assert!(!told || has_host().await, "told after {moment} ms, and not there");
        // A token that is consumed by the one is not open for the other, whatever is missing yet.
        let token = site.tokens().get(&name).await.unwrap();
        let is_consumed = token.status.unwrap().registration.is_some();
        site.run().await.unwrap();
        if is_consumed {
            let (status, _) = thief.register(&installed).await.unwrap();
            assert_eq!(status, StatusCode::FORBIDDEN, "after {moment} ms");
            // The controller finishes it, also if the machine never comes back.
            let finished = eventually(PATIENCE, async || {
                ensure!(has_host().await, "there is no Host yet, after {moment} ms");
                Ok(())
            });
            finished.await.unwrap();
        }
        let (status, text) = machine.register(&installed).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}");
        let host = site.hosts().get(&name).await.unwrap();
        assert_eq!(host.spec.public_key, machine.public_key(), "{}", host.name_any());
    }
    assert_eq!(site.all().await.unwrap().len(), MOMENTS.len());

    // The API server goes away in the middle of an installation, which goes on.
    let machine = Machine::new().unwrap();
    let url = site.token("patient", |_| {}).await.unwrap();
    let first = machine.first(&url).await.unwrap();
    let second = format!("{}/boot?serial=SN-1", first.0);
    let boot = Boot::of(&machine.get(&second).await.unwrap().1).unwrap();
    let outage = cluster.outage().await.unwrap();
    // It asks again, because the answer was lost.
    Boot::of(&machine.get(&second).await.unwrap().1).unwrap();
    let (status, text) = machine.get(&format!("{}/kickstart", boot.0)).await.unwrap();
    assert!(status.is_success(), "{text}");
    let (status, text) = machine.get(&format!("{}/credential", boot.0)).await.unwrap();
    assert!(status.is_success(), "{text}");
    let installed = serde_json::from_str(&text).unwrap();
    // What has to be written waits.
    let status = machine.report(&boot, "Done").await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = machine.register(&installed).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    outage.end().await.unwrap();
    let goes_on = eventually(PATIENCE, async || {
        let status = machine.report(&boot, "Done").await?;
        ensure!(status.is_success(), "{status}");
        let (status, text) = machine.register(&installed).await?;
        ensure!(status == StatusCode::OK, "{text}");
        Ok(())
    });
    goes_on.await.unwrap();
    site.hosts().get("patient").await.unwrap();
    site.kill().await.unwrap();
}
