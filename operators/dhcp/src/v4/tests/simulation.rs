//! Many clients, few addresses, lost packets, restarts: no address has two users at once.

use super::*;
use crate::lease::record;
use metal_core::dice::Dice;
use std::collections::HashMap;

const CLIENTS: usize = 12;
const STEPS: usize = 20_000;

/// The clients' side: until when each believes to have which address.
struct World {
    lab: Lab,
    disk: String,
    dice: Dice,
    holds: HashMap<u8, (Ipv4Addr, Timestamp)>,
    offered: HashMap<u8, Ipv4Addr>,
    acks: usize,
}

#[test]
fn no_address_has_two_users() {
    for seed in 1..=4 {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            world.check();
        }
        assert!(world.acks > STEPS / 10, "the simulation must get somewhere: {}", world.acks);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let config = CONFIG.replace("leaseTime: 1h", "leaseTime: 2m");
        Self {
            lab: Lab::with(&config.replace("100-10.77.0.102", "100-10.77.0.107")),
            disk: String::new(),
            dice: Dice(seed),
            holds: HashMap::new(),
            offered: HashMap::new(),
            acks: 0,
        }
    }

    fn step(&mut self) {
        let client = match u8::try_from(self.dice.roll(CLIENTS)).unwrap() {
            0 => 0x98,
            1 => 0x99,
            other => other,
        };
        let mine = self.holds.get(&client).map(|(address, _)| *address);
        let any = Ipv4Addr::new(10, 77, 0, 98 + u8::try_from(self.dice.roll(12)).unwrap());
        match self.dice.roll(20) {
            0..6 => self.send(client, &discover(client)),
            6..11 => {
                let address = self.offered.get(&client).copied().unwrap_or(any);
                // Who asks for another address has stopped using the one it had.
                self.holds.retain(|user, (held, _)| *user != client || *held == address);
                self.send(client, &select(client, address));
            }
            11..13 => self.send(client, &renew(client, mine.unwrap_or(any))),
            13 => self.send(client, &reboot(client, mine.unwrap_or(any))),
            14 => {
                if let Some(address) = mine {
                    self.holds.remove(&client);
                    self.send(client, &release(client, address));
                }
            }
            15 => {
                // Rarely, because it takes the address away for an hour.
                if let Some(address) = mine.filter(|_| self.dice.roll(50) == 0) {
                    self.holds.remove(&client);
                    self.send(client, &decline(client, address));
                }
            }
            // What is not one's own must stay where it is.
            16 if mine != Some(any) => self.send(client, &release(client, any)),
            17 => self.restart(),
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
        let decision = self.lab.send(packet);
        let durable = decision.changes.iter().filter(|lease| lease.is_durable());
        durable.for_each(|lease| record::write(&mut self.disk, lease));
        let Ok(reply) = decision.answer else { return };
        if self.dice.roll(10) == 0 {
            return;
        }
        match reply.kind {
            MessageType::Offer => {
                self.offered.insert(client, reply.packet.yiaddr);
            }
            MessageType::Ack => {
                let seconds = reply.packet.options.u32(code::LEASE_TIME).unwrap();
                let until = self.lab.now + SignedDuration::from_secs(seconds.into());
                self.holds.insert(client, (reply.packet.yiaddr, until));
                self.acks += 1;
            }
            MessageType::Nak => {
                self.holds.remove(&client);
                self.offered.remove(&client);
            }
            MessageType::Discover
            | MessageType::Request
            | MessageType::Decline
            | MessageType::Release
            | MessageType::Inform => panic!("no answer of a server: {reply:?}"),
        }
    }

    /// The process dies; what is on disk remains, and half of a line.
    fn restart(&mut self) {
        self.disk.push_str("0123abcd 10.77");
        let replay = record::replay(self.disk.as_bytes());
        assert_eq!(replay.damaged, 0);
        self.disk.truncate(replay.end);
        self.lab.leases = Leases::new(&self.lab.config);
        replay.leases.into_iter().for_each(|lease| self.lab.leases.apply(lease));
        if self.dice.roll(4) == 0 {
            let all = self.lab.leases.all();
            self.disk.clear();
            for lease in all {
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
