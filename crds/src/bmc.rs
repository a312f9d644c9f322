use crate::{
    ConsoleProtocol, LocalObjectReference, PowerState, Protocol,
    schema::{self, immutable, rule},
    text::open_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach and manage a BMC.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMC",
    root = "Bmc",
    plural = "bmcs",
    doc = "A baseboard management controller.",
    status = "BmcStatus",
    derive = "PartialEq",
    printcolumn(name = "MACAddress", type_ = "string", json_path = ".status.macAddress"),
    printcolumn(name = "IP", type_ = "string", json_path = ".status.ip"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model"),
    printcolumn(name = "SKU", type_ = "string", json_path = ".status.sku", priority = 100),
    printcolumn(
        name = "SerialNumber",
        type_ = "string",
        json_path = ".status.serialNumber",
        priority = 100
    ),
    printcolumn(
        name = "FirmwareVersion",
        type_ = "string",
        json_path = ".status.firmwareVersion",
        priority = 100
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "PowerState", type_ = "string", json_path = ".status.powerState"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule(
    "has(self.access) != has(self.endpointRef)",
    "exactly one of access or endpointRef must be set",
)]))]
pub struct BmcSpec {
    /// UUID of the Redfish manager that this object stands for; by default, the first one.
    #[serde(rename = "bmcUUID", skip_serializing_if = "Option::is_none")]
    pub bmc_uuid: Option<String>,
    /// Endpoint with the address of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = immutable("endpointRef")))]
    pub endpoint_ref: Option<LocalObjectReference>,
    /// The address, if there is no Endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = immutable("access")))]
    pub access: Option<InlineAccess>,
    /// BMCSecret with the credentials.
    pub bmc_secret_ref: LocalObjectReference,
    /// Protocol, port and scheme.
    pub protocol: Protocol,
    /// Serial console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_protocol: Option<ConsoleProtocol>,
    /// Host name, for which certificates are valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// BMCSettings that apply to this BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc_settings_ref: Option<LocalObjectReference>,
}

/// Address of a BMC that has no Endpoint.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InlineAccess {
    /// MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// IP address, version 4 or 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// What the BMC reported about itself.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BmcStatus {
    /// MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$"))]
    pub mac_address: Option<String>,
    /// IP address, version 4 or 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Manufacturer of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Part number of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Serial number of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Firmware version of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware_version: Option<String>,
    /// `Status.State` of the manager, or `Pending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Pending"))]
    pub state: Option<BmcState>,
    /// Power state of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_state: Option<PowerState>,
    /// When the BMC was last reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reset_time: Option<Time>,
    /// Event subscription on the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_subscription_link: Option<String>,
    /// Metric report subscription on the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_report_subscription_link: Option<String>,
    /// Certificate that the BMC is pinned to, as `sha256:` and 64 hexadecimal digits: the first one
    /// that it presented, unless an authority vouches for it. It is also stored with the
    /// credentials; to trust another, annotate with bloomery.dev/accept-certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    /// Credentials that the BMC refuses; present only while the condition `Ready` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_credentials: Option<RefusedCredentials>,
    /// Number of systems that the BMC manages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systems: Option<i32>,
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Credentials that a BMC refuses.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedCredentials {
    /// Name of the BMCSecret.
    pub name: String,
    /// `metadata.generation` of the BMCSecret. After a change, the credentials count as not yet
    /// refused.
    #[schemars(schema_with = "schema::integer")]
    pub generation: i64,
}

open_enum! {
    /// State of a BMC: `Status.State` of its manager, or a value of ours for "not yet known".
    BmcState {
        /// Not yet read.
        Pending = "Pending",
        /// Working.
        Enabled = "Enabled",
        /// Switched off.
        Disabled = "Disabled",
        /// Starting.
        Starting = "Starting",
        /// Present, but offline.
        StandbyOffline = "StandbyOffline",
    }
}
