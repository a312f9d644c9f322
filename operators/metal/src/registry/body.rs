//! Bodies: how much of them is held at a time, by whom, and what may be in them.

use super::{Denied, Reporter};
use axum::body::Body;
use futures::StreamExt;
use kube::ResourceExt;
use metal_core::{json, registry::BOUNDS};
use metal_runtime::listener::Peer;
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// Largest body that is taken: some ten times the report of the largest machine.
pub(crate) const LARGEST: u64 = 4 << 20;
/// How long a body may take to come in, and to be read.
const DEADLINE: Duration = Duration::from_secs(15);
/// What is accounted at a time.
const UNIT: usize = 4 << 10;
/// Units of all bodies at a time.
const UNITS: usize = (64 << 20) / UNIT;
/// Bodies that are read at a time.
const PARSERS: usize = 2;
/// Reports of one server at a time: the one that counts, and one whose agent has given up.
const PER_SERVER: usize = 2;
/// Reports from one address at a time, where there is no token to tell servers apart: machines may
/// share the address of a router.
const PER_ADDRESS: usize = 32;

/// What is being reported.
#[derive(Debug)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    parsers: Arc<Semaphore>,
    usage: Arc<Usage>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(UNITS)),
            parsers: Arc::new(Semaphore::new(PARSERS)),
            usage: Arc::default(),
        }
    }
}

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Server(String),
    Address(Option<IpAddr>),
}

/// How much everybody reports.
#[derive(Debug, Default)]
struct Usage(Mutex<HashMap<Holder, usize>>);

/// What a report holds until it is dealt with.
#[derive(Debug)]
pub(super) struct Reservation {
    usage: Arc<Usage>,
    holder: Holder,
    room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// The body of a request of `reporter`, and what it holds: keep that until the value is gone.
    ///
    /// # Errors
    ///
    /// If it is too large or too slow, holds too much, or there is no room for it.
    pub(super) async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        reporter: &Reporter,
        peer: Option<Peer>,
        body: Body,
    ) -> Result<(T, Reservation), Denied> {
        let mut held = self.begin(Holder::of(reporter, peer))?;
        let reading = async {
            let bytes = self.collect(body, &mut held).await?;
            let parser = Arc::clone(&self.parsers).acquire_owned().await;
            let parsing = spawn_blocking(move || {
                let _parser = parser;
                json::parse(&bytes, BOUNDS)
            });
            let parsed = parsing.await.map_err(|_| Denied::Busy)?;
            parsed.map_err(|error| Denied::Json(error.to_string()))
        };
        let value = timeout(DEADLINE, reading).await.map_err(|_| Denied::Slow)??;
        Ok((value, held))
    }

    fn begin(&self, holder: Holder) -> Result<Reservation, Denied> {
        let limit = match holder {
            Holder::Server(_) => PER_SERVER,
            Holder::Address(_) => PER_ADDRESS,
        };
        let mut usage = self.usage.lock();
        let turn = usage.entry(holder.clone()).or_default();
        if *turn >= limit {
            return Err(Denied::Busy);
        }
        *turn += 1;
        drop(usage);
        Ok(Reservation { usage: Arc::clone(&self.usage), holder, room: None })
    }

    async fn collect(&self, body: Body, held: &mut Reservation) -> Result<Vec<u8>, Denied> {
        let largest = usize::try_from(LARGEST).unwrap_or(usize::MAX);
        let mut pieces = body.into_data_stream();
        let mut bytes = vec![];
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Denied::Broken)?;
            if bytes.len() + piece.len() > largest {
                return Err(Denied::TooLarge);
            }
            held.extend(&self.room, bytes.len() + piece.len())?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

impl Reservation {
    /// Holds as much as `bytes` need.
    fn extend(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Result<(), Denied> {
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(has)).unwrap_or(u32::MAX);
        let more = Arc::clone(room).try_acquire_many_owned(more).map_err(|_| Denied::Busy)?;
        match &mut self.room {
            Some(room) => room.merge(more),
            None => self.room = Some(more),
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut usage = self.usage.lock();
        if let Some(turn) = usage.get_mut(&self.holder) {
            *turn -= 1;
            if *turn == 0 {
                usage.remove(&self.holder);
            }
        }
    }
}

impl Usage {
    fn lock(&self) -> MutexGuard<'_, HashMap<Holder, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    fn of(reporter: &Reporter, peer: Option<Peer>) -> Self {
        match reporter {
            Reporter::Known(server, _) => Self::Server(server.name_any()),
            Reporter::Anyone => Self::Address(peer.map(|Peer(peer)| peer.ip().to_canonical())),
        }
    }
}
