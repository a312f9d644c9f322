//! The configuration as it is written. The comments are what people read of the fields in
//! `docs/netboot-fields.md` and in the schema.

pub(super) mod v6;

pub(super) use metal_core::located::{Located, Text};

use schemars::JsonSchema;
use serde::Deserialize;

/// Configuration of netboot.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["subnets"] }, { "required": ["dhcp6"] }]))]
pub(super) struct Config {
    /// Links whose clients are answered. Relays may send there, too.
    #[serde(default)]
    pub(super) interfaces: Vec<Text>,
    /// Addresses that relays send from which speak for any subnet.
    #[serde(default)]
    pub(super) relays: Vec<Text>,
    /// Our IPv4 addresses at which relays are answered; `:port` may follow.
    #[serde(default)]
    pub(super) listen: Vec<Text>,
    /// No other server gives out addresses of these subnets: who asks for a wrong one is told so.
    #[serde(default = "yes")]
    pub(super) authoritative: bool,
    /// An address is pinged before a new client is offered it.
    #[serde(default = "yes")]
    pub(super) conflict_probe: bool,
    /// The IPv4 subnets; they may not overlap. Needed, unless there is `dhcp6` alone.
    pub(super) subnets: Option<Vec<Subnet>>,
    /// What machines boot that are no Server.
    #[serde(default)]
    pub(super) boot: Boot,
    /// Serve the files of `bios`, `uefi` and `arm64` by TFTP.
    pub(super) tftp: Option<Tftp>,
    /// What switches load first; the longest prefix counts.
    #[serde(default)]
    pub(super) ztp: Vec<Ztp>,
    /// Prefixes of MAC addresses; if there is any, nobody else is answered.
    #[serde(default)]
    pub(super) allow: Vec<Text>,
    /// Prefixes of MAC addresses that are never answered.
    #[serde(default)]
    pub(super) deny: Vec<Text>,
    /// How BMCs are recorded.
    #[serde(default)]
    pub(super) endpoints: Endpoints,
    /// Two servers for one network; without the section there is one.
    pub(super) instances: Option<Instances>,
    /// DHCPv6; without the section there is none.
    pub(super) dhcp6: Option<v6::Dhcp6>,
}

fn yes() -> bool {
    true
}

/// A subnet, and what its clients are told.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Subnet")]
pub(super) struct Subnet {
    /// The subnet, such as `10.77.0.0/24`; /8 to /30.
    #[serde(rename = "subnet")]
    pub(super) net: Text,
    /// `leases`, or `proxy`: boot files only, beside another DHCP server.
    #[schemars(extend("enum" = ["leases", "proxy"], "default" = "leases"))]
    pub(super) mode: Option<Text>,
    /// BMCs are here, and are recorded. Where no subnet says so and there is but one, they are there.
    #[schemars(extend("type" = "boolean"))]
    pub(super) bmc: Option<Located<bool>>,
    /// Relays outside of the subnet that speak for it, by `giaddr` or by the address that they send from;
    /// those inside do anyway.
    #[serde(default)]
    pub(super) relays: Vec<Text>,
    /// Addresses that anybody may get, such as `10.77.0.100-10.77.0.200`.
    #[serde(default)]
    pub(super) ranges: Vec<Text>,
    /// Default route.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) router: Option<Text>,
    /// DNS servers.
    #[serde(default)]
    pub(super) dns: Vec<Text>,
    /// NTP servers.
    #[serde(default)]
    pub(super) ntp: Vec<Text>,
    /// Domain name.
    pub(super) domain: Option<Text>,
    /// MTU of the link.
    #[schemars(extend("minimum" = 68, "maximum" = 65_535))]
    pub(super) mtu: Option<Located<i64>>,
    /// Routes besides the one to `router`, for clients that ask for option 121.
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    /// How long a lease lasts: seconds, or like `12h`; `1m` to `8784h`.
    #[schemars(extend("type" = ["string", "integer"], "default" = "1h"))]
    pub(super) lease_time: Option<Text>,
    /// Addresses that one client alone gets.
    #[serde(default)]
    pub(super) reservations: Vec<Reservation>,
}

/// An address that only one client gets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reservation {
    /// MAC address of the client.
    pub(super) mac: Text,
    /// The address; it is in the subnet.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) ip: Text,
    /// The name that the client is told.
    pub(super) hostname: Option<Text>,
}

/// A route besides the default one.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Route {
    /// Where it leads, such as `10.80.0.0/16`.
    pub(super) to: Text,
    /// The next hop.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) via: Text,
}

/// What a switch loads to configure itself.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Ztp {
    /// Its MAC address, or what that begins with.
    pub(super) mac: Text,
    /// A script or a list of steps (SONiC), or an installer (ONIE): DHCP options 67 and 239,
    /// DHCPv6 options 59 and 239.
    pub(super) url: Text,
}

/// Boot files. Who finds nothing here gets an address and no boot file.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Boot")]
pub(super) struct Boot {
    /// TFTP server of the next three; with `tftp` it may be left out.
    #[schemars(extend("format" = "ipv4"))]
    pub(super) next_server: Option<Text>,
    /// File for PXE of BIOS, or `tftp://address/path`.
    pub(super) bios: Option<Text>,
    /// File for PXE of x86-64 UEFI, or `tftp://address/path`.
    pub(super) uefi: Option<Text>,
    /// File for PXE of 64-bit ARM UEFI, or `tftp://address/path`.
    pub(super) arm64: Option<Text>,
    /// URL for x86-64 UEFI HTTP boot.
    pub(super) http: Option<Text>,
    /// URL for 64-bit ARM UEFI HTTP boot.
    pub(super) http_arm64: Option<Text>,
    /// URL of the script for clients that are iPXE; it fills in settings such as `${uuid}`.
    pub(super) ipxe: Option<Text>,
}

/// Our own TFTP server.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tftp {
    /// The folder that the files are in, as an absolute path.
    pub(super) root: Text,
    /// Our addresses; `:port` may follow. Without any, all IPv4 addresses.
    #[serde(default)]
    pub(super) listen: Vec<Text>,
}

/// Two servers for one network. Each gives new clients addresses of its own half of every range.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instances {
    /// `standby`: one answers, and the other takes over when it is gone. `split`: both answer, each
    /// for its own clients.
    #[schemars(extend("enum" = ["standby", "split"]))]
    pub(super) mode: Text,
    /// Which half is this server's: 1 for one of them, and 2 for the other.
    #[schemars(range(min = 1, max = 2))]
    pub(super) part: Located<i64>,
}

/// How BMCs are recorded.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Endpoints {
    /// `endpoint`, or `bmc`: BMC objects that have the address themselves, and no Endpoints.
    #[schemars(extend("enum" = ["endpoint", "bmc"], "default" = "endpoint"))]
    pub(super) mode: Option<Text>,
    /// How many new BMCs are recorded in one subnet per minute, and at once; 1 to 60000.
    #[schemars(range(min = 1, max = 60_000), extend("type" = "integer", "default" = 120))]
    pub(super) new_per_minute: Option<Located<i64>>,
    /// How many recorded BMCs may not have answered yet before new ones wait; 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000), extend("type" = "integer", "default" = 256))]
    pub(super) max_unanswered: Option<Located<i64>>,
    /// What names of new Endpoints, or BMCs, begin with; the MAC address follows.
    #[schemars(extend("default" = "compute-"))]
    pub(super) name_prefix: Option<Text>,
}
