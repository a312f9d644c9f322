//! What an installer and the server that it installs from say to each other: metalman, or hosts.
//!
//! | request, below the URL of the installation | |
//! |---|---|
//! | `GET install.json` ([`ORDER`]) | what is to be installed where: [`InstallOrder`] |
//! | `POST install/progress` ([`PROGRESS`]) | how far it is: [`InstallProgress`]. Nobody has to listen |
//! | `POST pxe/disable` ([`DONE`]) | it is done: [`InstallDone`]; repeated until it is heard |
//!
//! The answer 403 ends the installation: it is not the one that is due.

use crate::MachineTargetDisk;
use serde::{Deserialize, Serialize};

/// Path of the order.
pub const ORDER: &str = "install.json";
/// Path that progress is posted to.
pub const PROGRESS: &str = "install/progress";
/// Path at which the installer says that it is done.
pub const DONE: &str = "pxe/disable";

/// What is to be installed, and where. Whoever reads it trusts nothing in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InstallOrder {
    /// Name of the machine.
    pub machine: String,
    /// Hardware addresses of the machine: whoever has none of them is another one. Without it nobody knows
    /// what addresses it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Vec<String>>,
    /// The disk image.
    pub disk: InstallDisk,
    /// Which disk it is written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_disk: Option<InstallHints>,
    /// URL at which cloud-init finds its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_init: Option<String>,
    /// Path of what the installed system registers with: it becomes `/etc/bloomery/host.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path of what metal-agent is told: it becomes `/etc/bloomery/agent.json`, and the agent is enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Name of the installation: the file of this name in `/etc/bloomery/installed` says on the disk which one it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
    /// Name of the boot entry.
    pub label: String,
}

/// Where a disk image is, below the URL of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallDisk {
    /// Path of the image.
    pub url: String,
    /// Path of its checksum, as `sha256sum` writes it.
    pub checksums: String,
}

/// What the disk has to be; all of it has to hold. An empty text and 0 say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InstallHints {
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// World Wide Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Least size in GiB.
    #[serde(default, rename = "minSizeGiB", skip_serializing_if = "Option::is_none")]
    pub min_size_gib: Option<u64>,
    /// Greatest size in GiB.
    #[serde(default, rename = "maxSizeGiB", skip_serializing_if = "Option::is_none")]
    pub max_size_gib: Option<u64>,
    /// Whether it has platters that turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
}

impl InstallHints {
    /// Whether one disk is meant, by a name of its own.
    pub fn name_a_disk(&self) -> bool {
        self.serial.is_some() || self.wwn.is_some()
    }
}

impl From<MachineTargetDisk> for InstallHints {
    fn from(disk: MachineTargetDisk) -> Self {
        let size = |gib: Option<i64>| gib.and_then(|gib| u64::try_from(gib).ok());
        Self {
            serial: disk.serial,
            wwn: disk.wwn,
            min_size_gib: size(disk.min_size_gib),
            max_size_gib: size(disk.max_size_gib),
            rotational: disk.rotational,
        }
    }
}

/// What an installer posts. Anything else in it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallProgress {
    /// What it does.
    pub phase: InstallPhase,
    /// Bytes of the disk image that have come, as they are transferred.
    #[serde(default)]
    pub written: u64,
    /// Bytes of the whole, if that is known.
    #[serde(default)]
    pub total: Option<u64>,
    /// Why it has failed, or anything else that a person should know.
    #[serde(default)]
    pub message: String,
}

/// What an installer posts when it is done. Others post nothing, or what means nothing here, and nobody refuses that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstallDone {
    /// The disk that it has installed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<InstalledDisk>,
}

/// A disk, as the kernel of an installer shows it; what is not known is empty, or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InstalledDisk {
    /// Serial number.
    pub serial: String,
    /// World Wide Name.
    pub wwn: String,
    /// Model.
    pub model: String,
    /// Bytes.
    pub size_bytes: u64,
}

/// What an installer does.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum InstallPhase {
    /// It was seen to fetch what installs, and has said nothing. Nobody posts this.
    #[serde(skip)]
    Started,
    /// It fetches what it needs to begin.
    Downloading,
    /// It writes the disk image.
    Writing,
    /// It reads back what it has written.
    Verifying,
    /// It prepares what was written for this machine.
    Configuring,
    /// It is done, and has yet to say so in the way that counts.
    Done,
    /// It cannot go on.
    Failed,
}
