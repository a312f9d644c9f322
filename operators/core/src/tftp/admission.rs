//! Which requests become transfers.

use super::refusal::Refusal;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// How many transfers there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all clients.
    pub transfers: usize,
    /// Of one address.
    pub per_source: usize,
}

/// Names a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

/// The transfers that are under way.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    by_client: HashMap<SocketAddr, Current>,
    /// Those that another one has replaced count until they have ended.
    per_source: HashMap<IpAddr, usize>,
    count: usize,
    next: u64,
}

#[derive(Debug)]
struct Current {
    id: Id,
    request: Vec<u8>,
    is_answered: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A transfer; it takes the place of another one, which is to end.
    Start {
        /// The transfer.
        id: Id,
        /// The other one.
        replaced: Option<Id>,
    },
    /// The transfer that it asks for has begun, and repeats itself.
    Repeated,
}

impl Admission {
    /// Nothing is under way.
    pub fn new(bounds: Bounds) -> Self {
        let (by_client, per_source) = (HashMap::new(), HashMap::new());
        Self { bounds, by_client, per_source, count: 0, next: 0 }
    }

    /// Decides about a request.
    ///
    /// A port has one transfer: EDK2 asks for the size, ends that transfer, and asks again from
    /// the same port, maybe before we hear of the end; a machine that was reset may use it again.
    ///
    /// # Errors
    ///
    /// If there are too many transfers.
    pub fn admit(&mut self, client: SocketAddr, request: &[u8]) -> Result<Admitted, Refusal> {
        let current = self.by_client.get(&client);
        if current.is_some_and(|current| !current.is_answered && current.request == request) {
            return Ok(Admitted::Repeated);
        }
        if self.count >= self.bounds.transfers {
            return Err(Refusal::Busy);
        }
        let of_source = self.per_source.entry(client.ip()).or_default();
        if *of_source >= self.bounds.per_source {
            return Err(Refusal::SourceIsBusy);
        }
        *of_source += 1;
        self.count += 1;
        self.next += 1;
        let id = Id(self.next);
        let new = Current { id, request: request.to_vec(), is_answered: false };
        let replaced = self.by_client.insert(client, new).map(|old| old.id);
        Ok(Admitted::Start { id, replaced })
    }

    /// The client has answered a transfer: it has seen that its request arrived.
    pub fn answered(&mut self, client: SocketAddr, id: Id) {
        if let Some(current) = self.by_client.get_mut(&client).filter(|current| current.id == id) {
            current.is_answered = true;
        }
    }

    /// A transfer that was admitted has ended.
    pub fn ended(&mut self, client: SocketAddr, id: Id) {
        self.count = self.count.saturating_sub(1);
        if let Some(of_source) = self.per_source.get_mut(&client.ip()) {
            *of_source -= 1;
            if *of_source == 0 {
                self.per_source.remove(&client.ip());
            }
        }
        if self.by_client.get(&client).is_some_and(|current| current.id == id) {
            self.by_client.remove(&client);
        }
    }

    /// How many transfers are under way.
    pub fn count(&self) -> usize {
        self.count
    }
}
