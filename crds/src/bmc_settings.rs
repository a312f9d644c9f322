use crate::{
    LocalObjectReference, MaintenancePolicy, ObjectReference, RetryPolicy, SettingsState, Variable,
    schema::{self, immutable, rule},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings that one BMC should have.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMCSettings",
    root = "BmcSettings",
    plural = "bmcsettings",
    doc = "Settings that one BMC is to have.",
    status = "BmcSettingsStatus",
    derive = "PartialEq",
    printcolumn(name = "BMCVersion", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "BMCRef", type_ = "string", json_path = ".spec.BMCRef.name")
)]
#[serde(rename_all = "camelCase")]
pub struct BmcSettingsSpec {
    /// The settings, and how they are applied.
    #[serde(flatten)]
    pub template: BmcSettingsTemplate,
    /// BMC that should have them.
    #[serde(rename = "BMCRef")]
    #[schemars(extend("x-kubernetes-validations" = immutable("BMCRef")))]
    pub bmc_ref: LocalObjectReference,
    /// Maintenances during which they are applied, one per server of the BMC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_maintenance_refs: Vec<ServerMaintenanceRefItem>,
}

/// Settings for a firmware version of a BMC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule(
    "!has(self.variables) || self.variables.all(v, \
     self.variables.filter(w, w.key == v.key).size() == 1)",
    "keys of variables must be unique",
)]))]
pub struct BmcSettingsTemplate {
    /// Firmware version that the settings are for.
    pub version: String,
    /// Settings by name. `$(KEY)` is replaced by the variable with that key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Values that differ from BMC to BMC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub variables: Vec<Variable>,
    /// Who permits the maintenance to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_policy: Option<MaintenancePolicy>,
    /// What happens after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// One entry of `serverMaintenanceRefs`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerMaintenanceRefItem {
    /// The maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_ref: Option<ObjectReference>,
}

/// Progress of the settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BmcSettingsStatus {
    /// State of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<SettingsState>,
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
