//! An installer that is an image of a registry.

use super::{
    machine::{Boot, Machine},
    site::{PATIENCE, Site},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, eventually, http_client},
    stack::{INITRD, KERNEL, OciRegistry},
};
use metal_api::{BootInstaller, BootToken};
use reqwest::{StatusCode, header::RANGE};

const SQUASHFS: &str = "application/vnd.ironcore.image.squashfs";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn the_layers_of_an_installer_are_served_for_one_boot_from_a_registry_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = OciRegistry::start(folder.path()).await.unwrap();
    let initrd = b"initrd ".repeat(100_000);
    let layers: [(&str, &[u8]); 3] =
        [(KERNEL, b"kernel"), (INITRD, &initrd), (SQUASHFS, b"squashfs")];
    registry.push("os/installer:1", &layers).await.unwrap();
    registry.push("os/small:1", &layers[..2]).await.unwrap();
    // Which image may be served is written by the leader, with its flags.
    let cluster = Cluster::start().await.unwrap();
    cluster.install().await.unwrap();
    let site = Site::start_with(&cluster, &registry).await.unwrap();
    let machine = Machine::new().unwrap();

    let image = by_digest(&registry, "os/installer").await.unwrap();
    let url = site.token("web-1", |spec| spec.installer = Some(from(image))).await.unwrap();
    let first = machine.first(&url).await.unwrap();
    let (_, second) = machine.get(&format!("{}/boot", first.0)).await.unwrap();
    assert!(second.contains("inst.ks=${base}/kickstart root=live:${base}/squashfs &&"), "{second}");
    let boot = Boot::of(&second).unwrap();
    for (file, expected) in [("kernel", "kernel"), ("squashfs", "squashfs")] {
        let answer = machine.get(&format!("{}/{file}", boot.0)).await.unwrap();
        assert_eq!(answer, (StatusCode::OK, expected.to_owned()));
    }
    let part =
        http_client().unwrap().get(format!("{}/initrd", boot.0)).header(RANGE, "bytes=699993-");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.text().await.unwrap(), "initrd ");
    machine.report(&boot, "Done").await.unwrap();
    let (status, text) = machine.get(&format!("{}/kernel", boot.0)).await.unwrap();
    assert_eq!((status, text.as_str()), (StatusCode::FORBIDDEN, "refused\n"));

    // Without a root file system there is nothing more to load.
    let image = by_digest(&registry, "os/small").await.unwrap();
    let url = site.token("web-2", |spec| spec.installer = Some(from(image))).await.unwrap();
    let first = machine.first(&url).await.unwrap();
    let (_, second) = machine.get(&format!("{}/boot", first.0)).await.unwrap();
    assert!(second.contains("inst.ks=${base}/kickstart &&"), "{second}");

    let image = format!("quay.io/example/installer@sha256:{}", "b".repeat(64));
    let url = site.token("web-3", |spec| spec.installer = Some(from(image))).await.unwrap();
    let usable = eventually(PATIENCE, async || {
        let usable = usable(&site.tokens().get("web-3").await?).context("not told")?;
        ensure!(usable.0 == "ImageNotServed", "{usable:?}");
        Ok(usable.1)
    });
    let usable = usable.await.unwrap();
    assert!(usable.contains("registry quay.io is not allowed"), "{usable}");
    let first = machine.first(&url).await.unwrap();
    // iPXE would not show a refusal of its script.
    let (status, text) = machine.get(&format!("{}/boot", first.0)).await.unwrap();
    assert!(text.contains("the image of the installer is not there"), "{text}");
    assert!(status == StatusCode::OK && !text.contains("quay.io"), "{text}");
    site.event("web-3", "ImageNotFetched", "registry quay.io is not allowed").await.unwrap();
    site.end().await.unwrap();
}

fn from(image: String) -> BootInstaller {
    BootInstaller { image: Some(image), ..BootInstaller::default() }
}

/// An image by the digest of its tag `1`.
pub(crate) async fn by_digest(registry: &OciRegistry, name: &str) -> Result<String> {
    let url = format!("http://{}/v2/{name}/manifests/1", registry.address());
    let answer = http_client()?.get(url).header("accept", MANIFEST).send().await?;
    let digest = answer.headers().get("docker-content-digest").context("no digest")?.to_str()?;
    Ok(registry.image(&format!("{name}@{digest}")))
}

fn usable(token: &BootToken) -> Option<(String, String)> {
    let conditions = &token.status.as_ref()?.conditions;
    let usable = conditions.iter().find(|condition| condition.type_ == "Usable")?;
    Some((usable.reason.clone(), usable.message.clone()))
}
