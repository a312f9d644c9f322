//! The pod of a Deployment as a process. This does the kubelet's part: variables are expanded,
//! files of ConfigMaps and Secrets are written to the volumes, and the process has the variables of
//! its image and the rights of its ServiceAccount. Volumes of Secrets that the operators create themselves are empty.

use super::{
    Operator,
    address::ReservedAddress,
    container_image,
    overlay::{Overlay, list, name, pod_of},
};
use crate::cluster::{Cluster, binary};
use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// What a pod finds on the node.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Where it keeps logs and volumes, which should be in the scratch folder of the cluster.
    pub folder: &'a Path,
    /// Address of the node.
    pub address: IpAddr,
    /// How its ports are chosen.
    pub ports: Ports<'a>,
    /// Folder of the binaries; if `None`, [`binary`] finds or builds them.
    pub binaries: Option<&'a Path>,
}

impl<'a> Node<'a> {
    /// This machine, with free ports of loopback, and files in `folder`.
    pub fn of_this_machine(folder: &'a Path) -> Self {
        Self { folder, address: Ipv4Addr::LOCALHOST.into(), ports: Ports::Free, binaries: None }
    }
}

/// Where the servers of a pod listen.
#[derive(Clone, Copy, Debug)]
pub enum Ports<'a> {
    /// On free ports of loopback.
    Free,
    /// Where the Deployment says, except for health and metrics, which would collide with other
    /// pods': those are on these ports of loopback.
    Given {
        /// Port of the health endpoint.
        health: u16,
        /// Port of the metrics.
        metrics: u16,
    },
    /// On the port that this host reserved in place of the Deployment's; health on another of its
    /// ports, metrics on loopback.
    Held(&'a ReservedAddress),
}

/// The process of a Deployment's pod.
///
/// # Errors
///
/// If the Deployment refers to something that does not exist.
pub async fn pod(
    cluster: &Cluster,
    overlay: &Overlay,
    deployment: &Value,
    node: Node<'_>,
) -> Result<Operator> {
    let account = pod_of(deployment).0["serviceAccountName"].as_str().context("no account")?;
    let account = cluster.service_account_kubeconfig(namespace_of(deployment)?, account).await?;
    let operator = pod_alone(overlay, deployment, node).await?;
    Ok(operator.flag("--kubeconfig", account.display()))
}

/// Like [`pod`], without an API server.
///
/// # Errors
///
/// If the Deployment refers to something that does not exist.
pub async fn pod_alone(overlay: &Overlay, deployment: &Value, node: Node<'_>) -> Result<Operator> {
    let (pod, container) = pod_of(deployment);
    let (namespace, deployment) = (namespace_of(deployment)?, name(deployment));
    let mounts = mounts(overlay, pod, container, &node.folder.join(deployment))?;
    let pod = format!("{deployment}-0");
    let variables = variables(overlay, container, [&pod, namespace, &node.address.to_string()])?;
    let health = match node.ports {
        Ports::Free => ReservedAddress::reserve(&[])?.spare()?,
        Ports::Held(host) => host.spare()?,
        Ports::Given { health, .. } => (Ipv4Addr::LOCALHOST, health).into(),
    };
    fs::create_dir_all(node.folder)?;
    let log = node.folder.join(format!("{deployment}.log"));
    let binary = match node.binaries {
        Some(folder) => folder.join(deployment),
        None => binary(deployment).await?,
    };
    let mut operator = Operator::new(deployment, &binary, log, health);
    for argument in list(&container["args"]) {
        let argument = expand(argument.as_str().context("an argument is text")?, &variables)?;
        operator = operator.argument(local(argument, health, node.ports, &mounts)?);
    }
    let mut environment = container_image::variables(deployment);
    environment.extend(variables);
    Ok(operator.environment(environment))
}

fn namespace_of(deployment: &Value) -> Result<&str> {
    deployment["metadata"]["namespace"].as_str().context("no namespace")
}

/// Writes the files of every volume; returns the mount path of each, and its real path.
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
    // The volume of a Secret that does not exist yet.
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
            None => content.as_bytes().to_vec(),
        };
        Ok((file.clone(), content))
    });
    files.collect()
}

/// The environment of a pod with this name, namespace and address.
fn variables(
    overlay: &Overlay,
    container: &Value,
    [pod, namespace, address]: [&str; 3],
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
            Some("metadata.name") => pod,
            Some("metadata.namespace") => namespace,
            Some("status.hostIP") => address,
            field => bail!("{}: what is {field:?}?", name(variable)),
        };
        variables.insert(name(variable).to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// Expands `$(NAME)`, as Kubernetes does.
fn expand(argument: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let Some((before, rest)) = argument.split_once("$(") else { return Ok(argument.to_owned()) };
    let (key, after) = rest.split_once(')').context("a variable ends")?;
    let value = variables.get(key).with_context(|| format!("nobody defines {key}"))?;
    Ok(format!("{before}{value}{}", expand(after, variables)?))
}

/// The argument with real paths in place of mount paths, and with the ports of the node.
fn local(
    argument: String,
    health: SocketAddr,
    ports: Ports<'_>,
    mounts: &[(&str, PathBuf)],
) -> Result<String> {
    let Some((flag, value)) = argument.split_once('=') else { return Ok(argument) };
    match (flag, ports) {
        ("--health-probe-bind-address", _) => return Ok(format!("{flag}={health}")),
        ("--metrics-bind-address", Ports::Given { metrics, .. }) => {
            return Ok(format!("{flag}=127.0.0.1:{metrics}"));
        }
        ("--metrics-bind-address", Ports::Held(_)) => return Ok(format!("{flag}=127.0.0.1:0")),
        (_, Ports::Free) if flag.ends_with("-address") && value.contains(':') => {
            return Ok(format!("{flag}=127.0.0.1:0"));
        }
        (_, Ports::Held(host)) if flag.ends_with("-address") && value.contains(':') => {
            let (_, port) = value.rsplit_once(':').context("an address has a port")?;
            return Ok(format!("{flag}={}", host.at(port.parse()?)?));
        }
        _ => {}
    }
    let mounted = mounts.iter().find_map(|(path, place)| Some((value.strip_prefix(path)?, place)));
    Ok(match mounted {
        Some((rest, place)) => format!("{flag}={}{rest}", place.display()),
        None => argument,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_an_argument_is_filled_in() {
        let variables = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())].into();
        assert_eq!(expand("--x=$(A):$(B)/$(A)", &variables).unwrap(), "--x=1:2/1");
        assert_eq!(expand("--x=$A", &variables).unwrap(), "--x=$A");
        assert!(expand("--x=$(C)", &variables).is_err());
        assert!(expand("--x=$(A", &variables).is_err());
    }

    #[test]
    fn an_argument_names_files_of_its_volume_and_ports_of_its_node() {
        let mounts = [("/etc/netboot", PathBuf::from("/tmp/volume"))];
        let health = ([127, 0, 0, 1], 18081).into();
        let given = Ports::Given { health: 18081, metrics: 19081 };
        let host = ReservedAddress::reserve(&[10000]).unwrap();
        let held = format!("--registry-bind-address={}", host.at(10000).unwrap());
        for (argument, ports, expected) in [
            ("--config=/etc/netboot/a.yaml", given, "--config=/tmp/volume/a.yaml"),
            ("--config=/var/a.yaml", given, "--config=/var/a.yaml"),
            ("--leader-elect", given, "--leader-elect"),
            ("--registry-bind-address=:10000", given, "--registry-bind-address=:10000"),
            ("--registry-bind-address=:10000", Ports::Free, "--registry-bind-address=127.0.0.1:0"),
            ("--registry-bind-address=:10000", Ports::Held(&host), &held),
            (
                "--metrics-bind-address=[10.0.0.1]:9443",
                given,
                "--metrics-bind-address=127.0.0.1:19081",
            ),
            (
                "--health-probe-bind-address=:8081",
                given,
                "--health-probe-bind-address=127.0.0.1:18081",
            ),
            (
                "--health-probe-bind-address=:8081",
                Ports::Free,
                "--health-probe-bind-address=127.0.0.1:18081",
            ),
        ] {
            let local = local(argument.to_owned(), health, ports, &mounts).unwrap();
            assert_eq!(local, expected);
        }
    }
}
