use crate::{BiosSettingsTemplate, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// BIOS settings for all servers with certain labels.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BIOSSettingsSet",
    root = "BiosSettingsSet",
    plural = "biossettingssets",
    shortname = "biosss",
    doc = "BIOS settings for all servers with certain labels.",
    status = "BiosSettingsSetStatus",
    derive = "PartialEq",
    printcolumn(
        name = "BIOSVersion",
        type_ = "string",
        json_path = ".spec.biosSettingsTemplate.version"
    ),
    printcolumn(
        name = "TotalServers",
        type_ = "integer",
        json_path = ".status.fullyLabeledServers"
    ),
    printcolumn(
        name = "AvailableBIOSSettings",
        type_ = "integer",
        json_path = ".status.availableBIOSSettings"
    ),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pendingBIOSSettings"),
    printcolumn(
        name = "InProgress",
        type_ = "integer",
        json_path = ".status.inProgressBIOSSettings"
    ),
    printcolumn(
        name = "Completed",
        type_ = "integer",
        json_path = ".status.completedBIOSSettings"
    ),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failedBIOSSettings"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BiosSettingsSetSpec {
    /// Labels of the Servers that get a child.
    #[schemars(schema_with = "schema::label_selector")]
    pub server_selector: LabelSelector,
    /// Template of the children.
    pub bios_settings_template: BiosSettingsTemplate,
}

/// Progress of the children.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BiosSettingsSetStatus {
    /// Number of Servers that the selector matches.
    #[serde(rename = "fullyLabeledServers", skip_serializing_if = "Option::is_none")]
    pub fully_labeled_servers: Option<i32>,
    /// Number of children that exist.
    #[serde(rename = "availableBIOSSettings", skip_serializing_if = "Option::is_none")]
    pub available: Option<i32>,
    /// Number of pending children.
    #[serde(rename = "pendingBIOSSettings", skip_serializing_if = "Option::is_none")]
    pub pending: Option<i32>,
    /// Number of children in progress.
    #[serde(rename = "inProgressBIOSSettings", skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<i32>,
    /// Number of completed children.
    #[serde(rename = "completedBIOSSettings", skip_serializing_if = "Option::is_none")]
    pub completed: Option<i32>,
    /// Number of failed children.
    #[serde(rename = "failedBIOSSettings", skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}
