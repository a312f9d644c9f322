//! The report, in the form in which the agent posts it and the registry stores it.
//!
//! Every field is optional, and fields that this version does not know are kept in `extra`, so that
//! nothing an agent found is lost. A list may be `null`.

mod hardware;
mod network;
mod wire;

pub use hardware::{
    BiosInformation, BlockDevice, BoardInformation, Cpu, MemoryDevice, NumaNode, PciDevice,
    SystemInfo, SystemInformation,
};
pub use network::{Lldp, Neighbor, NetworkInterface, Nic};

use serde::{Deserialize, Serialize};
use wire::wire;

/// Body of `POST /register`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Registration {
    /// SMBIOS system UUID, as passed to the agent.
    #[serde(rename = "systemUUID")]
    pub system_uuid: String,
    /// What the agent found.
    pub data: Report,
}

/// Body of `POST /bootstate`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BootStateReport {
    /// SMBIOS system UUID, as passed to the agent.
    #[serde(rename = "systemUUID")]
    pub system_uuid: String,
    /// Whether the host is up.
    pub booted: bool,
}

wire! {
    /// What the agent found on a host.
    Report {
        /// When the report was made (RFC 3339).
        timestamp: String = "timestamp",
        /// Firmware, system and board.
        system_info: SystemInfo = "systemInfo",
        /// Processor packages.
        cpu: Vec<Cpu> = "cpu",
        /// Kernel network interfaces.
        network_interfaces: Vec<NetworkInterface> = "networkInterfaces",
        /// LLDP neighbors by interface.
        lldp: Vec<Lldp> = "lldp",
        /// Block devices.
        storage: Vec<BlockDevice> = "storage",
        /// Memory modules.
        memory: Vec<MemoryDevice> = "memory",
        /// Network adapters.
        nics: Vec<Nic> = "nics",
        /// PCI functions.
        pci_devices: Vec<PciDevice> = "pciDevices",
        /// Extension: memory size that the kernel uses.
        memory_total_bytes: Option<u64> = "memoryTotalBytes",
        /// Extension: NUMA nodes.
        numa_nodes: Vec<NumaNode> = "numaNodes",
        /// Extension: how the machine booted, `uefi` or `bios`.
        firmware_mode: String = "firmwareMode",
        /// Extension: whether Secure Boot is on.
        secure_boot: Option<bool> = "secureBoot",
        /// Extension: TPM version, for example `2.0`.
        tpm_version: String = "tpmVersion",
        /// Extension: architecture, as the kernel names it.
        architecture: String = "architecture",
        /// Extension: kernel release.
        kernel: String = "kernel",
        /// Extension: name and version of the agent.
        agent: String = "agent",
        /// Extension: collectors that failed.
        failures: Vec<Failure> = "failures",
    }
}

wire! {
    /// A collector that failed.
    Failure {
        /// Name of the collector.
        collector: String = "collector",
        /// Reason.
        message: String = "message",
    }
}
