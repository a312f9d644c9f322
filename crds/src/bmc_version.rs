use crate::{
    LocalObjectReference, ObjectReference, UpgradeTask, VersionState, VersionTemplate,
    schema::{self, immutable},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The firmware version that one BMC should have.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMCVersion",
    root = "BmcVersion",
    plural = "bmcversions",
    shortname = "bmcv",
    doc = "The firmware version that one BMC is to have.",
    status = "BmcVersionStatus",
    derive = "PartialEq",
    printcolumn(name = "BMCVersion", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "UpdatePolicy", type_ = "string", json_path = ".spec.updatePolicy"),
    printcolumn(name = "BMCRef", type_ = "string", json_path = ".spec.bmcRef.name"),
    printcolumn(
        name = "TaskProgress",
        type_ = "integer",
        json_path = ".status.upgradeTask.percentageComplete"
    ),
    printcolumn(name = "TaskState", type_ = "string", json_path = ".status.upgradeTask.state"),
    printcolumn(name = "TaskStatus", type_ = "string", json_path = ".status.upgradeTask.status"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BmcVersionSpec {
    /// The version, and how it is installed.
    #[serde(flatten)]
    pub template: VersionTemplate,
    /// BMC that should have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = immutable("bmcRef")))]
    pub bmc_ref: Option<LocalObjectReference>,
    /// Maintenances during which it is installed, one per server of the BMC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_maintenance_refs: Vec<ObjectReference>,
}

/// Progress of the installation.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BmcVersionStatus {
    /// State of the installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<VersionState>,
    /// The task that installs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_task: Option<UpgradeTask>,
    /// Number of failed attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i32>,
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
