use crate::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An account that a BMC should have.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMCUser",
    root = "BmcUser",
    plural = "bmcusers",
    shortname = "bmcu",
    doc = "An account that a BMC is to have.",
    status = "BmcUserStatus",
    derive = "PartialEq",
    printcolumn(name = "ID", type_ = "string", json_path = ".status.id"),
    printcolumn(name = "UserName", type_ = "string", json_path = ".spec.userName"),
    printcolumn(name = "RoleID", type_ = "string", json_path = ".spec.roleID"),
    printcolumn(name = "LastRotation", type_ = "date", json_path = ".status.lastRotation"),
    printcolumn(
        name = "PasswordExpiration",
        type_ = "date",
        json_path = ".status.passwordExpiration"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BmcUserSpec {
    /// Name of the account.
    pub user_name: String,
    /// Redfish role of the account.
    #[serde(rename = "roleID")]
    pub role_id: String,
    /// What the account is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Age at which the password is changed, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_period: Option<String>,
    /// BMCSecret with the password; created if not given.
    #[serde(rename = "bmcSecretRef", skip_serializing_if = "Option::is_none")]
    pub bmc_secret_ref: Option<LocalObjectReference>,
    /// BMC that should have the account.
    #[serde(rename = "bmcRef", skip_serializing_if = "Option::is_none")]
    pub bmc_ref: Option<LocalObjectReference>,
}

/// State of the account.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BmcUserStatus {
    /// BMCSecret with the password that is in effect.
    #[serde(rename = "effectiveBMCSecretRef", skip_serializing_if = "Option::is_none")]
    pub effective_bmc_secret_ref: Option<LocalObjectReference>,
    /// ID of the account on the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When the password was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<Time>,
    /// When the password expires on the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_expiration: Option<Time>,
}
