//! The addresses of machines, as recorded by netboot.
//!
//! netboot is optional: if its leases are not served by the API server, or we may not read them, no
//! addresses are known, and nothing waits for them. Of a lease only the client, the address and the
//! time are kept.

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::{
    Client, Resource,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use metal_api::{DhcpLease, MacAddr};
use metal_base::RwLocked;
use metal_core::boot::address::LeasedAddress;
use metal_runtime::{Absence, Refusals, absence, jittered, watch_if_served};
use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    pin::pin,
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How long machines wait for the first list, in case the API server does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to check whether there are leases by now.
const AGAIN: Duration = Duration::from_mins(5);

/// The leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    table: RwLock<Table>,
    is_settled: AtomicBool,
    /// Whether the API server has returned a list.
    is_listed: AtomicBool,
}

/// Clients by address.
#[derive(Debug, Default)]
struct Table {
    by_address: HashMap<IpAddr, LeasedAddress>,
    by_mac: HashMap<MacAddr, Vec<IpAddr>>,
}

impl Leases {
    /// The addresses of a client at this time.
    pub(crate) fn of(&self, mac: MacAddr, now: Timestamp) -> Vec<IpAddr> {
        self.places_of(mac, now).into_iter().map(|place| place.address).collect()
    }

    /// The places of a client at this time.
    pub(crate) fn places_of(&self, mac: MacAddr, now: Timestamp) -> Vec<LeasedAddress> {
        let table = self.table.read_locked();
        let addresses = table.by_mac.get(&mac).into_iter().flatten();
        let places = addresses.filter_map(|address| table.by_address.get(address));
        places.filter(|place| now < place.until).copied().collect()
    }

    /// Assumes that these are all leases, until the API server returns a list.
    pub(crate) fn presume(&self, places: impl IntoIterator<Item = LeasedAddress>) {
        let mut next = Table::default();
        // If two clients have had an address, the later one has it.
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_unstable_by_key(|place| place.until);
        for place in places {
            next.insert(place);
        }
        self.write(|table| {
            if !self.is_listed.load(Ordering::Relaxed) {
                *table = next;
            }
        });
    }

    /// The client with an address at this time.
    pub(crate) fn holder(&self, address: IpAddr, now: Timestamp) -> Option<MacAddr> {
        let table = self.table.read_locked();
        table.by_address.get(&address).filter(|place| now < place.until).map(|place| place.mac)
    }

    /// Whether all leases are known, or it is clear that none will be known soon.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Stops waiting for them.
    pub(crate) fn settle(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Watches them forever.
    pub(crate) async fn follow(&self, client: &Client) -> Infallible {
        let follow = async {
            let mut refusals = Refusals::default();
            loop {
                let events = watch_if_served::<DhcpLease>(client);
                let why = self.apply(events.inspect(|event| refusals.note(event))).await;
                let has_any = self.has_any();
                let is_absent = refusals.judge("DHCPLease", why, has_any, log_absence);
                if is_absent {
                    self.clear();
                    self.settle();
                }
                let is_known = has_any || self.is_listed.load(Ordering::Relaxed);
                sleep(if is_absent { jittered(AGAIN) } else { refusals.pause(is_known) }).await;
            }
        };
        let settle = async {
            sleep(PATIENCE).await;
            self.settle();
            std::future::pending().await
        };
        tokio::select! {
            never = follow => never,
            never = settle => never,
        }
    }

    /// Applies the events of a watch until it ends. A new list replaces the old one atomically.
    pub(crate) async fn apply(
        &self,
        events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<DhcpLease>>>>,
    ) -> Option<Absence> {
        let mut events = pin!(events);
        let (mut next, mut why) = (Table::default(), None);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => next = Table::default(),
                Ok(Event::InitApply(object)) => next.put(&object),
                Ok(Event::InitDone) => {
                    self.replace(std::mem::take(&mut next));
                    self.settle();
                }
                Ok(Event::Apply(object)) => self.write(|table| table.put(&object)),
                Ok(Event::Delete(object)) => self.write(|table| table.remove(&object)),
                Err(error) => {
                    why = absence(&error);
                    if why.is_none() {
                        tracing::warn!(%error, kind = "DHCPLease", "watch interrupted");
                    }
                }
            }
        }
        why
    }

    /// Whether there is one that has not ended.
    fn has_any(&self) -> bool {
        let (table, now) = (self.table.read_locked(), Timestamp::now());
        table.by_address.values().any(|place| now < place.until)
    }

    fn clear(&self) {
        self.replace(Table::default());
    }

    fn replace(&self, new: Table) {
        let old = self.write(|table| {
            self.is_listed.store(true, Ordering::Relaxed);
            std::mem::replace(table, new)
        });
        drop(old);
    }

    fn write<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.write_locked())
    }
}

fn log_absence(why: Option<Absence>) {
    match why {
        Some(Absence::Forbidden) => tracing::warn!(
            "no permission to list dhcpleases.bloomery.dev: source addresses of machines are not \
             verified; apply the ClusterRole in bases/rbac, or set --machine-addresses=any"
        ),
        Some(Absence::NotServed) | None => {
            tracing::info!(
                "the DHCPLease CRD is not installed: source addresses of machines are not \
                 verified"
            );
        }
    }
}

impl Table {
    fn put(&mut self, object: &DeserializeGuard<DhcpLease>) {
        self.remove(object);
        let place = object.0.as_ref().ok().and_then(LeasedAddress::of);
        if let Some(place) = place {
            self.insert(place);
        }
    }

    /// Whoever had the address has it no longer.
    fn insert(&mut self, place: LeasedAddress) {
        self.free(place.address);
        self.by_address.insert(place.address, place);
        self.by_mac.entry(place.mac).or_default().push(place.address);
    }

    /// If the object cannot be parsed, its name still contains the address.
    fn remove(&mut self, object: &DeserializeGuard<DhcpLease>) {
        let name = object.meta().name.as_deref().unwrap_or_default();
        if let Ok(address) = name.replace('-', ":").parse() {
            self.free(address);
        }
    }

    fn free(&mut self, address: IpAddr) {
        let Some(old) = self.by_address.remove(&address) else { return };
        if let Some(addresses) = self.by_mac.get_mut(&old.mac) {
            addresses.retain(|other| *other != address);
            if addresses.is_empty() {
                self.by_mac.remove(&old.mac);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, lease};
    use futures::stream;
    use kube::core::error_boundary::InvalidObject;
    use tokio::time::{Instant, timeout};

    const MAC: &str = "02:00:00:aa:00:01";

    #[tokio::test]
    async fn a_client_is_where_its_leases_say_until_they_end() {
        let leases = Leases::default();
        let [v4, v6, other] = ["10.77.0.1", "fd77::1", "10.77.0.2"].map(|ip| ip.parse().unwrap());
        let listed = ["10.77.0.1", "fd77::1"].map(|ip| lease(ip, MAC));
        let mut events = vec![Event::Init];
        events.extend(listed.iter().cloned().map(|it| Event::InitApply(DeserializeGuard(Ok(it)))));
        events.extend([Event::InitDone, applied(lease("10.77.0.2", "02:00:00:aa:00:02"))]);
        feed(&leases, events).await;
        let (mac, now) = (MAC.parse().unwrap(), Timestamp::now());
        assert_eq!(leases.of(mac, now), [v4, v6]);
        assert_eq!(leases.holder(v6, now), Some(mac));
        let ends = listed[1].spec.held_until.0;
        assert_eq!((leases.of(mac, ends), leases.holder(v4, ends)), (vec![], None));

        // Assigned to another client, back to the first, and deleted.
        feed(&leases, vec![applied(lease("fd77::1", "02:00:00:aa:00:02"))]).await;
        assert_eq!(leases.of(mac, now), [v4]);
        feed(&leases, vec![applied(lease("10.77.0.2", MAC))]).await;
        assert_eq!(leases.of(mac, now), [v4, other]);
        feed(&leases, vec![Event::Delete(DeserializeGuard(Ok(listed[0].clone())))]).await;
        assert_eq!(leases.of(mac, now), [other]);
        let metadata = lease("10.77.0.2", MAC).metadata;
        let broken = InvalidObject { error: "broken".to_owned(), metadata };
        feed(&leases, vec![Event::Apply(DeserializeGuard(Err(broken)))]).await;
        assert_eq!(leases.of(mac, now), [] as [IpAddr; 0]);
        feed(&leases, vec![Event::Init, Event::InitDone]).await;
        let table = leases.table.read().unwrap();
        assert!(table.by_address.is_empty() && table.by_mac.is_empty());
    }

    #[test]
    fn of_two_stored_boots_that_had_an_address_the_later_one_has_it() {
        let (leases, now) = (Leases::default(), Timestamp::now());
        let [earlier, later] = [MAC, "02:00:00:aa:00:02"].map(|mac| mac.parse().unwrap());
        let address = IpAddr::from([10, 77, 0, 1]);
        let place = |mac, minutes| LeasedAddress {
            mac,
            address,
            until: now + Duration::from_mins(minutes),
        };
        for places in [[place(earlier, 5), place(later, 9)], [place(later, 9), place(earlier, 5)]] {
            leases.presume(places);
            assert_eq!(leases.holder(address, now), Some(later));
            assert_eq!((leases.of(later, now), leases.of(earlier, now)), (vec![address], vec![]));
        }
    }

    #[test]
    fn leases_that_have_ended_do_not_count_as_known() {
        let (leases, now) = (Leases::default(), Timestamp::now());
        let (mac, address) = (MAC.parse().unwrap(), IpAddr::from([10, 77, 0, 1]));
        for (until, is_known) in [(now, false), (now + Duration::from_mins(5), true)] {
            leases.presume([LeasedAddress { mac, address, until }]);
            assert_eq!(leases.has_any(), is_known);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_leases_that_are_not_served_not_to_be_seen_or_not_told_of() {
        // This test cluster does not have the kind.
        let (leases, cluster) = (Leases::default(), Cluster::default());
        let client = cluster.client();
        let follow = leases.follow(&client);
        assert!(timeout(Duration::from_secs(1), follow).await.is_err());
        assert!(leases.is_settled());
        assert_eq!(cluster.reads(), 1);
        assert!(timeout(AGAIN * 10, leases.follow(&client)).await.is_err());
        assert!(cluster.reads() < 15, "{} requests in an hour", cluster.reads());

        let (leases, cluster) = (Leases::default(), Cluster::default());
        cluster.go_down();
        let client = cluster.client();
        let (follow, begun) = (leases.follow(&client), Instant::now());
        let settled = async {
            while !leases.is_settled() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            never = follow => match never {},
            () = settled => {}
        }
        assert!(begun.elapsed() <= PATIENCE + Duration::from_secs(1));
    }

    fn applied(lease: DhcpLease) -> Event<DeserializeGuard<DhcpLease>> {
        Event::Apply(DeserializeGuard(Ok(lease)))
    }

    async fn feed(leases: &Leases, events: Vec<Event<DeserializeGuard<DhcpLease>>>) {
        assert_eq!(leases.apply(stream::iter(events.into_iter().map(Ok))).await, None);
    }
}
