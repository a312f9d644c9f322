//! The agent's side of LLDP: the listener, if there is one, and what it has heard.

use super::Lldp;
use crate::{
    lldp::{Announcement, Listener, Neighbors},
    netlink::AllMulticast,
    probe::Notes,
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

    /// Makes adapters that have come up pass on frames to the LLDP group address.
    pub(super) fn enable_multicast(&mut self, root: &Root) {
        if self.listener.is_none() {
            return;
        }
        for link in root.names(LINKS).unwrap_or_default() {
            let number = |file: &str| root.hex(&format!("{LINKS}/{link}/{file}")).unwrap_or(0);
            let flags = number("flags");
            let index = root.number(&format!("{LINKS}/{link}/ifindex"));
            let hardware = root.has(&format!("{LINKS}/{link}/device"));
            let wanting = hardware && flags & UP != 0 && flags & ALL_MULTICAST == 0;
            if let Some(index) = index.filter(|_| wanting) {
                match self.multicast.enable(index) {
                    Ok(()) => self.without_multicast.remove(&link),
                    Err(error) => self.without_multicast.insert(link, Chain(&error).to_string()),
                };
            }
        }
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
        notes.into_failures("lldp")
    }
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
