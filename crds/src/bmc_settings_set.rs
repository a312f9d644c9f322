use crate::{BmcSettingsTemplate, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings for all BMCs with certain labels.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMCSettingsSet",
    root = "BmcSettingsSet",
    plural = "bmcsettingssets",
    doc = "Settings for all BMCs with certain labels.",
    status = "BmcSettingsSetStatus",
    derive = "PartialEq",
    printcolumn(
        name = "BMCVersion",
        type_ = "string",
        json_path = ".spec.bmcSettingsTemplate.version"
    ),
    printcolumn(name = "TotalBMCs", type_ = "integer", json_path = ".status.fullyLabeledBMCs"),
    printcolumn(
        name = "AvailableBMCSettings",
        type_ = "integer",
        json_path = ".status.availableBMCSettings"
    ),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pendingBMCSettings"),
    printcolumn(
        name = "InProgress",
        type_ = "integer",
        json_path = ".status.inProgressBMCSettings"
    ),
    printcolumn(name = "Completed", type_ = "integer", json_path = ".status.completedBMCSettings"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failedBMCSettings"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BmcSettingsSetSpec {
    /// Labels of the BMCs that get a child.
    #[schemars(schema_with = "schema::label_selector")]
    pub bmc_selector: LabelSelector,
    /// Template of the children.
    pub bmc_settings_template: BmcSettingsTemplate,
}

/// Progress of the children.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BmcSettingsSetStatus {
    /// Number of BMCs that the selector matches.
    #[serde(rename = "fullyLabeledBMCs", skip_serializing_if = "Option::is_none")]
    pub fully_labeled_bmcs: Option<i32>,
    /// Number of children that exist.
    #[serde(rename = "availableBMCSettings", skip_serializing_if = "Option::is_none")]
    pub available: Option<i32>,
    /// Number of pending children.
    #[serde(rename = "pendingBMCSettings", skip_serializing_if = "Option::is_none")]
    pub pending: Option<i32>,
    /// Number of children in progress.
    #[serde(rename = "inProgressBMCSettings", skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<i32>,
    /// Number of completed children.
    #[serde(rename = "completedBMCSettings", skip_serializing_if = "Option::is_none")]
    pub completed: Option<i32>,
    /// Number of failed children.
    #[serde(rename = "failedBMCSettings", skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}
