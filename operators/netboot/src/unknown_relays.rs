//! Relays that may not speak for the subnet that they name: told once each, since anybody can
//! pretend to be any number of them.

use std::{collections::HashSet, net::IpAddr};

/// At most this many are logged per process.
const MOST: usize = 64;

/// Those that were told of.
#[derive(Debug, Default)]
pub(crate) struct UnknownRelays(HashSet<(IpAddr, IpAddr)>);

impl UnknownRelays {
    /// Tells of a relay that calls itself, or its link, `named`, and sent from somewhere else.
    pub(crate) fn tell(&mut self, named: IpAddr, from: IpAddr) {
        if self.0.len() < MOST && self.0.insert((named, from)) {
            let hint = "if it is a relay of yours, write its address to `relays` of the subnet";
            tracing::warn!(%named, %from, hint, "a BMC is not answered: it came by an unknown relay");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_forged_relays_fills_neither_memory_nor_log() {
        let mut unknown = UnknownRelays::default();
        for number in 0..10_000_u32 {
            unknown.tell(IpAddr::from(number.to_be_bytes()), IpAddr::from([10, 0, 0, 1]));
        }
        assert_eq!(unknown.0.len(), MOST);
    }
}
