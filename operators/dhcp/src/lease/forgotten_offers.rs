//! Offers that were forgotten, and that their clients may still request.

use super::{Leases, fnv1a};
use crate::{address::Address, client::Client};
use jiff::{SignedDuration, Timestamp};

/// How long an offer is valid. EDK2 takes 4 s to request it, iPXE up to 18 s.
pub(crate) const OFFER_TIME: SignedDuration = SignedDuration::from_secs(60);
/// An offer ends no later than this from now. Leases end in whole seconds.
const LONGEST: SignedDuration = OFFER_TIME.saturating_add(SignedDuration::from_secs(1));

/// The latest end of an offer that was forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ForgottenOffers(Option<Timestamp>);

impl ForgottenOffers {
    pub(super) fn note(&mut self, until: Timestamp) {
        // It is much later only if the clock was set back since.
        let is_later = |last: Timestamp| last > until && last.duration_since(until) <= LONGEST;
        if !self.0.is_some_and(is_later) {
            self.0 = Some(until);
        }
    }

    /// Whether a client may be about to request one.
    pub(super) fn may_come(self, now: Timestamp) -> bool {
        let left = self.0.map(|until| until.duration_since(now));
        left.is_some_and(|left| left.is_positive() && left <= LONGEST)
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
        // What had ended before it was forgotten.
        forgotten.note(start);
        assert!(!forgotten.may_come(start));
        forgotten.note(start + LONGEST);
        // One that was withdrawn.
        forgotten.note(start + OFFER_TIME);
        assert!(forgotten.may_come(start) && forgotten.may_come(start + OFFER_TIME));
        assert!(!forgotten.may_come(start + LONGEST));
        let earlier = start - SignedDuration::from_hours(24);
        assert!(!forgotten.may_come(earlier));
        forgotten.note(earlier + OFFER_TIME);
        assert!(forgotten.may_come(earlier) && !forgotten.may_come(earlier + OFFER_TIME));
    }
}
