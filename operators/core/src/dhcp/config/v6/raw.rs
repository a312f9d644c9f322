//! The section `dhcp6` as it is written.

use super::super::raw::Text;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in super::super) struct Dhcp6 {
    #[serde(default)]
    pub(super) interfaces: Vec<Text>,
    #[serde(default)]
    pub(super) listen: Vec<Text>,
    pub(super) duid: Option<Text>,
    #[serde(default)]
    pub(super) rapid_commit: bool,
    pub(super) subnets: Vec<Subnet>,
    #[serde(default)]
    pub(super) boot: Boot,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Subnet {
    #[serde(rename = "subnet")]
    pub(super) net: Text,
    pub(super) mode: Option<Text>,
    pub(super) interface: Option<Text>,
    #[serde(default)]
    pub(super) relays: Vec<Text>,
    #[serde(default)]
    pub(super) ranges: Vec<Text>,
    #[serde(default)]
    pub(super) dns: Vec<Text>,
    #[serde(default)]
    pub(super) ntp: Vec<Text>,
    #[serde(default)]
    pub(super) search: Vec<Text>,
    pub(super) lease_time: Option<Text>,
    #[serde(default)]
    pub(super) reservations: Vec<Reservation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reservation {
    pub(super) mac: Text,
    pub(super) ip: Text,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Boot {
    pub(super) uefi: Option<Text>,
    pub(super) arm64: Option<Text>,
    pub(super) http: Option<Text>,
    pub(super) http_arm64: Option<Text>,
    pub(super) ipxe: Option<Text>,
    #[serde(default)]
    pub(super) parameters: Vec<Text>,
}
