//! BMCs that were seen by the packet path.

use jiff::{SignedDuration, Timestamp};
use metal_api::MacAddr;
use metal_base::Locked;
use metal_core::endpoint::Sighting;
use metal_dhcp::lease::shifted;
use metal_runtime::{
    clock::{Steps, since_boot},
    metrics::Registry,
    queue::Queue,
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// How many BMCs may be queued. One that finds no room is seen again when it renews its lease.
pub(super) const MOST: usize = 1 << 16;
/// New BMCs are accepted only while fewer than this many are queued.
pub(super) const MOST_NEW: usize = 1024;
/// How long the end of a lease is remembered at least.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// BMCs with an address that has not been recorded yet. Cheap to clone; clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sightings(pub(super) Arc<Shared>);

#[derive(Debug, Default)]
pub(super) struct Shared {
    wanted: Mutex<HashMap<MacAddr, Sighting>>,
    /// When the last lease of a BMC ended, or will end.
    ends: Mutex<HashMap<MacAddr, Timestamp>>,
    started: Started,
    /// Detects that the clock was set.
    steps: Mutex<Steps>,
    pub(super) queue: Queue<MacAddr>,
    pub(super) waiting: Gauge,
    pub(super) dropped: Counter,
}

impl Sightings {
    /// A BMC was seen with this address. Never waits.
    pub(crate) fn saw<A: Into<IpAddr>>(&self, seen: Sighting<A>) {
        let seen = seen.of_any_kind();
        self.follow_clock();
        let mac = seen.mac;
        self.ends_at(mac, seen.until);
        let mut wanted = self.wanted();
        if wanted.get(&mac).is_some_and(|queued| !replaces(&seen, queued)) {
            return;
        }
        if wanted.len() >= MOST && !wanted.contains_key(&mac) {
            self.0.dropped.inc();
            return;
        }
        wanted.insert(mac, seen);
        self.count_waiting(&wanted);
        drop(wanted);
        self.0.queue.add(mac);
    }

    /// A lease of a BMC has ended, or will end, at this time.
    pub(crate) fn ends_at(&self, mac: MacAddr, until: Timestamp) {
        let mut ends = self.0.ends.locked();
        if ends.len() >= MOST {
            // Objects for older ones may be removed.
            let needed = Timestamp::now().saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
            ends.retain(|_, end| *end > needed);
        }
        if ends.len() < MOST || ends.contains_key(&mac) {
            let end = ends.entry(mac).or_insert(until);
            *end = until.max(*end);
        }
    }

    /// When the last lease of a BMC ended. An unknown lease ended before the start of this process
    /// at the latest, if there is no other instance (`alone`).
    pub(super) fn ended(&self, mac: MacAddr, alone: bool) -> Option<Timestamp> {
        let ends = self.0.ends.locked();
        ends.get(&mac).copied().or_else(|| alone.then(|| self.0.started.time()))
    }

    /// Keeps leases from ending early or late here because the clock was set.
    pub(super) fn follow_clock(&self) {
        let Some(by) = self.0.steps.locked().look() else { return };
        let before = Timestamp::now().saturating_sub(by).unwrap_or(Timestamp::MIN);
        self.shift(by, before);
    }

    /// Moves the ends of all leases by the time by which the clock was set from `before`.
    fn shift(&self, by: SignedDuration, before: Timestamp) {
        for seen in self.wanted().values_mut() {
            seen.until = shifted(seen.until, by, before);
            if let Some((_, until)) = &mut seen.elsewhere {
                *until = shifted(*until, by, before);
            }
        }
        for end in self.0.ends.locked().values_mut() {
            *end = shifted(*end, by, before);
        }
    }

    /// How many are queued.
    pub(crate) fn len(&self) -> usize {
        self.wanted().len()
    }

    /// Registers metrics for how many are queued, and how many found no room.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "BMCs waiting to be recorded";
        registry.register("endpoints_waiting", help, self.0.waiting.clone());
        let help = "BMCs dropped because the queue was full";
        registry.register("endpoints_dropped", help, self.0.dropped.clone());
    }

    /// It has been recorded, unless it was seen with another address since.
    pub(super) fn recorded(&self, seen: &Sighting) {
        let mut wanted = self.wanted();
        let is_it =
            |it: &Sighting| (it.address, it.is_recalled) == (seen.address, seen.is_recalled);
        if wanted.get(&seen.mac).is_some_and(is_it) {
            wanted.remove(&seen.mac);
            self.count_waiting(&wanted);
        }
    }

    /// Drops a new one if too many are queued, as known ones need room, too. It is seen again when
    /// it renews. Returns whether it was dropped.
    pub(super) fn give_up(&self, seen: &Sighting) -> bool {
        let is_crowded = self.len() > MOST_NEW;
        if is_crowded {
            self.0.dropped.inc();
            self.recorded(seen);
        }
        is_crowded
    }

    fn count_waiting(&self, wanted: &HashMap<MacAddr, Sighting>) {
        self.0.waiting.set(i64::try_from(wanted.len()).unwrap_or(i64::MAX));
    }

    pub(super) fn wanted(&self) -> MutexGuard<'_, HashMap<MacAddr, Sighting>> {
        self.0.wanted.locked()
    }
}

/// Whether a sighting takes the place of one that is queued. What was seen now takes precedence over what is
/// recalled, then an IPv4 address over an IPv6 address, and of two leases from before the one that ends last.
fn replaces(seen: &Sighting, queued: &Sighting) -> bool {
    let is_of_same_version = seen.address.is_ipv4() == queued.address.is_ipv4();
    match (seen.is_recalled, queued.is_recalled) {
        (false, true) => true,
        (true, false) => false,
        (is_recalled, _) if is_of_same_version => !is_recalled || seen.until >= queued.until,
        _ => seen.address.is_ipv4(),
    }
}

/// When this process started, by a clock that nobody can set.
#[derive(Debug)]
struct Started(Duration);

impl Default for Started {
    fn default() -> Self {
        Self(since_boot())
    }
}

impl Started {
    /// The same by the wall clock as it is now.
    fn time(&self) -> Timestamp {
        let ago = since_boot().saturating_sub(self.0);
        Timestamp::now().saturating_sub(ago).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn seen(number: u32) -> Sighting {
        let [a, b, c, d] = number.to_be_bytes();
        let until = Timestamp::now() - SignedDuration::from_hours(48);
        let address = Ipv4Addr::from_bits(number).into();
        let mac = MacAddr([2, 0xbb, a, b, c, d]);
        Sighting { mac, address, until, elsewhere: None, is_recalled: false }
    }

    #[test]
    fn a_crowd_of_new_bmcs_leaves_room_for_those_that_are_known() {
        let sightings = Sightings::default();
        for number in 0..10_000 {
            let seen = seen(number);
            sightings.saw(seen);
            // Like the recorder with a BMC that is not admitted.
            sightings.give_up(&seen);
            assert!(sightings.len() <= MOST_NEW);
        }
        let few = Sightings::default();
        few.saw(seen(1));
        assert!(!few.give_up(&seen(1)), "it waits, and is let in in its turn");
        assert_eq!(few.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_neither_drops_a_sighting_nor_makes_it_last() {
        let (sightings, hour) = (Sightings::default(), SignedDuration::from_hours(1));
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let at = |now: Timestamp| {
            let elsewhere = Some((Ipv4Addr::LOCALHOST.into(), now + hour * 2));
            Sighting { until: now + hour, elsewhere, ..seen(1) }
        };
        sightings.saw(at(now));
        for (from, by) in [(now, hour * 10), (now + hour * 10, hour * -10)] {
            sightings.shift(by, from);
            assert_eq!(sightings.wanted().get(&seen(1).mac), Some(&at(from + by)));
            assert_eq!(sightings.ended(seen(1).mac, false), Some(from + by + hour));
        }
        sightings.saw(at(now + hour));
        sightings.shift(hour, now);
        sightings.recorded(&at(now));
        assert_eq!(sightings.len(), 0, "it is recorded, whatever the time is");
    }

    #[test]
    fn the_latest_lease_counts_of_those_from_before_and_none_of_them_once_a_bmc_is_seen() {
        let sightings = Sightings::default();
        let queued = || sightings.wanted().values().map(|it| it.until).collect::<Vec<_>>();
        let hour = SignedDuration::from_hours(1);
        let fresh = seen(1);
        let recalled = Sighting { is_recalled: true, ..fresh };
        for until in [recalled.until, recalled.until + hour, recalled.until - hour] {
            sightings.saw(Sighting { until, ..recalled });
        }
        assert_eq!(queued(), [recalled.until + hour]);
        sightings.saw(fresh);
        sightings.saw(Sighting { until: recalled.until + hour * 2, ..recalled });
        assert_eq!(queued(), [fresh.until]);
    }

    #[test]
    fn what_was_seen_now_counts_before_what_is_recalled_and_ipv4_before_ipv6() {
        let v4 = |is_recalled| Sighting { is_recalled, ..seen(1) };
        let v6 = |is_recalled| Sighting { address: Ipv6Addr::LOCALHOST.into(), ..v4(is_recalled) };
        for (seen, queued, is_replaced) in [
            (v4(true), v6(false), false),
            (v6(false), v4(true), true),
            (v4(false), v6(true), true),
            (v6(true), v4(false), false),
            (v4(false), v6(false), true),
            (v6(false), v4(false), false),
            (v4(true), v6(true), true),
            (v6(true), v4(true), false),
        ] {
            assert_eq!(replaces(&seen, &queued), is_replaced, "{seen:?} after {queued:?}");
        }
    }

    #[test]
    fn the_ends_of_leases_of_strangers_make_room_for_those_of_others() {
        let sightings = Sightings::default();
        let most = u32::try_from(MOST).unwrap();
        for number in 0..most {
            sightings.ends_at(seen(number).mac, seen(number).until);
        }
        let now = Timestamp::now();
        sightings.ends_at(seen(most).mac, now);
        assert_eq!(sightings.ended(seen(most).mac, false), Some(now));
    }
}
