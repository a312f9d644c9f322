//! Translates the messages of [`crate::simulation`] to DHCPv4.

use super::*;
use crate::simulation::{self, Answer, LEASE_TIME, Message, Outcome};

#[test]
fn no_address_has_two_users() {
    simulation::no_address_has_two_users::<Lab>();
}

impl simulation::Server for Lab {
    type Address = Ipv4Addr;

    fn new() -> Self {
        let config = CONFIG.replace("leaseTime: 1h", &format!("leaseTime: {LEASE_TIME:#}"));
        Self::with(&config.replace("100-10.77.0.102", "100-10.77.0.107"))
    }

    fn address(number: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 98 + u8::try_from(number).unwrap())
    }

    fn send(&mut self, client: u8, message: Message<Ipv4Addr>) -> Outcome<Ipv4Addr> {
        let packet = match message {
            Message::Discover => discover(client),
            Message::Select(address) => select(client, address),
            // The message is the same for one server and for all.
            Message::Renew(address) | Message::Rebind(address) => renew(client, address),
            Message::Confirm(address) => reboot(client, address),
            Message::Release(address) => release(client, address),
            Message::Decline(address) => decline(client, address),
        };
        let Decision { changes, answer, .. } = self.send(&packet);
        Outcome { changes, answer: answer.ok().map(|reply| meaning(&reply)) }
    }

    fn leases(&mut self) -> &mut Leases {
        &mut self.leases
    }

    fn no_leases(&self) -> Leases {
        Leases::new(&self.config)
    }

    fn now(&mut self) -> &mut Timestamp {
        &mut self.now
    }
}

fn meaning(reply: &Reply) -> Answer<Ipv4Addr> {
    let address = reply.packet.yiaddr;
    match reply.kind {
        MessageType::Offer => Answer::Offer(address),
        MessageType::Ack => {
            let seconds = reply.packet.options.u32(code::LEASE_TIME).unwrap();
            Answer::Lease(address, SignedDuration::from_secs(seconds.into()))
        }
        MessageType::Nak => Answer::Refusal,
        MessageType::Discover
        | MessageType::Request
        | MessageType::Decline
        | MessageType::Release
        | MessageType::Inform => panic!("no answer of a server: {reply:?}"),
    }
}
