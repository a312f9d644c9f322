use crate::{
    LocalObjectReference, MaintenancePolicy, ObjectReference, RetryPolicy, SettingsState,
    schema::{self, immutable},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// BIOS settings that one server should have.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BIOSSettings",
    root = "BiosSettings",
    plural = "biossettings",
    shortname = "bioss",
    doc = "BIOS settings that one server is to have.",
    status = "BiosSettingsStatus",
    derive = "PartialEq",
    printcolumn(name = "BIOSVersion", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "ServerRef", type_ = "string", json_path = ".spec.serverRef.name"),
    printcolumn(
        name = "ServerMaintenanceRef",
        type_ = "string",
        json_path = ".spec.serverMaintenanceRef.name"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "AppliedOn", type_ = "date", json_path = ".status.lastAppliedTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BiosSettingsSpec {
    /// The settings, and how they are applied.
    #[serde(flatten)]
    pub template: BiosSettingsTemplate,
    /// Server that should have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverRef")))]
    pub server_ref: Option<LocalObjectReference>,
    /// Maintenance during which they are applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_ref: Option<ObjectReference>,
}

/// BIOS settings for a version of the BIOS.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BiosSettingsTemplate {
    /// BIOS version that the settings are for.
    pub version: String,
    /// Groups of settings, applied in order of priority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_flow: Vec<SettingsFlow>,
    /// Who permits the maintenance to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_policy: Option<MaintenancePolicy>,
    /// What happens after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// A group of settings that are applied together.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct SettingsFlow {
    /// Name of the group.
    #[schemars(length(min = 1, max = 1000))]
    pub name: String,
    /// Settings by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Position in the order; lower comes first.
    #[schemars(range(min = 1, max = 2_147_483_645))]
    pub priority: i32,
}

/// Progress of the settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BiosSettingsStatus {
    /// State of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<SettingsState>,
    /// State of each group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flow_state: Vec<SettingsFlowStatus>,
    /// When the settings last took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_time: Option<Time>,
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

/// Progress of a group of settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SettingsFlowStatus {
    /// State of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_state: Option<SettingsState>,
    /// Name of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Position in the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// When the group last took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_time: Option<Time>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
