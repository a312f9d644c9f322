//! Handles requests.

use super::{
    BOUNDS, Files, Found,
    file::open_found,
    handshake::{Handshake, Handshakes, Poller},
    log::{Entries, tell, tell_unreachable},
    metrics::Metrics,
    queue::Queue,
    request::Request,
    socket::Peer,
    transfer::{Outcome, Running, Shared, Signals, last_word},
};
use crate::neighbor_limit::NeighborLimit;
use metal_base::Locked;
use metal_dhcp::{
    fair_queue::Priority,
    tftp::{
        Admission, Admitted, Code, EndedTransfers, FirstBlocks, Id, Packet, ReadRequest, Refusal,
        Step, Terms, encode_error,
    },
};
use metal_runtime::LogLimit;
use std::{
    collections::HashMap,
    fmt::Display,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, Scope},
    time::Instant,
};

/// Stack size of a transfer, whose buffers are on the heap.
const STACK: usize = 256 << 10;

/// What all threads share.
pub(super) struct Server {
    files: Box<dyn Files>,
    neighbors: NeighborLimit,
    pub(super) metrics: Metrics,
    pub(super) is_stopping: AtomicBool,
    pub(super) poller: Poller,
    queue: Queue,
    table: Mutex<Table>,
    log_limit: LogLimit,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Table {
    admission: Admission,
    handshakes: Handshakes,
    running: HashMap<Id, Arc<Shared>>,
    first_blocks: FirstBlocks,
}

impl Server {
    /// # Errors
    ///
    /// If the kernel has no room for it.
    pub(super) fn new(
        files: Box<dyn Files>,
        neighbors: NeighborLimit,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let (admission, handshakes) = (Admission::new(BOUNDS), Handshakes::new());
        let first_blocks = FirstBlocks::new(Instant::now());
        let table = Table { admission, handshakes, running: HashMap::new(), first_blocks };
        Ok(Self {
            files,
            neighbors,
            metrics,
            is_stopping: AtomicBool::new(false),
            poller: Poller::open()?,
            queue: Queue::new(),
            table: Mutex::new(table),
            log_limit: LogLimit::default(),
            entries: Mutex::new(Entries::new(Instant::now())),
        })
    }

    /// Takes a request from the kernel; it is answered in its turn.
    pub(super) fn take_in(&self, request: Request<'_>) {
        if self.queue.push(self.priority_of(request.client.ip()), request) {
            self.metrics.refused("Overloaded");
        }
    }

    fn priority_of(&self, client: IpAddr) -> Priority {
        if self.neighbors.knows(client) {
            return Priority::Known;
        }
        self.files.priority_of(client)
    }

    /// Answers requests until the server stops.
    pub(super) fn answer_in_turn(&self) {
        while !self.is_stopping.load(Ordering::Relaxed) {
            if let Some(waiting) = self.queue.next() {
                self.take(waiting.request(), waiting.priority);
            }
        }
    }

    /// Sends the first answer, or a refusal.
    fn take(&self, request: Request<'_>, priority: Priority) {
        let packet = Packet::decode(request.bytes);
        let is_request = matches!(packet, Ok(Packet::Read(_) | Packet::Write(_)));
        if is_request && !self.neighbors.admits(request.client.ip()) {
            return self.metrics.refused("Overloaded");
        }
        match packet {
            Ok(Packet::Read(read)) => {
                if let Err((refusal, error)) = self.begin(request, priority, &read) {
                    self.refuse(request, &read.file, refusal, error.as_ref());
                }
            }
            Ok(Packet::Write(write)) => self.refuse(request, &write.file, Refusal::Write, None),
            // Packets outside of a transfer are never answered, or two servers could answer each
            // other forever.
            Ok(Packet::Ack(_) | Packet::Error { .. } | Packet::Foreign) => {
                self.metrics.refused("NoRequest");
            }
            Err(malformed) => self.metrics.refused(malformed.into()),
        }
    }

    fn begin(
        &self,
        request: Request<'_>,
        priority: Priority,
        read: &ReadRequest<'_>,
    ) -> Result<(), (Refusal, Option<io::Error>)> {
        let found = self.files.find(read, request.client.ip(), request.here);
        let found = found.map_err(|refusal| (refusal, None))?;
        let Some(id) = self.admit(request, priority, read) else { return Ok(()) };
        let handshake = self.first_answer_to(id, request, read, &found);
        let mut table = locked(&self.table);
        match handshake {
            // It may have been dropped in the meantime.
            Ok(Some(handshake)) if table.admission.is_unproven(id) => {
                table.handshakes.insert(handshake);
            }
            Ok(_) => table.admission.forget(id),
            Err((refusal, error)) => {
                table.admission.forget(id);
                return Err((refusal, Some(error)));
            }
        }
        Ok(())
    }

    /// `None` if the client cannot be reached.
    fn first_answer_to(
        &self,
        id: Id,
        request: Request<'_>,
        read: &ReadRequest<'_>,
        found: &Found,
    ) -> Result<Option<Handshake>, (Refusal, io::Error)> {
        let opened = open_found(found)?;
        let name = found.name().to_owned();
        let answer = || {
            let running = Running::new(read, opened, Peer::open(request.here, request.client)?);
            self.poller.register(id, &running)?;
            // A socket with an error now would also have it at the next packet.
            io::Result::Ok(Handshake::begin(id, request.client, name, running).ok())
        };
        Ok(answer().unwrap_or_else(|error| {
            tell_unreachable(request.client, &error);
            None
        }))
    }

    /// `None` if the request was answered before, or is not answered.
    fn admit(
        &self,
        request: Request<'_>,
        priority: Priority,
        read: &ReadRequest<'_>,
    ) -> Option<Id> {
        let mut table = locked(&self.table);
        let is_block = Terms::are_fixed(read);
        if is_block && !table.first_blocks.admits(request.client.ip(), Instant::now()) {
            self.metrics.refused("Overloaded");
            return None;
        }
        let (id, forgotten) = match table.admission.admit(request.client, priority, request.bytes) {
            Admitted::Answer { id, forgotten, superseded } => {
                if let Some(id) = superseded {
                    table.handshakes.supersede(id);
                }
                (id, forgotten)
            }
            Admitted::Repeated(id) => {
                table.handshakes.ask_again(id);
                return None;
            }
            Admitted::Dropped => {
                self.metrics.refused("Overloaded");
                return None;
            }
        };
        let forgotten = forgotten.and_then(|id| table.handshakes.remove(id));
        self.count(&table);
        drop(table);
        if let Some(handshake) = forgotten {
            self.tell(&handshake, &Outcome::Forgotten);
        }
        Some(id)
    }

    /// Starts the transfers of clients that have answered.
    pub(super) fn hear<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        numbers: impl Iterator<Item = u64>,
    ) {
        let heard = locked(&self.table).handshakes.heard(numbers);
        for (handshake, next) in heard {
            match next {
                Ok(step) => self.start(scope, handshake, step),
                Err(outcome) => self.lose(&handshake, &outcome),
            }
        }
    }

    /// Repeats first answers, and drops requests that have expired.
    pub(super) fn expire(&self, now: Instant) {
        let ended = locked(&self.table).handshakes.expire(now);
        for (handshake, outcome) in ended {
            self.lose(&handshake, &outcome);
        }
    }

    /// Tells all clients that have not answered yet that the server is stopping.
    pub(super) fn dismiss(&self) {
        let handshakes = locked(&self.table).handshakes.drain();
        for handshake in handshakes {
            self.say(&handshake.running.peer, Code::Undefined, "server is stopping");
            self.lose(&handshake, &Outcome::Stopped);
        }
    }

    /// The client's address is proven: the transfer gets a thread.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut handshake: Handshake,
        step: Step,
    ) {
        self.poller.deregister(&handshake.running);
        let shared = match self.prove(handshake.id) {
            Ok(shared) => shared,
            Err(refusal) => return self.refuse_late(&handshake, refusal),
        };
        let (client, id) = (handshake.client, handshake.id);
        self.neighbors.note(client.ip());
        let run = move || {
            let signals = Signals { is_stopping: &self.is_stopping, shared: &shared };
            let outcome = handshake.running.run(step, &signals);
            if last_word(&outcome).is_some() {
                self.metrics.sent_error(Code::Undefined);
            }
            self.tell(&handshake, &outcome);
            drop(handshake);
            self.end(client, id);
        };
        let thread = Builder::new().name("tftp".to_owned()).stack_size(STACK);
        if let Err(error) = thread.spawn_scoped(scope, run) {
            tracing::error!(%client, %error, "could not start a thread for a transfer");
            self.metrics.refused(Refusal::Busy.into());
            self.end(client, id);
        }
    }

    fn prove(&self, id: Id) -> Result<Arc<Shared>, Refusal> {
        let mut table = locked(&self.table);
        let Table { admission, running, .. } = &mut *table;
        let proven = admission.prove(id, |id| running.get(&id).map_or(0, |it| it.speed()));
        self.count(&table);
        let EndedTransfers { replaced, displaced } = proven?;
        if let Some(other) = replaced.and_then(|id| table.running.get(&id)) {
            other.is_replaced.store(true, Ordering::Relaxed);
        }
        if let Some(other) = displaced.and_then(|id| table.running.get(&id)) {
            other.is_displaced.store(true, Ordering::Relaxed);
        }
        let shared = Arc::new(Shared::new());
        table.running.insert(id, Arc::clone(&shared));
        Ok(shared)
    }

    /// A handshake that ends without a transfer.
    fn lose(&self, handshake: &Handshake, outcome: &Outcome) {
        let mut table = locked(&self.table);
        table.admission.forget(handshake.id);
        self.count(&table);
        drop(table);
        self.tell(handshake, outcome);
    }

    fn end(&self, client: SocketAddr, id: Id) {
        let mut table = locked(&self.table);
        table.admission.ended(client, id);
        table.running.remove(&id);
        self.count(&table);
    }

    fn count(&self, table: &Table) {
        self.metrics.count(table.admission.count(), table.admission.unproven());
    }

    fn tell(&self, handshake: &Handshake, outcome: &Outcome) {
        let bytes = handshake.running.bytes();
        self.metrics.ended(outcome.into(), bytes);
        // What may be forged takes no entry from others.
        let is_told = if handshake.running.is_proven() {
            self.entries.locked().may(handshake.client.ip(), Instant::now())
        } else {
            self.log_limit.may()
        };
        tell(handshake, outcome, bytes, is_told);
    }

    /// The client's address is proven, but there is no room for its transfer.
    fn refuse_late(&self, handshake: &Handshake, refusal: Refusal) {
        self.metrics.refused(refusal.into());
        self.say(&handshake.running.peer, refusal.code(), refusal);
        if self.log_limit.may() {
            tracing::warn!(
                client = %handshake.client,
                file = handshake.name,
                %refusal,
                "refused a file request",
            );
        }
    }

    fn say(&self, peer: &Peer, code: Code, message: impl Display) {
        // The client gives up in any case.
        if peer.send(&encode_error(code, message)).is_ok() {
            self.metrics.sent_error(code);
        }
    }

    /// Tells the client and the log why there is no file.
    fn refuse(
        &self,
        request: Request<'_>,
        file: &str,
        refusal: Refusal,
        source: Option<&io::Error>,
    ) {
        self.metrics.refused(refusal.into());
        let code = refusal.code();
        match Peer::open(request.here, request.client) {
            Ok(peer) => self.say(&peer, code, refusal),
            Err(error) => tell_unreachable(request.client, &error),
        }
        let (client, source) = (request.client, source.map(tracing::field::display));
        if self.log_limit.may() {
            tracing::warn!(%client, file, %refusal, source, "refused a file request");
        } else {
            tracing::debug!(%client, file, %refusal, source, "refused a file request");
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.locked()
}
