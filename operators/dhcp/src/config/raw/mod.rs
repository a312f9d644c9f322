//! The configuration as it is written in the file. The comments on the fields are published in
//! `docs/netboot-fields.md` and in the schema.

pub(super) mod v6;

pub(super) use metal_text::located::{Located, Text};

use metal_text::yaml::{or_default, or_yes};
use schemars::JsonSchema;
use serde::Deserialize;

/// Configuration of netboot.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["subnets"] }, { "required": ["dhcp6"] }]))]
pub(super) struct Config {
    /// Interfaces whose links are served. Relays may send there, too.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) interfaces: Vec<Text>,
    /// Source addresses of relays that may act for any subnet.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) relays: Vec<Text>,
    /// Local IPv4 addresses at which relays are answered, optionally followed by `:port`.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) listen: Vec<Text>,
    /// No other server assigns addresses of these subnets: clients that ask for a wrong address are
    /// told so.
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub(super) authoritative: bool,
    /// An address is pinged before it is offered to a new client.
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub(super) conflict_probe: bool,
    /// The IPv4 subnets; they may not overlap. Required, unless only `dhcp6` is used.
    pub(super) subnets: Option<Vec<Subnet>>,
    /// What machines boot that are not Servers.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) boot: Boot,
    /// Serve the files of `bios`, `uefi` and `arm64` by TFTP.
    pub(super) tftp: Option<Tftp>,
    /// What switches load first; the longest matching prefix counts.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ztp: Vec<Ztp>,
    /// MAC address prefixes; if there are any, clients with other addresses are not answered.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) allow: Vec<Text>,
    /// MAC address prefixes of clients that are never answered.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) deny: Vec<Text>,
    /// How BMCs are recorded.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) endpoints: Endpoints,
    /// Two servers for one network; without this section there is one.
    pub(super) instances: Option<Instances>,
    /// The DHCPv6 server; without this section there is none.
    pub(super) dhcp6: Option<v6::Dhcp6>,
}

fn yes() -> bool {
    true
}

/// A subnet, and the settings of its clients.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Subnet")]
pub(super) struct Subnet {
    /// The subnet, such as `10.77.0.0/24`; /8 to /30.
    #[serde(rename = "subnet")]
    pub(super) net: Text,
    /// `leases`, or `proxy` for boot files only, next to another DHCP server.
    #[schemars(extend("enum" = ["leases", "proxy"], "default" = "leases"))]
    pub(super) mode: Option<Text>,
    /// Whether the subnet has BMCs, which are then recorded. If no subnet has this field and there
    /// is only one, it has BMCs.
    #[schemars(extend("type" = "boolean"))]
    pub(super) bmc: Option<Located<bool>>,
    /// Relays outside of the subnet that act for it, by `giaddr` or by source address; those inside
    /// always do.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) relays: Vec<Text>,
    /// Addresses for any client, such as `10.77.0.100-10.77.0.200`.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ranges: Vec<Text>,
    /// Default route.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) router: Option<Text>,
    /// DNS servers.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) dns: Vec<Text>,
    /// NTP servers.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ntp: Vec<Text>,
    /// Domain name.
    pub(super) domain: Option<Text>,
    /// MTU of the link.
    #[schemars(extend("minimum" = 68, "maximum" = 65_535))]
    pub(super) mtu: Option<Located<i64>>,
    /// Routes in addition to that of `router`, for clients that ask for option 121.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) routes: Vec<Route>,
    /// How long a lease lasts, in seconds or as in `12h`; `1m` to `8784h`.
    #[schemars(extend("type" = ["string", "integer"], "default" = "1h"))]
    pub(super) lease_time: Option<Text>,
    /// Addresses for one client each.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) reservations: Vec<Reservation>,
}

/// An address for one client only.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reservation {
    /// MAC address of the client.
    pub(super) mac: Text,
    /// The address, within the subnet.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) ip: Text,
    /// The host name sent to the client.
    pub(super) hostname: Option<Text>,
}

/// A route in addition to the default route.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Route {
    /// The destination, such as `10.80.0.0/16`.
    pub(super) to: Text,
    /// The next hop.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) via: Text,
}

/// What a switch loads to configure itself.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Ztp {
    /// Its MAC address, or a prefix of it.
    pub(super) mac: Text,
    /// URL of a script or a list of steps (SONiC), or of an installer (ONIE): DHCP options 67 and
    /// 239, DHCPv6 options 59 and 239.
    pub(super) url: Text,
}

/// Boot files. A client without an entry here gets an address and no boot file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Boot")]
pub(super) struct Boot {
    /// TFTP server for the next three; may be omitted if `tftp` is set.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) next_server: Option<Text>,
    /// File for PXE with a BIOS, or `tftp://address/path`.
    pub(super) bios: Option<Text>,
    /// File for PXE with x86-64 UEFI, or `tftp://address/path`.
    pub(super) uefi: Option<Text>,
    /// File for PXE with 64-bit ARM UEFI, or `tftp://address/path`.
    pub(super) arm64: Option<Text>,
    /// URL for x86-64 UEFI HTTP boot.
    pub(super) http: Option<Text>,
    /// URL for 64-bit ARM UEFI HTTP boot.
    pub(super) http_arm64: Option<Text>,
    /// URL of iPXE for x86-64 UEFI HTTP boot, loaded by machines that have a boot URL.
    pub(super) uefi_http: Option<Text>,
    /// URL of iPXE for 64-bit ARM UEFI HTTP boot, loaded by machines that have a boot URL.
    pub(super) arm64_http: Option<Text>,
    /// URL of the script for iPXE, which expands settings such as `${uuid}` in it.
    pub(super) ipxe: Option<Text>,
}

/// The built-in TFTP server.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tftp {
    /// Absolute path of the folder with the files.
    pub(super) root: Text,
    /// Local addresses to listen on, optionally followed by `:port`; by default all IPv4 addresses.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) listen: Vec<Text>,
}

/// Two servers for one network. Each gives new clients addresses from its own half of every range.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instances {
    /// `standby`: one answers, and the other takes over when it fails. `split`: both answer, each
    /// its own clients.
    #[schemars(extend("enum" = ["standby", "split"]))]
    pub(super) mode: Text,
    /// The half of this server: 1 for one of them, and 2 for the other.
    #[schemars(range(min = 1, max = 2))]
    pub(super) part: Located<i64>,
}

/// How BMCs are recorded.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Endpoints {
    /// `endpoint`, or `bmc` for BMC objects that contain the address themselves, without Endpoints.
    #[schemars(extend("enum" = ["endpoint", "bmc"], "default" = "endpoint"))]
    pub(super) mode: Option<Text>,
    /// How many new BMCs are recorded in one subnet per minute, and in a burst; 1 to 60000.
    #[schemars(range(min = 1, max = 60_000), extend("type" = "integer", "default" = 120))]
    pub(super) new_per_minute: Option<Located<i64>>,
    /// How many recorded BMCs may not have answered yet before new ones have to wait; 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000), extend("type" = "integer", "default" = 256))]
    pub(super) max_unanswered: Option<Located<i64>>,
    /// Prefix of the names of new Endpoints or BMCs, followed by the MAC address.
    #[schemars(extend("default" = "compute-"))]
    pub(super) name_prefix: Option<Text>,
}
