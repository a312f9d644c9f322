//! The configuration as it is written.

use serde::Deserialize;
use serde_saphyr::Spanned;

pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) interfaces: Vec<Text>,
    #[serde(default)]
    pub(super) listen: Vec<Text>,
    #[serde(default = "yes")]
    pub(super) authoritative: bool,
    #[serde(default = "yes")]
    pub(super) conflict_probe: bool,
    pub(super) subnets: Vec<Subnet>,
    #[serde(default)]
    pub(super) boot: Boot,
    pub(super) tftp: Option<Tftp>,
    #[serde(default)]
    pub(super) ztp: Vec<Ztp>,
    #[serde(default)]
    pub(super) allow: Vec<Text>,
    #[serde(default)]
    pub(super) deny: Vec<Text>,
    #[serde(default)]
    pub(super) endpoints: Endpoints,
    pub(super) dhcp6: Option<super::v6::raw::Dhcp6>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Subnet {
    #[serde(rename = "subnet")]
    pub(super) net: Text,
    pub(super) mode: Option<Text>,
    #[serde(default)]
    pub(super) relays: Vec<Text>,
    #[serde(default)]
    pub(super) ranges: Vec<Text>,
    pub(super) router: Option<Text>,
    #[serde(default)]
    pub(super) dns: Vec<Text>,
    #[serde(default)]
    pub(super) ntp: Vec<Text>,
    pub(super) domain: Option<Text>,
    pub(super) mtu: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    pub(super) lease_time: Option<Text>,
    #[serde(default)]
    pub(super) reservations: Vec<Reservation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reservation {
    pub(super) mac: Text,
    pub(super) ip: Text,
    pub(super) hostname: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Route {
    pub(super) to: Text,
    pub(super) via: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Ztp {
    pub(super) mac: Text,
    pub(super) url: Text,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Boot {
    pub(super) next_server: Option<Text>,
    pub(super) bios: Option<Text>,
    pub(super) uefi: Option<Text>,
    pub(super) arm64: Option<Text>,
    pub(super) http: Option<Text>,
    pub(super) http_arm64: Option<Text>,
    pub(super) ipxe: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tftp {
    pub(super) root: Text,
    #[serde(default)]
    pub(super) listen: Vec<Text>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Endpoints {
    pub(super) name_prefix: Option<Text>,
}
