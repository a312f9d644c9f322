//! Offers that were forgotten, and that their clients may still request.

use super::{Leases, fnv1a};
use crate::{address::Address, client::Client};
use jiff::{SignedDuration, Timestamp};

/// How long an offer is valid. EDK2 takes 4 s to request it, iPXE up to 18 s.
pub(crate) const OFFER_TIME: SignedDuration = SignedDuration::from_secs(60);
/// Leases end in whole seconds.
const ROUNDING: SignedDuration = SignedDuration::from_secs(1);

/// The end of the last offer that was forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ForgottenOffers(Option<Timestamp>);

impl ForgottenOffers {
    pub(super) fn note(&mut self, until: Timestamp) {
        self.0 = Some(until);
    }

    /// Whether a client may be about to request one. The end is later than it can be only if the clock was set back
    /// since.
    pub(super) fn may_come(self, now: Timestamp) -> bool {
        let left = self.0.map(|until| until.duration_since(now));
        left.is_some_and(|left| left.is_positive() && left <= OFFER_TIME + ROUNDING)
    }
}

impl<A: Address> Leases<A> {
    /// An earlier process may have made offers until now, which this one does not know.
    pub fn may_have_offered(&mut self, now: Timestamp) {
        self.forgotten.note(now.saturating_add(OFFER_TIME).unwrap_or(Timestamp::MAX));
    }

    /// Whether a client may be about to request an offer that was forgotten.
    pub(crate) fn has_forgotten_offers(&self, now: Timestamp) -> bool {
        self.forgotten.may_come(now)
    }

    /// Whether an address may have been picked for a client.
    pub(crate) fn may_be_picked_for(&self, client: &Client, address: A) -> bool {
        let seed = fnv1a(client.bytes());
        self.pool_of(address).is_some_and(|pool| self.pools[pool].may_have_picked(seed, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_offer_counts_until_its_end_also_after_the_clock_was_set_back() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let mut forgotten = ForgottenOffers::default();
        assert!(!forgotten.may_come(start));
        forgotten.note(start + OFFER_TIME + ROUNDING);
        assert!(forgotten.may_come(start) && forgotten.may_come(start + OFFER_TIME));
        assert!(!forgotten.may_come(start + OFFER_TIME + ROUNDING));
        assert!(!forgotten.may_come(start - SignedDuration::from_hours(24)));
        // What had ended before it was forgotten.
        forgotten.note(start);
        assert!(!forgotten.may_come(start));
    }
}
