//! `hack/discovery-image`: what it builds and pushes.

use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::workspace,
    stack::{INITRD, KERNEL, OciRegistry, UKI, sha256},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// Long enough for the agent to be compiled for size.
const BUILD: Duration = Duration::from_mins(20);
const PARTS: [(&str, &str); 3] = [("vmlinuz", KERNEL), ("initrd", INITRD), ("uki.efi", UKI)];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
#[ignore = "takes longer: hack/test firmware"]
async fn an_image_is_the_same_byte_for_byte_and_is_pushed_as_boot_operator_looks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    // A copy, so that changes to the sources meanwhile do not matter.
    let agent = folder.path().join("agent");
    fs::copy(script(&["agent"]).await.unwrap(), &agent).unwrap();
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    for target in [&first, &second] {
        build(target, &agent).await.unwrap();
    }
    for (name, _) in [PARTS.as_slice(), &[("about", "")]].concat() {
        let read = |target: &PathBuf| fs::read(target.join("amd64").join(name)).unwrap();
        assert!(read(&first) == read(&second), "{name} differs");
    }

    let registry = OciRegistry::start(folder.path()).await.unwrap();
    for (target, name) in [(&first, "discovery:1"), (&second, "discovery:2")] {
        let image = registry.image(name);
        script(&["push", text(target), &image, "--plain-http"]).await.unwrap();
    }
    let address = registry.address();
    let index = get(&format!("http://{address}/v2/discovery/manifests/1"), INDEX).await.unwrap();
    let again = get(&format!("http://{address}/v2/discovery/manifests/2"), INDEX).await.unwrap();
    assert_eq!(index, again);
    let [entry] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(entry["platform"]["architecture"], "amd64");
    let digest = entry["digest"].as_str().unwrap();
    let url = format!("http://{address}/v2/discovery/manifests/{digest}");
    let manifest = get(&url, MANIFEST).await.unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), PARTS.len());
    for (layer, (name, media_type)) in layers.iter().zip(PARTS) {
        let content = fs::read(first.join("amd64").join(name)).unwrap();
        assert_eq!(layer["mediaType"], media_type);
        assert_eq!(layer["digest"], format!("sha256:{}", sha256(&content)));
        assert_eq!(layer["size"], content.len());
    }
}

#[tokio::test]
#[ignore = "takes longer: hack/test firmware"]
async fn an_image_for_arm64_has_kernel_and_modules_of_arm64_and_is_pushed_beside_that_of_amd64() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    // Not every machine can build the agent for it; nothing here executes it.
    let options = ["--kernel", "cloud", "--agent", "/bin/true"];
    for arch in ["arm64", "amd64"] {
        let arguments = [&["build", text(&target), "--arch", arch], &options[..]].concat();
        script(&arguments).await.unwrap();
    }
    let read = |name: &str| fs::read(target.join("arm64").join(name)).unwrap();
    let about = String::from_utf8(read("about")).unwrap();
    assert!(about.contains("_arm64\n") && about.contains("console=ttyAMA0"), "{about}");
    // arch/arm64/include/asm/image.h of Linux.
    assert_eq!(read("vmlinuz")[0x38..0x3c], *b"ARM\x64");
    let uki = read("uki.efi");
    let pe = u32::from_le_bytes(uki[60..64].try_into().unwrap()) as usize;
    assert_eq!(uki[pe..pe + 6], *b"PE\0\0\x64\xaa");

    let registry = OciRegistry::start(folder.path()).await.unwrap();
    script(&["push", text(&target), &registry.image("discovery:1"), "--plain-http"]).await.unwrap();
    let url = format!("http://{}/v2/discovery/manifests/1", registry.address());
    let index = get(&url, INDEX).await.unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let all: Vec<_> = entries.iter().map(|entry| &entry["platform"]["architecture"]).collect();
    assert_eq!(all, ["amd64", "arm64"]);
}

#[tokio::test]
async fn what_cannot_be_built_or_pushed_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dir = text(folder.path());
    for (arguments, reason) in [
        (&["build", dir, "--arch", "mips"][..], "--arch is amd64 or arm64"),
        (&["build", dir, "--agent", "/nowhere"], "--agent: /nowhere is no program"),
        (&["build", dir, "--ca", "/nowhere"], "--ca: /nowhere cannot be read"),
        (&["build", dir, "--boot-url", "boot:8082"], "--boot-url begins with http"),
        (&["build", dir, "--kernel"], "hack/discovery-image build DIR"),
        (&["sign", dir, "/nowhere", "/nowhere"], "/nowhere cannot be read; it is the key"),
        (&["sign", dir, "/dev/null", "/nowhere"], "/nowhere cannot be read; it is the cert"),
        (&["sign", dir, "/dev/null", "/dev/null"], "there is no image in"),
        (&["push", dir, "registry:5000/discovery"], "name a tag"),
        (&["push", dir, "registry/discovery:1"], "there is no image in"),
        (&[], "hack/discovery-image push DIR"),
    ] {
        let error = script(arguments).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

async fn build(target: &Path, agent: &Path) -> Result<()> {
    let options = ["--arch", "amd64", "--kernel", "cloud", "--agent", text(agent)];
    script(&[&["build", text(target)], &options[..]].concat()).await.map(drop)
}

/// Runs the script, and returns the line that it prints.
async fn script(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(workspace().join("hack/discovery-image"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(BUILD, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn get(url: &str, accept: &str) -> Result<Value> {
    metal_runtime::client::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(url).header("accept", accept).send().await?.error_for_status()?;
    Ok(answer.json().await?)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
