//! What is kept in memory of an inventory.

use super::{is_complete, mac, resource::is_inventory};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use metal_api::ServerInventory;
use serde::{Deserialize, Deserializer};

/// What decisions need of a [`ServerInventory`], read from the same object. The report itself can
/// be large, and is only in the API server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct InventorySummary {
    /// Metadata of the object.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is read of its spec.
    pub spec: InventorySummarySpec,
}

/// What is read of the spec of a [`ServerInventory`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventorySummarySpec {
    /// The boot that the agent ran in.
    #[serde(rename = "bootConfigurationUID")]
    pub boot_configuration_uid: Option<String>,
    /// When the registry accepted the report.
    pub received_time: Option<Time>,
    /// Whether it is enough for its server to be claimed ([`is_complete`]).
    #[serde(rename = "report", default, deserialize_with = "judged")]
    pub is_complete: bool,
}

impl From<&ServerInventory> for InventorySummary {
    fn from(inventory: &ServerInventory) -> Self {
        let spec = InventorySummarySpec {
            boot_configuration_uid: inventory.spec.boot_configuration_uid.clone(),
            received_time: inventory.spec.received_time.clone(),
            is_complete: is_complete(&inventory.spec.report),
        };
        Self { metadata: inventory.metadata.clone(), spec }
    }
}

/// Like [`is_complete`], of a report of which nothing is kept.
fn judged<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Report {
        network_interfaces: Option<Vec<Interface>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Interface {
        mac_address: Option<String>,
    }
    let interfaces = Report::deserialize(from)?.network_interfaces;
    let mut addresses = interfaces.into_iter().flatten().filter_map(|it| it.mac_address);
    Ok(addresses.any(|address| mac(&address).is_some()))
}

is_inventory!(InventorySummary);

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metal_api::{
        ServerInventorySpec,
        inventory::{NetworkInterface, Report},
    };
    use serde_json::json;

    #[test]
    fn of_an_inventory_is_kept_what_decisions_need_and_no_part_of_the_report() {
        for (mac, is_complete) in [("23:11:8A:00:00:01", true), ("00:00:00:00:00:00", false)] {
            let mac_address = mac.to_owned();
            let interface = NetworkInterface { mac_address, ..NetworkInterface::default() };
            let spec = ServerInventorySpec {
                boot_configuration_uid: Some("uid-1.1".to_owned()),
                received_time: Some(Time(Timestamp::UNIX_EPOCH)),
                report: Report { network_interfaces: vec![interface], ..Report::default() },
                ..ServerInventorySpec::default()
            };
            let mut inventory = ServerInventory::new("server-a", spec);
            inventory.metadata.resource_version = Some("7".to_owned());
            let summary = InventorySummary::from(&inventory);
            assert_eq!(summary.spec.is_complete, is_complete, "{mac}");
            let mut text = serde_json::to_value(&inventory).unwrap();
            text["spec"]["report"]["unknown"] = json!([{ "a": [{}] }]);
            let read: InventorySummary = serde_json::from_value(text).unwrap();
            assert_eq!(read, summary, "it is the same from the API server and from a write");
        }
        let nothing =
            json!({ "metadata": {}, "spec": { "report": { "networkInterfaces": null } } });
        let nothing: InventorySummary = serde_json::from_value(nothing).unwrap();
        assert!(!nothing.spec.is_complete);
    }
}
