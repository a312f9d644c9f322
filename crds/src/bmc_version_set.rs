use crate::{VersionTemplate, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A firmware version for all BMCs with certain labels.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMCVersionSet",
    root = "BmcVersionSet",
    plural = "bmcversionsets",
    shortname = "bmcvs",
    doc = "A firmware version for all BMCs with certain labels.",
    status = "BmcVersionSetStatus",
    derive = "PartialEq",
    printcolumn(
        name = "BMCVersion",
        type_ = "string",
        json_path = ".spec.bmcVersionTemplate.version"
    ),
    printcolumn(name = "selectedBMCs", type_ = "integer", json_path = ".status.fullyLabeledBMCs"),
    printcolumn(
        name = "AvailableBMCVersion",
        type_ = "integer",
        json_path = ".status.availableBMCVersion"
    ),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pendingBMCVersion"),
    printcolumn(
        name = "InProgress",
        type_ = "integer",
        json_path = ".status.inProgressBMCVersion"
    ),
    printcolumn(name = "Completed", type_ = "integer", json_path = ".status.completedBMCVersion"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failedBMCVersion"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BmcVersionSetSpec {
    /// Labels of the BMCs that get a child.
    #[schemars(schema_with = "schema::label_selector")]
    pub bmc_selector: LabelSelector,
    /// Template of the children.
    pub bmc_version_template: VersionTemplate,
}

/// Progress of the children.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BmcVersionSetStatus {
    /// Number of BMCs that the selector matches.
    #[serde(rename = "fullyLabeledBMCs", skip_serializing_if = "Option::is_none")]
    pub fully_labeled_bmcs: Option<i32>,
    /// Number of children that exist.
    #[serde(rename = "availableBMCVersion", skip_serializing_if = "Option::is_none")]
    pub available: Option<i32>,
    /// Number of pending children.
    #[serde(rename = "pendingBMCVersion", skip_serializing_if = "Option::is_none")]
    pub pending: Option<i32>,
    /// Number of children in progress.
    #[serde(rename = "inProgressBMCVersion", skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<i32>,
    /// Number of completed children.
    #[serde(rename = "completedBMCVersion", skip_serializing_if = "Option::is_none")]
    pub completed: Option<i32>,
    /// Number of failed children.
    #[serde(rename = "failedBMCVersion", skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}
