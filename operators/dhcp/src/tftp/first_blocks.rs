//! Limits the blocks that are sent to addresses which are not proven.
//!
//! A request without options is answered by a block of 512 bytes, and the answer is repeated once. A
//! request may be forged in the name of a victim, who would get twenty times what its sender has sent.
//! Answers to options are as long as the request, and need no limit.

use metal_base::Source;
use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many requests of a source are answered by a block in a [`PERIOD`]; the others are not answered,
/// and clients repeat them.
const PER_SOURCE: u32 = 8;
const PERIOD: Duration = Duration::from_secs(1);
/// How many sources are counted.
const MOST: usize = 1 << 14;

/// The blocks of the current period.
#[derive(Debug)]
pub struct FirstBlocks {
    since: Instant,
    sent: HashMap<Source, u32>,
}

impl FirstBlocks {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, sent: HashMap::new() }
    }

    /// Whether a request from this address may be answered by a block.
    pub fn admits(&mut self, client: IpAddr, now: Instant) -> bool {
        let is_over = now.saturating_duration_since(self.since) >= PERIOD;
        // When flooded in the names of many, it starts counting anew, and locks nobody out.
        if is_over || self.sent.len() >= MOST {
            self.sent.clear();
            self.since = now;
        }
        let sent = self.sent.entry(client.into()).or_default();
        *sent = sent.saturating_add(1);
        *sent <= PER_SOURCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_victim_of_forged_requests_gets_a_few_blocks_in_a_second() {
        let start = Instant::now();
        let mut blocks = FirstBlocks::new(start);
        let victim = |number: u16| format!("2001:db8::{number:x}").parse().unwrap();
        for second in 0..3 {
            let now = start + PERIOD * second;
            let sent = (0..1000).filter(|number| blocks.admits(victim(*number), now)).count();
            assert_eq!(sent, PER_SOURCE as usize, "a host has all addresses of its /64");
        }
    }

    #[test]
    fn machines_that_boot_at_the_same_time_are_answered_each() {
        let now = Instant::now();
        let mut blocks = FirstBlocks::new(now);
        assert!((0..500_u32).all(|number| blocks.admits(Ipv4Addr::from_bits(number).into(), now)));
        let flood = u32::try_from(3 * MOST).unwrap();
        let admitted = (0..flood).all(|it| blocks.admits(Ipv4Addr::from_bits(it).into(), now));
        assert!(admitted && blocks.sent.len() <= MOST);
    }
}
