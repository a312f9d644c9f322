use crate::{
    LocalObjectReference, MachineAttestation, MachineOperationsStatus, MachineSystemStatus,
    MachineTargetDisk, MachineTpmStatus,
    schema::{self, rule},
    text::open_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A physical machine that joins a cluster as a node.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "unbounded-cloud.io",
    version = "v1alpha3",
    kind = "Machine",
    plural = "machines",
    shortname = "mach",
    doc = "A physical machine that joins a cluster as a node.",
    status = "MachineStatus",
    derive = "PartialEq",
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.ssh.host"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "K8s Version", type_ = "string", json_path = ".spec.kubernetes.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!has(oldSelf.operations) || has(self.operations)", "operations cannot be removed"),
]))]
pub struct MachineSpec {
    /// How to reach the machine by SSH; metalman does not use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<MachineSsh>,
    /// How metalman boots the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pxe: Option<MachinePxe>,
    /// The node that it becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<MachineKubernetes>,
    /// The agent that makes it a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<MachineAgent>,
    /// Counters by which operations are requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<MachineOperations>,
}

/// How to reach a machine by SSH.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineSsh {
    /// Host, or host and port; the default port is 22.
    pub host: String,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "azureuser"))]
    pub username: Option<String>,
    /// The private key.
    pub private_key_ref: MachineKeyReference,
    /// A jump host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bastion: Option<MachineBastion>,
}

/// A jump host.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineBastion {
    /// Host, or host and port.
    pub host: String,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "azureuser"))]
    pub username: Option<String>,
    /// The private key; by default that of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_ref: Option<MachineKeyReference>,
}

/// A key of a Secret.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MachineKeyReference {
    /// Name of the Secret.
    pub name: String,
    /// Namespace of the Secret.
    pub namespace: String,
    /// The key; required for a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "ssh-privatekey"))]
    pub key: Option<String>,
}

/// How metalman boots a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachinePxe {
    /// OCI image to boot.
    pub image: String,
    /// Secrets of type `kubernetes.io/dockerconfigjson` with logins for the registry of the image, in the
    /// namespace that metalman reads them from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<MachineSecretReference>,
    /// Its network interfaces and their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub dhcp_leases: Vec<MachineLease>,
    /// Its BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redfish: Option<MachineRedfish>,
    /// User data for cloud-init, in addition to that of metalman.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init: Option<MachineCloudInit>,
    /// Extension: which disk is installed to; without it, the one that was installed to last, or the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_disk: Option<MachineTargetDisk>,
    /// Extension: what it has to prove before it gets a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<MachineAttestation>,
}

/// A Secret in a namespace that is known.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MachineSecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A network interface and its address.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineLease {
    /// Its IPv4 address.
    #[schemars(length(max = 15))]
    #[schemars(extend("x-kubernetes-validations" = ipv4()))]
    pub ipv4: String,
    /// Its MAC address.
    #[schemars(regex(pattern = "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"))]
    pub mac: String,
    /// Subnet mask.
    #[schemars(length(max = 15))]
    #[schemars(regex(pattern = MASK))]
    pub subnet_mask: String,
    /// Default gateway; empty for none.
    #[schemars(length(max = 15))]
    #[schemars(extend("x-kubernetes-validations" = ipv4_or_empty()))]
    pub gateway: String,
    /// DNS servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// An IPv4 address. `isIP` of CEL refuses and takes the same, but Kubernetes 1.30 does not compile
/// it in new definitions.
const ADDRESS: &str = "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$";

fn ipv4() -> Value {
    json!([rule(&format!("self.matches('{ADDRESS}')"), "ipv4 must be an IPv4 address")])
}

fn ipv4_or_empty() -> Value {
    let rule_text = format!("self == '' || self.matches('{ADDRESS}')");
    json!([rule(&rule_text, "gateway must be an IPv4 address, or empty")])
}

/// A contiguous mask: ones, followed by zeros.
const MASK: &str = "^((255\\.){3}(0|128|192|224|240|248|252|254|255)|(255\\.){2}(0|128|192|224|240|248|252|254)\\.0|255\\.(0|128|192|224|240|248|252|254)\\.0\\.0|(0|128|192|224|240|248|252|254)\\.0\\.0\\.0)$";

/// A BMC that speaks Redfish.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineRedfish {
    /// URL of its Redfish service.
    pub url: String,
    /// User name.
    pub username: String,
    /// ID of the system; empty for the first.
    #[serde(rename = "deviceID", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "1"))]
    pub device_id: Option<String>,
    /// The password.
    pub password_ref: MachineKeyReference,
}

/// Additional input of cloud-init.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineCloudInit {
    /// ConfigMap with the user data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data_config_map_ref: Option<MachineConfigMapReference>,
}

/// A key of a ConfigMap.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct MachineConfigMapReference {
    /// Name of the ConfigMap.
    pub name: String,
    /// Namespace of the ConfigMap.
    pub namespace: String,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "user-data"))]
    pub key: Option<String>,
}

/// The node that a machine becomes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineKubernetes {
    /// Version of Kubernetes; by default that of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The Node, as determined by the SSH provisioner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_ref: Option<LocalObjectReference>,
    /// Labels of the Node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// Taints of the Node, each as `key=value:Effect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub register_with_taints: Vec<String>,
    /// Bootstrap token for machines that are reached by SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_token_ref: Option<LocalObjectReference>,
}

/// The agent that makes a machine a node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineAgent {
    /// OCI image with the root file system of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Version of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Base URL of its versions.
    #[serde(rename = "baseURL", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// URL of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where the agent downloads other programs from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloads: Option<MachineDownloads>,
}

/// Where the agent downloads other programs from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineDownloads {
    /// The Kubernetes binaries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<MachineDownload>,
    /// containerd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containerd: Option<MachineDownload>,
    /// runc.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runc: Option<MachineDownload>,
    /// The CNI plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni: Option<MachineDownload>,
    /// crictl.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crictl: Option<MachineDownload>,
}

/// Where to download one program from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineDownload {
    /// Base URL of its versions.
    #[serde(rename = "baseURL", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// URL of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Version of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Counters by which operations are requested: an increment requests one more.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "!has(oldSelf.rebootCounter) || (has(self.rebootCounter) && self.rebootCounter >= oldSelf.rebootCounter)",
        "rebootCounter cannot fall",
    ),
    rule(
        "!has(oldSelf.repaveCounter) || (has(self.repaveCounter) && self.repaveCounter >= oldSelf.repaveCounter)",
        "repaveCounter cannot fall",
    ),
]))]
pub struct MachineOperations {
    /// Number of reboots requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reboot_counter: Option<i64>,
    /// Number of reinstallations requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub repave_counter: Option<i64>,
}

/// Observed state of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    /// Progress of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<MachinePhase>,
    /// The progress as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Extension: the Node of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_ref: Option<LocalObjectReference>,
    /// The SSH server of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<MachineSshStatus>,
    /// The BMC of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redfish: Option<MachineRedfishStatus>,
    /// Extension: UUID of a machine without a BMC, as its firmware has told it by DHCP.
    #[serde(rename = "systemUUID", skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
    /// The TPM of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<MachineTpmStatus>,
    /// The agent of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<MachineAgentStatus>,
    /// Operations that were carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<MachineOperationsStatus>,
    /// Extension: `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

open_enum! {
    /// Progress of a machine.
    MachinePhase {
        /// It has not been seen yet, or something else has to happen first.
        Pending = "Pending",
        /// It is being power-cycled.
        Rebooting = "Rebooting",
        /// Its operating system is being installed.
        Provisioning = "Provisioning",
        /// It has what it needs to become a node.
        Joining = "Joining",
        /// It is a node, and the node is ready.
        Ready = "Ready",
        /// It cannot continue; the message says why.
        Failed = "Failed",
    }
}

/// The SSH server of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSshStatus {
    /// Fingerprint of its host key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// The BMC of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineRedfishStatus {
    /// SHA-256 fingerprint of its certificate, as pairs of hexadecimal digits separated by colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_fingerprint: Option<String>,
    /// Extension: the system that was read there first, or that a person has vouched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<MachineSystemStatus>,
}

/// The agent of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineAgentStatus {
    /// OCI image that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}
