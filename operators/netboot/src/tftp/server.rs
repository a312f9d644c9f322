//! What becomes of requests.

use super::{
    BOUNDS,
    file::open_below,
    metrics::Metrics,
    socket::Peer,
    transfer::{Outcome, Running, Signals},
};
use crate::machines::Machines;
use metal_core::{
    boot::decision::Boot,
    dhcp::Config,
    tftp::{Admission, Admitted, Code, Id, Packet, ReadRequest, Refusal, encode_error, served},
};
use metal_runtime::report::Chain;
use std::{
    collections::HashMap,
    fmt::Display,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, Scope},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What a transfer needs, which is little: its buffers are not on its stack.
const STACK: usize = 256 << 10;
/// How many refusals are told in a second; a flood of them must not become a flood of lines.
const TOLD_PER_SECOND: u32 = 20;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Server {
    config: watch::Receiver<Arc<Config>>,
    machines: Option<Arc<Machines>>,
    pub(super) metrics: Metrics,
    pub(super) is_stopping: AtomicBool,
    table: Mutex<Table>,
    told: Mutex<(Instant, u32)>,
}

#[derive(Debug)]
struct Table {
    admission: Admission,
    is_replaced: HashMap<Id, Arc<AtomicBool>>,
}

/// A request that came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) client: SocketAddr,
    /// Our address that it was sent to.
    pub(super) here: IpAddr,
    pub(super) bytes: &'a [u8],
}

impl Server {
    pub(super) fn new(
        config: watch::Receiver<Arc<Config>>,
        machines: Option<Arc<Machines>>,
        metrics: Metrics,
    ) -> Self {
        let table = Table { admission: Admission::new(BOUNDS), is_replaced: HashMap::new() };
        Self {
            config,
            machines,
            metrics,
            is_stopping: AtomicBool::new(false),
            table: Mutex::new(table),
            told: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Begins a transfer, or says why not.
    pub(super) fn take<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, asked: Request<'_>) {
        match Packet::decode(asked.bytes) {
            Ok(Packet::Read(read)) => {
                if let Err(refusal) = self.begin(scope, asked, &read) {
                    self.refuse(asked, &read.file, refusal, None);
                }
            }
            Ok(Packet::Write(write)) => self.refuse(asked, &write.file, Refusal::Write, None),
            // Nobody answers what belongs to no transfer, or two servers would never stop.
            Ok(Packet::Ack(_) | Packet::Error { .. } | Packet::Foreign) => {
                self.metrics.refused("NoRequest");
            }
            Err(malformed) => self.metrics.refused(malformed.into()),
        }
    }

    fn begin<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        asked: Request<'_>,
        read: &ReadRequest<'_>,
    ) -> Result<(), Refusal> {
        let config = Arc::clone(&self.config.borrow());
        let tftp = config.tftp.as_ref().ok_or(Refusal::NotNamed)?;
        let path = served(read, &config.boot, tftp, asked.here, &self.boot_of(asked.client.ip()))?;
        let Some((id, is_replaced)) = self.admit(asked)? else { return Ok(()) };
        let (root, bytes) = (tftp.root.clone(), asked.bytes.to_vec());
        let Request { client, here, .. } = asked;
        let run = move || {
            let request = Request { client, here, bytes: &bytes };
            self.transfer(request, &Source { root, path }, id, &is_replaced);
            self.end(client, id);
        };
        let thread = Builder::new().name("tftp".to_owned()).stack_size(STACK);
        thread.spawn_scoped(scope, run).map(drop).map_err(|_| {
            self.end(client, id);
            Refusal::Busy
        })
    }

    /// What a client boots. One that got its address from somebody else gets what everybody gets.
    fn boot_of(&self, client: IpAddr) -> Boot {
        match (&self.machines, client.to_canonical()) {
            (Some(machines), IpAddr::V4(address)) => machines.boot_at(address),
            (None, _) | (_, IpAddr::V6(_)) => Boot::Default,
        }
    }

    /// `None` if the transfer that is asked for has begun.
    fn admit(&self, asked: Request<'_>) -> Result<Option<(Id, Arc<AtomicBool>)>, Refusal> {
        let mut table = locked(&self.table);
        let (id, replaced) = match table.admission.admit(asked.client, asked.bytes)? {
            Admitted::Start { id, replaced } => (id, replaced),
            Admitted::Repeated => return Ok(None),
        };
        if let Some(other) = replaced.and_then(|id| table.is_replaced.get(&id)) {
            other.store(true, Ordering::Relaxed);
        }
        let is_replaced = Arc::<AtomicBool>::default();
        table.is_replaced.insert(id, Arc::clone(&is_replaced));
        self.metrics.count(table.admission.count());
        Ok(Some((id, is_replaced)))
    }

    fn end(&self, client: SocketAddr, id: Id) {
        let mut table = locked(&self.table);
        table.admission.ended(client, id);
        table.is_replaced.remove(&id);
        self.metrics.count(table.admission.count());
    }

    /// What the thread of a transfer does.
    fn transfer(&self, asked: Request<'_>, source: &Source, id: Id, is_replaced: &AtomicBool) {
        let Ok(Packet::Read(read)) = Packet::decode(asked.bytes) else { return };
        let opened = match open_below(&source.root, &source.path) {
            Ok(opened) => opened,
            Err((refusal, error)) => return self.refuse(asked, &read.file, refusal, Some(&error)),
        };
        let peer = match Peer::open(asked.here, asked.client) {
            Ok(peer) => peer,
            Err(error) => return tell_unreachable(asked.client, &error),
        };
        let answered = || locked(&self.table).admission.answered(asked.client, id);
        let signals = Signals {
            is_stopping: &self.is_stopping,
            is_replaced,
            answered: Some(Box::new(answered)),
        };
        let began = Instant::now();
        let mut running = Running::new(&read, opened, peer, signals);
        let outcome = running.run();
        if matches!(outcome, Outcome::TooLong | Outcome::Stopped | Outcome::Unreadable(_)) {
            self.metrics.sent_error(Code::Undefined);
        }
        self.metrics.ended((&outcome).into(), running.bytes());
        tell(asked.client, &source.path, &outcome, running.bytes(), began.elapsed());
    }

    /// Tells the client and the log that there is no file.
    fn refuse(&self, asked: Request<'_>, file: &str, refusal: Refusal, source: Option<&io::Error>) {
        self.metrics.refused(refusal.into());
        let code = refusal.code();
        match Peer::open(asked.here, asked.client) {
            Ok(peer) => match peer.send(&encode_error(code, refusal)) {
                Ok(()) => self.metrics.sent_error(code),
                Err(error) => tell_unreachable(asked.client, &error),
            },
            Err(error) => tell_unreachable(asked.client, &error),
        }
        let (client, source) = (asked.client, source.map(tracing::field::display));
        if self.is_to_be_told() {
            tracing::warn!(%client, file, %refusal, source, "file refused");
        } else {
            tracing::debug!(%client, file, %refusal, source, "file refused");
        }
    }

    fn is_to_be_told(&self) -> bool {
        let mut told = locked(&self.told);
        if told.0.elapsed() >= Duration::from_secs(1) {
            *told = (Instant::now(), 0);
        }
        told.1 += 1;
        told.1 <= TOLD_PER_SECOND
    }
}

/// Where a file is.
struct Source {
    root: PathBuf,
    path: String,
}

fn tell(client: SocketAddr, file: &str, outcome: &Outcome, bytes: u64, time: Duration) {
    let milliseconds = time.as_millis();
    match outcome {
        Outcome::Done => tracing::info!(%client, file, bytes, milliseconds, "file sent"),
        // Firmware asks for the size, and then for the file.
        Outcome::Aborted { .. } | Outcome::Replaced if bytes == 0 => {
            tracing::debug!(%client, file, ?outcome, "only asked for");
        }
        Outcome::Unreadable(error) => {
            tracing::error!(%client, file, bytes, error = %Chain(error), "file not readable");
        }
        Outcome::Aborted { code, message } => {
            tracing::warn!(%client, file, bytes, code, message, "client ended its transfer");
        }
        Outcome::Replaced
        | Outcome::GaveUp
        | Outcome::Vanished
        | Outcome::TooLong
        | Outcome::Stopped => tracing::warn!(%client, file, bytes, ?outcome, "file not sent whole"),
    }
}

fn tell_unreachable(client: SocketAddr, error: &dyn Display) {
    tracing::debug!(%client, %error, "client not reached");
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
