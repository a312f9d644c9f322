//! Limits how many refusals are delayed at a time.
//!
//! Who is refused holds its connection during the delay. Without a limit, a stranger who asks for
//! nothing but refusals could hold as many connections as there are.

use super::identity::Requester;
use metal_base::{Locked, Source};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

/// Delays in all: a quarter of the connections of a port.
const IN_ALL: usize = 1024;
/// Delays for one source.
const PER_SOURCE: usize = 64;

/// The refusals that are being delayed.
#[derive(Debug)]
pub(crate) struct Delays {
    in_all: usize,
    per_source: usize,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    in_all: usize,
    by_source: HashMap<DelayedClient, usize>,
}

/// Whose delays are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum DelayedClient {
    Source(Source),
    /// Clients of proxies that do not tell their addresses.
    Unknown,
}

/// A refusal is being delayed until this is dropped.
#[derive(Debug)]
pub(super) struct Delay<'a> {
    delays: &'a Delays,
    counted: Option<DelayedClient>,
}

impl Default for Delays {
    fn default() -> Self {
        Self::new(IN_ALL, PER_SOURCE)
    }
}

impl Delays {
    /// So many delays in all, and for one source.
    pub(super) fn new(in_all: usize, per_source: usize) -> Self {
        Self { in_all, per_source, current: Mutex::default() }
    }

    /// Begins a delay, if there may be another one. A DHCP server that we trust asks for many machines,
    /// so it counts only in all.
    pub(super) fn begin(&self, requester: &Requester) -> Option<Delay<'_>> {
        let counted = match requester {
            Requester::Host(Some(address)) => Some(DelayedClient::Source((*address).into())),
            Requester::Host(None) => Some(DelayedClient::Unknown),
            Requester::Trusted(_) | Requester::Medium => None,
        };
        let mut current = self.current();
        if current.in_all >= self.in_all {
            return None;
        }
        if let Some(counted) = counted {
            let own = current.by_source.get(&counted).copied().unwrap_or_default();
            if own >= self.per_source {
                return None;
            }
            current.by_source.insert(counted, own + 1);
        }
        current.in_all += 1;
        Some(Delay { delays: self, counted })
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.locked()
    }
}

impl Drop for Delay<'_> {
    fn drop(&mut self) {
        let mut current = self.delays.current();
        current.in_all -= 1;
        let Some(counted) = self.counted else { return };
        if let Some(own) = current.by_source.get_mut(&counted) {
            *own -= 1;
            if *own == 0 {
                current.by_source.remove(&counted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_and_all_together_have_so_many_delays_at_a_time() {
        let delays = Delays::new(5, 2);
        let host = |text: &str| Requester::Host(text.parse().ok());
        let begin = |requester: Requester| delays.begin(&requester);
        let own: Vec<_> = (1..4).map(|it| begin(host(&format!("2001:db8::{it}")))).collect();
        assert_eq!(own.iter().flatten().count(), 2, "one host has all addresses of a /64");
        let unknown = [(); 3].map(|()| begin(host("unknown")));
        assert_eq!(unknown.iter().flatten().count(), 2);
        let behalf = [(); 2].map(|()| begin(Requester::Trusted(vec![])));
        assert_eq!(behalf.iter().flatten().count(), 1);
        assert!(begin(host("192.0.2.1")).is_none(), "there is no room for another one");
        drop((own, unknown, behalf));
        let current = delays.current();
        assert_eq!((current.in_all, current.by_source.len()), (0, 0));
    }
}
