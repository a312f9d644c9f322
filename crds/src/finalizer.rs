//! Finalizers, as they appear in `metadata.finalizers`.

/// On an Endpoint.
pub const ENDPOINT: &str = "metal.ironcore.dev/endpoint";
/// On a BMC. Left behind by older versions; only ever removed.
pub const BMC: &str = "metal.ironcore.dev/bmc";
/// On a BMCUser.
pub const BMC_USER: &str = "metal.ironcore.dev/bmcuser";
/// On a Server.
pub const SERVER: &str = "metal.ironcore.dev/server";
/// On a ServerClaim.
pub const SERVER_CLAIM: &str = "metal.ironcore.dev/serverclaim";
/// On a ServerMaintenance.
pub const SERVER_MAINTENANCE: &str = "metal.ironcore.dev/servermaintenance";
/// On a ServerReadinessRule.
pub const SERVER_READINESS_RULE: &str = "readiness.metal.ironcore.dev/cleanup-taints";
/// On a BIOSSettings.
pub const BIOS_SETTINGS: &str = "metal.ironcore.dev/biossettings";
/// On a BIOSSettingsSet.
pub const BIOS_SETTINGS_SET: &str = "metal.ironcore.dev/biossettingsset";
/// On a BIOSVersion.
pub const BIOS_VERSION: &str = "metal.ironcore.dev/biosversion";
/// On a BIOSVersionSet.
pub const BIOS_VERSION_SET: &str = "metal.ironcore.dev/biosversionset";
/// On a BMCSettings.
pub const BMC_SETTINGS: &str = "metal.ironcore.dev/bmcsettings";
/// On a BMCSettingsSet.
pub const BMC_SETTINGS_SET: &str = "metal.ironcore.dev/bmcsettingsset";
/// On a BMCVersion.
pub const BMC_VERSION: &str = "metal.ironcore.dev/bmcversion";
/// On a BMCVersionSet.
pub const BMC_VERSION_SET: &str = "metal.ironcore.dev/bmcversionset";
