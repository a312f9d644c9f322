//! Probes, before an address is offered to a new client, whether anybody answers at it (RFC 2131,
//! section 2.2): by an ICMP echo request, whose answer is awaited for half a second.
//!
//! Nobody else waits. Only a few addresses are probed at a time; beyond that, and without the
//! permission, addresses are offered without a probe. A client that finds its address in use
//! declines it.
//!
//! Each request has a number that cannot be guessed, which the answer must repeat: anybody can send
//! answers in the name of an address.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
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

/// ICMP types (RFC 792).
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// Addresses that are being probed, and what to send if nobody answers.
#[derive(Debug)]
pub struct Prober<Held> {
    socket: Socket,
    probes: HashMap<Ipv4Addr, Probe<Held>>,
    /// Numbers requests.
    hasher: RandomState,
    count: u64,
}

/// An address that is being probed.
#[derive(Debug)]
struct Probe<Held> {
    until: Instant,
    number: Number,
    held: Held,
}

/// Identifier and sequence number of an echo request.
type Number = [u8; 4];

/// The result for an address.
#[derive(Debug, PartialEq, Eq)]
pub enum ProbeOutcome<Held> {
    /// Nobody answered: send this.
    Free(Held),
    /// Somebody uses it.
    InUse(Ipv4Addr, Held),
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
        Ok(Self { socket, probes: HashMap::new(), hasher: RandomState::new(), count: 0 })
    }

    /// Whether another address can be probed.
    pub fn has_room(&self) -> bool {
        self.probes.len() < MOST
    }

    /// Whether an address is being probed.
    pub fn is_probing(&self, address: Ipv4Addr) -> bool {
        self.probes.contains_key(&address)
    }

    /// Probes an address, and keeps `held` until the result is known. If it is already being
    /// probed, `held` replaces what was kept.
    ///
    /// # Errors
    ///
    /// Returns `held` if the address cannot be reached.
    pub fn probe(&mut self, address: Ipv4Addr, held: Held) -> Result<(), Held> {
        if let Some(probe) = self.probes.get_mut(&address) {
            probe.held = held;
            return Ok(());
        }
        if self.probes.is_empty() {
            // Packets that have arrived since the last time would get in the way of the answers.
            self.answers();
        }
        self.count += 1;
        let [number @ .., _, _, _, _] = self.hasher.hash_one(self.count).to_ne_bytes();
        let to = SockAddr::from(SocketAddrV4::new(address, 0));
        if self.socket.send_to(&echo_request(number), &to).is_err() {
            return Err(held);
        }
        self.probes.insert(address, Probe { until: Instant::now() + PATIENCE, number, held });
        Ok(())
    }

    /// Waits until there is a result; forever, if no address is being probed.
    pub async fn wait(&self) {
        match self.probes.values().map(|probe| probe.until).min() {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Drops what was kept: nobody waits for a result any longer.
    pub fn forget(&mut self) {
        self.probes.clear();
    }

    /// The results for addresses whose time is over.
    pub fn outcomes(&mut self) -> Vec<ProbeOutcome<Held>> {
        let now = Instant::now();
        if !self.probes.values().any(|probe| probe.until <= now) {
            return Vec::new();
        }
        let mut outcomes: Vec<_> = self.answers();
        let over = self.probes.extract_if(|_, probe| probe.until <= now);
        outcomes.extend(over.map(|(_, probe)| ProbeOutcome::Free(probe.held)));
        outcomes
    }

    /// The addresses that have answered.
    fn answers(&mut self) -> Vec<ProbeOutcome<Held>> {
        let mut in_use = Vec::new();
        let mut buffer = [0; LARGEST];
        for _ in 0..MOST_PACKETS {
            match self.socket.read(&mut buffer) {
                Ok(len) => in_use.extend(answered(&mut self.probes, &buffer[..len])),
                // Nothing more, or an error of an earlier packet, which counts as no answer.
                Err(_) => break,
            }
        }
        in_use
    }
}

/// The result if this packet answers our request to its sender.
fn answered<Held>(
    probes: &mut HashMap<Ipv4Addr, Probe<Held>>,
    packet: &[u8],
) -> Option<ProbeOutcome<Held>> {
    let (address, number) = answerer(packet)?;
    probes.get(&address).filter(|probe| probe.number == number)?;
    probes.remove(&address).map(|probe| ProbeOutcome::InUse(address, probe.held))
}

/// An echo request (RFC 792).
fn echo_request([a, b, c, d]: Number) -> [u8; 8] {
    let mut packet = [ECHO, 0, 0, 0, a, b, c, d];
    let words = packet.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    // Twice, as the first carry may cause another one.
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = folded + (folded >> 16);
    let [high, low] = u16::try_from(!folded & 0xffff).unwrap_or_default().to_be_bytes();
    (packet[2], packet[3]) = (high, low);
    packet
}

/// The source of an IPv4 packet, and the number that it repeats, if it is an echo reply.
fn answerer(packet: &[u8]) -> Option<(Ipv4Addr, Number)> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let number = packet.get(header + 4..header + 8)?.try_into().ok()?;
    (*packet.get(header)? == ECHO_REPLY).then(|| (source.into(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_request_is_that_of_rfc_1071() {
        for number in [[0; 4], [0xff; 4], [b'b', b'l', 0, 1], [0xf7, 0xff, 0, 1], [0xf8, 0, 0, 0]] {
            let packet = echo_request(number);
            let words = packet.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word));
            let sum: u32 = words.map(u32::from).sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{number:?}");
        }
    }

    #[test]
    fn an_answer_counts_only_with_the_number_of_the_request_to_its_sender() {
        let until = Instant::now();
        let probe = |number| Probe { until, number, held: "offer" };
        let all = [(5, [1, 2, 3, 4]), (6, [5, 6, 7, 8])];
        let mut all: HashMap<_, _> =
            all.map(|(last, number)| ([10, 77, 0, last].into(), probe(number))).into();
        let reply = |last: u8, number: Number| {
            let mut packet = [0; 28];
            packet[0] = 0x45;
            packet[12..16].copy_from_slice(&[10, 77, 0, last]);
            packet[24..].copy_from_slice(&number);
            packet
        };
        for (last, number) in
            [(5, [0; 4]), (5, [b'b', b'l', 0, 1]), (5, [5, 6, 7, 8]), (7, [1, 2, 3, 4])]
        {
            assert_eq!(answered(&mut all, &reply(last, number)), None, "{last}, {number:?}");
        }
        let in_use = ProbeOutcome::InUse([10, 77, 0, 5].into(), "offer");
        assert_eq!(answered(&mut all, &reply(5, [1, 2, 3, 4])), Some(in_use));
        assert_eq!(answered(&mut all, &reply(5, [1, 2, 3, 4])), None, "once");
    }

    #[test]
    fn only_an_echo_reply_says_that_somebody_is_there() {
        let mut packet = [0; 32];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 77, 0, 5]);
        assert_eq!(answerer(&packet), Some(([10, 77, 0, 5].into(), [0; 4])));
        // With options in the header, ICMP begins later.
        packet[0] = 0x46;
        packet[24] = 3;
        assert_eq!(answerer(&packet), None);
        packet[24] = 0;
        assert_eq!(answerer(&packet), Some(([10, 77, 0, 5].into(), [0; 4])));
        for len in 0..packet.len() {
            assert_eq!(answerer(&packet[..len]), None, "{len}");
        }
        packet[0] = 0xff;
        assert_eq!(answerer(&packet), None);
    }
}
