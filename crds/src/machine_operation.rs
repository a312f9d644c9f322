//! Reboots and installations of a `Machine`: what was requested, what is in progress, what was done.

use crate::{MachineInstalledDisk, SystemUuid, text::open_enum};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operations that were carried out, and the one in progress.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineOperationsStatus {
    /// Number of reboots carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_counter: Option<i64>,
    /// Number of reinstallations carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repave_counter: Option<i64>,
    /// Extension: the operation in progress, or the last one if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<MachineOperation>,
    /// Extension: what was given up; it is tried again once a counter is above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up: Option<MachineGivenUp>,
    /// Extension: UID of the Machine that this is about; in another one it comes from a backup.
    #[serde(rename = "machineUID", skip_serializing_if = "Option::is_none")]
    pub machine_uid: Option<String>,
    /// Extension: since when requests have been counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<Time>,
    /// Extension: the counters of `spec.operations` that were seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<MachineRequested>,
    /// Extension: how far the installer of a machine without a BMC has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<MachineInstallProgress>,
    /// Extension: the disk that was installed to last, as its installer has told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_disk: Option<MachineInstalledDisk>,
}

/// Counters of what was requested.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineRequested {
    /// Reboots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_counter: Option<i64>,
    /// Installations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repave_counter: Option<i64>,
}

/// Counters of what was given up.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineGivenUp {
    /// Reboots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_counter: Option<i64>,
    /// Installations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repave_counter: Option<i64>,
}

/// An operation, recorded before each of its steps so that a restart can pick it up.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineOperation {
    /// `spec.operations.rebootCounter` that it satisfies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_counter: Option<i64>,
    /// `spec.operations.repaveCounter` that it satisfies; absent where nothing is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repave_counter: Option<i64>,
    /// How far it is.
    pub step: MachineOperationStep,
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// When the step was recorded.
    pub since: Time,
    /// How far the installer of this attempt has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<MachineInstallProgress>,
    /// Whether the boot source of the BMC is ours to set, and to take away in the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub boot_override: bool,
    /// Why it has failed, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The furthest that an installer has come in one attempt.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MachineInstallProgress {
    /// What it did.
    pub phase: String,
    /// Bytes of the disk image that had come.
    pub written: i64,
    /// When it got there; what it reports again does not change this.
    pub at: Time,
    /// Since when it has written to the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writing_since: Option<Time>,
    /// UID of the Node of its name when it was first seen to write; empty if there was none.
    #[serde(rename = "nodeUID", skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
}

/// A system that was read by Redfish.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineSystemStatus {
    /// `spec.pxe.redfish.url` by which it was read.
    pub url: String,
    /// `spec.pxe.redfish.deviceID` by which it was read.
    #[serde(rename = "deviceID", skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Its UUID (SMBIOS 3.7, section 7.2.1).
    pub uuid: String,
}

impl MachineSystemStatus {
    /// The UUID, if it was read at this URL by this ID.
    pub fn uuid_at(&self, url: &str, device_id: Option<&str>) -> Option<SystemUuid> {
        let is_there = self.url == url && self.device_id.as_deref() == device_id;
        self.uuid.parse().ok().filter(|_| is_there)
    }
}

open_enum! {
    /// How far an operation is.
    MachineOperationStep {
        /// Its Node takes no new pods, and those that are there move away.
        Draining = "Draining",
        /// Its host is to be off.
        PoweringOff = "PoweringOff",
        /// Its host is to be on.
        PoweringOn = "PoweringOn",
        /// Its operating system is being installed.
        Installing = "Installing",
        /// It is installed; what was set for that is taken away.
        Finishing = "Finishing",
        /// It was tried often enough.
        Failed = "Failed",
    }
}
