//! Probes, before an address is offered to a new client, whether anybody answers at it (RFC 2131,
//! section 2.2): by an ICMP echo request, whose answer is awaited for half a second.
//!
//! Nobody else waits. Only a few addresses are probed at a time; beyond that, and without the
//! permission, addresses are offered without a probe. A client that finds its address in use
//! declines it.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    collections::HashMap,
    io::{self, Read},
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// How long to wait for an answer. Firmware waits for seconds.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many addresses are probed at a time. Each unused one costs the kernel an entry in its ARP
/// table for some seconds, which our relays need, too.
const MOST: usize = 64;
/// Longer than any ICMP packet that matters here.
const LARGEST: usize = 1500;
/// How many packets are processed at once.
const MOST_PACKETS: usize = 4096;

const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// Addresses that are being probed, and what to send if nobody answers.
#[derive(Debug)]
pub struct Prober<Held> {
    socket: Socket,
    asked: HashMap<Ipv4Addr, (Instant, Held)>,
}

/// The result for an address.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<Held> {
    /// Nobody answered: send this.
    Free(Held),
    /// Somebody uses it.
    InUse(Ipv4Addr),
}

impl<Held> Prober<Held> {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`, which raw sockets need.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, asked: HashMap::new() })
    }

    /// Whether another address can be probed.
    pub fn has_room(&self) -> bool {
        self.asked.len() < MOST
    }

    /// Whether an address is being probed.
    pub fn asks(&self, address: Ipv4Addr) -> bool {
        self.asked.contains_key(&address)
    }

    /// Probes an address, and keeps `held` until the result is known. If it is already being
    /// probed, `held` replaces what was kept.
    ///
    /// # Errors
    ///
    /// Returns `held` if the address cannot be reached.
    pub fn ask(&mut self, address: Ipv4Addr, held: Held) -> Result<(), Held> {
        if let Some((_, kept)) = self.asked.get_mut(&address) {
            *kept = held;
            return Ok(());
        }
        if self.asked.is_empty() {
            // Packets that have arrived since the last time would get in the way of the answers.
            self.answers(|_| {});
        }
        let to = SockAddr::from(SocketAddrV4::new(address, 0));
        if self.socket.send_to(&echo_request(), &to).is_err() {
            return Err(held);
        }
        self.asked.insert(address, (Instant::now() + PATIENCE, held));
        Ok(())
    }

    /// Waits until there is a result; for ever, if no address is being probed.
    pub async fn wait(&self) {
        match self.asked.values().map(|(until, _)| *until).min() {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// The results for addresses whose time is over.
    pub fn outcomes(&mut self) -> Vec<Outcome<Held>> {
        let now = Instant::now();
        if !self.asked.values().any(|(until, _)| *until <= now) {
            return Vec::new();
        }
        let mut in_use = Vec::new();
        self.answers(|address| in_use.push(address));
        let mut outcomes = Vec::new();
        for address in in_use {
            if self.asked.remove(&address).is_some() {
                outcomes.push(Outcome::InUse(address));
            }
        }
        let over = self.asked.extract_if(|_, (until, _)| *until <= now);
        outcomes.extend(over.map(|(_, (_, held))| Outcome::Free(held)));
        outcomes
    }

    /// Calls `told` with each address that has answered.
    fn answers(&mut self, mut told: impl FnMut(Ipv4Addr)) {
        let mut buffer = [0; LARGEST];
        for _ in 0..MOST_PACKETS {
            match self.socket.read(&mut buffer) {
                Ok(len) => answerer(&buffer[..len]).into_iter().for_each(&mut told),
                // Nothing more, or an error of an earlier packet, which counts as no answer.
                Err(_) => return,
            }
        }
    }
}

/// An echo request (RFC 792). All are identical: whoever answers any of them is there.
fn echo_request() -> [u8; 8] {
    let mut packet = [ECHO, 0, 0, 0, b'b', b'l', 0, 1];
    let words = packet.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let [high, low] =
        u16::try_from(!(sum + (sum >> 16)) & 0xffff).unwrap_or_default().to_be_bytes();
    (packet[2], packet[3]) = (high, low);
    packet
}

/// The source of an IPv4 packet, if it is an echo reply.
fn answerer(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    (*packet.get(header)? == ECHO_REPLY).then(|| source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_request_is_that_of_rfc_1071() {
        let packet = echo_request();
        let words = packet.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word));
        let sum: u32 = words.map(u32::from).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn only_an_echo_reply_says_that_somebody_is_there() {
        let mut packet = [0; 28];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 77, 0, 5]);
        assert_eq!(answerer(&packet), Some([10, 77, 0, 5].into()));
        // With options in the header, ICMP begins later.
        packet[0] = 0x46;
        packet[24] = 3;
        assert_eq!(answerer(&packet), None);
        packet[24] = 0;
        assert_eq!(answerer(&packet), Some([10, 77, 0, 5].into()));
        for len in 0..=24 {
            assert_eq!(answerer(&packet[..len]), None, "{len}");
        }
        packet[0] = 0xff;
        assert_eq!(answerer(&packet), None);
    }
}
