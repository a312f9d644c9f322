use crate::{IndicatorLed, ObjectReference, PowerState, quantity, schema, text::open_enum};
use k8s_openapi::apimachinery::pkg::{
    api::resource::Quantity,
    apis::meta::v1::{Condition, Time},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known about a machine, and where it is in its life.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Where the machine is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ServerState>,
    /// When the state was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Time>,
    /// Power state that the BMC last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_state: Option<PowerState>,
    /// Light, as the BMC last reported it.
    #[serde(rename = "indicatorLED", skip_serializing_if = "Option::is_none")]
    pub indicator_led: Option<IndicatorLed>,
    /// Manufacturer of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Stock keeping unit of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Serial number of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// BIOS version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios_version: Option<String>,
    /// Size of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "quantity::deserialize")]
    #[schemars(schema_with = "schema::quantity")]
    pub total_system_memory: Option<Quantity>,
    /// Processors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processors: Vec<Processor>,
    /// Storage controllers with their volumes and drives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storages: Vec<Storage>,
    /// Network interfaces, as the agent saw them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_interfaces: Vec<NetworkInterface>,
    /// An operation that was decided and may be under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// While the machine may fetch what it boots. Without one it gets nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_window: Option<BootWindow>,
    /// How the discovery goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// The claim that the condition `ClaimBound` is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_claim: Option<BoundClaim>,
    /// The medium that the condition `MediumInserted` is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// When the host was last reset, as its BMC says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reset_time: Option<Time>,
    /// Certificate that the BMC of `spec.bmc` is held to, as `sha256:` and 64 digits: the one it showed
    /// first, unless an authority vouches for it. Remove it to trust the next one. With `spec.bmcRef`
    /// the BMC has it.
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
    /// Life of a machine.
    ServerState {
        /// Not yet known.
        Initial = "Initial",
        /// The discovery image runs, or is about to.
        Discovery = "Discovery",
        /// Off, and free to be claimed.
        Available = "Available",
        /// Held by a claim.
        Reserved = "Reserved",
        /// Given back, and waiting for a person.
        Released = "Released",
        /// Something is wrong that needs a person.
        Error = "Error",
        /// Out of the life of claims, by wish of a person.
        Parked = "Parked",
        /// Held by a maintenance.
        Maintenance = "Maintenance",
    }
}

/// An operation, recorded before it is carried out so that a restart can pick it up.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct Pending {
    /// What was decided.
    pub kind: PendingKind,
    /// When it was decided.
    pub since: Time,
}

open_enum! {
    /// Kinds of [`Pending`] operation.
    PendingKind {
        /// The host is to be off.
        PowerOff = "PowerOff",
        /// The host is to be on, and boots from the network once.
        NetworkBoot = "NetworkBoot",
    }
}

/// The time in which a machine may fetch scripts, images and the ignition of one boot: from before
/// it is switched on until it has reported, or that time is over.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BootWindow {
    /// What it boots.
    pub boot_configuration_ref: ObjectReference,
    /// UID of that, if it was there when the window was opened.
    #[serde(rename = "bootConfigurationUID", skip_serializing_if = "Option::is_none")]
    pub boot_configuration_uid: Option<String>,
    /// When it was opened.
    pub opened: Time,
    /// From then on it is closed.
    pub closes: Time,
}

/// A claim that was seen to hold a server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundClaim {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub name: String,
    /// UID of the claim: one that is made again is another one.
    pub uid: String,
}

/// A medium of ours in a virtual drive of a BMC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Medium {
    /// UID of the boot configuration that it boots.
    #[serde(rename = "bootConfigurationUID")]
    pub boot_configuration_uid: String,
}

/// How the discovery of a machine goes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// How often it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// How many attempts in a row did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i32>,
    /// The boot whose report was taken: UID of the server and number of the attempt.
    #[serde(rename = "bootConfigurationUID", skip_serializing_if = "Option::is_none")]
    pub boot_configuration_uid: Option<String>,
    /// Why the last attempt did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A processor, as Redfish describes it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Processor {
    /// Redfish `Id`.
    pub id: String,
    /// Kind of processor, for example `CPU` or `GPU`.
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
    /// Highest clock.
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
    /// Kind of drive.
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

/// A network interface, as the agent saw it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterface {
    /// Name that the kernel gave.
    pub name: String,
    /// MAC address.
    pub mac_address: String,
    /// One IP address; `ips` has them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    /// `up` or `down`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_status: Option<String>,
    /// Neighbors that LLDP found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbors: Vec<LldpNeighbor>,
}

/// A neighbor that LLDP (IEEE 802.1AB) found.
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
