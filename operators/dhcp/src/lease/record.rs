//! Leases as text, one per line, so that they survive a restart.
//!
//! ```text
//! 1b8fa171 10.77.0.133 bound 1795252434 52:54:00:12:34:56
//! ```
//!
//! In DHCPv6 another number follows, which stands for the client's identifier and association. Each
//! line begins with the CRC-32 of the rest. If a write was cut short, [`replay`] finds the end of
//! the last whole line; a line that was damaged later costs only that line.

use super::Lease;
use crate::client::Client;
use jiff::Timestamp;
use std::{
    fmt::{Display, Write},
    net::Ipv4Addr,
    str::FromStr,
};

/// The content of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay<A = Ipv4Addr> {
    /// The leases, in the order in which they were written. For each address the last one counts.
    pub leases: Vec<Lease<A>>,
    /// Where to continue: after the last whole line.
    pub end: usize,
    /// How many whole lines could not be read.
    pub damaged: usize,
}

/// Appends the line of a lease.
pub fn write<A: Display>(out: &mut String, lease: &Lease<A>) {
    let Lease { address, client, state, until, binding } = lease;
    let mut text = format!("{address} {state} {} {client}", until.as_second());
    if let Some(binding) = binding {
        write!(text, " {binding:016x}").expect("writing to a string cannot fail");
    }
    writeln!(out, "{:08x} {text}", crc32fast::hash(text.as_bytes()))
        .expect("writing to a string cannot fail");
}

/// Reads a log.
pub fn replay<A: FromStr>(log: &[u8]) -> Replay<A> {
    let end = log.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let mut replay = Replay { leases: Vec::new(), end, damaged: 0 };
    for line in log[..end].split_inclusive(|&byte| byte == b'\n') {
        match read(&line[..line.len() - 1]) {
            Some(lease) => replay.leases.push(lease),
            None => replay.damaged += 1,
        }
    }
    replay
}

fn read<A: FromStr>(line: &[u8]) -> Option<Lease<A>> {
    let (crc, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(text.as_bytes()) {
        return None;
    }
    let mut fields = text.split(' ');
    let mut next = || fields.next();
    let address = next()?.parse().ok()?;
    let state = next()?.parse().ok()?;
    let until = Timestamp::from_second(next()?.parse().ok()?).ok()?;
    let client: Client = next()?.parse().ok()?;
    let binding = match fields.next() {
        Some(binding) => Some(u64::from_str_radix(binding, 16).ok()?),
        None => None,
    };
    fields.next().is_none().then_some(Lease { address, client, state, until, binding })
}
