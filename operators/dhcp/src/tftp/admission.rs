//! Which requests are answered, and which of them become transfers.
//!
//! Anybody can send a request with a forged source address. Until the client has answered, its
//! address is unproven, and its request takes no place from a transfer:
//!
//! ```text
//!  request ─► unproven ──answer──► transfer ─► ended
//!                │ too many: see [`FairQueue`]      │ no place: Refusal, or the slowest of the
//!                                                   │ source with the most makes room
//! ```

use super::{
    refusal::Refusal,
    transfers::{Bounds, Id, Transfers},
};
use crate::fair_queue::{FairQueue, Priority};
use metal_base::Source;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

/// Requests that are being answered, and transfers in progress.
#[derive(Debug)]
pub struct Admission {
    unproven: BTreeMap<Id, Unproven>,
    /// Unproven requests, in a queue that drops some when there are too many.
    places: FairQueue<Source, Id>,
    unproven_by_client: HashMap<SocketAddr, Id>,
    by_client: HashMap<SocketAddr, Id>,
    /// One that was replaced by another counts until it has ended.
    transfers: Transfers,
    next: u64,
}

#[derive(Debug)]
struct Unproven {
    client: SocketAddr,
    request: Vec<u8>,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is answered.
    Answer {
        /// The request.
        id: Id,
        /// An unproven request that was dropped to make room.
        forgotten: Option<Id>,
        /// The unproven request of the same port that this one replaces. It is not answered again,
        /// but its client may have answered already.
        superseded: Option<Id>,
    },
    /// It repeats an unproven request.
    Repeated(Id),
    /// There are too many unproven requests, and it is not answered.
    Dropped,
}

/// The transfers that end because a new one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedTransfers {
    /// An earlier transfer of the same port: the machine was reset, as nobody else can have answered.
    pub replaced: Option<Id>,
    /// The transfer that has made room for this one.
    pub displaced: Option<Id>,
}

impl Admission {
    /// With no request or transfer in progress.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            unproven: BTreeMap::new(),
            places: FairQueue::new(bounds.unproven),
            unproven_by_client: HashMap::new(),
            by_client: HashMap::new(),
            transfers: Transfers::new(bounds),
            next: 0,
        }
    }

    /// Admits a request. EDK2 asks for the size, aborts, and asks again from the same port,
    /// possibly before we see the abort.
    pub fn admit(&mut self, client: SocketAddr, priority: Priority, request: &[u8]) -> Admitted {
        let superseded = self.unproven_by_client.get(&client).copied();
        let is_same = |id: &Id| self.unproven.get(id).is_some_and(|old| old.request == request);
        if let Some(id) = superseded.filter(is_same) {
            return Admitted::Repeated(id);
        }
        self.next += 1;
        let id = Id(self.next);
        let forgotten = self.places.push(priority, client.ip().into(), id);
        if let Some(id) = forgotten {
            self.forget(id);
        }
        if forgotten == Some(id) {
            return Admitted::Dropped;
        }
        self.unproven.insert(id, Unproven { client, request: request.to_vec() });
        self.unproven_by_client.insert(client, id);
        let superseded = superseded.filter(|id| self.is_unproven(*id));
        Admitted::Answer { id, forgotten, superseded }
    }

    /// Forgets an unproven request, which is no longer answered.
    pub fn forget(&mut self, id: Id) {
        let Some(Unproven { client, .. }) = self.unproven.remove(&id) else { return };
        self.places.remove(&client.ip().into(), |other| *other == id);
        if self.unproven_by_client.get(&client) == Some(&id) {
            self.unproven_by_client.remove(&client);
        }
    }

    /// The client of an unproven request has answered, so the request becomes a transfer. Returns
    /// those that it ends. `speed_of` a transfer is only compared with that of others.
    ///
    /// # Errors
    ///
    /// If there are too many transfers, or there is no such request.
    pub fn prove(
        &mut self,
        id: Id,
        speed_of: impl Fn(Id) -> u64,
    ) -> Result<EndedTransfers, Refusal> {
        let client = self.unproven.get(&id).map(|unproven| unproven.client).ok_or(Refusal::Busy)?;
        self.forget(id);
        let displaced = self.transfers.add(client.ip(), id, speed_of)?;
        Ok(EndedTransfers { replaced: self.by_client.insert(client, id), displaced })
    }

    /// A transfer has ended.
    pub fn ended(&mut self, client: SocketAddr, id: Id) {
        self.transfers.ended(client.ip(), id);
        if self.by_client.get(&client) == Some(&id) {
            self.by_client.remove(&client);
        }
    }

    /// The number of transfers in progress.
    pub fn count(&self) -> usize {
        self.transfers.count()
    }

    /// Whether a request is still being answered and unproven.
    pub fn is_unproven(&self, id: Id) -> bool {
        self.unproven.contains_key(&id)
    }

    /// The number of unproven requests.
    pub fn unproven(&self) -> usize {
        self.unproven.len()
    }
}
