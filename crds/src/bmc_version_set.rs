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
    /// What every child is made from.
    pub bmc_version_template: VersionTemplate,
}

/// How far the children are.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BmcVersionSetStatus {
    /// BMCs that the selector selects.
    #[serde(rename = "fullyLabeledBMCs", skip_serializing_if = "Option::is_none")]
    pub fully_labeled_bmcs: Option<i32>,
    /// Children that exist.
    #[serde(rename = "availableBMCVersion", skip_serializing_if = "Option::is_none")]
    pub available: Option<i32>,
    /// Children that are pending.
    #[serde(rename = "pendingBMCVersion", skip_serializing_if = "Option::is_none")]
    pub pending: Option<i32>,
    /// Children that are in progress.
    #[serde(rename = "inProgressBMCVersion", skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<i32>,
    /// Children that are done.
    #[serde(rename = "completedBMCVersion", skip_serializing_if = "Option::is_none")]
    pub completed: Option<i32>,
    /// Children that failed.
    #[serde(rename = "failedBMCVersion", skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}
