//! The status of a `Server`. It has the fields of ironcore's, and what the lifecycle needs besides.

use crate::{
    IndicatorLed, ObjectReference, PowerState, SharedList, quantity, schema, text::open_enum,
};
use k8s_openapi::apimachinery::pkg::{
    api::resource::Quantity,
    apis::meta::v1::{Condition, Time},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a server, and its place in the lifecycle.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Place of the server in its lifecycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ServerState>,
    /// When the state was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Time>,
    /// Power state that the BMC last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_state: Option<PowerState>,
    /// Locator LED, as last reported by the BMC.
    #[serde(rename = "indicatorLED", skip_serializing_if = "Option::is_none")]
    pub indicator_led: Option<IndicatorLed>,
    /// Manufacturer of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Stock keeping unit of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Serial number of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// BIOS version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios_version: Option<String>,
    /// Memory size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "quantity::deserialize")]
    #[schemars(schema_with = "schema::quantity")]
    pub total_system_memory: Option<Quantity>,
    /// Processors.
    #[serde(default, skip_serializing_if = "SharedList::is_empty")]
    #[schemars(with = "Vec<Processor>")]
    pub processors: SharedList<Processor>,
    /// Storage controllers with their volumes and drives.
    #[serde(default, skip_serializing_if = "SharedList::is_empty")]
    #[schemars(with = "Vec<Storage>")]
    pub storages: SharedList<Storage>,
    /// Network interfaces, as reported by the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_interfaces: Vec<NetworkInterface>,
    /// An operation that has been decided on and may be in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The time in which the server may fetch what it boots. Without one it gets nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_window: Option<BootWindow>,
    /// Progress of the discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// The claim that the condition `ClaimBound` is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_claim: Option<BoundClaim>,
    /// The medium that the condition `MediumInserted` is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// Names of other servers that seem to be the same machine. While there are any, none of them
    /// is powered or booted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub twins: Vec<String>,
    /// When the host was last reset, according to its BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reset_time: Option<Time>,
    /// Certificate that the BMC of `spec.bmc` is pinned to, as `sha256:` and 64 hexadecimal digits:
    /// the first one that it presented, unless an authority vouches for it. It is also stored
    /// with the credentials; to trust another, annotate with bloomery.dev/accept-certificate. With
    /// `spec.bmcRef`, the BMC object has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc_certificate_fingerprint: Option<String>,
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

open_enum! {
    /// Lifecycle of a server.
    ServerState {
        /// Not known yet.
        Initial = "Initial",
        /// The discovery image runs, or is about to.
        Discovery = "Discovery",
        /// Off, and free to be claimed.
        Available = "Available",
        /// Held by a claim.
        Reserved = "Reserved",
        /// Released, and waiting for a person.
        Released = "Released",
        /// A fault that needs a person.
        Error = "Error",
        /// Withdrawn from the claim lifecycle by a person.
        Parked = "Parked",
        /// Held by a maintenance.
        Maintenance = "Maintenance",
    }
}

/// An operation, recorded before it is carried out, so that it can be continued after a restart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct Pending {
    /// The operation.
    pub kind: PendingKind,
    /// When it was decided.
    pub since: Time,
}

open_enum! {
    /// Kinds of [`Pending`] operation.
    PendingKind {
        /// Power the host off.
        PowerOff = "PowerOff",
        /// Power the host on, to boot from the network once.
        NetworkBoot = "NetworkBoot",
    }
}

/// The time in which a server may fetch the scripts, images and ignition of one boot: from before
/// it is powered on until it has reported, or until the time is over.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BootWindow {
    /// The boot configuration.
    pub boot_configuration_ref: ObjectReference,
    /// UID of the boot configuration, if that existed when the window was opened.
    #[serde(rename = "bootConfigurationUID", skip_serializing_if = "Option::is_none")]
    pub boot_configuration_uid: Option<String>,
    /// When it was opened.
    pub opened: Time,
    /// When it closes.
    pub closes: Time,
}

/// A claim that was observed to hold a server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundClaim {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub name: String,
    /// UID of the claim: a recreated claim is a different one.
    pub uid: String,
}

/// A medium of ours in a virtual media slot.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Medium {
    /// UID of the boot configuration that it boots.
    #[serde(rename = "bootConfigurationUID")]
    pub boot_configuration_uid: String,
}

/// Progress of the discovery of a server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// Number of attempts so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// Number of consecutive failed attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i32>,
    /// The boot whose report was accepted: UID of the server and number of the attempt.
    #[serde(rename = "bootConfigurationUID", skip_serializing_if = "Option::is_none")]
    pub boot_configuration_uid: Option<String>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A processor, as Redfish describes it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Processor {
    /// Redfish `Id`.
    pub id: String,
    /// Processor type, for example `CPU` or `GPU`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Instruction set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_set: Option<String>,
    /// Manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Maximum clock rate in MHz.
    #[serde(rename = "maxSpeedMHz", skip_serializing_if = "Option::is_none")]
    pub max_speed_mhz: Option<i32>,
    /// Number of cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cores: Option<i32>,
    /// Number of threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_threads: Option<i32>,
}

/// A storage controller.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Redfish `Status.State`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<StorageVolume>,
    /// Drives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drives: Vec<StorageDrive>,
}

/// A volume of a storage controller.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageVolume {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "quantity::deserialize")]
    #[schemars(schema_with = "schema::quantity")]
    pub capacity: Option<Quantity>,
    /// Redfish `Status.State`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// RAID type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raid_type: Option<String>,
    /// What the volume is used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_usage: Option<String>,
}

/// A drive of a storage controller.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageDrive {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "quantity::deserialize")]
    #[schemars(schema_with = "schema::quantity")]
    pub capacity: Option<Quantity>,
    /// Redfish `Status.State`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Drive type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Redfish `MediaType`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A network interface, as reported by the agent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterface {
    /// Kernel name.
    pub name: String,
    /// MAC address.
    pub mac_address: String,
    /// One IP address; `ips` has all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    /// `up` or `down`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_status: Option<String>,
    /// Neighbors found by LLDP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbors: Vec<LldpNeighbor>,
}

/// A neighbor found by LLDP (IEEE 802.1AB).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LldpNeighbor {
    /// Chassis ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Port ID.
    #[serde(rename = "portID", skip_serializing_if = "Option::is_none")]
    pub port_id: Option<String>,
    /// Port description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_description: Option<String>,
    /// System name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_name: Option<String>,
    /// System description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_description: Option<String>,
}
