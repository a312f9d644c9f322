//! The section `dhcp6` as it is written.

use metal_core::located::{Located, Text};
use schemars::JsonSchema;
use serde::Deserialize;

/// DHCPv6.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in super::super) struct Dhcp6 {
    /// Links whose clients are answered. Relays may send there, too.
    #[serde(default)]
    pub(in super::super) interfaces: Vec<Text>,
    /// Addresses that relays send from which speak for any subnet.
    #[serde(default)]
    pub(in super::super) relays: Vec<Text>,
    /// Our addresses at which relays are answered, such as `fd00::2` or `[fd00::2]:547`.
    #[serde(default)]
    pub(in super::super) listen: Vec<Text>,
    /// What we call ourselves, in hexadecimal; made of a MAC address, if left out.
    pub(in super::super) duid: Option<Text>,
    /// Give addresses by two messages to who asks for that.
    #[serde(default)]
    pub(in super::super) rapid_commit: bool,
    /// The IPv6 subnets; they may not overlap.
    pub(in super::super) subnets: Vec<Subnet>,
    /// What machines boot that are no Server.
    #[serde(default)]
    pub(in super::super) boot: Boot,
}

/// An IPv6 subnet, and what its clients are told.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Subnet6")]
pub(in super::super) struct Subnet {
    /// The subnet, such as `fd77::/64`; /8 to /126.
    #[serde(rename = "subnet")]
    pub(in super::super) net: Text,
    /// `stateful`, or `stateless`: everything but addresses.
    #[schemars(extend("enum" = ["stateful", "stateless"], "default" = "stateful"))]
    pub(in super::super) mode: Option<Text>,
    /// Its link; left out: that where we have an address of the subnet.
    pub(in super::super) interface: Option<Text>,
    /// BMCs are here, and are recorded. Where no subnet says so and there is but one, they are there.
    #[schemars(extend("type" = "boolean"))]
    pub(in super::super) bmc: Option<Located<bool>>,
    /// Relays outside of the subnet that speak for it, by link address or by the address that they send
    /// from; those inside do anyway.
    #[serde(default)]
    pub(in super::super) relays: Vec<Text>,
    /// Addresses that anybody may get, such as `fd77::1000-fd77::1fff`.
    #[serde(default)]
    pub(in super::super) ranges: Vec<Text>,
    /// DNS servers.
    #[serde(default)]
    pub(in super::super) dns: Vec<Text>,
    /// NTP servers.
    #[serde(default)]
    pub(in super::super) ntp: Vec<Text>,
    /// Domains to search.
    #[serde(default)]
    pub(in super::super) search: Vec<Text>,
    /// How long a lease lasts: seconds, or like `12h`; `1m` to `8784h`.
    #[schemars(extend("type" = ["string", "integer"], "default" = "1h"))]
    pub(in super::super) lease_time: Option<Text>,
    /// Addresses that one client alone gets.
    #[serde(default)]
    pub(in super::super) reservations: Vec<Reservation>,
}

/// An IPv6 address that only one client gets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Reservation6")]
pub(in super::super) struct Reservation {
    /// MAC address of the client.
    pub(in super::super) mac: Text,
    /// The address; it is in the subnet.
    #[schemars(extend("format" = "ipv6"))]
    pub(in super::super) ip: Text,
}

/// URLs of boot files. Who finds nothing here gets an address and no boot file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Boot6")]
pub(in super::super) struct Boot {
    /// For PXE of x86-64 UEFI.
    pub(in super::super) uefi: Option<Text>,
    /// For PXE of 64-bit ARM UEFI.
    pub(in super::super) arm64: Option<Text>,
    /// For x86-64 UEFI HTTP boot.
    pub(in super::super) http: Option<Text>,
    /// For 64-bit ARM UEFI HTTP boot.
    pub(in super::super) http_arm64: Option<Text>,
    /// The script for clients that are iPXE; it fills in settings such as `${uuid}`.
    pub(in super::super) ipxe: Option<Text>,
    /// Parameters of the boot file.
    #[serde(default)]
    pub(in super::super) parameters: Vec<Text>,
}
