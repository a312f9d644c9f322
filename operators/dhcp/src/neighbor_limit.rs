//! Limits the new addresses that answers are sent to.
//!
//! Sending to an address on a link costs the kernel an entry in its ARP or neighbor table for some
//! seconds; where nobody is there, it keeps the entry until it gives up. The table is small, and
//! shared by the whole node. So clients that merely claim to have an address are answered at a rate
//! that always leaves room in it. Those who got their address from us, or have answered from it,
//! are always answered.

use std::{
    collections::HashSet,
    mem::take,
    net::IpAddr,
    time::{Duration, Instant},
};

/// At least this many addresses are remembered, and at most twice as many.
const REMEMBERED: usize = 1 << 14;
/// How many new addresses, which the kernel has to look up, are answered in a period. Twice as
/// many, plus those probed for conflicts, fit into the table's 1,024 entries.
const STRANGERS: usize = 192;
const PERIOD: Duration = Duration::from_secs(3);

/// Known addresses, and unknown ones that were answered recently. Each set has two generations; the
/// older one is dropped when the younger one is full or old.
#[derive(Debug)]
pub struct NeighborLimit {
    known: [HashSet<IpAddr>; 2],
    strangers: [HashSet<IpAddr>; 2],
    since: Instant,
}

impl NeighborLimit {
    /// No known addresses.
    pub fn new(now: Instant) -> Self {
        Self { known: Default::default(), strangers: Default::default(), since: now }
    }

    /// Records that somebody certainly has this address.
    pub fn note(&mut self, address: IpAddr) {
        let [young, old] = &mut self.known;
        if young.len() >= REMEMBERED && !young.contains(&address) {
            *old = take(young);
        }
        young.insert(address);
    }

    /// Whether somebody is known to have this address.
    pub fn knows(&self, address: IpAddr) -> bool {
        self.known.iter().any(|known| known.contains(&address))
    }

    /// Whether an answer may be sent to this address now.
    pub fn admits(&mut self, address: IpAddr, now: Instant) -> bool {
        // An address that takes no entry in the table, or has one anyway.
        if address.is_loopback() || self.knows(address) {
            return true;
        }
        let [young, old] = &mut self.strangers;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= PERIOD {
            *old = if elapsed < 2 * PERIOD { take(young) } else { HashSet::new() };
            young.clear();
            self.since = now;
        }
        if young.len() < STRANGERS {
            young.insert(address);
        }
        young.contains(&address) || old.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    #[test]
    fn answers_to_forged_addresses_leave_room_in_the_arp_table() {
        let start = Instant::now();
        let mut neighbors = NeighborLimit::new(start);
        let mut answered = Vec::new();
        for number in 0..100_000 {
            let now = start + Duration::from_micros(200) * number;
            if neighbors.admits(address(number), now) {
                answered.push(now);
            }
        }
        assert!(answered.len() > STRANGERS, "it goes on");
        for (place, since) in answered.iter().enumerate() {
            let meanwhile = answered[place..].iter().filter(|now| **now < *since + PERIOD);
            assert!(meanwhile.count() <= 2 * STRANGERS);
        }
    }

    #[test]
    fn who_is_known_is_answered_beside_any_flood_and_who_was_let_in_goes_on() {
        let now = Instant::now();
        let mut neighbors = NeighborLimit::new(now);
        neighbors.note(address(7_000_000));
        assert!(neighbors.admits(address(8_000_000), now));
        for number in 0..100_000 {
            neighbors.admits(address(number), now);
        }
        for known in [7_000_000, 8_000_000] {
            assert!(neighbors.admits(address(known), now));
        }
        assert!(!neighbors.admits(address(9_000_000), now));
        assert!(neighbors.admits(address(9_000_000), now + PERIOD));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stay() {
        let mut neighbors = NeighborLimit::new(Instant::now());
        let most = u32::try_from(REMEMBERED).unwrap();
        for number in 0..5 * most {
            neighbors.note(address(number));
        }
        assert!(neighbors.known.iter().all(|known| known.len() <= REMEMBERED));
        assert!((4 * most..5 * most).all(|number| neighbors.knows(address(number))));
    }
}
