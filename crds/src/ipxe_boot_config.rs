use crate::{BootState, LocalObjectReference, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a machine boots by iPXE.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "boot.ironcore.dev",
    version = "v1alpha1",
    kind = "IPXEBootConfig",
    root = "IpxeBootConfig",
    plural = "ipxebootconfigs",
    namespaced,
    doc = "What a machine gets by iPXE.",
    status = "IpxeBootConfigStatus",
    derive = "PartialEq",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct IpxeBootConfigSpec {
    /// SMBIOS system UUID of the machine.
    #[serde(rename = "systemUUID", skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
    /// IP addresses of the machine.
    #[serde(rename = "systemIPs", default, skip_serializing_if = "Vec::is_empty")]
    pub system_ips: Vec<String>,
    /// OCI image; ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// URL of the kernel.
    #[serde(rename = "kernelURL")]
    #[schemars(length(min = 1))]
    pub kernel_url: String,
    /// URL of the initial RAM disk.
    #[serde(rename = "initrdURL")]
    #[schemars(length(min = 1))]
    pub initrd_url: String,
    /// URL of the squashfs with the root file system.
    #[serde(rename = "squashfsURL", skip_serializing_if = "Option::is_none")]
    pub squashfs_url: Option<String>,
    /// URL of the iPXE server; ignored.
    #[serde(rename = "ipxeServerURL", skip_serializing_if = "Option::is_none")]
    pub ipxe_server_url: Option<String>,
    /// Secret with the ignition, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignition_secret_ref: Option<LocalObjectReference>,
    /// Secret with an iPXE script to serve instead of ours, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipxe_script_secret_ref: Option<LocalObjectReference>,
}

/// Whether the machine can boot.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IpxeBootConfigStatus {
    /// Whether everything that the machine fetches is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BootState>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
