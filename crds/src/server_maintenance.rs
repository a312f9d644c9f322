use crate::{
    IndicatorLed, LocalObjectReference, MaintenancePolicy, Power, ServerBootConfigurationSpec,
    text::open_enum,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request for exclusive use of one server, for example to install firmware.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "ServerMaintenance",
    plural = "servermaintenances",
    shortname = "sm",
    namespaced,
    doc = "A wish to have one server for oneself.",
    status = "ServerMaintenanceStatus",
    derive = "PartialEq",
    printcolumn(name = "Server", type_ = "string", json_path = ".spec.serverRef.name"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
    printcolumn(
        name = "BootConfiguration",
        type_ = "string",
        json_path = ".spec.serverBootConfigurationTemplate.name"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".metadata.annotations.metal\\.ironcore\\.dev\\/reason"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ServerMaintenanceSpec {
    /// Who permits the maintenance to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<MaintenancePolicy>,
    /// Priority among the maintenances of the server; higher comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub priority: Option<i32>,
    /// The requested server.
    pub server_ref: LocalObjectReference,
    /// Power state during the maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_power: Option<Power>,
    /// Locator LED during the maintenance.
    #[serde(rename = "locatorLED", skip_serializing_if = "Option::is_none")]
    pub locator_led: Option<IndicatorLed>,
    /// What the server boots during the maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_boot_configuration_template: Option<ServerBootConfigurationTemplate>,
}

/// Template of a ServerBootConfiguration.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct ServerBootConfigurationTemplate {
    /// Ignored: the object is named after the maintenance.
    pub name: String,
    /// Its specification.
    pub spec: ServerBootConfigurationSpec,
}

/// Progress of the maintenance.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMaintenanceStatus {
    /// State of the maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<MaintenanceState>,
}

open_enum! {
    /// State of a maintenance.
    MaintenanceState {
        /// It does not hold the server yet.
        Pending = "Pending",
        /// It holds the server.
        InMaintenance = "InMaintenance",
        /// Given up.
        Failed = "Failed",
    }
}
