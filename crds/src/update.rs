//! What the kinds for settings and firmware have in common.

use crate::text::open_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many times a failed update is retried automatically.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Number of retries; 0 for none. By default as configured in the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub max_attempts: Option<i32>,
}

/// Where a BMC downloads firmware from.
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

/// Refers to a Secret with credentials.
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
    /// State of a change of settings.
    SettingsState {
        /// Not started.
        Pending = "Pending",
        /// In progress.
        InProgress = "InProgress",
        /// In effect.
        Applied = "Applied",
        /// Failed for good.
        Failed = "Failed",
    }
}

open_enum! {
    /// State of a firmware installation.
    VersionState {
        /// Not started.
        Pending = "Pending",
        /// In progress.
        InProgress = "InProgress",
        /// Installed.
        Completed = "Completed",
        /// Failed for good.
        Failed = "Failed",
    }
}

open_enum! {
    /// Whether to install firmware against the advice of the BMC.
    UpdatePolicy {
        /// Install it in any case.
        Force = "Force",
    }
}

open_enum! {
    /// Who permits the maintenance of a claimed server to begin.
    MaintenancePolicy {
        /// The owner of the claim.
        OwnerApproval = "OwnerApproval",
        /// Nobody: it begins at once.
        Enforced = "Enforced",
    }
}
