//! Custom resources of the metal stack.
//!
//! This crate holds what every other crate may refer to: the types, the schema rules that the API
//! server enforces, and the well-known strings. It has no client and no async code, so decision
//! code can depend on it and stay pure.
//!
//! Strings that the schema leaves open are open here as well: enumerations can hold values of other
//! versions, and addresses are parsed where they are used. So an object that another version wrote
//! is neither lost nor rewritten.

#![allow(clippy::duplicated_attributes, reason = "false positive on repeated `printcolumn`")]

pub mod annotation;
mod bios_settings;
mod bios_settings_set;
mod bios_version;
mod bios_version_set;
mod bmc;
mod bmc_secret;
mod bmc_settings;
mod bmc_settings_set;
mod bmc_user;
mod bmc_version;
mod bmc_version_set;
mod boot_token;
mod bounds;
pub mod condition;
mod definitions;
mod dhcp_lease;
mod endpoint;
pub mod finalizer;
mod http_boot_config;
pub mod installation;
pub mod inventory;
mod ipxe_boot_config;
mod mac;
mod machine;
mod machine_attestation;
mod machine_disk;
mod machine_operation;
mod power;
mod protocol;
mod quantity;
mod refs;
mod rented_host;
mod schema;
mod server;
mod server_boot_configuration;
mod server_claim;
mod server_inventory;
mod server_maintenance;
mod server_readiness_rule;
mod server_status;
mod shared_list;
mod system_uuid;
mod taint;
mod text;
mod update;
mod variable;

pub use annotation::{Operation, UnknownOperation};
pub use bios_settings::{
    BiosSettings, BiosSettingsSpec, BiosSettingsStatus, BiosSettingsTemplate, SettingsFlow,
    SettingsFlowStatus,
};
pub use bios_settings_set::{BiosSettingsSet, BiosSettingsSetSpec, BiosSettingsSetStatus};
pub use bios_version::{BiosVersion, BiosVersionSpec, BiosVersionStatus, VersionTemplate};
pub use bios_version_set::{BiosVersionSet, BiosVersionSetSpec, BiosVersionSetStatus};
pub use bmc::{Bmc, BmcSpec, BmcState, BmcStatus, InlineAccess, RefusedCredentials};
pub use bmc_secret::{BmcSecret, BmcSecretSpec};
pub use bmc_settings::{
    BmcSettings, BmcSettingsSpec, BmcSettingsStatus, BmcSettingsTemplate, ServerMaintenanceRefItem,
};
pub use bmc_settings_set::{BmcSettingsSet, BmcSettingsSetSpec, BmcSettingsSetStatus};
pub use bmc_user::{BmcUser, BmcUserSpec, BmcUserStatus};
pub use bmc_version::{BmcVersion, BmcVersionSpec, BmcVersionStatus};
pub use bmc_version_set::{BmcVersionSet, BmcVersionSetSpec, BmcVersionSetStatus};
pub use boot_token::{
    BootBinding, BootInstaller, BootInstallerKind, BootProgress, BootPullSecret, BootRegistration,
    BootStep, BootToken, BootTokenPhase, BootTokenSpec, BootTokenStatus, HostHardware,
};
pub use definitions::all_crds;
#[cfg(feature = "crdgen")]
pub use definitions::manifests;
pub use dhcp_lease::{DhcpLease, DhcpLeaseSpec, DhcpLeaseState};
pub use endpoint::{Endpoint, EndpointSpec, EndpointStatus};
pub use http_boot_config::{HttpBootConfig, HttpBootConfigSpec, HttpBootConfigStatus};
pub use ipxe_boot_config::{IpxeBootConfig, IpxeBootConfigSpec, IpxeBootConfigStatus};
pub use mac::{MacAddr, ParseMacError};
pub use machine::{
    Machine, MachineAgent, MachineAgentStatus, MachineBastion, MachineCloudInit,
    MachineConfigMapReference, MachineDownload, MachineDownloads, MachineKeyReference,
    MachineKubernetes, MachineLease, MachineOperations, MachinePhase, MachinePxe, MachineRedfish,
    MachineRedfishStatus, MachineSecretReference, MachineSpec, MachineSsh, MachineSshStatus,
    MachineStatus,
};
pub use machine_attestation::{MachineAttestation, MachineMeasured, MachinePcr, MachineTpmStatus};
pub use machine_disk::{MachineInstalledDisk, MachineTargetDisk};
pub use machine_operation::{
    MachineGivenUp, MachineInstallProgress, MachineOperation, MachineOperationStep,
    MachineOperationsStatus, MachineRequested, MachineSystemStatus,
};
pub use power::{IndicatorLed, Power, PowerState};
pub use protocol::{ConsoleProtocol, ConsoleProtocolName, Protocol, ProtocolName, ProtocolScheme};
pub use refs::{LocalObjectReference, ObjectReference};
pub use rented_host::{
    Host, HostRelease, HostReleaseSpec, HostSpec, HostStatus, SealedConfiguration, Sealing,
};
pub use server::{BmcAccess, BootOrder, ClaimReference, ReclaimPolicy, Server, ServerSpec};
pub use server_boot_configuration::{
    BootState, ServerBootConfiguration, ServerBootConfigurationSpec, ServerBootConfigurationStatus,
};
pub use server_claim::{ClaimPhase, ServerClaim, ServerClaimSpec, ServerClaimStatus};
pub use server_inventory::{ServerInventory, ServerInventorySpec, ServerInventoryStatus};
pub use server_maintenance::{
    MaintenanceState, ServerBootConfigurationTemplate, ServerMaintenance, ServerMaintenanceSpec,
    ServerMaintenanceStatus,
};
pub use server_readiness_rule::{
    EnforcementMode, RequiredCondition, RequiredStatus, ServerReadinessRule,
    ServerReadinessRuleSpec, ServerReadinessRuleStatus,
};
pub use server_status::{
    BootWindow, BoundClaim, Discovery, LldpNeighbor, Medium, NetworkInterface, Pending,
    PendingKind, Processor, ServerState, ServerStatus, Storage, StorageDrive, StorageVolume,
};
pub use shared_list::SharedList;
pub use system_uuid::{ParseSystemUuidError, SystemUuid};
pub use taint::{Taint, TaintEffect, Toleration, TolerationOperator};
pub use update::{
    ImageSecretReference, ImageSpec, MaintenancePolicy, RetryPolicy, SettingsState, UpdatePolicy,
    UpgradeTask, VersionState,
};
pub use variable::{FieldReference, KeyReference, ObjectFieldReference, Variable, VariableSource};

/// API group of servers and BMCs.
pub const METAL_GROUP: &str = "metal.ironcore.dev";
/// The version of every group except that of machines, which is `v1alpha3`.
pub const VERSION: &str = "v1alpha1";
