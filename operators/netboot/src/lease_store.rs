//! The leases of one server: in memory, on disk, and as published to other instances and people.

use crate::{
    lease_file::{self, LeaseFile},
    recorder::Sightings,
    shared_leases::{LeaseAddress, SharedLeases, is_news},
};
use jiff::{SignedDuration, Timestamp};
use metal_api::MacAddr;
use metal_core::{endpoint::Sighting, macdb::MacDb};
use metal_dhcp::lease::{Lease, Leases, outlasts_all};
use metal_runtime::{clock::Steps, report::Chain};
use std::{
    collections::HashMap,
    io,
    path::Path,
    time::{Duration, Instant},
};

/// Problems with the lease file.
const NOT_WRITTEN: &str = "could not write leases to disk; the clients are not answered";
const NOT_MAINTAINED: &str = "could not sync or compact the lease file; retrying";
/// After this time one that lasts is reported again.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The leases.
#[derive(Debug)]
pub(crate) struct LeaseStore<A> {
    /// The leases in memory, which are authoritative.
    pub(crate) leases: Leases<A>,
    file: Option<LeaseFile>,
    published: Option<SharedLeases>,
    /// Leases that are not published before they have been recorded.
    changed: Vec<Lease<A>>,
    /// Whether the last packets were answered.
    answered: bool,
    /// Detects that the clock was set.
    steps: Steps,
    /// The last error for each problem with the lease file, and when it was reported.
    troubles: HashMap<&'static str, (String, Instant)>,
}

impl<A: LeaseAddress> LeaseStore<A> {
    /// Leases that are only in memory until there is a file.
    pub(crate) fn new(leases: Leases<A>, published: Option<SharedLeases>) -> Self {
        let (changed, answered, steps) = (Vec::new(), false, Steps::default());
        let troubles = HashMap::new();
        Self { leases, file: None, published, changed, answered, steps, troubles }
    }

    /// Records leases in a file from now on, and adopts those in it. What was heard before that is newer.
    pub(crate) fn open(&mut self, path: &Path) -> Result<(), lease_file::Error> {
        let (mut file, logged) = LeaseFile::open(path)?;
        let all = self.leases.all().into_iter();
        let heard: Vec<_> = all.filter(|lease| lease.is_durable()).cloned().collect();
        for lease in logged {
            self.leases.apply(lease);
        }
        for lease in heard {
            file.append(&lease);
            self.leases.apply(lease);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Whether leases survive this process.
    pub(crate) fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Publishes all leases, so that they can be compared with the existing objects.
    pub(crate) fn publish_all(&self) {
        let Some(published) = &self.published else { return };
        published.note(self.leases.all().into_iter().filter(|lease| lease.is_durable()));
        published.complete(A::FAMILY);
    }

    /// Adopts a lease and, if it is durable, records it with the next commit; returns whether it
    /// is.
    pub(crate) fn record(&mut self, lease: Lease<A>) -> bool {
        let is_durable = lease.is_durable();
        if is_durable {
            self.file.iter_mut().for_each(|file| file.append(&lease));
            if self.published.is_some() {
                self.changed.push(lease.clone());
            }
        }
        self.leases.apply(lease);
        is_durable
    }

    /// Whether what was to be recorded is now recorded.
    pub(crate) fn commit(&mut self) -> bool {
        let changed = std::mem::take(&mut self.changed);
        let is_write = self.file.as_ref().is_some_and(LeaseFile::is_pending);
        match self.file.as_mut().map_or(Ok(()), LeaseFile::commit) {
            Ok(()) => {
                // Where there is nothing to write, a full disk does not show.
                if is_write {
                    self.troubles.remove(NOT_WRITTEN);
                }
                self.published.iter().for_each(|published| published.note(&changed));
                true
            }
            Err(error) => {
                self.complain(NOT_WRITTEN, &error);
                false
            }
        }
    }

    /// Maintains the file; returns whether that worked.
    pub(crate) async fn maintain(&mut self) -> bool {
        let Self { file: Some(file), leases, .. } = self else { return true };
        let durable = || {
            let durable = leases.all().into_iter().filter(|lease| lease.is_durable());
            durable.collect::<Vec<_>>().into_iter()
        };
        match file.maintain(leases.len(), durable).await {
            Ok(()) => true,
            Err(error) => {
                self.complain(NOT_MAINTAINED, &error);
                false
            }
        }
    }

    /// Reports a problem with the lease file, unless it was reported already.
    fn complain(&mut self, what: &'static str, error: &io::Error) {
        let text = Chain(error).to_string();
        let is_known =
            |(known, since): &(String, Instant)| *known == text && since.elapsed() < FORGOTTEN;
        if !self.troubles.get(what).is_some_and(is_known) {
            tracing::error!(error = text, "{what}");
            self.troubles.insert(what, (text, Instant::now()));
        }
    }

    /// Keeps leases from ending early or late because the clock was set.
    pub(crate) fn follow_clock(&mut self) {
        if let Some(by) = self.steps.look() {
            tracing::warn!(
                %by,
                "the system clock was changed; the remaining lifetime of leases is unaffected",
            );
            let before = Timestamp::now().saturating_sub(by).unwrap_or(Timestamp::MIN);
            self.shift(by, before);
        }
    }

    /// Moves all leases by the time by which the clock was set from `before`. Those of another instance were
    /// recorded by its own clock, so they may be prolonged but not shortened, unless they would end when none does.
    fn shift(&mut self, by: SignedDuration, before: Timestamp) {
        let is_shared = self.published.as_ref().is_some_and(SharedLeases::is_shared);
        let is_shorter = is_shared && by.is_negative();
        let now = before.saturating_add(by).unwrap_or(before);
        let moves = |lease: &&Lease<A>| !is_shorter || outlasts_all(lease.until, now);
        let all = self.leases.all().into_iter().filter(moves);
        let shifted: Vec<_> = all.map(|lease| lease.shifted(by, before)).collect();
        for lease in shifted {
            self.record(lease);
        }
        self.commit();
    }

    /// Whether packets are answered now and were not before. Then what the other instance has
    /// published is adopted.
    pub(crate) fn takes_over(&mut self) -> bool {
        let answers = self.answers();
        let takes_over = answers && !self.answered;
        self.answered = answers;
        if takes_over {
            self.hear();
        }
        takes_over
    }

    /// Whether packets are answered; if not, the other instance answers them.
    pub(crate) fn answers(&self) -> bool {
        self.published.as_ref().is_none_or(SharedLeases::answers)
    }

    /// Adopts what the other instance has published. Returns whether that is recorded.
    pub(crate) fn hear(&mut self) -> bool {
        let heard = self.published.as_ref().map(SharedLeases::heard::<A>).unwrap_or_default();
        if heard.is_empty() {
            return true;
        }
        for lease in heard {
            if is_news(&lease, self.leases.get(lease.address)) {
                self.file.iter_mut().for_each(|file| file.append(&lease));
                self.leases.apply(lease);
            }
        }
        self.commit()
    }

    /// Reports every BMC with a lease that `is_told`, unless the other instance is responsible: after a
    /// start, and when more BMCs are known.
    pub(crate) fn recall_bmcs(
        &self,
        bmcs: &MacDb,
        is_told: impl Fn(MacAddr, A) -> bool,
        sightings: Option<&Sightings>,
    ) {
        let Some(sightings) = sightings.filter(|_| self.answers()) else { return };
        let now = Timestamp::now();
        for lease in self.leases.all() {
            let mac = lease.client.mac().filter(|mac| bmcs.lookup(*mac).is_some());
            let Some(mac) = mac.filter(|mac| is_told(*mac, lease.address)) else { continue };
            if !lease.is_bound(now) {
                sightings.ends_at(mac, lease.until.min(now));
                continue;
            }
            let (address, until) = (lease.address, lease.until);
            let elsewhere = self.leases.bound_elsewhere(&lease.client, &(address..=address), now);
            sightings.saw(Sighting { mac, address, until, elsewhere, is_recalled: true });
        }
    }

    /// Synchronizes everything to disk before the end.
    pub(crate) fn close(self) {
        if let Some(Err(error)) = self.file.map(LeaseFile::close) {
            tracing::error!(error = %Chain(&error), "could not sync the lease file to disk");
        }
    }

    /// Makes every write fail from now on, like a full disk.
    #[cfg(test)]
    pub(crate) fn fail_writes(&mut self) {
        self.file.as_mut().unwrap().fail_writes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_dhcp::{Client, Instances, Part, Sharing, lease::State};
    use std::net::Ipv4Addr;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    #[test]
    fn a_clock_that_is_set_neither_ends_a_lease_nor_makes_it_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        for by in [10 * HOUR, -10 * HOUR] {
            let mut lease_store = lease_store(None);
            std::fs::remove_file(&path).ok();
            lease_store.open(&path).unwrap();
            assert!(lease_store.record(lease(start + HOUR)) && lease_store.commit());
            lease_store.shift(by, start);
            let held = |lease_store: &LeaseStore<Ipv4Addr>, now| {
                lease_store.leases.get(ADDRESS).unwrap().is_bound(now)
            };
            let last = SignedDuration::from_secs(1);
            assert!(held(&lease_store, start + by + HOUR - last), "{by}");
            assert!(!held(&lease_store, start + by + HOUR), "{by}");
            lease_store.close();
            let mut again = self::lease_store(None);
            again.open(&path).unwrap();
            assert!(held(&again, start + by + HOUR - last), "{by}: it is written down");
            assert!(!held(&again, start + by + HOUR), "{by}: it is written down");
        }
    }

    #[test]
    fn a_lease_from_before_a_clock_that_started_years_too_early_ends_when_it_should() {
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        let mut lease_store = lease_store(None);
        lease_store.record(lease(start + HOUR));
        let by = 24 * 400 * HOUR;
        lease_store.shift(by, start - by);
        assert_eq!(lease_store.leases.get(ADDRESS).unwrap().until, start + HOUR);
    }

    #[test]
    fn a_lease_that_ended_years_ago_does_not_go_on_because_the_clock_was_years_ahead_for_a_while() {
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        let mut lease_store = lease_store(None);
        let (year, ended) = (24 * 365 * HOUR, start - 24 * 400 * HOUR);
        lease_store.record(lease(ended));
        lease_store.shift(year * 20, start);
        lease_store.shift(-year * 20, start + year * 20);
        assert_eq!(lease_store.leases.get(ADDRESS).unwrap().until, ended);
    }

    #[test]
    fn a_lease_that_was_given_while_the_clock_was_years_ahead_ends_also_beside_another_instance() {
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        let by = 24 * 400 * HOUR;
        for mode in [None, Some(Sharing::Standby), Some(Sharing::Split)] {
            let mut lease_store = lease_store(mode);
            lease_store.record(lease(start + by + HOUR));
            lease_store.shift(-by, start + by);
            assert_eq!(lease_store.leases.get(ADDRESS).unwrap().until, start + HOUR, "{mode:?}");
        }
    }

    #[test]
    fn leases_of_another_instance_end_no_sooner_because_our_clock_is_set_back() {
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        let mut lease_store = lease_store(Some(Sharing::Standby));
        lease_store.record(lease(start + HOUR));
        lease_store.shift(-10 * HOUR, start);
        assert_eq!(lease_store.leases.get(ADDRESS).unwrap().until, start + HOUR);
        lease_store.shift(10 * HOUR, start);
        assert_eq!(lease_store.leases.get(ADDRESS).unwrap().until, start + 11 * HOUR);
    }

    #[test]
    fn a_full_disk_is_reported_once_whatever_else_is_answered_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let start = Timestamp::from_second(2_000_000_000).unwrap();
        let mut lease_store = lease_store(None);
        lease_store.open(&dir.path().join("leases")).unwrap();
        let reported =
            |store: &LeaseStore<Ipv4Addr>| store.troubles.get(NOT_WRITTEN).map(|(_, at)| *at);
        assert!(lease_store.record(lease(start + HOUR)) && lease_store.commit());
        assert_eq!(reported(&lease_store), None);
        lease_store.fail_writes();
        // The second time, what the first one has left cannot be cut off, which is another error.
        for _ in 0..2 {
            assert!(lease_store.record(lease(start + HOUR)) && !lease_store.commit());
        }
        let last = reported(&lease_store);
        assert!(last.is_some());
        // Offers are not recorded.
        assert!(!lease_store.record(Lease { state: State::Offered, ..lease(start + HOUR) }));
        assert!(lease_store.commit());
        assert!(lease_store.record(lease(start + HOUR)) && !lease_store.commit());
        assert_eq!(reported(&lease_store), last);
    }

    #[test]
    fn a_file_from_before_does_not_replace_what_was_heard_before_it_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases");
        let (start, other) = (Timestamp::from_second(2_000_000_000).unwrap(), [10, 0, 0, 2].into());
        let mut before = lease_store(None);
        before.open(&path).unwrap();
        before.record(lease(start + HOUR));
        before.record(Lease { address: other, ..lease(start + HOUR) });
        assert!(before.commit());
        before.close();
        let mut heard = lease_store(None);
        heard.record(lease(start + HOUR * 2));
        heard.open(&path).unwrap();
        assert!(heard.commit());
        heard.close();
        let mut again = lease_store(None);
        again.open(&path).unwrap();
        let until = |address| again.leases.get(address).unwrap().until;
        assert_eq!([ADDRESS, other].map(until), [start + HOUR * 2, start + HOUR]);
    }

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn lease_store(mode: Option<Sharing>) -> LeaseStore<Ipv4Addr> {
        let instances = mode.map(|mode| Instances { mode, part: Part::First });
        LeaseStore::new(Leases::default(), Some(SharedLeases::new(instances)))
    }

    fn lease(until: Timestamp) -> Lease {
        let client = Client::Mac("02:00:00:00:00:01".parse().unwrap());
        Lease { address: ADDRESS, client, state: State::Bound, until, binding: None }
    }
}
