use crate::{
    LocalObjectReference,
    schema::{self, rule},
    text::open_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
    /// How the machine is reached by SSH; that is no business of metalman.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<MachineSsh>,
    /// What metalman does for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pxe: Option<MachinePxe>,
    /// What kind of node it becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<MachineKubernetes>,
    /// The agent that makes a node of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<MachineAgent>,
    /// Counters by which somebody asks for an operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<MachineOperations>,
}

/// How a machine is reached by SSH.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineSsh {
    /// Host, or host and port; the port is 22 unless it is given.
    pub host: String,
    /// Who logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "azureuser"))]
    pub username: Option<String>,
    /// The private key.
    pub private_key_ref: MachineKeyReference,
    /// A host that lies between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bastion: Option<MachineBastion>,
}

/// A host that SSH goes through.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineBastion {
    /// Host, or host and port.
    pub host: String,
    /// Who logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "azureuser"))]
    pub username: Option<String>,
    /// The private key; that of the machine unless it is given.
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
    /// The key; for a password it has to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "ssh-privatekey"))]
    pub key: Option<String>,
}

/// What metalman does for a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachinePxe {
    /// OCI image with what it boots.
    pub image: String,
    /// Its network interfaces, and the address of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub dhcp_leases: Vec<MachineLease>,
    /// Its BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redfish: Option<MachineRedfish>,
    /// What cloud-init is told besides what metalman has to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init: Option<MachineCloudInit>,
}

/// A network interface and its address.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineLease {
    /// Its IPv4 address.
    #[schemars(length(max = 15))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("isIP(self) && ip(self).family() == 4", "ipv4 must be an IPv4 address"),
    ]))]
    pub ipv4: String,
    /// Its MAC address.
    #[schemars(regex(pattern = "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"))]
    pub mac: String,
    /// Mask of its subnet.
    #[schemars(length(max = 15))]
    #[schemars(regex(pattern = MASK))]
    pub subnet_mask: String,
    /// Where the rest of the world is; empty for nowhere.
    #[schemars(length(max = 15))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule(
            "self == '' || (isIP(self) && ip(self).family() == 4)",
            "gateway must be an IPv4 address, or empty",
        ),
    ]))]
    pub gateway: String,
    /// Servers of DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// Ones, and zeros behind them.
const MASK: &str = "^((255\\.){3}(0|128|192|224|240|248|252|254|255)|(255\\.){2}(0|128|192|224|240|248|252|254)\\.0|255\\.(0|128|192|224|240|248|252|254)\\.0\\.0|(0|128|192|224|240|248|252|254)\\.0\\.0\\.0)$";

/// A BMC that speaks Redfish.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineRedfish {
    /// Where it answers.
    pub url: String,
    /// Who logs in.
    pub username: String,
    /// Which of its systems; empty for the first.
    #[serde(rename = "deviceID", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "1"))]
    pub device_id: Option<String>,
    /// The password.
    pub password_ref: MachineKeyReference,
}

/// What cloud-init is told.
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

/// What kind of node a machine becomes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineKubernetes {
    /// Version of Kubernetes; that of the cluster unless it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The Node, as the SSH provisioner found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_ref: Option<LocalObjectReference>,
    /// Labels of the Node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// Taints of the Node, each as `key=value:Effect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub register_with_taints: Vec<String>,
    /// Bootstrap token of machines that are reached by SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_token_ref: Option<LocalObjectReference>,
}

/// The agent that makes a node of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineAgent {
    /// OCI image with the root file system of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Version of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where its versions are.
    #[serde(rename = "baseURL", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it gets its programs from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloads: Option<MachineDownloads>,
}

/// Where the agent gets its programs from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineDownloads {
    /// The kubelet and its kind.
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

/// Where one program is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineDownload {
    /// Where its versions are.
    #[serde(rename = "baseURL", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Which version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Counters by which somebody asks for an operation: one more asks for one.
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
    /// Reboots that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reboot_counter: Option<i64>,
    /// Installations from scratch that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub repave_counter: Option<i64>,
}

/// What is known of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<MachinePhase>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Extension: the Node that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_ref: Option<LocalObjectReference>,
    /// What is known of its SSH server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<MachineSshStatus>,
    /// What is known of its BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redfish: Option<MachineRedfishStatus>,
    /// What is known of its TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<MachineTpmStatus>,
    /// What is known of its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<MachineAgentStatus>,
    /// Operations that were done.
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
    /// How far a machine is.
    MachinePhase {
        /// It has not shown itself, or somebody has to do something first.
        Pending = "Pending",
        /// Its power is being cycled.
        Rebooting = "Rebooting",
        /// Its operating system is being installed.
        Provisioning = "Provisioning",
        /// It has what it needs to become a node.
        Joining = "Joining",
        /// It is a node, and that is ready.
        Ready = "Ready",
        /// It cannot go on: the message says why.
        Failed = "Failed",
    }
}

/// What is known of an SSH server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSshStatus {
    /// Fingerprint of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// What is known of a BMC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineRedfishStatus {
    /// SHA-256 of its certificate, as pairs of hexadecimal digits with colons between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_fingerprint: Option<String>,
}

/// What is known of a TPM.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineTpmStatus {
    /// Its endorsement key, as PEM: whoever has that is the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ek_public_key: Option<String>,
}

/// What is known of an agent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineAgentStatus {
    /// OCI image that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Operations that were done.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineOperationsStatus {
    /// Reboots that were done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_counter: Option<i64>,
    /// Installations that were done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repave_counter: Option<i64>,
}
