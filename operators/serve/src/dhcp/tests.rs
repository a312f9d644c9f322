//! The loop on loopback, with a responder that answers everybody.

use super::{
    link::v4::{BindTarget, Link},
    *,
};
use futures::FutureExt as _;
use jiff::Timestamp;
use metal_api::MacAddr;
use metal_dhcp::{
    Client,
    fair_queue::Priority,
    v4::{MessageType, Packet, Reply, code},
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

const PATIENCE: Duration = Duration::from_mins(1);
const KNOWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// Answers everybody at their addresses; answers to [`KNOWN`] must be recorded first.
#[derive(Debug, Default)]
struct Echo {
    is_standby: bool,
    is_disk_full: bool,
    is_holding: bool,
    moves_to: Option<BindTarget>,
    decided: Vec<Option<Client>>,
    told: usize,
}

impl Responder for Echo {
    type Link = Link;
    type News = ();

    fn answers(&mut self) -> bool {
        !self.is_standby
    }

    fn source_of(&self, request: &Request<Link>) -> (Priority, Option<Client>) {
        let client = Client::of(&request.packet);
        let is_known = client == Some(Client::Mac(KNOWN));
        (if is_known { Priority::Known } else { Priority::Unknown }, client)
    }

    fn decide(
        &mut self,
        _: &[Link],
        request: Request<Link>,
        _: Timestamp,
    ) -> Option<Answer<Link, ()>> {
        let Request { link, from, to, packet } = request;
        let client = Client::of(&packet);
        let is_durable = client == Some(Client::Mac(KNOWN));
        self.decided.push(client);
        let kind = MessageType::Ack;
        let reply = Reply { kind, packet, from: Ipv4Addr::LOCALHOST, to: from, direct: None };
        let reply = Box::new(reply);
        Some(Answer { link, from, own: to, reply, is_durable, news: Some(()) })
    }

    async fn release(&self) {
        if !self.is_holding {
            std::future::pending::<()>().await;
        }
    }

    fn forget_held(&mut self) {
        self.is_holding = false;
    }

    fn commit(&mut self) -> bool {
        !self.is_disk_full
    }

    fn tell(&mut self, (): ()) {
        self.told += 1;
    }

    async fn maintain(&mut self, sockets: &mut Sockets<Link>) {
        if let Some(bind_target) = self.moves_to.take() {
            sockets.serve(&[bind_target]).ok();
        }
    }

    fn close(self) {}
}

fn at(ip: [u8; 4]) -> BindTarget {
    BindTarget::Address(SocketAddrV4::new(ip.into(), 0))
}

/// A server on loopback, and a client.
async fn server() -> (Server<Echo>, UdpSocket) {
    let mut sockets = Sockets::default();
    sockets.serve(&[at([127, 0, 0, 1])]).unwrap();
    let server = Server::new(Echo::default(), sockets, Metrics::default());
    (server, UdpSocket::bind("127.0.0.1:0").await.unwrap())
}

async fn send(server: &Server<Echo>, client: &UdpSocket, mac: MacAddr) {
    let mut packet = Packet::default();
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Discover as u8]);
    packet.chaddr[..6].copy_from_slice(&mac.0);
    client.send_to(&packet.encode(), server.sockets.addresses()[0]).await.unwrap();
    timeout(PATIENCE, server.sockets.readable()).await.unwrap();
}

/// Sends a packet, which then waits for its turn.
async fn queue(server: &mut Server<Echo>, client: &UdpSocket, mac: MacAddr) {
    send(server, client, mac).await;
    let received = loop {
        let received = server.sockets.receive(&Metrics::default());
        if !received.is_empty() {
            break received;
        }
        timeout(PATIENCE, server.sockets.readable()).await.unwrap();
    };
    for request in received {
        server.take_in(request);
    }
}

fn stranger(number: u16) -> MacAddr {
    let [high, low] = number.to_be_bytes();
    MacAddr([2, 1, 0, 0, high, low])
}

#[tokio::test]
async fn a_client_that_is_known_is_answered_before_a_crowd_that_is_not() {
    let (mut server, client) = server().await;
    for number in 0..200 {
        queue(&mut server, &client, stranger(number)).await;
    }
    queue(&mut server, &client, KNOWN).await;
    assert!(server.turn());
    assert_eq!(server.responder.decided[0], Some(Client::Mac(KNOWN)));
    assert_eq!(server.responder.decided.len(), 128, "the others have their turn later");
    assert!(server.turn() && !server.turn());
    assert_eq!((server.responder.decided.len(), server.responder.told), (201, 201));
}

#[tokio::test]
async fn what_could_not_be_written_down_is_told_to_nobody() {
    let (mut server, client) = server().await;
    server.responder.is_disk_full = true;
    for mac in [KNOWN, stranger(1)] {
        send(&server, &client, mac).await;
        assert!(server.turn());
    }
    assert_eq!((server.responder.decided.len(), server.responder.told), (2, 1));
    let mut buffer = [0; 1000];
    let (len, _) = timeout(PATIENCE, client.recv_from(&mut buffer)).await.unwrap().unwrap();
    let answered = Packet::parse(&buffer[..len]).unwrap();
    assert_eq!(answered.chaddr[..6], stranger(1).0);
}

#[tokio::test]
async fn who_stands_by_decides_about_nothing_that_came_meanwhile() {
    let (mut server, client) = server().await;
    server.responder.is_standby = true;
    send(&server, &client, KNOWN).await;
    assert!(!server.turn());
    server.responder.is_standby = false;
    assert!(!server.turn());
    assert_eq!(server.responder.decided, []);
}

#[tokio::test]
async fn who_stands_by_waits_for_no_answer_that_it_held_back() {
    let (mut server, _client) = server().await;
    (server.responder.is_standby, server.responder.is_holding) = (true, true);
    assert!(!server.turn());
    assert_eq!(server.responder.release().now_or_never(), None, "the loop would never rest");
}

#[tokio::test]
async fn a_place_that_cannot_be_served_leaves_all_as_it_was_and_others_replace_what_there_was() {
    let (mut server, client) = server().await;
    let before = server.sockets.addresses();
    server.responder.moves_to = Some(at([192, 0, 2, 1]));
    server.maintain().await;
    assert_eq!(server.sockets.addresses(), before);
    for number in 0..200 {
        send(&server, &client, stranger(number)).await;
    }
    assert!(server.turn());
    server.responder.moves_to = Some(at([127, 0, 0, 2]));
    server.maintain().await;
    assert_eq!(server.sockets.links().len(), 1);
    assert_ne!(server.sockets.addresses(), before);
    assert!(!server.turn(), "what came by the old one is not answered by the new one");
}
