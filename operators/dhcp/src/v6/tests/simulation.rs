//! Translates the messages of [`crate::simulation`] to DHCPv6.

use super::*;
use crate::simulation::{self, Answer, LEASE_TIME, Message, Outcome};

#[test]
fn no_address_has_two_users() {
    simulation::no_address_has_two_users::<Lab>();
}

impl simulation::Server for Lab {
    type Address = Ipv6Addr;

    fn new() -> Self {
        let config = CONFIG.replace("leaseTime: 1h", &format!("leaseTime: {LEASE_TIME:#}"));
        Self::with(&config.replace("fd77::100-fd77::102", "fd77::100-fd77::107"))
    }

    fn address(number: usize) -> Ipv6Addr {
        Ipv6Addr::from_bits(ip("fd77::fe").to_bits() + number as u128)
    }

    fn send(&mut self, client: u8, message: Message<Ipv6Addr>) -> Outcome<Ipv6Addr> {
        let packet = match message {
            Message::Discover => solicit(client),
            Message::Select(address) => request(client, address),
            Message::Renew(address) => to_server(MessageType::Renew, client, address),
            Message::Rebind(address) => to_any(MessageType::Rebind, client, address),
            Message::Confirm(address) => to_any(MessageType::Confirm, client, address),
            Message::Release(address) => to_server(MessageType::Release, client, address),
            Message::Decline(address) => to_server(MessageType::Decline, client, address),
        };
        let Decision { changes, answer, .. } = self.send(&packet, link_local(client));
        Outcome { changes, answer: answer.ok().map(|reply| meaning(&reply)) }
    }

    fn leases(&mut self) -> &mut Leases<Ipv6Addr> {
        &mut self.leases
    }

    fn no_leases(&self) -> Leases<Ipv6Addr> {
        leases(&self.v6)
    }

    fn now(&mut self) -> &mut Timestamp {
        &mut self.now
    }
}

fn meaning(reply: &Reply) -> Answer<Ipv6Addr> {
    match (address(reply), reply.kind) {
        (Some(address), MessageType::Reply) => Answer::Lease(address, LEASE_TIME),
        (Some(address), _) => Answer::Offer(address),
        // A client that is refused starts over; one that is told it is on link continues.
        (None, _) if status(reply).0.is_none() => Answer::Refusal,
        (None, _) => Answer::Nothing,
    }
}
