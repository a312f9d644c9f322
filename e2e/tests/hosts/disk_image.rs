//! A disk image, and the installer that writes it: what they ask for, and what is told of them.

use super::{
    image::by_digest,
    machine::{Boot, Machine},
    site::{PATIENCE, Site},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, eventually, http_client},
    stack::{DISK, INITRD, KERNEL, OciRegistry, sha256},
};
use metal_api::{
    BootInstaller, BootInstallerKind, BootStep, BootTokenPhase, BootTokenSpec, MachineTargetDisk,
};
use metal_installer::{checksum, install_json};
use reqwest::{StatusCode, header::RANGE};
use serde_json::{Value, json};

#[tokio::test]
async fn a_disk_image_reaches_the_installer_and_its_progress_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let registry = OciRegistry::start(folder.path()).await.unwrap();
    let disk = b"disk image ".repeat(100_000);
    let layers: [(&str, &[u8]); 3] = [(KERNEL, b"kernel"), (INITRD, b"initrd"), (DISK, &disk)];
    registry.push("os/netboot:1", &layers).await.unwrap();
    let image = by_digest(&registry, "os/netboot").await.unwrap();
    let site = Site::start_with(Cluster::shared().await.unwrap(), &registry).await.unwrap();
    let machine = Machine::new().unwrap();
    let url = site.token("web-1", |spec| installs(spec, image)).await.unwrap();
    let first = machine.first(&url).await.unwrap();
    let said = format!("{}/boot?mac=02:00:00:00:00:01&serial=SN-1", first.0);
    let (_, script) = machine.get(&said).await.unwrap();
    let boot = Boot::of(&script).unwrap();
    assert!(script.contains("bloomery.install=${base} &&"), "{script}");
    assert!(!script.contains(url.rsplit('/').next().unwrap()), "{script}");
    for file in ["kernel", "initrd"] {
        let answer = machine.get(&format!("{}/{file}", boot.0)).await.unwrap();
        assert_eq!(answer, (StatusCode::OK, file.to_owned()));
    }
    let (status, _) = machine.get(&format!("{}/kickstart", boot.0)).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);

    // What the installer makes of it.
    let (_, document) = machine.get(&format!("{}/install.json", boot.0)).await.unwrap();
    let order = install_json::read(document.as_bytes()).unwrap();
    assert_eq!(order.mac, Some(vec!["02:00:00:00:00:01".parse().unwrap()]));
    assert_eq!(order.hints.serial.as_deref(), Some("DISK-B"));
    let (_, list) = machine.get(&format!("{}/{}", boot.0, order.checksums)).await.unwrap();
    let sum = checksum::find(list.as_bytes(), "disk.img").unwrap();
    assert_eq!(metal_base::hex(&sum), sha256(&disk));
    let whole = format!("{}/{}", boot.0, order.image);
    let part = http_client().unwrap().get(&whole).header(RANGE, "bytes=1099989-");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.text().await.unwrap(), "disk image ");
    assert_eq!(machine.get(&whole).await.unwrap().1.as_bytes(), disk);

    // What it says.
    let progress = |phase: &str, message: &str| json!({ "phase": phase, "written": 1 << 20, "total": 4 << 20, "message": message });
    post(&boot.0, "install/progress", &progress("downloading", "")).await.unwrap();
    post(&boot.0, "install/progress", &progress("failed", "2 disks fit")).await.unwrap();
    site.event("web-1", "InstallFailed", "2 disks fit").await.unwrap();
    told(&site, BootStep::Failed, "2 disks fit").await.unwrap();
    post(&boot.0, "install/progress", &progress("writing", "")).await.unwrap();
    told(&site, BootStep::Writing, "25 %, 1 MiB").await.unwrap();
    let nonsense = post(&boot.0, "install/progress", &json!({ "step": "Done" })).await;
    assert!(nonsense.unwrap_err().to_string().contains("400"));
    let (_, text) = machine.get(&format!("{}/{}", boot.0, order.host.unwrap())).await.unwrap();
    let installed = serde_json::from_str(&text).unwrap();
    for _ in 0..2 {
        post(&boot.0, "pxe/disable", &Value::Null).await.unwrap();
    }
    site.phase("web-1", BootTokenPhase::Installed).await.unwrap();
    for file in ["install.json", "disk.img", "disk.img.sha256", "credential"] {
        let (status, text) = machine.get(&format!("{}/{file}", boot.0)).await.unwrap();
        assert_eq!((status, text.as_str()), (StatusCode::FORBIDDEN, "refused\n"), "{file}");
    }
    assert_eq!(machine.register(&installed).await.unwrap().0, StatusCode::OK);
    site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn an_installer_is_not_booted_for_an_image_without_a_disk_image() {
    let folder = tempfile::tempdir().unwrap();
    let registry = OciRegistry::start(folder.path()).await.unwrap();
    registry.push("os/bare:1", &[(KERNEL, b"kernel"), (INITRD, b"initrd")]).await.unwrap();
    let image = by_digest(&registry, "os/bare").await.unwrap();
    let site = Site::start_with(Cluster::shared().await.unwrap(), &registry).await.unwrap();
    let machine = Machine::new().unwrap();
    let url = site.token("web-1", |spec| installs(spec, image)).await.unwrap();
    let first = machine.first(&url).await.unwrap();
    let (_, script) = machine.get(&format!("{}/boot", first.0)).await.unwrap();
    assert!(script.contains("cannot answer now") && !script.contains("kernel"), "{script}");
    site.event("web-1", "ImageNotFetched", "image has no disk image layer").await.unwrap();
    // A token for Anaconda has none of it.
    let url = site.token("web-2", |_| {}).await.unwrap();
    let boot = machine.boot(&url).await.unwrap();
    for file in ["install.json", "disk.img", "disk.img.sha256"] {
        let (status, _) = machine.get(&format!("{}/{file}", boot.0)).await.unwrap();
        assert_eq!(status, StatusCode::NOT_FOUND, "{file}");
    }
    site.end().await.unwrap();
}

/// A token that writes the disk image of an image to one disk.
fn installs(spec: &mut BootTokenSpec, image: String) {
    spec.image = image;
    let kind = Some(BootInstallerKind::DiskImage);
    spec.installer = Some(BootInstaller { kind, ..BootInstaller::default() });
    let serial = Some("DISK-B".to_owned());
    spec.target_disk = Some(MachineTargetDisk { serial, ..MachineTargetDisk::default() });
}

async fn post(base: &str, path: &str, body: &Value) -> Result<()> {
    let answer = http_client()?.post(format!("{base}/{path}")).body(body.to_string());
    let status = answer.send().await?.status();
    ensure!(status.is_success(), "{path}: {status}");
    Ok(())
}

/// Waits until the token's status says this of its installer.
async fn told(site: &Site<'_>, step: BootStep, message: &str) -> Result<()> {
    eventually(PATIENCE, async || {
        let status = site.tokens().get("web-1").await?.status.context("no status")?;
        let progress = status.progress.context("no progress")?;
        ensure!((progress.step, &*progress.message) == (step, message), "{progress:?}");
        Ok(())
    })
    .await
}
