//! The connections of one port, by source.

use super::{
    connection::{Connection, Rank, Reason},
    limits::Limits,
};
use ipnet::IpNet;
use metal_base::{Locked, Source};
use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::time::Instant;

/// This many connections are closed at a time, so that one scan makes room for many.
const BATCH: usize = 64;

/// All connections that are not being closed.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    /// Networks of proxies, which have no limit per source.
    proxies: Vec<IpNet>,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    by_source: HashMap<Source, HashMap<u64, Arc<Connection>>>,
    taken: usize,
    next: u64,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    table: Arc<Table>,
    source: Source,
    id: u64,
    connection: Arc<Connection>,
}

/// A connection that may be closed to make room.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    rank: Rank,
    /// How many connections its source has.
    crowd: usize,
    source: Source,
    id: u64,
}

impl Candidate {
    /// Smaller ones first: idle ones before busy ones, then those of the source with the most
    /// connections, then those that are to blame, then the oldest.
    fn order(&self) -> (bool, Reverse<usize>, Rank, u64) {
        (!self.is_idle(), Reverse(self.crowd), self.rank, self.id)
    }

    /// Whether it asks for nothing; the other ones are under way.
    fn is_idle(&self) -> bool {
        matches!(self.rank, Rank::Waiting(_))
    }
}

impl Table {
    pub(super) fn new(limits: Limits, proxies: Vec<IpNet>) -> Self {
        Self { limits, proxies, places: Mutex::default() }
    }

    /// A place for a connection from `peer`, if there is one or can be made: first within the limit
    /// of its source, then of the port.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: SocketAddr,
        now: Instant,
    ) -> Option<ConnectionGuard> {
        let source = Source::from(peer.ip());
        let mut places = self.places();
        let own = places.of(source);
        if own >= self.per_source(peer.ip()) && !places.thin_out(source, own, now) {
            return None;
        }
        if places.taken >= self.limits.connections && !places.make_room(Some(source), now) {
            return None;
        }
        let (id, connection) = (places.next, Arc::new(Connection::new(now)));
        places.next += 1;
        places.taken += 1;
        places.by_source.entry(source).or_default().insert(id, Arc::clone(&connection));
        Some(ConnectionGuard { table: Arc::clone(self), source, id, connection })
    }

    fn per_source(&self, peer: IpAddr) -> usize {
        let peer = peer.to_canonical();
        let is_proxy = self.proxies.iter().any(|network| network.contains(&peer));
        if is_proxy { self.limits.connections } else { self.limits.per_source }
    }

    /// Closes connections that have exceeded a time limit.
    pub(super) fn sweep(&self, now: Instant) {
        let mut places = self.places();
        let overdue = |(id, connection): (&u64, &Arc<Connection>)| {
            Some((*id, connection.overdue(now, &self.limits)?))
        };
        let overdue: Vec<_> = places
            .by_source
            .iter()
            .flat_map(|(source, those)| {
                those.iter().filter_map(overdue).map(|(id, reason)| (*source, id, reason))
            })
            .collect();
        for (source, id, reason) in overdue {
            places.dismiss(source, id, reason);
        }
    }

    /// Closes some connections, because the process has reached its limit of open files.
    pub(super) fn make_room(&self, now: Instant) {
        self.places().make_room(None, now);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.locked()
    }
}

impl Places {
    /// Closes some connections of one source; returns whether there were any.
    fn thin_out(&mut self, source: Source, own: usize, now: Instant) -> bool {
        let candidates = self.candidates(source, now).collect();
        self.dismiss_first(candidates, own)
    }

    /// Closes some connections of any source, to make room for one from `newcomer`; returns whether
    /// there were any. Busy ones are closed only if their source has more than the newcomer's.
    fn make_room(&mut self, newcomer: Option<Source>, now: Instant) -> bool {
        let own = newcomer.map_or(0, |source| self.of(source));
        let sources: Vec<_> = self.by_source.keys().copied().collect();
        let candidates = sources.into_iter().flat_map(|source| {
            let may_go = |candidate: &Candidate| candidate.is_idle() || candidate.crowd > own + 1;
            self.candidates(source, now).filter(may_go)
        });
        let candidates = candidates.collect();
        self.dismiss_first(candidates, self.taken)
    }

    /// Connections of one source that may be closed.
    fn candidates(&self, source: Source, now: Instant) -> impl Iterator<Item = Candidate> {
        let crowd = self.of(source);
        let those = self.by_source.get(&source).into_iter().flatten();
        those.filter_map(move |(id, connection)| {
            Some(Candidate { rank: connection.rank(now)?, crowd, source, id: *id })
        })
    }

    /// Closes the first of these: one in [`BATCH`] of `all` if they are idle, otherwise only one.
    /// Returns whether there was any.
    fn dismiss_first(&mut self, mut candidates: Vec<Candidate>, all: usize) -> bool {
        candidates.sort_unstable_by_key(Candidate::order);
        let batch = match candidates.first() {
            None => return false,
            Some(first) if first.is_idle() => (all / BATCH).max(1),
            Some(_) => 1,
        };
        for (place, first) in candidates.iter().take(batch).enumerate() {
            if place == 0 || first.is_idle() {
                self.dismiss(first.source, first.id, Reason::Room);
            }
        }
        true
    }

    fn of(&self, source: Source) -> usize {
        self.by_source.get(&source).map_or(0, HashMap::len)
    }

    fn dismiss(&mut self, source: Source, id: u64, reason: Reason) {
        if let Some(connection) = self.remove(source, id) {
            connection.dismiss(reason);
        }
    }

    fn remove(&mut self, source: Source, id: u64) -> Option<Arc<Connection>> {
        let those = self.by_source.get_mut(&source)?;
        let connection = those.remove(&id)?;
        if those.is_empty() {
            self.by_source.remove(&source);
        }
        self.taken -= 1;
        Some(connection)
    }
}

impl ConnectionGuard {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.table.places().remove(self.source, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_longest_idle_connection_of_the_source_makes_room_and_others_are_let_alone() {
        let scene = Scene::new(10, 2);
        let other = scene.admit("10.0.0.2", 0).unwrap();
        let first = scene.admit("10.0.0.1", 1).unwrap();
        let second = scene.admit("10.0.0.1", 2).unwrap();
        let third = scene.admit("10.0.0.1", 3);
        assert_eq!(first.reason(), Some(Reason::Room));
        assert!(third.is_some() && second.reason().is_none() && other.reason().is_none());
    }

    #[test]
    fn a_source_whose_connections_are_all_under_way_gets_no_further_one() {
        let scene = Scene::new(10, 2);
        let _busy: Vec<_> = [0; 2].map(|at| scene.busy("10.0.0.1", at)).into();
        assert!(scene.admit("10.0.0.1", 1).is_none());
        assert!(scene.admit("10.0.0.2", 1).is_some());
    }

    #[test]
    fn one_host_has_no_more_of_ipv6_than_of_ipv4() {
        let scene = Scene::new(10, 2);
        let _busy: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|from| scene.busy(from, 0)).into();
        assert!(scene.admit("2001:db8::3", 1).is_none());
        assert!(scene.admit("2001:db8:0:1::1", 1).is_some());
        let _mapped: Vec<_> = ["10.0.0.1", "::ffff:10.0.0.1"].map(|it| scene.busy(it, 0)).into();
        assert!(scene.admit("10.0.0.1", 1).is_none());
    }

    #[test]
    fn the_hosts_behind_a_proxy_are_not_one_source_and_a_stranger_beside_it_is() {
        let scene = Scene::behind(6, 2, &["192.0.2.0/24".parse().unwrap()]);
        let _proxied: Vec<_> =
            ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"].map(|it| scene.busy(it, 0)).into();
        let _strangers: Vec<_> = [0; 2].map(|at| scene.busy("10.0.0.1", at)).into();
        assert!(scene.admit("10.0.0.1", 1).is_none());
        assert!(scene.admit("192.0.2.1", 1).is_some());
    }

    #[test]
    fn a_full_port_takes_a_newcomer_in_place_of_the_longest_idle_one() {
        let scene = Scene::new(3, 2);
        let busy = scene.busy("10.0.0.1", 0);
        let idle = scene.admit("10.0.0.2", 5).unwrap();
        let longer = scene.admit("10.0.0.3", 4).unwrap();
        assert!(scene.admit("10.0.0.4", 6).is_some());
        assert_eq!(longer.reason(), Some(Reason::Room));
        assert!(busy.reason().is_none() && idle.reason().is_none());
    }

    #[test]
    fn idle_connections_of_a_crowd_make_room_before_a_single_one() {
        let scene = Scene::new(4, 3);
        let single = scene.admit("10.0.0.1", 0).unwrap();
        let crowd = [1, 2, 3].map(|at| scene.admit("10.0.0.2", at).unwrap());
        for newcomer in ["10.0.0.3", "10.0.0.4"] {
            let _kept = scene.admit(newcomer, 4).unwrap();
            assert_eq!(single.reason(), None);
        }
        assert_eq!(crowd[0].reason(), Some(Reason::Room), "the oldest of them");
        assert_eq!(crowd[2].reason(), None);
    }

    #[test]
    fn slow_connections_of_a_crowd_make_room_for_who_has_none() {
        let scene = Scene::new(4, 3);
        let crowd = [0, 1, 2].map(|at| scene.busy("10.0.0.1", at));
        let single = scene.busy("10.0.0.2", 0);
        crowd.iter().chain([&single]).for_each(|it| it.connection().waits(scene.at(2)));
        assert!(scene.admit("10.0.0.3", 3).is_none(), "they may be fast");
        let _late = scene.busy("10.0.0.3", 60);
        let gone = crowd.iter().filter(|it| it.reason().is_some()).count();
        assert_eq!((gone, single.reason()), (1, None));
        assert!(scene.admit("10.0.0.1", 120).is_none(), "it has the most itself");
    }

    #[test]
    fn a_crowd_that_waits_for_us_makes_room_for_who_has_fewer_and_for_its_own() {
        let scene = Scene::new(4, 3);
        let crowd = [0, 1, 2].map(|at| scene.busy("10.0.0.1", at));
        let single = scene.busy("10.0.0.2", 0);
        assert!(scene.admit("10.0.0.3", 2).is_none(), "they may be answered soon");
        let _newcomer = scene.busy("10.0.0.3", 60);
        assert_eq!(crowd[0].reason(), Some(Reason::Room), "it has waited longest");
        assert_eq!(single.reason(), None);
        let scene = Scene::new(10, 3);
        let crowd = [0, 1, 2].map(|at| scene.busy("10.0.0.1", at));
        assert!(scene.admit("10.0.0.1", 60).is_some());
        assert_eq!(crowd.map(|it| it.reason().is_some()), [true, false, false]);
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends_or_is_dismissed() {
        let scene = Scene::new(2, 2);
        drop(scene.busy("10.0.0.1", 0));
        let idle = scene.admit("10.0.0.1", 0).unwrap();
        scene.table.sweep(scene.at(3600));
        assert_eq!(idle.reason(), Some(Reason::Head));
        let _two = [0; 2].map(|at| scene.busy("10.0.0.2", at));
        drop(idle);
        let places = scene.table.places();
        assert_eq!((places.taken, places.by_source.len()), (2, 1));
    }

    struct Scene {
        table: Arc<Table>,
        start: Instant,
    }

    impl Scene {
        fn new(connections: usize, per_source: usize) -> Self {
            Self::behind(connections, per_source, &[])
        }

        fn behind(connections: usize, per_source: usize, proxies: &[IpNet]) -> Self {
            let limits = Limits { connections, per_source, ..Limits::MACHINES };
            let table = Table::new(limits, proxies.to_vec());
            Self { table: Arc::new(table), start: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn admit(&self, from: &str, second: u64) -> Option<ConnectionGuard> {
            self.table.admit(SocketAddr::new(from.parse().unwrap(), 1), self.at(second))
        }

        fn busy(&self, from: &str, second: u64) -> ConnectionGuard {
            let place = self.admit(from, second).unwrap();
            place.connection().request(self.at(second));
            place
        }
    }

    impl ConnectionGuard {
        fn reason(&self) -> Option<Reason> {
            self.connection.is_dismissed()
        }
    }
}
