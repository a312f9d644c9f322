//! The agent's side of LLDP: the listener, if there is one, and what it has heard.

use super::Lldp;
use crate::{
    lldp::{self, Announcement, Listener, Neighbors},
    netlink::AllMulticast,
    probe::{Machine, Notes},
    root::Root,
};
use metal_api::inventory::{self, Failure, Neighbor};
use metal_base::Chain;
use std::{collections::BTreeMap, future};
use tokio::time::Instant;

const LINKS: &str = "/sys/class/net";
/// `IFF_UP` and `IFF_ALLMULTI`.
const UP: u32 = 0x1;
const ALL_MULTICAST: u32 = 0x200;

pub(super) struct LldpReceiver {
    listener: Option<Listener>,
    multicast: AllMulticast,
    neighbors: Neighbors,
    failure: Option<String>,
    without_multicast: BTreeMap<String, String>,
    /// Links whose firmware keeps LLDP to itself, and what to do about it.
    offloaded: BTreeMap<String, String>,
    /// When neighbors were last reported.
    pub(super) reported: Instant,
}

impl LldpReceiver {
    /// Opens the listener. If that fails, there are no neighbors, and a failure in the report says
    /// why.
    pub(super) fn open(lldp: Lldp) -> Self {
        let (listener, failure) = match (lldp, Listener::open()) {
            (Lldp::Ignore, _) => (None, None),
            (Lldp::Listen, Ok(listener)) => (Some(listener), None),
            (Lldp::Listen, Err(error)) => (None, Some(Chain(&error).to_string())),
        };
        Self {
            listener,
            multicast: AllMulticast::default(),
            neighbors: Neighbors::default(),
            failure,
            without_multicast: BTreeMap::new(),
            offloaded: BTreeMap::new(),
            reported: Instant::now(),
        }
    }

    /// Waits for an announcement; returns `true` if it has something new. Cancel safe.
    pub(super) async fn receive(&mut self) -> bool {
        let Some(listener) = &self.listener else { return future::pending().await };
        match listener.next().await {
            Ok((link, said)) => self.neighbors.hear(&link, said, std::time::Instant::now()),
            Err(error) => {
                self.failure = Some(Chain(&error).to_string());
                self.listener = None;
                false
            }
        }
    }

    /// Makes adapters that have come up pass on frames to the LLDP group address, and finds out whose
    /// firmware lets none through.
    pub(super) fn prepare(&mut self, machine: &Machine) {
        if self.listener.is_none() {
            return;
        }
        self.find_offloads(machine);
        for (link, flags) in adapters(&machine.root) {
            let index = machine.root.number(&format!("{LINKS}/{link}/ifindex"));
            if let Some(index) = index.filter(|_| flags & ALL_MULTICAST == 0) {
                match self.multicast.enable(index) {
                    Ok(()) => self.without_multicast.remove(&link),
                    Err(error) => self.without_multicast.insert(link, Chain(&error).to_string()),
                };
            }
        }
    }

    fn find_offloads(&mut self, machine: &Machine) {
        let links = adapters(&machine.root).into_iter().map(|(link, _)| link);
        let why = |link: String| {
            let why = lldp::explain(&link, &machine.kernel.private_flags(&link))?;
            Some((link, why))
        };
        self.offloaded = links.filter_map(why).collect();
    }

    /// The present neighbors, as they are reported.
    pub(super) fn neighbors(&self) -> Vec<inventory::Lldp> {
        let present = self.neighbors.present(std::time::Instant::now());
        let lldp = |(name, said): (_, Vec<_>)| inventory::Lldp {
            name,
            neighbors: said.into_iter().map(neighbor).collect(),
            ..Default::default()
        };
        present.into_iter().map(lldp).collect()
    }

    /// Reasons why neighbors may be missing.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let mut notes = Notes::default();
        self.failure.iter().for_each(|failure| notes.note(failure.clone()));
        for (link, error) in &self.without_multicast {
            notes.note(format!("{link} may drop LLDP frames: {error}"));
        }
        let heard = self.neighbors.present(std::time::Instant::now());
        let silent = self.offloaded.iter().filter(|(link, _)| !heard.contains_key(*link));
        silent.for_each(|(_, why)| notes.note(why.clone()));
        notes.into_failures("lldp")
    }
}

/// The links that are up and have hardware, and their flags.
fn adapters(root: &Root) -> Vec<(String, u32)> {
    let names = root.names(LINKS).unwrap_or_default().into_iter();
    let names = names.filter(|link| root.has(&format!("{LINKS}/{link}/device")));
    let flags = names.filter_map(|link| {
        let flags = root.hex(&format!("{LINKS}/{link}/flags"))?;
        Some((link, flags))
    });
    flags.filter(|(_, flags)| flags & UP != 0).collect()
}

fn neighbor(said: Announcement) -> Neighbor {
    Neighbor {
        chassis_id: said.chassis_id,
        port_id: said.port_id,
        port_description: said.port_description,
        system_name: said.system_name,
        system_description: said.system_description,
        mgmt_ip: said.management_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        capabilities: said.capabilities.into_iter().map(str::to_owned).collect(),
        vlan_id: said.vlan_id.map(|id| id.to_string()).unwrap_or_default(),
        ..Neighbor::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{QEMU, Tree};

    #[tokio::test]
    async fn a_silent_link_whose_firmware_takes_lldp_says_so_until_it_is_heard() {
        let mut receiver = LldpReceiver::open(Lldp::Ignore);
        let tree = Tree::unpack(QEMU);
        tree.write("/sys/class/net/eth1/flags", b"0x1003\n");
        receiver.find_offloads(&tree.machine());
        let failures = receiver.failures();
        let [failure] = &failures[..] else { panic!("{failures:?}") };
        assert_eq!(failure.collector, "lldp");
        assert!(failure.message.starts_with("eth1: the firmware"), "{}", failure.message);
        let said = Announcement { ttl: 100, ..Announcement::default() };
        receiver.neighbors.hear("eth1", said, std::time::Instant::now());
        assert_eq!(receiver.failures(), []);
        tree.write("/sys/class/net/eth1/flags", b"0x1002\n");
        receiver.find_offloads(&tree.machine());
        assert_eq!(receiver.offloaded.len(), 0, "a link that is down hears nobody anyway");
    }
}
