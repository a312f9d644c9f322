use crate::{LocalObjectReference, inventory::Report, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the agent found on a server. Written by the registry.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bloomery.dev",
    version = "v1alpha1",
    kind = "ServerInventory",
    plural = "serverinventories",
    shortname = "srvinv",
    doc = "Everything the agent found on the server of the same name.",
    status = "ServerInventoryStatus",
    derive = "PartialEq",
    printcolumn(name = "Server", type_ = "string", json_path = ".spec.serverRef.name"),
    printcolumn(
        name = "Manufacturer",
        type_ = "string",
        json_path = ".spec.report.systemInfo.systemInformation.manufacturer"
    ),
    printcolumn(
        name = "Product",
        type_ = "string",
        json_path = ".spec.report.systemInfo.systemInformation.productName"
    ),
    printcolumn(name = "CPU", type_ = "string", json_path = ".spec.report.cpu[0].model"),
    printcolumn(
        name = "MemoryBytes",
        type_ = "integer",
        json_path = ".spec.report.memoryTotalBytes"
    ),
    printcolumn(
        name = "SystemUUID",
        type_ = "string",
        json_path = ".spec.systemUUID",
        priority = 100
    ),
    printcolumn(
        name = "SerialNumber",
        type_ = "string",
        json_path = ".spec.report.systemInfo.systemInformation.serialNumber",
        priority = 100
    ),
    printcolumn(name = "Received", type_ = "date", json_path = ".spec.receivedTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ServerInventorySpec {
    /// Server that the report is about.
    pub server_ref: LocalObjectReference,
    /// SMBIOS system UUID that the report was sent with, in lower case.
    #[serde(rename = "systemUUID")]
    pub system_uuid: String,
    /// The boot that the agent ran in: UID of the server and number of the attempt.
    #[serde(rename = "bootConfigurationUID", skip_serializing_if = "Option::is_none")]
    pub boot_configuration_uid: Option<String>,
    /// When the registry accepted the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_time: Option<Time>,
    /// The whole report.
    pub report: Report,
}

/// Faults of the report.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerInventoryStatus {
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
