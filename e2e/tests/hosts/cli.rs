//! What a person types.

use super::{
    machine::Machine,
    site::{PATIENCE, Site},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, binary, eventually},
    stack::{OciRegistry, run_plugin},
};
use metal_api::BootTokenPhase;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fs;
use tokio::process::Command;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[tokio::test]
async fn a_person_gets_one_url_and_then_a_host_that_runs_a_release() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let (org, server) = (site.org.clone(), format!("http://{}", site.address));
    let image = format!("--image=127.0.0.1:1/example/base@sha256:{}", "a".repeat(64));
    let to = format!("--server={server}");
    let target = format!("{org}/web-1");

    // The URL and nothing else: it can be put into a variable.
    let url = kubectl(&site, &["ipxe-tokens", "create", &target, &image, &to]).await.unwrap();
    let secret =
        url.trim_end().strip_prefix(&format!("{server}/api/ipxe/metal_ipxe_{org}.")).unwrap();
    assert_eq!((secret.len(), url.lines().count()), (43, 1), "{url}");
    let script = ["ipxe-tokens", "create", &org, &image, &to, "--ttl=1h", "--script"];
    let script = kubectl(&site, &script).await.unwrap();
    assert!(entry(&script).starts_with("http://"), "{script}");
    let listed = kubectl(&site, &["ipxe-tokens", "list", &org]).await.unwrap();
    let web = listed.lines().find(|it| it.starts_with("web-1-") && it.contains(" web-1 "));
    assert!(web.is_some() && listed.lines().count() == 3, "{listed}");
    assert!(listed.starts_with("NAME "), "{listed}");
    let web = web.unwrap().split_whitespace().next().unwrap().to_owned();
    site.phase(&web, BootTokenPhase::Issued).await.unwrap();
    assert!(!listed.contains(secret));

    let machine = Machine::new().unwrap();
    let installed = machine.install(url.trim_end()).await.unwrap();
    assert_eq!(machine.register(&installed).await.unwrap().0, StatusCode::OK);
    site.phase(&web, BootTokenPhase::Consumed).await.unwrap();
    let listed = kubectl(&site, &["ipxe-tokens", "list", &org]).await.unwrap();
    let other = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(other.starts_with("host-") && listed.lines().count() == 2, "{listed}");
    let consumed = kubectl(&site, &["ipxe-tokens", "revoke", &org, &web]).await.unwrap_err();
    assert!(consumed.to_string().contains("is consumed: a machine is host web-1"), "{consumed}");
    kubectl(&site, &["ipxe-tokens", "revoke", &org, &other]).await.unwrap();
    let none = run_plugin(site.cluster, &["ipxe-tokens", "list", &org], "").await.unwrap();
    let (code, told) = (none.code, format!("no token is open in {org}\n"));
    assert_eq!((code, none.out.as_str(), none.err), (Some(0), "", told), "nothing is said so");
    let listed = kubectl(&site, &["hosts", "list", "--org", &org]).await.unwrap();
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().take(3).collect();
    assert_eq!(row, [target.as_str(), "-", "-"], "{listed}");
    let described = kubectl(&site, &["hosts", "get", &target]).await.unwrap();
    assert!(described.contains("\nCreated:  20") && described.contains("\nSerial:   SN-1\n"));

    // The cluster never sees the configuration.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, r#"{"password":"correct horse"}"#).unwrap();
    let config = format!("--config-file={}", file.display());
    let tag = format!("{target}:v1");
    let release = ["releases", "create", &tag, &image, &config, "--activate"];
    kubectl(&site, &release).await.unwrap();
    let json = kubectl(&site, &["releases", "list", &target, "-o", "json"]).await.unwrap();
    assert!(json.contains("P256-HKDF-SHA256-AES256GCM") && !json.contains("horse"), "{json}");
    let path = "/api/hosts/self?wait=60&release=";
    let asked = machine.ask(&server, path, &target).await.unwrap();
    let told: Value = serde_json::from_str(&asked.1).unwrap();
    assert_eq!(told["release"]["name"], "web-1-v1", "{told}");
    assert!(told["release"]["configuration"]["ciphertext"].as_str().unwrap().len() > 100);

    let missing = format!("{org}/web-2:v1");
    for bad in [
        &["ipxe-tokens", "create", "Org", &image, &to][..],
        &["ipxe-tokens", "create", &target, "--image=127.0.0.1:1/a/b:latest", &to],
        &["releases", "create", &missing, &image, &config],
        &["hosts", "activate", &missing],
        &["hosts", "get", &org],
    ] {
        assert!(kubectl(&site, bad).await.is_err(), "{bad:?}");
    }
    kubectl(&site, &["hosts", "delete", &target]).await.unwrap();
    assert_eq!(site.all().await.unwrap(), [""; 0]);
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_token_is_made_for_an_image_that_is_there_and_a_host_for_a_key_that_a_person_gives() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let registry = OciRegistry::start(folder.path()).await.unwrap();
    let there = registry.push_annotated("base:1", &json!({}), &[(LAYER, b"base")]).await.unwrap();
    let (target, to) = (format!("{}/web-1", site.org), format!("--server=http://{}", site.address));
    let create = async |image: &str| {
        let image = format!("--image={image}");
        kubectl(&site, &["ipxe-tokens", "create", &target, &image, &to]).await
    };
    let missing = format!("{}@sha256:{}", registry.image("base"), "0".repeat(64));
    for image in [&missing, &registry.image("base:2")] {
        let error = create(image).await.unwrap_err().to_string();
        assert!(error.contains("has no tag or digest"), "{error}");
    }
    let tokens = ["ipxe-tokens", "list", &site.org, "-o=json"];
    create(&registry.image("base:1")).await.unwrap();
    let made: Value = serde_json::from_str(&kubectl(&site, &tokens).await.unwrap()).unwrap();
    assert_eq!(made["items"].as_array().unwrap().len(), 1, "{made}");
    assert_eq!(made["items"][0]["spec"]["image"], there.as_str(), "what the tag stands for");

    let key = folder.path().join("key.pem");
    fs::write(&key, Machine::new().unwrap().public_key()).unwrap();
    let (file, other) =
        (format!("--public-key-file={}", key.display()), format!("{}/web-2", site.org));
    for (dry_run, note) in [("--dry-run=client", "dry run"), ("--dry-run=server", "server dry run")]
    {
        let image = format!("--image={there}");
        let create = ["ipxe-tokens", "create", &target, &image, &to, dry_run];
        assert_eq!(kubectl(&site, &create).await.unwrap(), "", "there is no URL");
        let would = kubectl(&site, &["hosts", "create", &other, &file, dry_run]).await.unwrap();
        assert_eq!(would, format!("host.bloomery.dev/web-2 created ({note})\n"));
    }
    let made: Value = serde_json::from_str(&kubectl(&site, &tokens).await.unwrap()).unwrap();
    assert_eq!(made["items"].as_array().unwrap().len(), 1, "{made}");
    kubectl(&site, &["hosts", "create", &other, &file]).await.unwrap();
    let name = kubectl(&site, &["hosts", "get", &other, "-o=name"]).await.unwrap();
    assert_eq!(name, "host.bloomery.dev/web-2\n");
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_host_gets_another_token_as_soon_as_the_first_is_over() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let (org, to) = (site.org.clone(), format!("--server=http://{}", site.address));
    let image = format!("--image=127.0.0.1:1/example/base@sha256:{}", "a".repeat(64));
    let target = format!("{org}/web-1");
    let bound = "--mac=02:00:00:00:00:01";
    let create = ["hosts", "ipxe", "create", &target, &image, &to, bound];
    let (mut scripts, machine) = (vec![], Machine::new().unwrap());
    for _ in 0..2 {
        let script = kubectl(&site, &create).await.unwrap();
        scripts.push(entry(&script).to_owned());
        let listed =
            kubectl(&site, &["hosts", "ipxe", "list", "--org", &org, "-o=json"]).await.unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let open = listed["items"].as_array().unwrap();
        assert_eq!(open.len(), 1, "one alone is open: {listed}");
        assert_eq!(open[0]["spec"]["hostName"], "web-1");
        assert_eq!(open[0]["spec"]["binding"]["macAddress"], "02:00:00:00:00:01");
        if scripts.len() == 1 {
            let revoked = ["ipxe-tokens", "revoke", &org, "web-1", "-o=name"];
            let revoked = kubectl(&site, &revoked).await.unwrap();
            assert!(revoked.starts_with("boottoken.bloomery.dev/web-1-"), "{revoked}");
        }
    }
    assert_ne!(scripts[0], scripts[1]);
    kubectl(&site, &["hosts", "ipxe", "delete", &target]).await.unwrap();
    let listed = kubectl(&site, &["hosts", "ipxe", "list", "--org", &org]).await.unwrap();
    assert_eq!(listed, "");
    for url in &scripts {
        let refused = eventually(PATIENCE, async || {
            let (_, text) = machine.get(url).await?;
            ensure!(!text.contains("set base "), "{text}");
            Ok(())
        });
        refused.await.unwrap();
    }
    let error = kubectl(&site, &["hosts", "ipxe", "delete", &target]).await.unwrap_err();
    assert!(error.to_string().contains("that is open for a host web-1"), "{error}");
    site.end().await.unwrap();
}

/// What `kubectl metal` prints to standard output.
pub(crate) async fn kubectl(site: &Site<'_>, args: &[&str]) -> Result<String> {
    let mut command = Command::new(binary("kubectl-metal").await?);
    command.args(args).arg("--kubeconfig").arg(site.cluster.kubeconfig());
    let output = command.kill_on_drop(true).output().await.context("kubectl-metal")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{told}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The URL that a script leads to.
fn entry(script: &str) -> &str {
    assert!(script.starts_with("#!ipxe\ndhcp "), "{script}");
    let chain = script.lines().find_map(|line| line.strip_prefix("chain --replace --autofree "));
    chain.unwrap().split(' ').next().unwrap()
}
