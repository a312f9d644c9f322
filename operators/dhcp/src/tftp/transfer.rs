//! One transfer.

use super::{terms::Terms, wire::Packet};
use std::ops::RangeInclusive;

/// How many times a client that has answered nothing gets the first answer to one request. The
/// limit keeps us from flooding the victim of a forged source address.
const FIRST_ANSWERS: u32 = 2;
/// How many times its `timeout` a client has to give its first answer.
const FIRST_WAITS: u32 = 5;

/// One transfer, from the request to its end.
///
/// ```text
///            options                  ACK 0
///  request ──────────► Oack ───────────────► Send (window) ──ACK of the last block──► Done
///     │ no options                              ▲   │  ▲
///     └─────────────────────────────────────────┘   └──┘ ACK: on from there
///                                                        time: again, so many times, then GaveUp
///  ERROR at any time ─► Aborted
/// ```
///
/// The first ACK proves the client's address. Before that it can get the OACK or a block of 512
/// bytes, at most twice.
///
/// Blocks are numbered from 1 upwards; on the wire, 65535 is followed by 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Number of the last block, which is shorter than the others and may be empty.
    last: u64,
    windowsize: u64,
    max_retries: u32,
    /// The client has not answered the OACK yet.
    is_negotiating: bool,
    /// The client has acknowledged something.
    is_proven: bool,
    /// The client has all blocks up to this one.
    acked: u64,
    /// The last block that was sent.
    sent: u64,
    /// Whether the client was already granted a retransmission from `acked`.
    is_resent: bool,
    retries: u32,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the OACK, and wait for an answer.
    Oack,
    /// Send these blocks, and wait for an answer.
    Send(RangeInclusive<u64>),
    /// Keep waiting.
    Wait,
    /// Stop.
    End(End),
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum End {
    /// The client has the file.
    Done,
    /// The client aborted. Firmware asks for the size in this way.
    Aborted {
        /// The error code.
        code: u16,
        /// The error message.
        message: String,
    },
    /// The client does not answer.
    GaveUp,
}

impl Transfer {
    /// A transfer with these parameters.
    pub fn new(terms: &Terms) -> Self {
        Self {
            last: terms.size / u64::from(terms.blksize.max(1)) + 1,
            windowsize: terms.windowsize.max(1).into(),
            max_retries: terms.retries,
            is_negotiating: terms.oack.is_some(),
            is_proven: false,
            acked: 0,
            sent: 0,
            is_resent: false,
            retries: 0,
        }
    }

    /// The first step.
    pub fn begin(&mut self) -> Step {
        self.answer()
    }

    /// The client has repeated its request. It gets the answer again, unless a retransmission is
    /// due anyway.
    pub fn ask_again(&mut self) -> Step {
        if self.is_proven || self.retries < FIRST_ANSWERS { Step::Wait } else { self.answer() }
    }

    /// A packet of the client has arrived.
    pub fn receive(&mut self, packet: &Packet<'_>) -> Step {
        match packet {
            Packet::Ack(block) => self.acknowledge(*block),
            Packet::Error { code, message } => {
                Step::End(End::Aborted { code: *code, message: message.to_string() })
            }
            Packet::Read(_) | Packet::Write(_) | Packet::Foreign => Step::Wait,
        }
    }

    /// The client has not answered in time.
    pub fn expire(&mut self) -> Step {
        let most = if self.is_proven { self.max_retries } else { FIRST_WAITS - 1 };
        if self.retries >= most {
            return Step::End(End::GaveUp);
        }
        self.retries += 1;
        self.is_resent = false;
        let is_spent = !self.is_proven && self.retries >= FIRST_ANSWERS;
        if is_spent { Step::Wait } else { self.answer() }
    }

    fn answer(&mut self) -> Step {
        if self.is_negotiating { Step::Oack } else { self.send() }
    }

    /// Whether the client has acknowledged anything, which proves its address.
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// How many blocks the client has.
    pub fn acknowledged(&self) -> u64 {
        self.acked
    }

    fn acknowledge(&mut self, block: u16) -> Step {
        if self.is_negotiating {
            if block != 0 {
                return Step::Wait;
            }
            (self.is_negotiating, self.is_proven, self.retries) = (false, true, 0);
            return self.send();
        }
        match self.block_number(block) {
            None => Step::Wait,
            Some(number) if number == self.acked => self.repeat(),
            Some(number) => {
                // The client missed a block. It may repeat that for each block that arrives after
                // it.
                (self.is_resent, self.acked, self.retries) = (number < self.sent, number, 0);
                self.is_proven = true;
                if number == self.last { Step::End(End::Done) } else { self.send() }
            }
        }
    }

    /// The client repeats itself, so it missed the first block of the window (RFC 7440, section 4).
    /// A retransmission is granted once, and never with windows of one block: otherwise a packet
    /// that the network duplicates would double everything that follows (RFC 1123, section
    /// 4.2.3.1).
    fn repeat(&mut self) -> Step {
        if self.windowsize == 1 || self.is_resent {
            return Step::Wait;
        }
        self.is_resent = true;
        self.send()
    }

    /// The block that a number on the wire refers to, if that is plausible.
    fn block_number(&self, block: u16) -> Option<u64> {
        let [.., high, low] = self.acked.to_be_bytes();
        let ahead = u64::from(block.wrapping_sub(u16::from_be_bytes([high, low])));
        Some(self.acked + ahead).filter(|number| *number <= self.sent)
    }

    fn send(&mut self) -> Step {
        let first = self.acked + 1;
        self.sent = self.last.min(self.acked + self.windowsize);
        Step::Send(first..=self.sent)
    }
}
