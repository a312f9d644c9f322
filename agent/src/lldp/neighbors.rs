//! Present neighbors: each announcement is valid for its time to live.

use super::Announcement;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::{Duration, Instant},
};

/// More than any switch port announces; bounds a flood of forged frames.
const PER_INTERFACE: usize = 32;

/// Interface, chassis and port: one neighbor.
type Key = (String, String, String);

/// The neighbors by interface.
#[derive(Debug, Default)]
pub struct Neighbors {
    heard: BTreeMap<Key, (Announcement, Instant)>,
}

impl Neighbors {
    /// Records an announcement; returns `true` if it has something new.
    pub fn hear(&mut self, interface: &str, said: Announcement, now: Instant) -> bool {
        let before = self.heard.len();
        self.heard.retain(|_, (_, until)| *until > now);
        let expired = self.heard.len() < before;
        let key = (interface.to_owned(), said.chassis_id.clone(), said.port_id.clone());
        if said.ttl == 0 {
            return self.heard.remove(&key).is_some() || expired;
        }
        let until = now + Duration::from_secs(said.ttl.into());
        let full = self.heard.keys().filter(|key| key.0 == interface).count() >= PER_INTERFACE;
        match self.heard.entry(key) {
            Entry::Occupied(mut entry) => {
                let (old, _) = entry.insert((said, until));
                old != entry.get().0 || expired
            }
            Entry::Vacant(_) if full => expired,
            Entry::Vacant(entry) => {
                entry.insert((said, until));
                true
            }
        }
    }

    /// The present neighbors by interface, sorted by chassis and port.
    pub fn present(&self, now: Instant) -> BTreeMap<String, Vec<Announcement>> {
        let mut present: BTreeMap<String, Vec<Announcement>> = BTreeMap::new();
        for ((interface, ..), (said, _)) in self.heard.iter().filter(|(_, (_, until))| *until > now)
        {
            present.entry(interface.clone()).or_default().push(said.clone());
        }
        present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbor_is_forgotten_after_its_time_to_live() {
        let (mut neighbors, start) = (Neighbors::default(), Instant::now());
        assert!(neighbors.hear("eth0", said("a", 10), start));
        assert!(!neighbors.hear("eth0", said("a", 10), start + Duration::from_secs(5)));
        assert_eq!(chassis(&neighbors, start + Duration::from_secs(14)), ["a"]);
        assert!(neighbors.present(start + Duration::from_secs(15)).is_empty());
    }

    #[test]
    fn a_time_to_live_of_zero_takes_the_neighbor_back() {
        let (mut neighbors, now) = (Neighbors::default(), Instant::now());
        neighbors.hear("eth0", said("a", 10), now);
        neighbors.hear("eth0", said("b", 10), now);
        assert!(neighbors.hear("eth0", said("a", 0), now));
        assert!(!neighbors.hear("eth0", said("a", 0), now));
        assert_eq!(chassis(&neighbors, now), ["b"]);
    }

    #[test]
    fn a_changed_description_is_news() {
        let (mut neighbors, now) = (Neighbors::default(), Instant::now());
        neighbors.hear("eth0", said("a", 10), now);
        let renamed = Announcement { system_name: "new".into(), ..said("a", 10) };
        assert!(neighbors.hear("eth0", renamed, now));
        assert_eq!(neighbors.present(now)["eth0"][0].system_name, "new");
    }

    #[test]
    fn a_flood_of_neighbors_ends_at_the_limit_and_keeps_the_first() {
        let (mut neighbors, now) = (Neighbors::default(), Instant::now());
        for number in 0..100 {
            neighbors.hear("eth0", said(&format!("{number:03}"), 10), now);
        }
        let kept = chassis(&neighbors, now);
        assert_eq!((kept.len(), kept[0].as_str()), (PER_INTERFACE, "000"));
        assert!(neighbors.hear("eth1", said("x", 10), now));
    }

    fn chassis(neighbors: &Neighbors, now: Instant) -> Vec<String> {
        let present = neighbors.present(now);
        present["eth0"].iter().map(|said| said.chassis_id.clone()).collect()
    }

    fn said(chassis: &str, ttl: u16) -> Announcement {
        Announcement { chassis_id: chassis.into(), port_id: "1".into(), ttl, ..Default::default() }
    }
}
