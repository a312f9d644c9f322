//! Bodies of requests: limits of how much is held at a time, by whom, and of their content.

use super::{Denied, Reporter};
use axum::body::Body;
use futures::StreamExt;
use kube::ResourceExt;
use metal_base::{Locked, Source};
use metal_core::report::BOUNDS;
use metal_runtime::listener::Peer;
use metal_text::json::{self, Size};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
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
/// Units for the bodies of one server.
const UNITS_OF_A_SERVER: usize = (8 << 20) / UNIT;
/// Units for the bodies of one source if there is no token to distinguish servers.
const UNITS_OF_A_SOURCE: usize = (16 << 20) / UNIT;
/// Memory for an object of a body, in bytes, until it is stored: a record of the report with all
/// its fields, in a list that has grown, with a tree of the ones that are unknown.
const OBJECT: usize = 1024;
/// The same for any other value, in addition to its text.
const VALUE: usize = 64;
/// How many bodies are parsed at a time.
const PARSERS: usize = 2;
/// Concurrent reports per server: the current one, and one that the agent has given up.
const PER_SERVER: usize = 2;
/// Concurrent reports per source if there is no token to distinguish servers: machines may share
/// the address of a router.
const PER_SOURCE: usize = 32;

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
    Source(Option<Source>),
}

/// The use of each sender.
#[derive(Debug, Default)]
struct Usage(Mutex<HashMap<Sender, Used>>);

/// What one sender uses.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    reports: usize,
    units: usize,
}

/// What a report takes up until it has been processed.
#[derive(Debug)]
pub(super) struct Reservation {
    usage: Arc<Usage>,
    holder: Sender,
    /// How much of the room it has, in units.
    units: usize,
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
            let room = Arc::clone(&self.room);
            let parsing = spawn_blocking(move || {
                let _parser = parser;
                let malformed = |error: json::ParseError| Denied::Json(error.to_string());
                let size = json::check(&bytes, BOUNDS).map_err(malformed)?;
                held.extend(&room, memory(bytes.len(), size))?;
                let value = json::parse_checked(&bytes).map_err(malformed)?;
                Ok((value, held))
            });
            parsing.await.map_err(|_| Denied::Busy)?
        };
        timeout(DEADLINE, reading).await.map_err(|_| Denied::Slow)?
    }

    fn begin(&self, holder: Sender) -> Result<Reservation, Denied> {
        let mut usage = self.usage.lock();
        let used = usage.entry(holder.clone()).or_default();
        if used.reports >= holder.reports() {
            return Err(Denied::Busy);
        }
        used.reports += 1;
        drop(usage);
        Ok(Reservation { usage: Arc::clone(&self.usage), holder, units: 0, room: None })
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

/// Memory for a body of this many bytes, from the time at which it is parsed until it is stored.
fn memory(bytes: usize, size: Size) -> usize {
    bytes + size.objects * OBJECT + size.values * VALUE
}

impl Reservation {
    /// Extends the reservation to `bytes`.
    fn extend(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Result<(), Denied> {
        let (units, most) = (bytes.div_ceil(UNIT), self.holder.units());
        if units > most {
            return Err(Denied::Heavy(most * UNIT));
        }
        let more = units.saturating_sub(self.units);
        let mut usage = self.usage.lock();
        let used = usage.entry(self.holder.clone()).or_default();
        if used.units + more > most {
            return Err(Denied::Busy);
        }
        let permits = u32::try_from(more).unwrap_or(u32::MAX);
        let got = Arc::clone(room).try_acquire_many_owned(permits).map_err(|_| Denied::Busy)?;
        used.units += more;
        drop(usage);
        self.units += more;
        match &mut self.room {
            Some(room) => room.merge(got),
            None => self.room = Some(got),
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut usage = self.usage.lock();
        if let Some(used) = usage.get_mut(&self.holder) {
            used.reports -= 1;
            used.units -= self.units;
            if used.reports == 0 {
                usage.remove(&self.holder);
            }
        }
    }
}

impl Usage {
    fn lock(&self) -> MutexGuard<'_, HashMap<Sender, Used>> {
        self.0.locked()
    }
}

impl Sender {
    fn of(reporter: &Reporter, peer: Option<Peer>) -> Self {
        match reporter {
            Reporter::Known(server, _) => Self::Server(server.name_any()),
            Reporter::Anyone => Self::Source(peer.map(|Peer(peer)| peer.ip().into())),
        }
    }

    /// How many reports it may have in progress.
    fn reports(&self) -> usize {
        match self {
            Self::Server(_) => PER_SERVER,
            Self::Source(_) => PER_SOURCE,
        }
    }

    /// How much of the room it may have, in units.
    fn units(&self) -> usize {
        match self {
            Self::Server(_) => UNITS_OF_A_SERVER,
            Self::Source(_) => UNITS_OF_A_SOURCE,
        }
    }
}
