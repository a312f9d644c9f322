//! What an overlay installs starts: an API server takes every object, and every binary is ready
//! with the arguments of its pod, under its ServiceAccount. There is no kubelet, so this file does
//! what one would: it fills in variables, and puts files where the volumes are.

use crate::overlay::{OVERLAYS, Overlay, list, name, pod};
use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::cluster::{self, Cluster, Process, eventually};
use regex::Regex;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

const READY: Duration = Duration::from_mins(1);
const END: Duration = Duration::from_secs(20);
/// Folder with binaries that somebody else has built.
const BIN_DIR: &str = "BLOOMERY_BIN_DIR";

#[tokio::test]
async fn every_overlay_starts_with_its_defaults() {
    let cluster = Cluster::shared().await.unwrap();
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        cluster.apply(&overlay.yaml).await.with_context(|| overlay.name).unwrap();
        for deployment in overlay.of("Deployment") {
            let started = start(cluster, &overlay, deployment).await;
            started.with_context(|| format!("{} of {}", name(deployment), overlay.name)).unwrap();
        }
    }
}

/// Starts the process of a pod, waits until it is ready, and ends it.
async fn start(cluster: &Cluster, overlay: &Overlay, deployment: &Value) -> Result<()> {
    let (pod, container) = pod(deployment);
    let namespace = deployment["metadata"]["namespace"].as_str().context("no namespace")?;
    let account = pod["serviceAccountName"].as_str().context("no account")?;
    let kubeconfig = cluster.service_account_kubeconfig(namespace, account).await?;
    let folder = cluster.scratch().join(format!("{}-{}", overlay.name, name(deployment)));
    let mounts = mounts(overlay, pod, container, &folder)?;
    let variables = variables(overlay, container, namespace)?;
    let mut command = Command::new(binary(name(deployment)).await?);
    for argument in list(&container["args"]) {
        let argument = expand(argument.as_str().context("an argument is text")?, &variables)?;
        command.arg(local(argument, &mounts));
    }
    command.arg("--kubeconfig").arg(kubeconfig).env_clear().envs(&variables).env("NO_COLOR", "1");
    metal_runtime::client::install_crypto_provider();
    let http = reqwest::Client::builder().no_proxy().timeout(END).build()?;
    let mut process = Process::start(&mut command, folder.join("log"))?;
    let ready = eventually(READY, async || {
        process.check()?;
        let url = format!("http://{}/readyz", health(&process.printed()?)?);
        let answer = http.get(url).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    });
    let ready = ready.await;
    let printed = process.printed()?;
    ready.with_context(|| printed.clone())?;
    ensure!(!printed.contains("orbidden"), "{printed}");
    process.terminate(END).await
}

async fn binary(name: &str) -> Result<PathBuf> {
    match env::var_os(BIN_DIR) {
        Some(folder) => Ok(Path::new(&folder).join(name)),
        None => cluster::binary(name).await,
    }
}

/// Where a process says that its health is.
fn health(log: &str) -> Result<String> {
    let said = Regex::new(r#"(127\.0\.0\.1:\d+)"?[, ]+"?flag"?[=:] ?"--health-probe"#)?;
    let found = said.captures(log).with_context(|| format!("no health in: {log}"))?;
    Ok(found[1].to_owned())
}

/// Writes the files of every volume; returns where each is mounted, and where it is.
fn mounts<'a>(
    overlay: &Overlay,
    pod: &'a Value,
    container: &'a Value,
    folder: &Path,
) -> Result<Vec<(&'a str, PathBuf)>> {
    let mut mounts = Vec::new();
    for volume in list(&pod["volumes"]) {
        let place = folder.join(name(volume));
        fs::create_dir_all(&place)?;
        for (file, content) in files(overlay, volume)? {
            fs::write(place.join(file), content)?;
        }
        let mount = list(&container["volumeMounts"]).find(|mount| name(mount) == name(volume));
        let path = mount.and_then(|mount| mount["mountPath"].as_str());
        mounts.push((path.context("a volume is mounted")?, place));
    }
    Ok(mounts)
}

fn files(overlay: &Overlay, volume: &Value) -> Result<Vec<(String, Vec<u8>)>> {
    // A volume of a Secret that is not there yet.
    if volume["secret"]["optional"] == true {
        return Ok(Vec::new());
    }
    let config = volume["configMap"]["name"].as_str();
    let secret = volume["secret"]["secretName"].as_str();
    let data = match (config, secret) {
        (Some(config), _) => &overlay.named("ConfigMap", config)?["data"],
        (_, Some(secret)) => &overlay.named("Secret", secret)?["data"],
        (None, None) => return Ok(Vec::new()),
    };
    let files = data.as_object().into_iter().flatten().map(|(file, content)| {
        let content = content.as_str().context("content is text")?;
        let content = match secret {
            Some(_) => BASE64_STANDARD.decode(content.replace('\n', ""))?,
            // Port 67 belongs to whoever else tests here.
            None => content.replace("interfaces: [lo]", "listen: [\"127.0.0.1:0\"]").into_bytes(),
        };
        Ok((file.clone(), content))
    });
    files.collect()
}

/// What a pod's environment would be.
fn variables(
    overlay: &Overlay,
    container: &Value,
    namespace: &str,
) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for source in list(&container["envFrom"]) {
        let map = overlay.named("ConfigMap", name(&source["configMapRef"]))?;
        for (key, value) in map["data"].as_object().into_iter().flatten() {
            variables.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
        }
    }
    for variable in list(&container["env"]) {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.name") => format!("{}-0", overlay.name),
            Some("metadata.namespace") => namespace.to_owned(),
            Some("status.hostIP") => "127.0.0.1".to_owned(),
            field => anyhow::bail!("what is {field:?}?"),
        };
        variables.insert(name(variable).to_owned(), value);
    }
    Ok(variables)
}

/// Fills in `$(NAME)`, as Kubernetes does.
fn expand(argument: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let Some((before, rest)) = argument.split_once("$(") else { return Ok(argument.to_owned()) };
    let (key, after) = rest.split_once(')').context("a variable ends")?;
    let value = variables.get(key).with_context(|| format!("nobody defines {key}"))?;
    Ok(format!("{before}{value}{}", expand(after, variables)?))
}

/// The argument with files where they are, and with ports that nobody else has.
fn local(argument: String, mounts: &[(&str, PathBuf)]) -> String {
    let Some((flag, value)) = argument.split_once('=') else { return argument };
    if flag.ends_with("-address") && value.contains(':') {
        return format!("{flag}=127.0.0.1:0");
    }
    let mounted = mounts.iter().find_map(|(path, place)| Some((value.strip_prefix(path)?, place)));
    match mounted {
        Some((rest, place)) => format!("{flag}={}{rest}", place.display()),
        None => argument,
    }
}
