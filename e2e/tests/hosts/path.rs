//! From one URL to a Host.

use super::{
    machine::{Boot, Machine},
    site::{PATIENCE, Site},
};
use anyhow::ensure;
use e2e::cluster::{Cluster, eventually};
use kube::api::DeleteParams;
use metal_api::BootTokenPhase;
use reqwest::StatusCode;

#[tokio::test]
async fn a_machine_becomes_a_host_with_one_url() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let (machine, thief) = (Machine::new().unwrap(), Machine::new().unwrap());
    let url = site.token("web-1", |_| {}).await.unwrap();
    let secret = url.rsplit('/').next().unwrap().to_owned();

    // iPXE: the secret leaves the URL with the first script, with which nothing begins.
    let first = machine.first(&url).await.unwrap();
    let token = site.phase("web-1", BootTokenPhase::Fetched).await.unwrap();
    assert_eq!(token.status.unwrap().attempts, None);
    site.event("web-1", "Opened", "the URL was opened from 127.").await.unwrap();
    let (status, second) = machine.get(&format!("{}/boot?serial=SN-1", first.0)).await.unwrap();
    assert!(status.is_success() && second.contains("inst.ks=${base}/kickstart"), "{second}");
    site.event("web-1", "Booted", "boot 1, from 127.").await.unwrap();
    let boot = Boot::of(&second).unwrap();
    for file in ["kernel", "initrd"] {
        let (status, _) = machine.get(&format!("{}/{file}", boot.0)).await.unwrap();
        assert_eq!(status, StatusCode::FOUND);
    }

    // The installer.
    let (status, kickstart) = machine.get(&format!("{}/kickstart", boot.0)).await.unwrap();
    assert!(status.is_success(), "{kickstart}");
    assert!(kickstart.contains("ostreecontainer --url=quay.io/example/base@sha256:"));
    assert!(!second.contains(&secret) && !kickstart.contains(&secret));
    assert_eq!(machine.report(&boot, "Writing").await.unwrap(), StatusCode::NO_CONTENT);
    site.phase("web-1", BootTokenPhase::Installing).await.unwrap();
    let (_, text) = machine.get(&format!("{}/credential", boot.0)).await.unwrap();
    let installed = serde_json::from_str(&text).unwrap();
    assert_eq!(machine.report(&boot, "Done").await.unwrap(), StatusCode::NO_CONTENT);
    site.phase("web-1", BootTokenPhase::Installed).await.unwrap();
    // Nothing more is fetched: a copy of the kickstart is of no use.
    for file in ["kernel", "kickstart", "credential"] {
        let (status, text) = machine.get(&format!("{}/{file}", boot.0)).await.unwrap();
        assert_eq!((status, text.as_str()), (StatusCode::FORBIDDEN, "refused\n"), "{file}");
    }
    assert!(machine.get(&url).await.unwrap().1.contains("This machine is installed"));

    // The installed system, which repeats it because an answer was lost.
    for _ in 0..2 {
        let (status, text) = machine.register(&installed).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}");
        let expected = format!(r#"{{"host":"web-1","namespace":"{}"}}"#, site.org);
        assert_eq!(text, expected);
    }
    let host = site.hosts().get("web-1").await.unwrap();
    assert_eq!(host.spec.public_key, machine.public_key());
    let token = site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
    let registration = token.status.unwrap().registration.unwrap();
    assert_eq!(registration.host_uid, host.metadata.uid);
    assert_eq!(registration.hardware.serial.as_deref(), Some("SN-1"));

    // Somebody who has copied what the machine has.
    let (status, text) = thief.register(&installed).await.unwrap();
    assert_eq!((status, text.as_str()), (StatusCode::FORBIDDEN, "refused\n"));
    site.event("web-1", "Consumed", "the token is consumed").await.unwrap();

    // A Host that was deleted does not come back.
    site.hosts().delete("web-1", &DeleteParams::default()).await.unwrap();
    // The server may be told of the deletion a moment later.
    let refused = eventually(PATIENCE, async || {
        let (status, text) = machine.register(&installed).await?;
        ensure!(status == StatusCode::FORBIDDEN, "{status}: {text}");
        Ok(())
    });
    refused.await.unwrap();
    assert_eq!(site.all().await.unwrap(), [""; 0]);
    site.end().await.unwrap();
}
