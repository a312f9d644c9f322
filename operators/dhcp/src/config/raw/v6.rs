//! The section `dhcp6` as it is written in the file.

use metal_text::{
    located::{Located, Text},
    yaml::or_default,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The DHCPv6 server.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Dhcp6 {
    /// Interfaces whose links are served. Relays may send there, too.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) interfaces: Vec<Text>,
    /// Source addresses of relays that may act for any subnet.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) relays: Vec<Text>,
    /// Local addresses at which relays are answered, such as `fd00::2` or `[fd00::2]:547`.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) listen: Vec<Text>,
    /// DUID of the server, in hexadecimal; by default made from a MAC address.
    pub(crate) duid: Option<Text>,
    /// Give clients that ask for it an address with two messages instead of four.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) rapid_commit: bool,
    /// The IPv6 subnets; they may not overlap.
    pub(crate) subnets: Vec<Subnet>,
    /// What machines boot that are not Servers.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) boot: Boot,
}

/// An IPv6 subnet, and the settings of its clients.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Subnet6")]
pub(crate) struct Subnet {
    /// The subnet, such as `fd77::/64`; /8 to /126.
    #[serde(rename = "subnet")]
    pub(crate) net: Text,
    /// `stateful`, or `stateless` for everything except addresses.
    #[schemars(extend("enum" = ["stateful", "stateless"], "default" = "stateful"))]
    pub(crate) mode: Option<Text>,
    /// The interface of its link; by default the one with an address in the subnet.
    pub(crate) interface: Option<Text>,
    /// Whether the subnet has BMCs, which are then recorded. If no subnet has this field and there
    /// is only one, it has BMCs.
    #[schemars(extend("type" = "boolean"))]
    pub(crate) bmc: Option<Located<bool>>,
    /// Relays outside of the subnet that act for it, by link address or by source address; those
    /// inside always do.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) relays: Vec<Text>,
    /// Addresses for any client, such as `fd77::1000-fd77::1fff`.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) ranges: Vec<Text>,
    /// DNS servers.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) dns: Vec<Text>,
    /// NTP servers.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) ntp: Vec<Text>,
    /// DNS search domains.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) search: Vec<Text>,
    /// How long a lease lasts, in seconds or as in `12h`; `1m` to `8784h`. After half of it, but no sooner than in ten
    /// minutes, clients without one ask for information again.
    #[schemars(extend("type" = ["string", "integer"], "default" = "1h"))]
    pub(crate) lease_time: Option<Text>,
    /// Addresses for one client each.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) reservations: Vec<Reservation>,
}

/// An IPv6 address for one client only.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Reservation6")]
pub(crate) struct Reservation {
    /// MAC address of the client.
    pub(crate) mac: Text,
    /// The address, within the subnet.
    #[schemars(extend("format" = "ipv6"))]
    pub(crate) ip: Text,
}

/// URLs of boot files. A client without an entry here gets an address and no boot file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Boot6")]
pub(crate) struct Boot {
    /// For PXE with x86-64 UEFI.
    pub(crate) uefi: Option<Text>,
    /// For PXE with 64-bit ARM UEFI.
    pub(crate) arm64: Option<Text>,
    /// For x86-64 UEFI HTTP boot.
    pub(crate) http: Option<Text>,
    /// For 64-bit ARM UEFI HTTP boot.
    pub(crate) http_arm64: Option<Text>,
    /// iPXE for x86-64 UEFI HTTP boot, loaded by machines that have a boot URL.
    pub(crate) uefi_http: Option<Text>,
    /// iPXE for 64-bit ARM UEFI HTTP boot, loaded by machines that have a boot URL.
    pub(crate) arm64_http: Option<Text>,
    /// The script for iPXE, which expands settings such as `${uuid}` in it.
    pub(crate) ipxe: Option<Text>,
    /// Parameters for the boot file.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) parameters: Vec<Text>,
}
