use crate::{BootState, LocalObjectReference, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a machine boots by UEFI HTTP boot.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "boot.ironcore.dev",
    version = "v1alpha1",
    kind = "HTTPBootConfig",
    root = "HttpBootConfig",
    plural = "httpbootconfigs",
    namespaced,
    doc = "What a machine gets by UEFI HTTP boot.",
    status = "HttpBootConfigStatus",
    derive = "PartialEq",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct HttpBootConfigSpec {
    /// SMBIOS system UUID of the machine.
    #[serde(rename = "systemUUID", skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
    /// Secret with the ignition, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignition_secret_ref: Option<LocalObjectReference>,
    /// IP and MAC addresses of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_identifiers: Vec<String>,
    /// URL of the unified kernel image.
    #[serde(rename = "ukiURL", skip_serializing_if = "Option::is_none")]
    pub uki_url: Option<String>,
}

/// Whether the machine can boot.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpBootConfigStatus {
    /// Whether everything that the machine fetches is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BootState>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
