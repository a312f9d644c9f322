//! One transfer, from its file to its client.

use super::{
    file::{Blocks, Opened},
    socket::Peer,
};
use metal_dhcp::tftp::{
    Code, End, Limits, Pace, Packet, ReadRequest, Step, Terms, Transfer, encode_error,
};
use std::{
    io,
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A client that has not finished by now never will.
const LONGEST: Duration = Duration::from_hours(1);
/// Clients send short packets; the rest of a longer one is ignored.
const MAX_ANSWER: usize = 1024;

/// How a transfer ended.
#[derive(Debug, strum::IntoStaticStr)]
pub(super) enum Outcome {
    /// The client has the file.
    Done,
    /// The client aborted it.
    Aborted {
        /// The error code.
        code: u16,
        /// The error message.
        message: String,
    },
    /// The client does not answer.
    GaveUp,
    /// The client's host reports that nothing is listening at this port any longer.
    Vanished,
    /// It took too long.
    TooLong,
    /// The client acknowledges too little.
    TooSlow,
    /// It has made room for another one.
    Displaced,
    /// The client has started another one from its port.
    Replaced,
    /// It answered nothing, and was dropped for others.
    Forgotten,
    /// The server is stopping.
    Stopped,
    /// The file cannot be read to its end.
    Unreadable(io::Error),
}

/// Signals between a transfer and the rest of the server.
pub(super) struct Signals<'a> {
    /// The server is stopping.
    pub(super) is_stopping: &'a AtomicBool,
    /// What others know of it.
    pub(super) shared: &'a Shared,
}

/// What others know of a transfer, and tell it.
#[derive(Debug)]
pub(super) struct Shared {
    /// The client has started another one.
    pub(super) is_replaced: AtomicBool,
    /// It has to make room for another one.
    pub(super) is_displaced: AtomicBool,
    began: Instant,
    /// How many bytes the client has acknowledged.
    bytes: AtomicU64,
}

impl Shared {
    /// A transfer that begins now.
    pub(super) fn new() -> Self {
        Self {
            is_replaced: AtomicBool::new(false),
            is_displaced: AtomicBool::new(false),
            began: Instant::now(),
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes a second, of which a transfer has some in advance when it begins.
    pub(super) fn speed(&self) -> u64 {
        const ADVANCE: u64 = 64 << 10;
        (self.bytes.load(Ordering::Relaxed) + ADVANCE) / (self.began.elapsed().as_secs() + 1)
    }
}

/// A transfer, starting with its request.
#[derive(Debug)]
pub(super) struct Running {
    terms: Terms,
    transfer: Transfer,
    blocks: Blocks,
    pub(super) peer: Peer,
}

impl Running {
    /// A transfer of a file.
    pub(super) fn new(request: &ReadRequest<'_>, opened: Opened, peer: Peer) -> Self {
        let limits = Limits::default();
        let blksize = peer.blksize().unwrap_or(limits.blksize);
        let terms = Terms::new(request, opened.size, Limits { blksize, ..limits });
        let transfer = Transfer::new(&terms);
        let blocks = Blocks::new(opened, terms.blksize, terms.windowsize);
        Self { terms, transfer, blocks, peer }
    }

    /// How many bytes the client has acknowledged.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.transfer.acknowledged() * u64::from(self.terms.blksize);
        bytes.min(self.terms.size)
    }

    /// Whether the client has acknowledged anything.
    pub(super) fn is_proven(&self) -> bool {
        self.transfer.is_proven()
    }

    /// How long to wait for an answer of the client.
    pub(super) fn timeout(&self) -> Duration {
        self.terms.timeout
    }

    /// Sends the first answer.
    ///
    /// # Errors
    ///
    /// If that ends the transfer.
    pub(super) fn first_answer_out(&mut self) -> Result<(), Outcome> {
        let step = self.transfer.begin();
        self.carry_out(step).map(drop)
    }

    /// The client has repeated its request.
    ///
    /// # Errors
    ///
    /// If that ends the transfer.
    pub(super) fn answer_again(&mut self) -> Result<(), Outcome> {
        let step = self.transfer.ask_again();
        self.carry_out(step).map(drop)
    }

    /// The client has not answered in time.
    ///
    /// # Errors
    ///
    /// If that ends the transfer.
    pub(super) fn expire(&mut self) -> Result<(), Outcome> {
        let step = self.transfer.expire();
        self.carry_out(step).map(drop)
    }

    /// The step after the first meaningful packet of the client, if that has arrived.
    ///
    /// # Errors
    ///
    /// If that ends the transfer.
    pub(super) fn first_answer(&mut self) -> Result<Option<Step>, Outcome> {
        let mut buffer = [0; MAX_ANSWER];
        let step = match self.peer.receive_now(&mut buffer) {
            Ok(len) => Packet::decode(&buffer[..len]).map(|packet| self.transfer.receive(&packet)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(Outcome::Vanished);
            }
            Err(_) => Ok(Step::Wait),
        };
        match step.unwrap_or(Step::Wait) {
            Step::Wait => Ok(None),
            step @ (Step::Oack | Step::Send(_)) => Ok(Some(step)),
            // A file of one block has arrived, or the client aborted.
            step @ Step::End(_) => self.carry_out(step).map(|_| None),
        }
    }

    /// Continues from a step to the end. If the client does not know about the end, it is told.
    pub(super) fn run(&mut self, step: Step, signals: &Signals<'_>) -> Outcome {
        let Terms { blksize, windowsize, .. } = self.terms;
        let outcome = match self.peer.prepare(blksize, windowsize) {
            Ok(()) => self.steps(step, signals),
            Err(_) => Outcome::Vanished,
        };
        if let Some(text) = last_word(&outcome) {
            // It is over with or without this packet.
            self.peer.send(&encode_error(Code::Undefined, text)).ok();
        }
        outcome
    }

    fn steps(&mut self, mut step: Step, signals: &Signals<'_>) -> Outcome {
        let began = Instant::now();
        let mut deadline = began;
        let mut pace = Pace::default();
        loop {
            match self.carry_out(step) {
                Ok(Sent::Nothing) => {}
                Ok(Sent::Packets) => deadline = Instant::now() + self.terms.timeout,
                Err(outcome) => return outcome,
            }
            if began.elapsed() > LONGEST {
                return Outcome::TooLong;
            }
            let waits = Instant::now();
            step = match self.wait(deadline, signals) {
                Ok(step) => step,
                Err(outcome) => return outcome,
            };
            let bytes = self.bytes();
            signals.shared.bytes.store(bytes, Ordering::Relaxed);
            if !pace.holds(waits.elapsed(), bytes) {
                return Outcome::TooSlow;
            }
        }
    }

    fn carry_out(&mut self, step: Step) -> Result<Sent, Outcome> {
        match step {
            Step::Oack => {
                let oack = self.terms.oack.as_deref().unwrap_or_default();
                sent(self.peer.send(oack))
            }
            Step::Send(window) => self.send(window),
            Step::Wait => Ok(Sent::Nothing),
            Step::End(End::Done) => Err(Outcome::Done),
            Step::End(End::Aborted { code, message }) => Err(Outcome::Aborted { code, message }),
            Step::End(End::GaveUp) => Err(Outcome::GaveUp),
        }
    }

    fn send(&mut self, window: RangeInclusive<u64>) -> Result<Sent, Outcome> {
        let (mut first, last) = window.into_inner();
        while first <= last {
            let held = self.blocks.hold(first).map_err(Outcome::Unreadable)?;
            let end = held.min(last + 1).min(first + self.peer.batch());
            sent(if end - first == 1 {
                self.peer.send_block(first, self.blocks.block(first))
            } else {
                let blocks: Vec<_> = (first..end).map(|block| self.blocks.block(block)).collect();
                self.peer.send_blocks(first, &blocks)
            })?;
            first = end;
        }
        Ok(Sent::Packets)
    }

    /// The next step: by the client's answer, or without one in time.
    fn wait(&mut self, deadline: Instant, signals: &Signals<'_>) -> Result<Step, Outcome> {
        let mut buffer = [0; MAX_ANSWER];
        loop {
            if signals.is_stopping.load(Ordering::Relaxed) {
                return Err(Outcome::Stopped);
            }
            if signals.shared.is_replaced.load(Ordering::Relaxed) {
                return Err(Outcome::Replaced);
            }
            if signals.shared.is_displaced.load(Ordering::Relaxed) {
                return Err(Outcome::Displaced);
            }
            match self.peer.receive(&mut buffer) {
                Ok(len) => {
                    if let Ok(packet) = Packet::decode(&buffer[..len]) {
                        match self.transfer.receive(&packet) {
                            Step::Wait => {}
                            step => return Ok(step),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Err(Outcome::Vanished);
                }
                // Nothing arrived, or there was an error that may be gone at the next attempt.
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Ok(self.transfer.expire());
            }
        }
    }
}

/// What the client is told about an end that it does not know about.
pub(super) fn last_word(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Unreadable(_) => Some("the file could not be read completely"),
        Outcome::TooLong => Some("takes too long"),
        Outcome::TooSlow => Some("too slow"),
        Outcome::Displaced => Some("too many transfers"),
        Outcome::Stopped => Some("server is stopping"),
        Outcome::Done
        | Outcome::Aborted { .. }
        | Outcome::GaveUp
        | Outcome::Vanished
        | Outcome::Forgotten
        | Outcome::Replaced => None,
    }
}

/// Whether a step sent anything.
enum Sent {
    Nothing,
    Packets,
}

/// What the kernel refuses counts as lost in the network, and is sent again.
fn sent(result: io::Result<()>) -> Result<Sent, Outcome> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Outcome::Vanished),
        Ok(()) | Err(_) => Ok(Sent::Packets),
    }
}
