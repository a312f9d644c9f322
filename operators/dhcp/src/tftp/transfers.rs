//! The transfers in progress: who has how many of them, and who has to make room.

use super::refusal::Refusal;
use metal_base::Source;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

/// How many transfers may be ending that have made room for others. Each still has its thread for a
/// moment.
const MOST_LEAVING: usize = 64;

/// Limits on concurrent requests and transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Transfers of all clients.
    pub transfers: usize,
    /// Transfers of one address.
    pub per_address: usize,
    /// Transfers of one source: of an IPv6 /64, which may be a link with many machines.
    pub per_source: usize,
    /// Unproven requests of all clients.
    pub unproven: usize,
}

/// Identifies a request, and the transfer that it becomes. Older ones compare as smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(super) u64);

impl From<Id> for u64 {
    fn from(id: Id) -> Self {
        id.0
    }
}

/// Transfers in progress.
#[derive(Debug)]
pub(super) struct Transfers {
    bounds: Bounds,
    by_source: HashMap<Source, BTreeSet<(IpAddr, Id)>>,
    by_address: HashMap<IpAddr, usize>,
    count: usize,
    /// Those that have made room, and have not ended yet.
    leaving: HashSet<Id>,
}

impl Transfers {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (by_source, by_address) = (HashMap::new(), HashMap::new());
        Self { bounds, by_source, by_address, count: 0, leaving: HashSet::new() }
    }

    /// Adds a transfer. If there are too many, the slowest one of the source with the most makes room,
    /// unless this source has as many. Returns that one, which has to end.
    ///
    /// # Errors
    ///
    /// If there is no room, for this address, for its source or at all.
    pub(super) fn add(
        &mut self,
        client: IpAddr,
        id: Id,
        speed_of: impl Fn(Id) -> u64,
    ) -> Result<Option<Id>, Refusal> {
        let source = Source::from(client);
        let own = self.by_source.get(&source).map_or(0, BTreeSet::len);
        let of_address = self.by_address.get(&client).copied().unwrap_or_default();
        if of_address >= self.bounds.per_address || own >= self.bounds.per_source {
            return Err(Refusal::SourceIsBusy);
        }
        let displaced = if self.count >= self.bounds.transfers {
            let slowest = self.slowest_of_most(own + 1, speed_of).ok_or(Refusal::Busy)?;
            self.leaving.insert(slowest.1);
            self.remove(slowest);
            Some(slowest.1)
        } else {
            None
        };
        self.by_source.entry(source).or_default().insert((client, id));
        *self.by_address.entry(client).or_default() += 1;
        self.count += 1;
        Ok(displaced)
    }

    /// A transfer has ended.
    pub(super) fn ended(&mut self, client: IpAddr, id: Id) {
        if !self.leaving.remove(&id) {
            self.remove((client, id));
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The slowest transfer of the source with the most, which has more than `than`.
    fn slowest_of_most(&self, than: usize, speed_of: impl Fn(Id) -> u64) -> Option<(IpAddr, Id)> {
        let most = self.by_source.values().max_by_key(|those| those.len())?;
        let may_go = most.len() > than && self.leaving.len() < MOST_LEAVING;
        let slowest = most.iter().copied().min_by_key(|(_, id)| (speed_of(*id), Reverse(*id)));
        slowest.filter(|_| may_go)
    }

    fn remove(&mut self, (client, id): (IpAddr, Id)) {
        let source = Source::from(client);
        let Some(those) = self.by_source.get_mut(&source) else { return };
        if !those.remove(&(client, id)) {
            return;
        }
        if those.is_empty() {
            self.by_source.remove(&source);
        }
        self.count -= 1;
        if let Some(of_address) = self.by_address.get_mut(&client) {
            *of_address -= 1;
            if *of_address == 0 {
                self.by_address.remove(&client);
            }
        }
    }
}
