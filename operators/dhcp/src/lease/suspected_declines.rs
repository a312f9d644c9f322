//! Addresses that their clients seem to have declined, in packets that anybody may have sent.

use crate::address::Address;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// How long this counts. A client starts over ten seconds after it has declined (RFC 2131, section
/// 3.1).
const DOUBT_TIME: SignedDuration = SignedDuration::from_mins(2);
/// How many addresses are remembered.
const MOST: usize = 1 << 12;

/// Such addresses, and until when that counts.
#[derive(Clone, Debug)]
pub(super) struct SuspectedDeclines<A>(HashMap<A, Timestamp>);

impl<A: Address> SuspectedDeclines<A> {
    pub(super) fn note(&mut self, address: A, now: Timestamp) {
        if self.0.len() >= MOST {
            self.0.retain(|_, until| counts(*until, now));
        }
        if self.0.len() < MOST {
            let until = now.saturating_add(DOUBT_TIME).unwrap_or(Timestamp::MAX);
            self.0.insert(address, until);
        }
    }

    /// The client goes on to use it, or it is another client's now.
    pub(super) fn clear(&mut self, address: A) {
        self.0.remove(&address);
    }

    pub(super) fn contains(&self, address: A, now: Timestamp) -> bool {
        self.0.get(&address).is_some_and(|until| counts(*until, now))
    }
}

/// Whether a doubt until then still counts. It is later than it can be only if the clock was set back since.
fn counts(until: Timestamp, now: Timestamp) -> bool {
    until > now && until.duration_since(now) <= DOUBT_TIME
}

impl<A> Default for SuspectedDeclines<A> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn what_is_doubted_is_bounded_and_over_in_time() {
        let mut doubted = SuspectedDeclines::default();
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let most = u32::try_from(MOST).unwrap();
        (0..2 * most).for_each(|number| doubted.note(Ipv4Addr::from_bits(number), start));
        assert_eq!(doubted.0.len(), MOST);
        assert!(doubted.contains(Ipv4Addr::from_bits(0), start));
        let later = start + DOUBT_TIME;
        assert!(!doubted.contains(Ipv4Addr::from_bits(0), later));
        doubted.note(Ipv4Addr::from_bits(2 * most), later);
        assert_eq!(doubted.0.len(), 1);
    }

    #[test]
    fn a_doubt_does_not_last_for_the_time_by_which_the_clock_is_set_back() {
        let (mut doubted, address) = (SuspectedDeclines::default(), Ipv4Addr::LOCALHOST);
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        doubted.note(address, start);
        assert!(doubted.contains(address, start));
        assert!(!doubted.contains(address, start - SignedDuration::from_hours(24)));
    }
}
