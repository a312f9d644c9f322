//! How the report registry processes a report.

mod interfaces;
mod resource;
mod shown;
mod summary;

pub use interfaces::interfaces;
pub use shown::ShownInventory;
pub use summary::{InventorySummary, InventorySummarySpec};

use metal_api::{MacAddr, ParseSystemUuidError, SystemUuid, inventory::Report};
use metal_text::json::Bounds;
use sha2::{Digest, Sha256};
use std::io;

/// Most entries in any list of a report: more than any machine has.
const ENTRIES: usize = 4096;
/// Most network interfaces: those of a Server are in the memory of several programs.
const INTERFACES: usize = 1024;
/// Most addresses of one interface.
const ADDRESSES: usize = 256;
/// Most LLDP neighbors at one interface: our agent keeps 32, however many announce themselves.
const NEIGHBORS: usize = 64;
/// Most LLDP neighbors at all interfaces together.
const ALL_NEIGHBORS: usize = 2048;

/// Limits of a report: about five times what the largest machine sends.
pub const BOUNDS: Bounds = Bounds { values: 50_000, entries: ENTRIES, depth: 32 };

/// Why a report is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The report is about another machine than the token allows.
    #[error("systemUUID {reported} does not match the server of this token")]
    Foreign {
        /// The UUID in the report.
        reported: SystemUuid,
    },
    /// The UUID is malformed.
    #[error("systemUUID {0:?} is not a UUID: send the SMBIOS system UUID (--server-uuid)")]
    Uuid(String),
    /// Many machines share the UUID.
    #[error("systemUUID {0} is a default that is not unique: set a unique one in the BIOS")]
    Placeholder(String),
    /// A list is longer than that of any machine.
    #[error("data.{field} has {len} entries, more than the maximum of {most}")]
    TooLong {
        /// Name of the list.
        field: &'static str,
        /// Its length.
        len: usize,
        /// How long it may be.
        most: usize,
    },
}

/// The UUID of a report.
///
/// # Errors
///
/// If it is not a UUID, or one that many boards are shipped with.
pub fn system_uuid(text: &str) -> Result<SystemUuid, ReportError> {
    text.parse().map_err(|error| match error {
        ParseSystemUuidError::Malformed => ReportError::Uuid(text.chars().take(64).collect()),
        ParseSystemUuidError::Placeholder(uuid) => ReportError::Placeholder(uuid.to_string()),
    })
}

/// A report as it is stored: bounded, with MAC addresses in canonical form and lists in canonical
/// order, so that a machine always gives the same text. Nothing that the agent found is left out.
///
/// # Errors
///
/// If it is larger than that of any machine.
pub fn normalize(mut report: Report) -> Result<Report, ReportError> {
    bounded(&report)?;
    for interface in &mut report.network_interfaces {
        lower(&mut interface.mac_address);
        interface.ip_addresses.sort();
    }
    report.nics.iter_mut().for_each(|nic| lower(&mut nic.mac));
    report.network_interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    report.nics.sort_by(|a, b| a.name.cmp(&b.name));
    report.lldp.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(report)
}

/// Whether each list has at most as many entries as that of any machine.
fn bounded(report: &Report) -> Result<(), ReportError> {
    let (interfaces, lldp) = (&report.network_interfaces, &report.lldp);
    let addresses = interfaces.iter().map(|it| it.ip_addresses.len());
    let neighbors = || lldp.iter().map(|it| it.neighbors.len());
    let lists = [
        ("cpu", report.cpu.len(), ENTRIES),
        ("networkInterfaces", interfaces.len(), INTERFACES),
        ("networkInterfaces[].ipAddresses", addresses.max().unwrap_or(0), ADDRESSES),
        ("lldp", lldp.len(), INTERFACES),
        ("lldp[].neighbors", neighbors().max().unwrap_or(0), NEIGHBORS),
        ("lldp[].neighbors in all", neighbors().sum(), ALL_NEIGHBORS),
        ("storage", report.storage.len(), ENTRIES),
        ("memory", report.memory.len(), ENTRIES),
        ("nics", report.nics.len(), ENTRIES),
        ("pciDevices", report.pci_devices.len(), ENTRIES),
    ];
    match lists.into_iter().find(|(_, len, most)| len > most) {
        Some((field, len, most)) => Err(ReportError::TooLong { field, len, most }),
        None => Ok(()),
    }
}

/// SHA-256 of a report, without the time at which it was made. The report is as before afterwards.
///
/// # Errors
///
/// Never for a report that was read from JSON.
pub fn fingerprint(report: &mut Report) -> Result<[u8; 32], serde_json::Error> {
    let mut hash = Hashed(Sha256::new());
    let timestamp = std::mem::take(&mut report.timestamp);
    let written = serde_json::to_writer(&mut hash, report);
    report.timestamp = timestamp;
    written.map(|()| hash.0.finalize().into())
}

/// Hashes what is written, of which nothing is kept.
struct Hashed(Sha256);

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a report is enough for its server to be claimed: it has an interface with a MAC address.
pub fn is_complete(report: &Report) -> bool {
    report.network_interfaces.iter().any(|interface| mac(&interface.mac_address).is_some())
}

fn mac(text: &str) -> Option<MacAddr> {
    text.parse().ok().filter(|mac: &MacAddr| mac.0 != [0; 6])
}

fn lower(text: &mut String) {
    if let Some(mac) = mac(text) {
        *text = mac.to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::inventory::{Lldp, Neighbor, NetworkInterface as Reported};

    #[test]
    fn uuid_is_found_in_any_case_and_nothing_else_is_taken_for_one() {
        let uuid = "38947555-7742-3448-3784-823347823834";
        assert_eq!(system_uuid(&uuid.to_uppercase()).unwrap().to_string(), uuid);
        for text in ["", "../x", "38947555"] {
            assert_eq!(system_uuid(text), Err(ReportError::Uuid(text.to_owned())));
        }
        let shipped = "03000200-0400-0500-0006-000700080009";
        assert_eq!(system_uuid(shipped), Err(ReportError::Placeholder(shipped.to_owned())));
    }

    #[test]
    fn report_without_a_usable_interface_is_not_complete() {
        let mut report = Report::default();
        assert!(!is_complete(&report));
        report.network_interfaces = vec![interface("ib0", "00:00:00:00:00:00")];
        assert!(!is_complete(&report));
        report.network_interfaces.push(interface("eth0", "23:11:8A:00:00:01"));
        assert!(is_complete(&report));
    }

    #[test]
    fn order_and_case_make_no_difference_and_oversized_lists_are_refused() {
        let (a, b) = (interface("a", "23-11-8A-00-00-01"), interface("b", "23:11:8a:00:00:02"));
        let report = |list: Vec<Reported>| Report { network_interfaces: list, ..Report::default() };
        let one = normalize(report(vec![a.clone(), b.clone()])).unwrap();
        assert_eq!(one, normalize(report(vec![b, a.clone()])).unwrap());
        assert_eq!(one.network_interfaces[0].mac_address, "23:11:8a:00:00:01");

        let error = normalize(report(vec![a; INTERFACES + 1])).unwrap_err();
        let (field, len, most) = ("networkInterfaces", INTERFACES + 1, INTERFACES);
        assert_eq!(error, ReportError::TooLong { field, len, most });
    }

    #[test]
    fn neighbors_and_addresses_of_a_report_are_bounded() {
        let lldp = |interfaces: usize, neighbors: usize| {
            let neighbors = vec![Neighbor::default(); neighbors];
            let lldp = vec![Lldp { neighbors, ..Lldp::default() }; interfaces];
            normalize(Report { lldp, ..Report::default() })
        };
        assert!(lldp(32, 64).is_ok() && lldp(INTERFACES, 2).is_ok());
        for (report, what) in [
            (lldp(1, 65), "data.lldp[].neighbors has 65 entries"),
            (lldp(33, 64), "data.lldp[].neighbors in all has 2112 entries"),
            (lldp(1025, 0), "data.lldp has 1025 entries"),
        ] {
            let error = report.unwrap_err().to_string();
            assert!(error.starts_with(what), "{error}");
        }
        let mut eth0 = interface("eth0", "23:11:8a:00:00:01");
        eth0.ip_addresses = vec!["10.0.0.5".to_owned(); 257];
        let report = Report { network_interfaces: vec![eth0], ..Report::default() };
        let error = normalize(report).unwrap_err().to_string();
        assert!(error.contains("ipAddresses has 257 entries"), "{error}");
    }

    #[test]
    fn fingerprint_is_that_of_all_but_the_time() {
        let report = |time: &str, name: &str| Report {
            timestamp: time.to_owned(),
            network_interfaces: vec![interface(name, "23:11:8a:00:00:01")],
            ..Report::default()
        };
        let of = |mut report: Report| {
            let (hash, before) = (fingerprint(&mut report).unwrap(), report.clone());
            assert_eq!(fingerprint(&mut report).unwrap(), hash);
            assert_eq!(report, before);
            hash
        };
        assert_eq!(of(report("now", "eth0")), of(report("later", "eth0")));
        assert_ne!(of(report("now", "eth0")), of(report("now", "eth1")));
    }

    fn interface(name: &str, mac: &str) -> Reported {
        Reported { name: name.into(), mac_address: mac.into(), ..Reported::default() }
    }
}
