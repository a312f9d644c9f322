//! What client and server negotiate (RFC 2347, 2348, 2349, 7440).

use super::wire::{ReadRequest, encode_oack};
use std::time::Duration;

/// Block size without negotiation.
const BLKSIZE: u16 = 512;
/// Smallest block size (RFC 2348).
const MIN_BLKSIZE: u64 = 8;
/// Largest block size (RFC 2348).
const MAX_BLKSIZE: u16 = 65464;
const KNOWN: [&str; 4] = ["blksize", "windowsize", "timeout", "tsize"];
/// How long to wait for an answer, without negotiation.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Limits of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest block that is not fragmented.
    pub blksize: u16,
    /// Number of blocks sent before waiting for an answer.
    pub windowsize: u16,
    /// Most seconds between retransmissions.
    pub timeout: u8,
    /// Number of retransmissions without progress.
    pub retries: u32,
}

impl Default for Limits {
    /// Blocks that fit an Ethernet link, and about half a minute for a client that is gone.
    fn default() -> Self {
        Self { blksize: 1468, windowsize: 64, timeout: 10, retries: 10 }
    }
}

/// The parameters of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Size of the file in bytes.
    pub size: u64,
    /// Size of a block in bytes.
    pub blksize: u16,
    /// Number of blocks sent before waiting for an answer.
    pub windowsize: u16,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// Number of retransmissions without progress.
    pub retries: u32,
    /// The answer to the client's options; `None` if it sent none that we support.
    pub oack: Option<Vec<u8>>,
}

impl Terms {
    /// Negotiates the options of a request for a file of `size` bytes. Options that are unknown,
    /// invalid or repeated are left out.
    pub fn new(request: &ReadRequest<'_>, size: u64, limits: Limits) -> Self {
        let mut terms = Self {
            size,
            blksize: BLKSIZE,
            windowsize: 1,
            timeout: TIMEOUT,
            retries: limits.retries,
            oack: None,
        };
        let mut accepted: Vec<(&'static str, u64)> = Vec::new();
        for (name, value) in &request.options {
            let Some(value) = number(value) else { continue };
            let is_known = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
            let known = KNOWN.into_iter().find(is_known);
            let known = known.filter(|known| accepted.iter().all(|(name, _)| name != known));
            if let Some(name) = known
                && let Some(value) = terms.accept(name, value, limits)
            {
                accepted.push((name, value));
            }
        }
        terms.oack = (!accepted.is_empty()).then(|| encode_oack(accepted));
        terms
    }

    /// Whether a request has no option that we accept, so that it is answered by a block.
    pub fn are_fixed(request: &ReadRequest<'_>) -> bool {
        Self::new(request, 0, Limits::default()).oack.is_none()
    }

    /// The value that we accept for one option.
    fn accept(&mut self, name: &'static str, value: u64, limits: Limits) -> Option<u64> {
        match name {
            "blksize" if value >= MIN_BLKSIZE => {
                self.blksize = at_most(value, limits.blksize.min(MAX_BLKSIZE));
                Some(self.blksize.into())
            }
            "windowsize" if value >= 1 => {
                self.windowsize = at_most(value, limits.windowsize.max(1));
                Some(self.windowsize.into())
            }
            // Accepted unchanged, or not at all.
            "timeout" if (1..=limits.timeout.into()).contains(&value) => {
                self.timeout = Duration::from_secs(value);
                Some(value)
            }
            "tsize" => Some(self.size),
            _ => None,
        }
    }
}

fn at_most(value: u64, limit: u16) -> u16 {
    u16::try_from(value).map_or(limit, |value| value.min(limit))
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
