//! Many clients, few addresses, lost packets, restarts: no address ever has two users. The
//! simulation is the same for DHCPv4 and DHCPv6, which translate its messages.

use crate::{
    Address,
    lease::{Lease, Leases, record},
};
use jiff::{SignedDuration, Timestamp};
use metal_core::dice::SeededRng;
use std::{
    collections::HashMap,
    fmt::{Debug, Display},
    str::FromStr,
};

/// Lease time of a [`Server`] in the simulation.
pub(crate) const LEASE_TIME: SignedDuration = SignedDuration::from_mins(2);
/// Clients that have a reservation.
const RESERVED: [u8; 2] = [0x98, 0x99];
/// The number of clients: more than there are addresses.
const CLIENTS: usize = 12;
/// How many different addresses clients ask for: those of the pool, and some around it.
const ADDRESSES: usize = 12;
const STEPS: usize = 20_000;

/// A server of one protocol, with its leases.
pub(crate) trait Server {
    /// Its addresses.
    type Address: Address + Debug + Display + FromStr;

    /// A server with eight addresses and leases of [`LEASE_TIME`], with reservations for
    /// [`RESERVED`].
    fn new() -> Self;
    /// One of the addresses that clients ask for, by number.
    fn address(number: usize) -> Self::Address;
    /// Delivers a message of a client.
    fn send(&mut self, client: u8, message: Message<Self::Address>) -> Outcome<Self::Address>;
    /// Its leases.
    fn leases(&mut self) -> &mut Leases<Self::Address>;
    /// The leases of a server that has just started.
    fn no_leases(&self) -> Leases<Self::Address>;
    /// The server's clock.
    fn now(&mut self) -> &mut Timestamp;
}

/// The messages of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<A> {
    /// It looks for an address.
    Discover,
    /// It requests what this server offered.
    Select(A),
    /// It renews its lease with its server.
    Renew(A),
    /// It renews its lease with any server.
    Rebind(A),
    /// It asks whether it may keep the address that it had.
    Confirm(A),
    /// It no longer needs the address.
    Release(A),
    /// It found somebody else using the address.
    Decline(A),
}

/// The outcome of a message.
pub(crate) struct Outcome<A> {
    /// Leases to record.
    pub(crate) changes: Vec<Lease<A>>,
    /// The server's answer.
    pub(crate) answer: Option<Answer<A>>,
}

/// The meaning of an answer for its client.
pub(crate) enum Answer<A> {
    /// It may request this address.
    Offer(A),
    /// It has this address, for this long.
    Lease(A, SignedDuration),
    /// It has to start over.
    Refusal,
    /// Nothing changes.
    Nothing,
}

/// The clients' view: the address that each believes to have, and until when.
struct World<S: Server> {
    server: S,
    disk: String,
    dice: SeededRng,
    holds: HashMap<u8, (S::Address, Timestamp)>,
    offered: HashMap<u8, S::Address>,
    leases: usize,
}

/// Runs the simulation several times.
pub(crate) fn no_address_has_two_users<S: Server>() {
    for seed in 1..=4 {
        let mut world = World::<S>::new(seed);
        for _ in 0..STEPS {
            world.step();
            world.check();
        }
        assert!(world.leases > STEPS / 10, "it must get somewhere: {}", world.leases);
    }
}

impl<S: Server> World<S> {
    fn new(seed: u64) -> Self {
        Self {
            server: S::new(),
            disk: String::new(),
            dice: SeededRng(seed),
            holds: HashMap::new(),
            offered: HashMap::new(),
            leases: 0,
        }
    }

    fn step(&mut self) {
        let number = self.dice.roll(CLIENTS);
        let client = RESERVED.get(number).copied().unwrap_or(u8::try_from(number).unwrap());
        let mine = self.holds.get(&client).map(|(address, _)| *address);
        let any = S::address(self.dice.roll(ADDRESSES));
        match self.dice.roll(20) {
            0..6 => self.send(client, Message::Discover),
            6..11 => {
                let address = self.offered.get(&client).copied().unwrap_or(any);
                // A client that asks for another address has stopped using its own.
                self.holds.retain(|user, (held, _)| *user != client || *held == address);
                self.send(client, Message::Select(address));
            }
            11..13 => self.send(client, Message::Renew(mine.unwrap_or(any))),
            13 => self.send(client, Message::Rebind(mine.unwrap_or(any))),
            14 => {
                if let Some(address) = mine {
                    self.holds.remove(&client);
                    self.send(client, Message::Release(address));
                }
            }
            15 => {
                // Rarely, because it blocks the address for an hour.
                if let Some(address) = mine.filter(|_| self.dice.roll(50) == 0) {
                    self.holds.remove(&client);
                    self.send(client, Message::Decline(address));
                }
            }
            // Releasing the address of another client must have no effect.
            16 if mine != Some(any) => self.send(client, Message::Release(any)),
            17 => self.restart(),
            18 => self.send(client, Message::Confirm(mine.unwrap_or(any))),
            _ => {
                let seconds = i64::try_from(self.dice.roll(40)).unwrap();
                *self.server.now() += SignedDuration::from_secs(seconds);
            }
        }
        let now = *self.server.now();
        self.holds.retain(|_, (_, until)| *until > now);
    }

    /// Sends a message. It may be lost, and so may its answer.
    fn send(&mut self, client: u8, message: Message<S::Address>) {
        if self.dice.roll(10) == 0 {
            return;
        }
        let outcome = self.server.send(client, message);
        let durable = outcome.changes.iter().filter(|lease| lease.is_durable());
        durable.for_each(|lease| record::write(&mut self.disk, lease));
        let Some(answer) = outcome.answer else { return };
        if self.dice.roll(10) == 0 {
            return;
        }
        match answer {
            Answer::Offer(address) => {
                self.offered.insert(client, address);
            }
            Answer::Lease(address, time) => {
                self.holds.insert(client, (address, *self.server.now() + time));
                self.leases += 1;
            }
            Answer::Refusal => {
                self.holds.remove(&client);
                self.offered.remove(&client);
            }
            Answer::Nothing => {}
        }
    }

    /// The process dies; the disk keeps what was written, and half a line.
    fn restart(&mut self) {
        let half = S::address(0).to_string();
        self.disk.push_str("0123abcd ");
        self.disk.push_str(&half[..half.len() / 2]);
        let replay = record::replay(self.disk.as_bytes());
        assert_eq!(replay.damaged, 0);
        self.disk.truncate(replay.end);
        *self.server.leases() = self.server.no_leases();
        let now = *self.server.now();
        self.server.leases().may_have_offered(now);
        replay.leases.into_iter().for_each(|lease| self.server.leases().apply(lease));
        if self.dice.roll(4) == 0 {
            self.disk.clear();
            for lease in self.server.leases().all() {
                record::write(&mut self.disk, lease);
            }
        }
    }

    fn check(&self) {
        let mut users = HashMap::new();
        for (client, (address, _)) in &self.holds {
            if let Some(other) = users.insert(address, client) {
                panic!("{address} has two users: {other:x} and {client:x}");
            }
        }
    }
}
