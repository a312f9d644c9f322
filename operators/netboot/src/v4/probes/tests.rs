//! What follows when somebody answers at an address.

use super::{
    super::{
        super::recorder::Sightings,
        open,
        tests::{BMC, CONFIG, HOST, offer, packet, parts},
    },
    *,
};
use metal_api::MacAddr;
use metal_dhcp::{config::Config, lease::State};
use metal_serve::dhcp::{Request, Responder as _, Server};
use std::{net::SocketAddrV4, sync::Arc};
use tokio::sync::watch;

#[tokio::test]
async fn an_address_in_use_is_no_longer_offered_but_nobody_loses_a_lease_by_that() {
    // Whose it is, in which state; whether the offer to HOST is sent, and what becomes of it.
    for (owner, state, is_sent, becomes) in [
        (HOST, State::Offered, false, State::Declined),
        (BMC, State::Offered, false, State::Declined),
        (BMC, State::Released, false, State::Declined),
        // It is there, and answers itself.
        (HOST, State::Bound, true, State::Bound),
        // It has requested it during the probe.
        (BMC, State::Bound, false, State::Bound),
    ] {
        let mut server = server();
        let (address, pending) = offered(&mut server, HOST);
        let lease = Lease { state, ..offer(owner, address) };
        server.responder.common.lease_store.leases.apply(lease);
        let outcome = ProbeOutcome::InUse(address, pending);
        let sent = server.responder.finish(server.sockets.links(), outcome);
        assert_eq!(sent.is_some(), is_sent, "{owner} {state}");
        let lease = server.responder.common.lease_store.leases.get(address).unwrap();
        assert_eq!((lease.state, &lease.client), (becomes, &Client::Mac(owner)), "{owner} {state}");
    }
}

#[tokio::test]
async fn a_host_that_answers_everywhere_takes_few_addresses_in_a_minute() {
    let mut server = server();
    for number in 0..100 {
        let (address, pending) = offered(&mut server, MacAddr([2, 0, 0, 0, 1, number]));
        let outcome = ProbeOutcome::InUse(address, pending);
        assert!(server.responder.finish(server.sockets.links(), outcome).is_none());
        let lease =
            server.responder.common.lease_store.leases.get(address).map(|lease| lease.state);
        let is_limited = u32::from(number) >= MOST;
        assert_eq!(lease, (!is_limited).then_some(State::Declined), "{number}");
    }
    let mut rate = QuarantineRate::default();
    let start = Instant::now();
    let admitted = (0..1000).filter(|second| rate.admits(start + Duration::from_secs(*second)));
    assert!(admitted.count() > 900, "they are not used up for good");
}

fn server() -> Server<V4> {
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    open(parts(&config, &Sightings::default(), None)).unwrap()
}

/// An offer for this machine that waits for the result of a probe.
fn offered(server: &mut Server<V4>, mac: MacAddr) -> (Ipv4Addr, PendingOffer) {
    let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 67);
    let packet = packet(MessageType::Discover, mac);
    let request = Request { link: 0, from, to: Some(Ipv4Addr::LOCALHOST), packet };
    let links = server.sockets.links();
    let answer = server.responder.decide(links, request, Timestamp::now()).unwrap();
    let (bind_target, client) = (links[0].bind_target.clone(), Some(Client::Mac(mac)));
    (answer.reply.packet.yiaddr, PendingOffer { bind_target, answer, client })
}
