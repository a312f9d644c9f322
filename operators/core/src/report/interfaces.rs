//! What is shown of the network interfaces of a report in the status of its server.

use super::{INTERFACES, mac};
use crate::conditions::cut;
use metal_api::{
    LldpNeighbor, NetworkInterface,
    inventory::{Lldp, Neighbor, NetworkInterface as Reported, Report},
};
use std::{collections::BTreeMap, net::IpAddr};

/// Longest name or state of an interface, in bytes: the kernel has no longer ones.
const NAME: usize = 128;
/// Longest text of a neighbor, in bytes: that of LLDP (IEEE 802.1AB-2016, 8.5).
const TEXT: usize = 255;
/// Memory for the addresses and neighbors of all interfaces of a Server, in bytes: ten times what
/// large machines have.
const SHOWN: usize = 128 << 10;
/// Memory of an address or a neighbor in addition to its texts.
const ENTRY: usize = 128;

/// The interfaces for the Server: those with a MAC address, with their valid IP addresses and their
/// neighbors. Several programs have all Servers in memory, so a machine that reports very many gets
/// only the first ones shown; the inventory has all.
pub fn interfaces(report: &Report) -> Vec<NetworkInterface> {
    let neighbors: BTreeMap<_, _> =
        report.lldp.iter().map(|lldp| (lldp.name.as_str(), lldp)).collect();
    let mut left = SHOWN;
    let shown = |reported: &Reported| {
        Some(NetworkInterface {
            name: cut(&reported.name, NAME).into_owned(),
            mac_address: mac(&reported.mac_address)?.to_string(),
            ip: None,
            ips: addresses(reported, &mut left),
            carrier_status: some(&reported.carrier_status, NAME),
            neighbors: neighbors
                .get(reported.name.as_str())
                .map_or_else(Vec::new, |lldp| near(lldp, &mut left)),
        })
    };
    report.network_interfaces.iter().filter_map(shown).take(INTERFACES).collect()
}

fn addresses(of: &Reported, left: &mut usize) -> Vec<String> {
    let valid = of.ip_addresses.iter().filter(|ip| ip.parse::<IpAddr>().is_ok());
    valid.take_while(|ip| spend(left, ip.len())).cloned().collect()
}

fn near(lldp: &Lldp, left: &mut usize) -> Vec<LldpNeighbor> {
    let shown = |neighbor: &Neighbor| LldpNeighbor {
        mac_address: some(&neighbor.chassis_id, TEXT),
        port_id: some(&neighbor.port_id, TEXT),
        port_description: some(&neighbor.port_description, TEXT),
        system_name: some(&neighbor.system_name, TEXT),
        system_description: some(&neighbor.system_description, TEXT),
    };
    lldp.neighbors.iter().map(shown).take_while(|it| spend(left, size(it))).collect()
}

/// Length of the texts of a neighbor.
fn size(of: &LldpNeighbor) -> usize {
    let texts = [&of.mac_address, &of.port_id, &of.port_description, &of.system_name];
    texts.into_iter().chain([&of.system_description]).flatten().map(String::len).sum()
}

/// Spends some of what is left; returns whether it was enough.
fn spend(left: &mut usize, text: usize) -> bool {
    match left.checked_sub(ENTRY + text) {
        Some(rest) => *left = rest,
        None => return false,
    }
    true
}

fn some(text: &str, most: usize) -> Option<String> {
    (!text.is_empty()).then(|| cut(text, most).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_shows_valid_addresses_and_neighbors_of_each_interface() {
        let mut eth0 = interface(1);
        eth0.ip_addresses = vec!["10.0.0.5".into(), "nonsense".into(), "fe80::1".into()];
        let neighbor = Neighbor { system_name: "leaf-1".into(), ..Neighbor::default() };
        let lldp = Lldp { name: "eth1".into(), neighbors: vec![neighbor], ..Lldp::default() };
        let report =
            Report { network_interfaces: vec![eth0], lldp: vec![lldp], ..Report::default() };
        let shown = interfaces(&report);
        assert_eq!(shown[0].ips, ["10.0.0.5", "fe80::1"]);
        assert_eq!(shown[0].neighbors[0].system_name.as_deref(), Some("leaf-1"));
    }

    #[test]
    fn what_a_server_shows_of_its_report_is_bounded() {
        let text = "é".repeat(1 << 16);
        let many = |number| Reported {
            ip_addresses: vec!["10.0.0.5".into(); 256],
            carrier_status: text.clone(),
            ..interface(number)
        };
        let neighbor = Neighbor { system_description: text.clone(), ..Neighbor::default() };
        let lldp = |number| Lldp {
            name: interface(number).name,
            neighbors: vec![neighbor.clone(); 64],
            ..Lldp::default()
        };
        let report = Report {
            network_interfaces: (0..2048).map(many).collect(),
            lldp: (0..32).map(lldp).collect(),
            ..Report::default()
        };
        let shown = interfaces(&report);
        assert_eq!(shown.len(), INTERFACES);
        let of = |it: &NetworkInterface| (it.ips.len(), it.neighbors.len());
        assert_eq!((of(&shown[0]), of(&shown[1])), ((256, 64), (256, 64)));
        assert_eq!(of(&shown[INTERFACES - 1]), (0, 0));
        let size = serde_json::to_vec(&shown).unwrap().len();
        assert!(size < 400 << 10, "{size}");
        let longest = shown[0].neighbors[0].system_description.as_ref().unwrap();
        assert_eq!(longest.len(), TEXT);
    }

    fn interface(number: u16) -> Reported {
        let [high, low] = number.to_be_bytes();
        Reported {
            name: format!("eth{number}"),
            mac_address: format!("23:11:8a:00:{high:02x}:{low:02x}"),
            ..Reported::default()
        }
    }
}
