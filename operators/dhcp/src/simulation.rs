//! Many clients, few addresses, lost packets, restarts: no address ever has two users. The world is
//! the same for DHCPv4 and DHCPv6, which say what its messages are in their words.

use crate::{
    Address,
    lease::{Lease, Leases, record},
};
use jiff::{SignedDuration, Timestamp};
use metal_core::dice::Dice;
use std::{
    collections::HashMap,
    fmt::{Debug, Display},
    str::FromStr,
};

/// How long a lease of a [`Server`] is, in the simulation.
pub(crate) const LEASE_TIME: SignedDuration = SignedDuration::from_mins(2);
/// Clients that have a reservation.
const RESERVED: [u8; 2] = [0x98, 0x99];
/// More than there are addresses.
const CLIENTS: usize = 12;
/// How many addresses clients come to think of: those of the pool, and some around it.
const ADDRESSES: usize = 12;
const STEPS: usize = 20_000;

/// A server with a memory, in its protocol.
pub(crate) trait Server {
    /// Its addresses.
    type Address: Address + Debug + Display + FromStr;

    /// A server with eight addresses and leases of [`LEASE_TIME`], where [`RESERVED`] have theirs.
    fn new() -> Self;
    /// An address that clients come to think of, by its number.
    fn address(number: usize) -> Self::Address;
    /// Sends a message of a client.
    fn send(&mut self, client: u8, message: Message<Self::Address>) -> Told<Self::Address>;
    /// Its leases.
    fn leases(&mut self) -> &mut Leases<Self::Address>;
    /// The leases of one that has just started.
    fn no_leases(&self) -> Leases<Self::Address>;
    /// The time, which it goes by.
    fn now(&mut self) -> &mut Timestamp;
}

/// What clients say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<A> {
    /// It looks for an address.
    Discover,
    /// It takes what this server offered.
    Select(A),
    /// It wants more time, from its server.
    Renew(A),
    /// It wants more time, from any server.
    Rebind(A),
    /// It asks whether it may go on with what it had.
    Confirm(A),
    /// It needs it no more.
    Release(A),
    /// Somebody else uses it.
    Decline(A),
}

/// What comes of a message.
pub(crate) struct Told<A> {
    /// What the server remembers.
    pub(crate) changes: Vec<Lease<A>>,
    /// What it answers.
    pub(crate) answer: Option<Answer<A>>,
}

/// What an answer means to its client.
pub(crate) enum Answer<A> {
    /// It may ask for this.
    Offer(A),
    /// It has this, for this long.
    Lease(A, SignedDuration),
    /// It begins afresh.
    Refusal,
    /// Nothing changes.
    Nothing,
}

/// The clients' side: until when each believes to have which address.
struct World<S: Server> {
    server: S,
    disk: String,
    dice: Dice,
    holds: HashMap<u8, (S::Address, Timestamp)>,
    offered: HashMap<u8, S::Address>,
    leases: usize,
}

/// Runs the world a few times.
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
            dice: Dice(seed),
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
                // Who asks for another address has stopped using the one it had.
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
                // Rarely, because it takes the address away for an hour.
                if let Some(address) = mine.filter(|_| self.dice.roll(50) == 0) {
                    self.holds.remove(&client);
                    self.send(client, Message::Decline(address));
                }
            }
            // What is not one's own must stay where it is.
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

    /// Sends a message, which may be lost, as may be its answer.
    fn send(&mut self, client: u8, message: Message<S::Address>) {
        if self.dice.roll(10) == 0 {
            return;
        }
        let told = self.server.send(client, message);
        let durable = told.changes.iter().filter(|lease| lease.is_durable());
        durable.for_each(|lease| record::write(&mut self.disk, lease));
        let Some(answer) = told.answer else { return };
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

    /// The process dies; what is on disk remains, and half of a line.
    fn restart(&mut self) {
        let half = S::address(0).to_string();
        self.disk.push_str("0123abcd ");
        self.disk.push_str(&half[..half.len() / 2]);
        let replay = record::replay(self.disk.as_bytes());
        assert_eq!(replay.damaged, 0);
        self.disk.truncate(replay.end);
        *self.server.leases() = self.server.no_leases();
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
