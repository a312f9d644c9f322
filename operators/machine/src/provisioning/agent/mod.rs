//! The configuration of the agent that turns a machine into a node; it gets it through cloud-init.

use base64::{Engine, engine::general_purpose::STANDARD};
use metal_api::{Machine, MachineDownload};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::collections::BTreeMap;

/// The cluster that machines join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// URL of its API server, as machines reach it.
    pub apiserver_url: String,
    /// Certificates of its authorities, as PEM.
    pub authorities: String,
    /// Address of its DNS service.
    pub dns: String,
    /// Its version, like `v1.36.0`.
    pub version: String,
    /// Labels for all its nodes; they take precedence over those of a Machine.
    pub node_labels: BTreeMap<String, String>,
}

/// The configuration as JSON, indented for a block of YAML: all lines but the first have four more
/// spaces.
pub fn config_json(machine: &Machine, cluster: &Cluster, serve_url: &str) -> String {
    let mut text = vec![];
    let mut to = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"  "));
    // Serializing strings and maps with string keys to memory does not fail.
    config(machine, cluster, serve_url).serialize(&mut to).ok();
    let text = String::from_utf8_lossy(&text);
    // These characters occur in strings only, where Go escapes them.
    let escaped = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let escaped = escaped.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    escaped.replace('\n', "\n    ")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'a> {
    machine_name: &'a str,
    cluster: ClusterConfig<'a>,
    kubelet: Kubelet<'a>,
    #[serde(rename = "CRI")]
    cri: Cri,
    #[serde(rename = "CNI")]
    cni: Empty,
    #[serde(rename = "OCIImage", skip_serializing_if = "str::is_empty")]
    oci_image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attest: Option<Attest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    downloads: Option<Downloads<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ClusterConfig<'a> {
    ca_cert_base64: String,
    #[serde(rename = "ClusterDNS")]
    cluster_dns: &'a str,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kubelet<'a> {
    api_server: &'a str,
    auth: Empty,
    labels: BTreeMap<&'a str, &'a str>,
    register_with_taints: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Cri {
    containerd: Empty,
    runc: Empty,
}

#[derive(Serialize)]
struct Attest<'a> {
    #[serde(rename = "URL")]
    url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Downloads<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<Download<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containerd: Option<Download<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runc: Option<Download<'a>>,
    #[serde(rename = "CNI", skip_serializing_if = "Option::is_none")]
    cni: Option<Download<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crictl: Option<Download<'a>>,
}

#[derive(Serialize)]
struct Download<'a> {
    #[serde(rename = "BaseURL", skip_serializing_if = "str::is_empty")]
    base_url: &'a str,
    #[serde(rename = "URL", skip_serializing_if = "str::is_empty")]
    url: &'a str,
    #[serde(rename = "Version", skip_serializing_if = "str::is_empty")]
    version: &'a str,
}

fn config<'a>(machine: &'a Machine, cluster: &'a Cluster, serve_url: &'a str) -> Config<'a> {
    let kubernetes = machine.spec.kubernetes.as_ref();
    let agent = machine.spec.agent.as_ref();
    let version = kubernetes.and_then(|it| it.version.as_deref()).unwrap_or(&cluster.version);
    let labels = kubernetes.iter().flat_map(|it| &it.node_labels).chain(&cluster.node_labels);
    let taints = kubernetes.map(|it| it.register_with_taints.as_slice());
    Config {
        machine_name: machine.metadata.name.as_deref().unwrap_or_default(),
        cluster: ClusterConfig {
            ca_cert_base64: STANDARD.encode(&cluster.authorities),
            cluster_dns: &cluster.dns,
            version: prefixed(version),
        },
        kubelet: Kubelet {
            api_server: &cluster.apiserver_url,
            auth: Empty {},
            labels: labels.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            register_with_taints: taints.filter(|taints| !taints.is_empty()),
        },
        cri: Cri { containerd: Empty {}, runc: Empty {} },
        cni: Empty {},
        oci_image: agent.and_then(|it| it.image.as_deref()).unwrap_or_default(),
        attest: (!serve_url.is_empty()).then_some(Attest { url: serve_url }),
        downloads: agent.and_then(|it| it.downloads.as_ref()).map(|it| Downloads {
            kubernetes: it.kubernetes.as_ref().map(download),
            containerd: it.containerd.as_ref().map(download),
            runc: it.runc.as_ref().map(download),
            cni: it.cni.as_ref().map(download),
            crictl: it.crictl.as_ref().map(download),
        }),
    }
}

fn download(download: &MachineDownload) -> Download<'_> {
    Download {
        base_url: download.base_url.as_deref().unwrap_or_default(),
        url: download.url.as_deref().unwrap_or_default(),
        version: download.version.as_deref().unwrap_or_default(),
    }
}

/// Adds the leading `v` of a version, if it is missing.
fn prefixed(version: &str) -> String {
    if version.is_empty() || version.starts_with('v') {
        version.to_owned()
    } else {
        format!("v{version}")
    }
}

#[cfg(test)]
mod tests;
