use crate::{
    ImageSpec, LocalObjectReference, MaintenancePolicy, ObjectReference, RetryPolicy, UpdatePolicy,
    UpgradeTask, VersionState,
    schema::{self, immutable},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The BIOS version that one server should have.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BIOSVersion",
    root = "BiosVersion",
    plural = "biosversions",
    shortname = "biosv",
    doc = "The BIOS version that one server is to have.",
    status = "BiosVersionStatus",
    derive = "PartialEq",
    printcolumn(name = "BIOSVersion", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "UpdatePolicy", type_ = "string", json_path = ".spec.updatePolicy"),
    printcolumn(name = "ServerRef", type_ = "string", json_path = ".spec.serverRef.name"),
    printcolumn(
        name = "ServerMaintenanceRef",
        type_ = "string",
        json_path = ".spec.serverMaintenanceRef.name"
    ),
    printcolumn(name = "TaskState", type_ = "string", json_path = ".status.upgradeTask.state"),
    printcolumn(name = "TaskStatus", type_ = "string", json_path = ".status.upgradeTask.status"),
    printcolumn(
        name = "TaskProgress",
        type_ = "integer",
        json_path = ".status.upgradeTask.percentageComplete"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BiosVersionSpec {
    /// The version, and how it is installed.
    #[serde(flatten)]
    pub template: VersionTemplate,
    /// Server that should have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverRef")))]
    pub server_ref: Option<LocalObjectReference>,
    /// Maintenance during which it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_ref: Option<ObjectReference>,
}

/// A firmware version, of a BIOS or of a BMC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VersionTemplate {
    /// Version, as the BMC reports it after the installation.
    pub version: String,
    /// Whether to install it against the advice of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// Source of the firmware.
    pub image: ImageSpec,
    /// Who permits the maintenance to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_policy: Option<MaintenancePolicy>,
    /// What happens after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// Progress of the installation.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BiosVersionStatus {
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
