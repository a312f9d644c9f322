//! Clients, a network that loses packets, and a server that dies: no address ever has two users.

use super::*;
use crate::lease::record;
use metal_core::dice::Dice;
use std::collections::HashMap;

const STEPS: usize = 20_000;
/// More than there are addresses.
const CLIENTS: usize = 12;

/// What the clients believe: who uses which address, and until when.
struct World {
    lab: Lab,
    disk: String,
    dice: Dice,
    holds: HashMap<u8, (Ipv6Addr, Timestamp)>,
    offered: HashMap<u8, Ipv6Addr>,
    replies: usize,
}

#[test]
fn no_address_has_two_users() {
    for seed in 1..=4 {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            world.check();
        }
        assert!(world.replies > STEPS / 10, "it must get somewhere: {}", world.replies);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let config = CONFIG.replace("leaseTime: 1h", "leaseTime: 2m");
        Self {
            lab: Lab::with(&config.replace("fd77::100-fd77::102", "fd77::100-fd77::107")),
            disk: String::new(),
            dice: Dice(seed),
            holds: HashMap::new(),
            offered: HashMap::new(),
            replies: 0,
        }
    }

    fn step(&mut self) {
        let client = match u8::try_from(self.dice.roll(CLIENTS)).unwrap() {
            0 => 0x98,
            1 => 0x99,
            other => other,
        };
        let mine = self.holds.get(&client).map(|(address, _)| *address);
        let any = Ipv6Addr::from_bits(ip("fd77::fe").to_bits() + self.dice.roll(12) as u128);
        match self.dice.roll(20) {
            0..6 => self.send(client, &solicit(client)),
            6..11 => {
                let address = self.offered.get(&client).copied().unwrap_or(any);
                // Who asks for another address has stopped using the one it had.
                self.holds.retain(|user, (held, _)| *user != client || *held == address);
                self.send(client, &request(client, address));
            }
            11..13 => {
                self.send(client, &to_server(MessageType::Renew, client, mine.unwrap_or(any)));
            }
            13 => self.send(client, &to_any(MessageType::Rebind, client, mine.unwrap_or(any))),
            14 => {
                if let Some(address) = mine {
                    self.holds.remove(&client);
                    self.send(client, &to_server(MessageType::Release, client, address));
                }
            }
            15 => {
                // Rarely, because it takes the address away for an hour.
                if let Some(address) = mine.filter(|_| self.dice.roll(50) == 0) {
                    self.holds.remove(&client);
                    self.send(client, &to_server(MessageType::Decline, client, address));
                }
            }
            // What is not one's own must stay where it is.
            16 if mine != Some(any) => {
                self.send(client, &to_server(MessageType::Release, client, any));
            }
            17 => self.restart(),
            18 => self.send(client, &to_any(MessageType::Confirm, client, mine.unwrap_or(any))),
            _ => self.lab.pass(i64::try_from(self.dice.roll(40)).unwrap()),
        }
        let now = self.lab.now;
        self.holds.retain(|_, (_, until)| *until > now);
    }

    /// Sends a packet, which may be lost, as may be its answer.
    fn send(&mut self, client: u8, packet: &Packet) {
        if self.dice.roll(10) == 0 {
            return;
        }
        let decision = self.lab.send(packet, link_local(client));
        let durable = decision.changes.iter().filter(|lease| lease.is_durable());
        durable.for_each(|lease| record::write(&mut self.disk, lease));
        let Ok(reply) = decision.answer else { return };
        if self.dice.roll(10) == 0 {
            return;
        }
        let given = address(&reply);
        let is_final = reply.kind == MessageType::Reply;
        if let Some(address) = given.filter(|_| is_final) {
            let until = self.lab.now + SignedDuration::from_mins(2);
            self.holds.insert(client, (address, until));
            self.replies += 1;
        } else if let Some(address) = given {
            self.offered.insert(client, address);
        } else if status(&reply).0.is_none() {
            // A client that is refused begins afresh; one that is told it is on link goes on.
            self.holds.remove(&client);
            self.offered.remove(&client);
        }
    }

    /// The process dies; what is on disk remains, and half of a line.
    fn restart(&mut self) {
        self.disk.push_str("0123abcd fd77::");
        let replay = record::replay::<Ipv6Addr>(self.disk.as_bytes());
        assert_eq!(replay.damaged, 0);
        self.disk.truncate(replay.end);
        self.lab.leases = leases(&self.lab.v6);
        replay.leases.into_iter().for_each(|lease| self.lab.leases.apply(lease));
        if self.dice.roll(4) == 0 {
            self.disk.clear();
            for lease in self.lab.leases.all() {
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
