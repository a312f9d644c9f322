use crate::{VersionTemplate, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A BIOS version for all servers with certain labels.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BIOSVersionSet",
    root = "BiosVersionSet",
    plural = "biosversionsets",
    shortname = "biosvs",
    doc = "A BIOS version for all servers with certain labels.",
    status = "BiosVersionSetStatus",
    derive = "PartialEq",
    printcolumn(
        name = "BIOSVersion",
        type_ = "string",
        json_path = ".spec.biosVersionTemplate.version"
    ),
    printcolumn(
        name = "selectedServers",
        type_ = "integer",
        json_path = ".status.fullyLabeledServers"
    ),
    printcolumn(
        name = "AvailableBIOSVersion",
        type_ = "integer",
        json_path = ".status.availableBIOSVersion"
    ),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pendingBIOSVersion"),
    printcolumn(
        name = "InProgress",
        type_ = "integer",
        json_path = ".status.inProgressBIOSVersion"
    ),
    printcolumn(name = "Completed", type_ = "integer", json_path = ".status.completedBIOSVersion"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failedBIOSVersion"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BiosVersionSetSpec {
    /// Labels of the Servers that get a child.
    #[schemars(schema_with = "schema::label_selector")]
    pub server_selector: LabelSelector,
    /// Template of the children.
    pub bios_version_template: VersionTemplate,
}

/// Progress of the children.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BiosVersionSetStatus {
    /// Number of Servers that the selector matches.
    #[serde(rename = "fullyLabeledServers", skip_serializing_if = "Option::is_none")]
    pub fully_labeled_servers: Option<i32>,
    /// Number of children that exist.
    #[serde(rename = "availableBIOSVersion", skip_serializing_if = "Option::is_none")]
    pub available: Option<i32>,
    /// Number of pending children.
    #[serde(rename = "pendingBIOSVersion", skip_serializing_if = "Option::is_none")]
    pub pending: Option<i32>,
    /// Number of children in progress.
    #[serde(rename = "inProgressBIOSVersion", skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<i32>,
    /// Number of completed children.
    #[serde(rename = "completedBIOSVersion", skip_serializing_if = "Option::is_none")]
    pub completed: Option<i32>,
    /// Number of failed children.
    #[serde(rename = "failedBIOSVersion", skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}
