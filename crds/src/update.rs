//! What the settings and firmware kinds have in common.

use crate::text::open_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a failed update is tried again without being asked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Number of attempts; 0 for none. The default of the operator counts if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub max_attempts: Option<i32>,
}

/// Where a BMC gets firmware from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// Secret with the credentials of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ImageSecretReference>,
    /// Protocol, as `UpdateService.SimpleUpdate` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_protocol: Option<String>,
    /// URI of the image.
    #[serde(rename = "URI")]
    pub uri: String,
}

/// Names a Secret with credentials.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ImageSecretReference {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The Redfish task that installs firmware.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeTask {
    /// URI of the task.
    #[serde(rename = "URI", skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// `TaskState`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `TaskStatus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `PercentComplete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentage_complete: Option<i32>,
}

open_enum! {
    /// How far a change of settings is.
    SettingsState {
        /// Not yet begun.
        Pending = "Pending",
        /// Under way.
        InProgress = "InProgress",
        /// In force.
        Applied = "Applied",
        /// Given up.
        Failed = "Failed",
    }
}

open_enum! {
    /// How far an installation of firmware is.
    VersionState {
        /// Not yet begun.
        Pending = "Pending",
        /// Under way.
        InProgress = "InProgress",
        /// Installed.
        Completed = "Completed",
        /// Given up.
        Failed = "Failed",
    }
}

open_enum! {
    /// Whether firmware is installed against the advice of the BMC.
    UpdatePolicy {
        /// Install it in any case.
        Force = "Force",
    }
}

open_enum! {
    /// Who lets a maintenance of a claimed server begin.
    MaintenancePolicy {
        /// The owner of the claim.
        OwnerApproval = "OwnerApproval",
        /// Nobody; it begins at once.
        Enforced = "Enforced",
    }
}
