//! Bodies of requests: limits of how much is held at a time, by whom, and of their content.

use super::{Denied, Reporter};
use axum::body::Body;
use futures::StreamExt;
use kube::ResourceExt;
use metal_base::Locked;
use metal_core::{json, report::BOUNDS};
use metal_runtime::listener::Peer;
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// Largest body: about ten times the report of the largest machine.
pub(crate) const LARGEST: u64 = 4 << 20;
/// Time limit for receiving and parsing a body.
const DEADLINE: Duration = Duration::from_secs(15);
/// Unit of accounting, in bytes.
const UNIT: usize = 4 << 10;
/// Units for all bodies together.
const UNITS: usize = (64 << 20) / UNIT;
/// How many bodies are parsed at a time.
const PARSERS: usize = 2;
/// Concurrent reports per server: the current one, and one that the agent has given up.
const PER_SERVER: usize = 2;
/// Concurrent reports per address if there is no token to distinguish servers: machines may share
/// the address of a router.
const PER_ADDRESS: usize = 32;

/// The reports in progress.
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

/// The sender of a report.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sender {
    Server(String),
    Address(Option<IpAddr>),
}

/// The use of each sender.
#[derive(Debug, Default)]
struct Usage(Mutex<HashMap<Sender, usize>>);

/// What a report takes up until it has been processed.
#[derive(Debug)]
pub(super) struct Reservation {
    usage: Arc<Usage>,
    holder: Sender,
    room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Reads the body of a request by `reporter`. Keep the returned reservation until the value is
    /// dropped.
    ///
    /// # Errors
    ///
    /// If it is too large or too slow, contains too much, or there is no room for it.
    pub(super) async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        reporter: &Reporter,
        peer: Option<Peer>,
        body: Body,
    ) -> Result<(T, Reservation), Denied> {
        let mut held = self.begin(Sender::of(reporter, peer))?;
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

    fn begin(&self, holder: Sender) -> Result<Reservation, Denied> {
        let limit = match holder {
            Sender::Server(_) => PER_SERVER,
            Sender::Address(_) => PER_ADDRESS,
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
    /// Extends the reservation to `bytes`.
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
    fn lock(&self) -> MutexGuard<'_, HashMap<Sender, usize>> {
        self.0.locked()
    }
}

impl Sender {
    fn of(reporter: &Reporter, peer: Option<Peer>) -> Self {
        match reporter {
            Reporter::Known(server, _) => Self::Server(server.name_any()),
            Reporter::Anyone => Self::Address(peer.map(|Peer(peer)| peer.ip().to_canonical())),
        }
    }
}
