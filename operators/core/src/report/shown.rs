//! An inventory as far as its Server shows it.

use super::{
    InventorySummary, InventorySummarySpec, interfaces, is_complete, resource::is_inventory,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use metal_api::{
    NetworkInterface,
    inventory::{Lldp, NetworkInterface as Reported, Report},
};
use serde::{Deserialize, Deserializer};

/// A [`ServerInventory`](metal_api::ServerInventory) as far as its Server shows it. The rest of the report, and the managed fields
/// of the object, are many times as large and skipped while it is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ShownInventory {
    #[serde(default, deserialize_with = "identity")]
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "bootConfigurationUID")]
    boot_configuration_uid: Option<String>,
    received_time: Option<Time>,
    #[serde(default)]
    report: Shown,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    network_interfaces: Option<Vec<Reported>>,
    lldp: Option<Vec<Lldp>>,
}

impl ShownInventory {
    /// What decisions need, and the interfaces for the Server.
    pub fn read(self) -> (InventorySummary, Vec<NetworkInterface>) {
        let Self { metadata, spec } = self;
        let report = Report {
            network_interfaces: spec.report.network_interfaces.unwrap_or_default(),
            lldp: spec.report.lldp.unwrap_or_default(),
            ..Report::default()
        };
        let summary = InventorySummarySpec {
            boot_configuration_uid: spec.boot_configuration_uid,
            received_time: spec.received_time,
            is_complete: is_complete(&report),
        };
        (InventorySummary { metadata, spec: summary }, interfaces(&report))
    }
}

/// The part of the metadata that identifies the object.
fn identity<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        name: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
    }
    let Identity { name, uid, resource_version } = Identity::deserialize(from)?;
    Ok(ObjectMeta { name, uid, resource_version, ..ObjectMeta::default() })
}

is_inventory!(ShownInventory);

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metal_api::{ServerInventory, ServerInventorySpec, inventory::Neighbor};
    use serde_json::json;

    #[test]
    fn what_is_shown_of_an_inventory_is_the_same_as_of_all_of_it() {
        let interface = |number: u8| Reported {
            name: format!("eth{number}"),
            mac_address: format!("23:11:8a:00:00:{number:02x}"),
            ip_addresses: vec!["10.0.0.5".to_owned()],
            ..Reported::default()
        };
        let neighbor = Neighbor { system_name: "leaf-1".to_owned(), ..Neighbor::default() };
        let lldp = Lldp { name: "eth1".to_owned(), neighbors: vec![neighbor], ..Lldp::default() };
        for network_interfaces in [vec![], vec![interface(0), interface(1)]] {
            let report =
                Report { network_interfaces, lldp: vec![lldp.clone()], ..Report::default() };
            let spec = ServerInventorySpec {
                boot_configuration_uid: Some("uid-1.1".to_owned()),
                received_time: Some(Time(Timestamp::UNIX_EPOCH)),
                report,
                ..ServerInventorySpec::default()
            };
            let mut whole = ServerInventory::new("server-a", spec);
            whole.metadata.resource_version = Some("7".to_owned());
            let expected = (InventorySummary::from(&whole), interfaces(&whole.spec.report));
            let mut text = serde_json::to_value(&whole).unwrap();
            text["spec"]["report"]["cpu"] = json!("not read");
            text["metadata"]["managedFields"] = json!("not read");
            let read: ShownInventory = serde_json::from_value(text).unwrap();
            assert_eq!(read.read(), expected);
        }
    }
}
