use crate::{
    IndicatorLed, LocalObjectReference, ObjectReference, Power, Protocol, ServerStatus, SystemUuid,
    Taint,
    schema::{self, immutable, rule},
    text::closed_enum,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Desired state of one physical server.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "Server",
    plural = "servers",
    shortname = "srv",
    doc = "A physical machine.",
    status = "ServerStatus",
    derive = "PartialEq",
    printcolumn(name = "SystemUUID", type_ = "string", json_path = ".spec.systemUUID"),
    printcolumn(name = "Manufacturer", type_ = "string", json_path = ".status.manufacturer"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".status.totalSystemMemory"),
    printcolumn(name = "SKU", type_ = "string", json_path = ".status.sku", priority = 100),
    printcolumn(
        name = "SerialNumber",
        type_ = "string",
        json_path = ".status.serialNumber",
        priority = 100
    ),
    printcolumn(name = "PowerState", type_ = "string", json_path = ".status.powerState"),
    printcolumn(
        name = "IndicatorLED",
        type_ = "string",
        json_path = ".status.indicatorLED",
        priority = 100
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(
        name = "Unclaimable",
        type_ = "boolean",
        json_path = ".spec.unclaimable",
        priority = 100
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.systemUUID) || has(self.uuid)", "systemUUID is required"),
    rule(
        "!has(self.systemUUID) || !has(self.uuid) \
         || self.systemUUID.lowerAscii() == self.uuid.lowerAscii()",
        "uuid is the older name of systemUUID: leave it out, or give both the same value",
    ),
]))]
pub struct ServerSpec {
    /// SMBIOS system UUID (SMBIOS 3.7, section 7.2.1), in the byte order the BMC reports.
    #[serde(rename = "systemUUID", skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
    /// Older name of `systemUUID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// `@odata.id` of the system on its BMC.
    #[serde(rename = "systemURI", skip_serializing_if = "Option::is_none")]
    pub system_uri: Option<String>,
    /// BMC that manages the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc_ref: Option<LocalObjectReference>,
    /// Access to the BMC, if there is no BMC object; ignored if `bmcRef` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc: Option<BmcAccess>,
    /// Desired power state while the server is not claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// Desired state of the locator LED.
    #[serde(rename = "indicatorLED", skip_serializing_if = "Option::is_none")]
    pub indicator_led: Option<IndicatorLed>,
    /// What happens to the server when its claim is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Recycle"))]
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// Claim that holds the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_claim_ref: Option<ClaimReference>,
    /// Maintenance that holds the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_maintenance_ref: Option<ObjectReference>,
    /// What the server boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_configuration_ref: Option<ObjectReference>,
    /// What the server boots during a maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_boot_configuration_ref: Option<ObjectReference>,
    /// Persistent boot order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot_order: Vec<BootOrder>,
    /// BIOSSettings that apply to this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios_settings_ref: Option<LocalObjectReference>,
    /// Claims that do not tolerate these taints are kept away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Whether new claims are kept away. A claim that already holds the server is not affected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub unclaimable: Option<bool>,
}

impl ServerSpec {
    /// Whether a person has to admit the server before it can be claimed.
    pub fn is_held(&self) -> bool {
        self.taints.iter().any(|taint| taint.key == Taint::NOT_ADMITTED)
    }

    /// The system UUID, from `systemUUID` or its older name `uuid`; `None` if both are missing or
    /// empty, or if it does not identify a machine.
    pub fn effective_uuid(&self) -> Option<SystemUuid> {
        let texts = [&self.system_uuid, &self.uuid].into_iter().flatten();
        texts.map(|text| text.trim()).find(|text| !text.is_empty())?.parse().ok()
    }

    /// The system URI; `None` if it is missing or empty.
    pub fn known_system_uri(&self) -> Option<&str> {
        self.system_uri.as_deref().filter(|uri| !uri.is_empty())
    }
}

/// Inline access to a BMC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BmcAccess {
    /// Protocol, port and scheme.
    pub protocol: Protocol,
    /// IP address, or the host name of a BMC that is accessed by https with verification.
    pub address: String,
    /// BMCSecret with the credentials.
    pub bmc_secret_ref: LocalObjectReference,
}

/// The claim that holds a server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClaimReference {
    /// Namespace of the claim.
    #[schemars(length(max = 63))]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverClaimRef.namespace")))]
    pub namespace: String,
    /// Name of the claim.
    #[schemars(length(max = 253))]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverClaimRef.name")))]
    pub name: String,
    /// UID of the claim, so that another claim of the same name does not inherit the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// One entry of the persistent boot order.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BootOrder {
    /// Name of the entry.
    pub name: String,
    /// Position in the order; lower comes first.
    #[schemars(schema_with = "schema::integer")]
    pub priority: i64,
    /// Boot option, as the BMC names it.
    pub device: String,
}

closed_enum! {
    /// What happens to a server when its claim is deleted.
    #[derive(Default)]
    ReclaimPolicy {
        /// It becomes available again.
        #[default]
        Recycle = "Recycle",
        /// It waits until a person releases it.
        Retain = "Retain",
    }
}
