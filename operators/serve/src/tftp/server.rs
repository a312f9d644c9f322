//! What becomes of requests.

use super::{
    BOUNDS, Files, Found,
    file::open_found,
    greeting::{Greeting, Greetings, Poller},
    metrics::Metrics,
    queue::Queue,
    socket::Peer,
    transfer::{Outcome, Running, Signals, last_word},
};
use crate::guests::Guests;
use metal_dhcp::{
    intake::Standing,
    tftp::{Admission, Admitted, Code, Id, Packet, ReadRequest, Refusal, Step, encode_error},
};
use metal_runtime::{LogLimit, report::Chain};
use std::{
    collections::HashMap,
    fmt::Display,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, Scope},
    time::Instant,
};

/// Stack of a transfer; its buffers are not on it.
const STACK: usize = 256 << 10;

/// What all threads share.
pub(super) struct Server {
    files: Box<dyn Files>,
    guests: Guests,
    pub(super) metrics: Metrics,
    pub(super) is_stopping: AtomicBool,
    pub(super) poller: Poller,
    queue: Queue,
    table: Mutex<Table>,
    told: LogLimit,
}

#[derive(Debug)]
struct Table {
    admission: Admission,
    greetings: Greetings,
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
    /// # Errors
    ///
    /// If the kernel has no room for it.
    pub(super) fn new(files: Box<dyn Files>, guests: Guests, metrics: Metrics) -> io::Result<Self> {
        let (admission, greetings) = (Admission::new(BOUNDS), Greetings::new());
        let table = Table { admission, greetings, is_replaced: HashMap::new() };
        Ok(Self {
            files,
            guests,
            metrics,
            is_stopping: AtomicBool::new(false),
            poller: Poller::open()?,
            queue: Queue::new(),
            table: Mutex::new(table),
            told: LogLimit::default(),
        })
    }

    /// Takes a request from the kernel; it is answered in its turn.
    pub(super) fn take_in(&self, asked: Request<'_>) {
        if self.queue.push(self.standing_of(asked.client.ip()), asked) {
            self.metrics.refused("Overloaded");
        }
    }

    fn standing_of(&self, client: IpAddr) -> Standing {
        if self.guests.knows(client) {
            return Standing::Known;
        }
        self.files.standing_of(client)
    }

    /// Answers requests until the server stops.
    pub(super) fn answer_in_turn(&self) {
        while !self.is_stopping.load(Ordering::Relaxed) {
            if let Some(waiting) = self.queue.next() {
                self.take(waiting.request(), waiting.standing);
            }
        }
    }

    /// Gives the first answer, or says why not.
    fn take(&self, asked: Request<'_>, standing: Standing) {
        let packet = Packet::decode(asked.bytes);
        let is_request = matches!(packet, Ok(Packet::Read(_) | Packet::Write(_)));
        if is_request && !self.guests.admits(asked.client.ip()) {
            return self.metrics.refused("Overloaded");
        }
        match packet {
            Ok(Packet::Read(read)) => {
                if let Err((refusal, error)) = self.begin(asked, standing, &read) {
                    self.refuse(asked, &read.file, refusal, error.as_ref());
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

    fn begin(
        &self,
        asked: Request<'_>,
        standing: Standing,
        read: &ReadRequest<'_>,
    ) -> Result<(), (Refusal, Option<io::Error>)> {
        let found = self.files.find(read, asked.client.ip(), asked.here);
        let found = found.map_err(|refusal| (refusal, None))?;
        let Some(id) = self.admit(asked, standing) else { return Ok(()) };
        let greeting = self.greet(id, asked, read, &found);
        let mut table = locked(&self.table);
        match greeting {
            // It may have been forgotten meanwhile.
            Ok(Some(greeting)) if table.admission.is_unproven(id) => {
                table.greetings.insert(greeting);
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
    fn greet(
        &self,
        id: Id,
        asked: Request<'_>,
        read: &ReadRequest<'_>,
        found: &Found,
    ) -> Result<Option<Greeting>, (Refusal, io::Error)> {
        let opened = open_found(found)?;
        let name = found.name().to_owned();
        let greet = || {
            let running = Running::new(read, opened, Peer::open(asked.here, asked.client)?);
            self.poller.register(id, &running)?;
            // A socket that says so now would say so at the next packet.
            io::Result::Ok(Greeting::begin(id, asked.client, name, running).ok())
        };
        Ok(greet().unwrap_or_else(|error| {
            tell_unreachable(asked.client, &error);
            None
        }))
    }

    /// `None` if the request was answered before.
    fn admit(&self, asked: Request<'_>, standing: Standing) -> Option<Id> {
        let mut table = locked(&self.table);
        let (id, forgotten) = match table.admission.admit(asked.client, standing, asked.bytes) {
            Admitted::Greet { id, forgotten, superseded } => {
                if let Some(id) = superseded {
                    table.greetings.supersede(id);
                }
                (id, forgotten)
            }
            Admitted::Repeated(id) => {
                table.greetings.ask_again(id);
                return None;
            }
        };
        let forgotten = forgotten.and_then(|id| table.greetings.remove(id));
        self.count(&table);
        drop(table);
        if let Some(greeting) = forgotten {
            self.tell(&greeting, &Outcome::Forgotten);
        }
        Some(id)
    }

    /// Begins the transfers of those that have answered.
    pub(super) fn hear<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        numbers: impl Iterator<Item = u64>,
    ) {
        let heard = locked(&self.table).greetings.heard(numbers);
        for (greeting, next) in heard {
            match next {
                Ok(step) => self.start(scope, greeting, step),
                Err(outcome) => self.lose(&greeting, &outcome),
            }
        }
    }

    /// Repeats first answers, and ends what is not answered.
    pub(super) fn expire(&self, now: Instant) {
        let ended = locked(&self.table).greetings.expire(now);
        for (greeting, outcome) in ended {
            self.lose(&greeting, &outcome);
        }
    }

    /// Tells everybody who has not answered yet that it is over.
    pub(super) fn dismiss(&self) {
        let greetings = locked(&self.table).greetings.drain();
        for greeting in greetings {
            self.say(&greeting.running.peer, Code::Undefined, "server is stopping");
            self.lose(&greeting, &Outcome::Stopped);
        }
    }

    /// The client has shown itself: the transfer gets a thread.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut greeting: Greeting,
        step: Step,
    ) {
        self.poller.deregister(&greeting.running);
        let is_replaced = match self.prove(greeting.id) {
            Ok(is_replaced) => is_replaced,
            Err(refusal) => return self.refuse_late(&greeting, refusal),
        };
        let (client, id) = (greeting.client, greeting.id);
        self.guests.note(client.ip());
        let run = move || {
            let signals = Signals { is_stopping: &self.is_stopping, is_replaced: &is_replaced };
            let outcome = greeting.running.run(step, &signals);
            if last_word(&outcome).is_some() {
                self.metrics.sent_error(Code::Undefined);
            }
            self.tell(&greeting, &outcome);
            drop(greeting);
            self.end(client, id);
        };
        let thread = Builder::new().name("tftp".to_owned()).stack_size(STACK);
        if let Err(error) = thread.spawn_scoped(scope, run) {
            tracing::error!(%client, %error, "no thread for a transfer");
            self.metrics.refused(Refusal::Busy.into());
            self.end(client, id);
        }
    }

    fn prove(&self, id: Id) -> Result<Arc<AtomicBool>, Refusal> {
        let mut table = locked(&self.table);
        let proven = table.admission.prove(id);
        self.count(&table);
        if let Some(other) = proven?.and_then(|id| table.is_replaced.get(&id)) {
            other.store(true, Ordering::Relaxed);
        }
        let is_replaced = Arc::<AtomicBool>::default();
        table.is_replaced.insert(id, Arc::clone(&is_replaced));
        Ok(is_replaced)
    }

    /// A greeting that has ended, and is no transfer.
    fn lose(&self, greeting: &Greeting, outcome: &Outcome) {
        let mut table = locked(&self.table);
        table.admission.forget(greeting.id);
        self.count(&table);
        drop(table);
        self.tell(greeting, outcome);
    }

    fn end(&self, client: SocketAddr, id: Id) {
        let mut table = locked(&self.table);
        table.admission.ended(client, id);
        table.is_replaced.remove(&id);
        self.count(&table);
    }

    fn count(&self, table: &Table) {
        self.metrics.count(table.admission.count(), table.admission.unproven());
    }

    fn tell(&self, greeting: &Greeting, outcome: &Outcome) {
        let bytes = greeting.running.bytes();
        self.metrics.ended(outcome.into(), bytes);
        // What may be forged is not told line by line.
        let is_told = greeting.running.is_proven() || self.told.may();
        tell(greeting, outcome, bytes, is_told);
    }

    /// The client has shown itself, and there is no place for it.
    fn refuse_late(&self, greeting: &Greeting, refusal: Refusal) {
        self.metrics.refused(refusal.into());
        self.say(&greeting.running.peer, refusal.code(), refusal);
        if self.told.may() {
            tracing::warn!(client = %greeting.client, file = greeting.name, %refusal, "file refused");
        }
    }

    fn say(&self, peer: &Peer, code: Code, message: impl Display) {
        // The client gives up with or without it.
        if peer.send(&encode_error(code, message)).is_ok() {
            self.metrics.sent_error(code);
        }
    }

    /// Tells the client and the log that there is no file.
    fn refuse(&self, asked: Request<'_>, file: &str, refusal: Refusal, source: Option<&io::Error>) {
        self.metrics.refused(refusal.into());
        let code = refusal.code();
        match Peer::open(asked.here, asked.client) {
            Ok(peer) => self.say(&peer, code, refusal),
            Err(error) => tell_unreachable(asked.client, &error),
        }
        let (client, source) = (asked.client, source.map(tracing::field::display));
        if self.told.may() {
            tracing::warn!(%client, file, %refusal, source, "file refused");
        } else {
            tracing::debug!(%client, file, %refusal, source, "file refused");
        }
    }
}

fn tell(greeting: &Greeting, outcome: &Outcome, bytes: u64, is_told: bool) {
    let (client, file) = (greeting.client, &greeting.name);
    let milliseconds = greeting.began.elapsed().as_millis();
    match outcome {
        Outcome::Done => tracing::info!(%client, file, bytes, milliseconds, "file sent"),
        // Firmware asks for the size, and then for the file.
        Outcome::Aborted { .. } | Outcome::Replaced if bytes == 0 => {
            tracing::debug!(%client, file, ?outcome, "client asked for the size only");
        }
        Outcome::Unreadable(error) => {
            tracing::error!(%client, file, bytes, error = %Chain(error), "file not readable");
        }
        Outcome::Aborted { code, message } => {
            tracing::warn!(%client, file, bytes, code, message, "client ended its transfer");
        }
        Outcome::Forgotten => tracing::debug!(%client, file, "no answer before others came"),
        Outcome::GaveUp | Outcome::Vanished if !is_told => {
            tracing::debug!(%client, file, ?outcome, "client did not answer");
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
