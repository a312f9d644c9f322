//! A Host is told which release to run.

use super::{
    machine::Machine,
    site::{PATIENCE, Site},
};
use anyhow::ensure;
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::cluster::{Cluster, eventually};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{HostRelease, HostReleaseSpec, SealedConfiguration, Sealing};
use metal_configuration::LARGEST;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

#[tokio::test]
async fn a_host_waits_for_its_release_reports_it_and_a_rollback_is_shown() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let (machine, other) = (Machine::new().unwrap(), Machine::new().unwrap());
    let url = site.token("web-1", |_| {}).await.unwrap();
    let installed = machine.install(&url).await.unwrap();
    assert_eq!(machine.register(&installed).await.unwrap().0, StatusCode::OK);
    let (server, me) = (format!("http://{}", site.address), format!("{}/web-1", site.org));
    let releases = Api::<HostRelease>::namespaced(site.client.clone(), &site.org);
    for name in ["v1", "v2"] {
        let release = HostRelease::new(name, spec("web-1"));
        releases.create(&PostParams::default(), &release).await.unwrap();
    }
    let foreign = HostRelease::new("foreign", spec("web-2"));
    releases.create(&PostParams::default(), &foreign).await.unwrap();

    // It is told as soon as somebody activates one.
    let began = Instant::now();
    let wait = "/api/hosts/self?release=&wait=60";
    let asks = machine.ask(&server, wait, &me);
    let activates = activate(&site, "v1");
    let ((status, text), ()) = tokio::join!(async { asks.await.unwrap() }, activates);
    assert_eq!(status, StatusCode::OK, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["release"]["name"], "v1");
    assert_eq!(told["release"]["configuration"]["ciphertext"], "AAAA");
    assert!(began.elapsed().as_secs() < 50, "it did not wait for the end of its time");

    // Nobody else is, and nothing else is signed with this.
    for (who, host) in [(&other, me.as_str()), (&machine, "nobody/web-1"), (&machine, "")] {
        let asked = who.ask(&server, "/api/hosts/self", host);
        assert_eq!(asked.await.unwrap().0, StatusCode::FORBIDDEN, "{host}");
    }

    let report = json!({ "image": "quay.io/a/b@sha256:1", "release": "v1", "result": "Active" });
    let report = report.to_string();
    let path = "/api/hosts/self/status";
    let reported = machine.tell(&server, path, &me, &report);
    assert_eq!(reported.await.unwrap().0, StatusCode::NO_CONTENT);
    shown(&site, "True", "Active", Some("v1"), None).await;

    // Another server of this cluster may have led until now.
    let requested = eventually(PATIENCE, async || {
        let status = site.hosts().get("web-1").await?.status.unwrap_or_default();
        ensure!(status.requested_release.as_deref() == Some("v1"), "{status:?}");
        Ok(())
    });
    requested.await.unwrap();
    activate(&site, "v2").await;
    let report = json!({ "release": "v1", "result": "RolledBack", "of": "v2", "message": "no" });
    let report = report.to_string();
    let reported = machine.tell(&server, path, &me, &report);
    assert_eq!(reported.await.unwrap().0, StatusCode::NO_CONTENT);
    shown(&site, "False", "RolledBack", Some("v1"), Some("v1")).await;

    // A release of another Host is not given out.
    activate(&site, "foreign").await;
    let told = eventually(PATIENCE, async || {
        let asked = machine.ask(&server, "/api/hosts/self", &me).await?;
        let told: Value = serde_json::from_str(&asked.1)?;
        ensure!(told["release"].is_null(), "{told}");
        let host = site.hosts().get("web-1").await?;
        let conditions = host.status.unwrap_or_default().conditions;
        let found = conditions.iter().find(|it| it.type_ == "ReleaseFound");
        ensure!(found.is_some_and(|it| it.reason == "OtherHost"), "{found:?}");
        Ok(())
    });
    told.await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn the_largest_release_is_read_where_it_is_given_out_and_a_larger_one_is_refused() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let machine = Machine::new().unwrap();
    let url = site.token("web-1", |_| {}).await.unwrap();
    let installed = machine.install(&url).await.unwrap();
    assert_eq!(machine.register(&installed).await.unwrap().0, StatusCode::OK);
    let (server, me) = (format!("http://{}", site.address), format!("{}/web-1", site.org));
    let releases = Api::<HostRelease>::namespaced(site.client.clone(), &site.org);
    let release = |name: &str, length: usize| {
        let mut release = HostRelease::new(name, spec("web-1"));
        let configuration = release.spec.configuration.as_mut().unwrap();
        configuration.ciphertext = STANDARD.encode(vec![7; length]);
        release
    };
    // What is encrypted, an ephemeral key and a tag.
    let largest = LARGEST + 65 + 16;
    let too_large = releases.create(&PostParams::default(), &release("v2", largest + 3)).await;
    assert!(too_large.is_err());
    let v1 = release("v1", largest);
    let made = releases.create(&PostParams::default(), &v1).await.unwrap();
    activate(&site, "v1").await;
    let told = eventually(PATIENCE, async || {
        let asked = machine.ask(&server, "/api/hosts/self", &me).await?;
        let told: Value = serde_json::from_str(&asked.1)?;
        ensure!(told["release"]["name"] == "v1", "{}", told["release"]["name"]);
        Ok(told)
    });
    let told = told.await.unwrap();
    assert_eq!(told["release"]["uid"], made.uid().unwrap());
    let ciphertext = told["release"]["configuration"]["ciphertext"].as_str();
    assert!(ciphertext == v1.spec.configuration.as_ref().map(|it| it.ciphertext.as_str()));
    let hardware = eventually(PATIENCE, async || {
        let status = site.hosts().get("web-1").await?.status.unwrap_or_default();
        ensure!(status.hardware.is_some(), "{status:?}");
        Ok(status.hardware.unwrap_or_default())
    });
    assert_eq!(hardware.await.unwrap().serial.as_deref(), Some("SN-1"));
    site.end().await.unwrap();
}

async fn activate(site: &Site<'_>, release: &str) {
    let patch = Patch::Merge(json!({ "spec": { "activeRelease": release } }));
    site.hosts().patch("web-1", &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until the status of the Host says this.
async fn shown(
    site: &Site<'_>,
    active: &str,
    reason: &str,
    running: Option<&str>,
    previous: Option<&str>,
) {
    let shown = eventually(PATIENCE, async || {
        let status = site.hosts().get("web-1").await?.status.unwrap_or_default();
        let condition = status.conditions.iter().find(|it| it.type_ == "ReleaseActive");
        let is_shown = condition.is_some_and(|it| it.status == active && it.reason == reason);
        ensure!(is_shown && status.last_seen.is_some(), "{status:?}");
        ensure!(status.running_release.as_deref() == running, "{status:?}");
        ensure!(status.previous_release.as_deref() == previous, "{status:?}");
        Ok(())
    });
    shown.await.unwrap();
}

fn spec(host: &str) -> HostReleaseSpec {
    HostReleaseSpec {
        host_name: host.to_owned(),
        image: format!("quay.io/example/web@sha256:{}", "b".repeat(64)),
        configuration: Some(SealedConfiguration {
            algorithm: Sealing::P256HkdfSha256Aes256Gcm,
            ciphertext: "AAAA".to_owned(),
        }),
    }
}
