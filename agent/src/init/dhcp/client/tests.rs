use super::{
    super::packet::tests::{MAC, XID, answer},
    *,
};
use crate::init::wire::{ReceivedPacket, SERVER, Wire, alone, ip};

const OURS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);

/// The next packet of this kind. A client that was answered late has repeated the one before.
async fn next(wire: &Wire, kind: MessageType) -> ReceivedPacket {
    loop {
        let heard = wire.hear().await;
        if heard.kind == kind {
            return heard;
        }
        let is_repeated = matches!(heard.kind, MessageType::Discover | MessageType::Request);
        assert!(is_repeated, "a client sends {:?}", heard.kind);
    }
}

/// A server offers an address, and refuses the request for it.
async fn offers_and_refuses(wire: &Wire) {
    for (kind, answer) in
        [(MessageType::Discover, MessageType::Offer), (MessageType::Request, MessageType::Nak)]
    {
        let heard = next(wire, kind).await;
        wire.answer(&heard, answer, OURS, &[]).await;
    }
}

#[test]
fn a_server_that_takes_its_offers_back_is_asked_again_after_a_pause_only() {
    alone(async || {
        let wire = Wire::new("port0");
        let asked = nothing_to_boot();
        let client = Client::open(&wire.link, &asked).unwrap();
        let serving = async {
            offers_and_refuses(&wire).await;
            let since = Instant::now();
            // The offer is worth nothing.
            let heard = next(&wire, MessageType::Discover).await;
            assert!(since.elapsed() >= FIRST / 2, "{:?}", since.elapsed());
            wire.answer(&heard, MessageType::Offer, OURS, &[]).await;
            let heard = next(&wire, MessageType::Request).await;
            wire.answer(&heard, MessageType::Ack, OURS, &[]).await;
        };
        let (lease, ()) = tokio::join!(client.acquire(), serving);
        assert_eq!(lease.unwrap().ip, OURS);
    });
}

#[test]
fn who_is_let_down_by_a_server_takes_the_offer_of_another() {
    const OTHER: &[u8] = &[203, 0, 113, 251];
    alone(async || {
        let wire = Wire::new("port0");
        let asked = nothing_to_boot();
        let client = Client::open(&wire.link, &asked).unwrap();
        let (theirs, other) = (Ipv4Addr::new(203, 0, 113, 60), [(code::SERVER_ID, OTHER)]);
        let serving = async {
            offers_and_refuses(&wire).await;
            let heard = next(&wire, MessageType::Discover).await;
            // The first one is faster.
            wire.answer(&heard, MessageType::Offer, OURS, &[]).await;
            wire.answer(&heard, MessageType::Offer, theirs, &other).await;
            let heard = next(&wire, MessageType::Request).await;
            assert_eq!(heard.packet.options.get(code::SERVER_ID), Some(OTHER));
            wire.answer(&heard, MessageType::Ack, theirs, &other).await;
        };
        let (lease, ()) = tokio::join!(client.acquire(), serving);
        assert_eq!(lease.unwrap().ip, theirs);
    });
}

#[test]
fn a_lease_is_renewed_before_it_ends_whatever_its_server_says() {
    alone(async || {
        let wire = Wire::new("port0");
        ip("address add 203.0.113.50/24 dev port0");
        wire.announce_server();
        for renewal in [0, TIME / 10 * 9, TIME, 100 * TIME] {
            let asked = nothing_to_boot();
            let client = Client::open(&wire.link, &asked).unwrap();
            let lease = lease(renewal);
            let until = Instant::now() + lease.time.saturating_sub(lease.renewal);
            let serving = async {
                let heard = wire.hear().await;
                wire.answer(&heard, MessageType::Ack, OURS, &[]).await;
                heard
            };
            let (renewed, heard) = tokio::join!(client.renew(&lease, until), serving);
            assert_eq!((heard.kind, heard.packet.ciaddr), (MessageType::Request, OURS));
            assert_eq!(renewed.unwrap().map(|lease| lease.ip), Some(OURS), "{renewal}");
        }
    });
}

#[test]
fn who_is_not_told_what_to_boot_asks_more_and_more_seldom_however_short_its_lease() {
    alone(async || {
        let wire = Wire::new("port0");
        let asked = BootUrlRequest { firmware: Some(Firmware { uuid: None }), ..nothing_to_boot() };
        let client = Client::open(&wire.link, &asked).unwrap();
        let lease = Lease { renewal: Duration::from_millis(100), ..lease(5) };
        let mut pauses = Backoff::new(FIRST, LONGEST_INFORM);
        for _ in 0..10 {
            client.rest(&lease, &mut pauses).await.unwrap();
        }
        assert_eq!(pauses.failed(), LONGEST_INFORM);
    });
}

#[test]
fn a_server_that_assigns_another_address_ends_the_lease() {
    alone(async || {
        let wire = Wire::new("port0");
        ip("address add 203.0.113.50/24 dev port0");
        wire.announce_server();
        let asked = nothing_to_boot();
        let client = Client::open(&wire.link, &asked).unwrap();
        let lease = lease(5);
        let serving = async {
            let heard = wire.hear().await;
            wire.answer(&heard, MessageType::Ack, [203, 0, 113, 51].into(), &[]).await;
        };
        let until = Instant::now() + lease.time;
        let (renewed, ()) = tokio::join!(client.renew(&lease, until), serving);
        assert_eq!(renewed.unwrap(), None);
    });
}

#[test]
fn a_client_without_an_address_sends_from_none_whatever_another_port_has() {
    alone(async || {
        let (other, wire) = (Wire::new("port0"), Wire::new("port1"));
        ip("address add 192.0.2.5/24 dev port0");
        ip("route add default via 192.0.2.1 dev port0");
        let asked = nothing_to_boot();
        let client = Client::open(&wire.link, &asked).unwrap();
        let serving = async {
            for answer in [MessageType::Offer, MessageType::Ack] {
                let heard = wire.hear().await;
                assert_eq!(heard.from, Ipv4Addr::UNSPECIFIED, "{:?}", heard.kind);
                assert!(heard.packet.broadcast && heard.packet.ciaddr.is_unspecified());
                wire.answer(&heard, answer, OURS, &[]).await;
            }
        };
        tokio::select! {
            (lease, ()) = async { tokio::join!(client.acquire(), serving) } => {
                assert_eq!(lease.unwrap().ip, OURS);
            }
            heard = other.hear() => panic!("{:?} is sent on another port", heard.kind),
        }
    });
}

/// How long a lease is, in seconds: longer than a test.
const TIME: u32 = 3600;

/// A lease with this time of renewal.
fn lease(renewal: u32) -> Lease {
    let (time, renewal) = (TIME.to_be_bytes(), renewal.to_be_bytes());
    let kind = [MessageType::Ack as u8];
    let options: [(u8, &[u8]); 4] = [
        (code::MESSAGE_TYPE, &kind),
        (code::SERVER_ID, &SERVER.octets()),
        (code::LEASE_TIME, &time),
        (code::RENEWAL, &renewal),
    ];
    let bytes = answer(OURS.octets(), &options);
    Lease::read(&Answer::parse(&bytes, XID, MAC).unwrap()).unwrap()
}

fn nothing_to_boot() -> BootUrlRequest {
    BootUrlRequest { firmware: None, boot_url: watch::channel(None).0 }
}
