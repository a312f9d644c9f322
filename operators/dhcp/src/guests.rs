//! Addresses that answers go to.
//!
//! To send to an address on a link costs the kernel an entry of its ARP or neighbor table for some
//! seconds, and where nobody is there it keeps that until it gives up. The table is small, and one
//! for the whole node. So those who only say that they have an address are answered at a pace that
//! leaves room in it, whatever comes; those who have got theirs from us, or have answered from it,
//! are answered always.

use std::{
    collections::HashSet,
    mem::take,
    net::IpAddr,
    time::{Duration, Instant},
};

/// At least this many addresses are remembered, and at most twice as many.
const REMEMBERED: usize = 1 << 14;
/// How many new addresses are answered in a period, for which the kernel looks for one. Twice as
/// many, and those that are asked whether they are free, fit into the 1,024 places of its table.
const STRANGERS: usize = 192;
const PERIOD: Duration = Duration::from_secs(3);

/// Those who are known, and those who were answered recently without being known; each in two
/// generations, of which the older one is forgotten when the younger is full or old.
#[derive(Debug)]
pub struct Guests {
    known: [HashSet<IpAddr>; 2],
    strangers: [HashSet<IpAddr>; 2],
    since: Instant,
}

impl Guests {
    /// Nobody is known.
    pub fn new(now: Instant) -> Self {
        Self { known: Default::default(), strangers: Default::default(), since: now }
    }

    /// Somebody has this address for certain.
    pub fn note(&mut self, address: IpAddr) {
        let [young, old] = &mut self.known;
        if young.len() >= REMEMBERED && !young.contains(&address) {
            *old = take(young);
        }
        young.insert(address);
    }

    /// Whether somebody was known to have this address.
    pub fn knows(&self, address: IpAddr) -> bool {
        self.known.iter().any(|known| known.contains(&address))
    }

    /// Whether an answer may go to this address now.
    pub fn admits(&mut self, address: IpAddr, now: Instant) -> bool {
        // What is no entry of the table, or is one anyway.
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
        let mut guests = Guests::new(start);
        let mut answered = Vec::new();
        for number in 0..100_000 {
            let now = start + Duration::from_micros(200) * number;
            if guests.admits(address(number), now) {
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
        let mut guests = Guests::new(now);
        guests.note(address(7_000_000));
        assert!(guests.admits(address(8_000_000), now));
        for number in 0..100_000 {
            guests.admits(address(number), now);
        }
        for known in [7_000_000, 8_000_000] {
            assert!(guests.admits(address(known), now));
        }
        assert!(!guests.admits(address(9_000_000), now));
        assert!(guests.admits(address(9_000_000), now + PERIOD));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stay() {
        let mut guests = Guests::new(Instant::now());
        let most = u32::try_from(REMEMBERED).unwrap();
        for number in 0..5 * most {
            guests.note(address(number));
        }
        assert!(guests.known.iter().all(|known| known.len() <= REMEMBERED));
        assert!((4 * most..5 * most).all(|number| guests.knows(address(number))));
    }
}
