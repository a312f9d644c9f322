//! Which requests are answered, and which of them become transfers.
//!
//! Anybody can send a request with a forged source address. Until the client has answered, its
//! address is unproven, and its request takes no place from a transfer:
//!
//! ```text
//!  request ─► unproven ──answer──► transfer ─► ended
//!                │ too many: see [`FairQueue`]      │ no place: Refusal
//! ```

use super::refusal::Refusal;
use crate::fair_queue::{FairQueue, Standing};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

/// Limits on concurrent requests and transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Transfers of all clients.
    pub transfers: usize,
    /// Transfers of one address.
    pub per_source: usize,
    /// Unproven requests of all clients.
    pub unproven: usize,
}

/// Identifies a request, and the transfer that it becomes. Older ones compare as smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

impl From<Id> for u64 {
    fn from(id: Id) -> Self {
        id.0
    }
}

/// Requests that are being answered, and transfers in progress.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    unproven: BTreeMap<Id, Unproven>,
    /// Unproven requests, in a queue that drops some when there are too many.
    places: FairQueue<IpAddr, Id>,
    unproven_by_client: HashMap<SocketAddr, Id>,
    by_client: HashMap<SocketAddr, Id>,
    /// Transfers by client address. One that was replaced by another counts until it has ended.
    per_source: HashMap<IpAddr, usize>,
    count: usize,
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

impl Admission {
    /// With no request or transfer in progress.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            unproven: BTreeMap::new(),
            places: FairQueue::new(bounds.unproven),
            unproven_by_client: HashMap::new(),
            by_client: HashMap::new(),
            per_source: HashMap::new(),
            count: 0,
            next: 0,
        }
    }

    /// Admits a request. EDK2 asks for the size, aborts, and asks again from the same port,
    /// possibly before we see the abort.
    pub fn admit(&mut self, client: SocketAddr, standing: Standing, request: &[u8]) -> Admitted {
        let superseded = self.unproven_by_client.get(&client).copied();
        let is_same = |id: &Id| self.unproven.get(id).is_some_and(|old| old.request == request);
        if let Some(id) = superseded.filter(is_same) {
            return Admitted::Repeated(id);
        }
        self.next += 1;
        let id = Id(self.next);
        let forgotten = self.places.push(standing, client.ip(), id);
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
        self.places.remove(&client.ip(), |other| *other == id);
        if self.unproven_by_client.get(&client) == Some(&id) {
            self.unproven_by_client.remove(&client);
        }
    }

    /// The client of an unproven request has answered, so the request becomes a transfer. Returns
    /// an earlier transfer of the same port, which is to end: the machine was reset, as nobody else
    /// can have answered.
    ///
    /// # Errors
    ///
    /// If there are too many transfers, or there is no such request.
    pub fn prove(&mut self, id: Id) -> Result<Option<Id>, Refusal> {
        let client = self.unproven.get(&id).map(|unproven| unproven.client).ok_or(Refusal::Busy)?;
        self.forget(id);
        if self.count >= self.bounds.transfers {
            return Err(Refusal::Busy);
        }
        let of_source = self.per_source.get(&client.ip()).copied().unwrap_or_default();
        if of_source >= self.bounds.per_source {
            return Err(Refusal::SourceIsBusy);
        }
        self.per_source.insert(client.ip(), of_source + 1);
        self.count += 1;
        Ok(self.by_client.insert(client, id))
    }

    /// A transfer has ended.
    pub fn ended(&mut self, client: SocketAddr, id: Id) {
        self.count = self.count.saturating_sub(1);
        if let Some(of_source) = self.per_source.get_mut(&client.ip()) {
            *of_source -= 1;
            if *of_source == 0 {
                self.per_source.remove(&client.ip());
            }
        }
        if self.by_client.get(&client) == Some(&id) {
            self.by_client.remove(&client);
        }
    }

    /// The number of transfers in progress.
    pub fn count(&self) -> usize {
        self.count
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
