use super::{
    super::packet::tests::{MAC, XID, answer},
    *,
};
use metal_wire::v4::Packet;

/// Longer than any packet takes here.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_server_that_takes_its_offers_back_is_asked_again_after_a_pause_only() {
    let (server, client) = (Server::open().await, TestClient::new());
    let client = client.of(&server).await;
    let asking = client.acquire();
    let serving = async {
        assert_eq!(server.hear().await.0, MessageType::Discover);
        server.answer(MessageType::Offer).await;
        assert_eq!(server.hear().await.0, MessageType::Request);
        server.answer(MessageType::Nak).await;
        let since = Instant::now();
        assert_eq!(server.hear().await.0, MessageType::Discover, "the offer is worth nothing");
        assert!(since.elapsed() >= FIRST / 2, "{:?}", since.elapsed());
        server.answer(MessageType::Offer).await;
        assert_eq!(server.hear().await.0, MessageType::Request);
        server.answer(MessageType::Ack).await;
    };
    let (lease, ()) = tokio::join!(asking, serving);
    assert_eq!(lease.unwrap().ip, Ipv4Addr::new(10, 0, 2, 15));
}

#[tokio::test]
async fn a_lease_is_renewed_before_it_ends_whatever_its_server_says() {
    for renewal in [0, 9, 10, 1000] {
        let (server, client) = (Server::open().await, TestClient::new());
        let client = client.of(&server).await;
        let lease = lease(renewal);
        let until = Instant::now() + lease.time.saturating_sub(lease.renewal);
        let serving = async {
            let heard = server.hear().await;
            server.answer(MessageType::Ack).await;
            heard
        };
        let (renewed, heard) = timeout_at(Instant::now() + LIMIT, async {
            tokio::join!(client.renew(&lease, until), serving)
        })
        .await
        .unwrap_or_else(|_| panic!("{renewal}: nobody was asked"));
        assert_eq!(heard, (MessageType::Request, lease.ip), "{renewal}");
        assert_eq!(renewed.unwrap().map(|lease| lease.ip), Some(lease.ip), "{renewal}");
    }
}

/// A lease of ten seconds, with this time of renewal.
fn lease(renewal: u32) -> Lease {
    let times = [(code::LEASE_TIME, 10_u32.to_be_bytes()), (code::RENEWAL, renewal.to_be_bytes())];
    let [time, renewal] = &times;
    let options = [(time.0, &time.1[..]), (renewal.0, &renewal.1[..])];
    let bytes = told(MessageType::Ack, &options);
    Lease::read(&Answer::parse(&bytes, XID, MAC).unwrap()).unwrap()
}

fn told(kind: MessageType, options: &[(u8, &[u8])]) -> Vec<u8> {
    let kind = [kind as u8];
    let own: [(u8, &[u8]); 2] = [(code::MESSAGE_TYPE, &kind), (code::SERVER_ID, &[127, 0, 0, 1])];
    answer([10, 0, 2, 15], &[&own[..], options].concat())
}

/// A DHCP server on loopback.
struct Server {
    socket: UdpSocket,
    client: std::sync::Mutex<Option<std::net::SocketAddr>>,
}

impl Server {
    async fn open() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { socket, client: std::sync::Mutex::default() }
    }

    /// The type of the next packet, and the address that its client has.
    async fn hear(&self) -> (MessageType, Ipv4Addr) {
        let mut buffer = [0; LARGEST as usize];
        let received = timeout_at(Instant::now() + LIMIT, self.socket.recv_from(&mut buffer));
        let (length, from) = received.await.unwrap().unwrap();
        *self.client.lock().unwrap() = Some(from);
        let packet = Packet::parse(&buffer[..length]).unwrap();
        (MessageType::of(&packet).unwrap(), packet.ciaddr)
    }

    async fn answer(&self, kind: MessageType) {
        let to = self.client.lock().unwrap().unwrap();
        self.socket.send_to(&told(kind, &[]), to).await.unwrap();
    }
}

/// What a client borrows.
struct TestClient {
    link: Link,
    boot_request: BootUrlRequest,
}

impl TestClient {
    fn new() -> Self {
        let link = Link { name: "lo".to_owned(), index: 1, mac: MAC };
        let boot_request = BootUrlRequest { firmware: None, boot_url: watch::channel(None).0 };
        Self { link, boot_request }
    }

    /// A client for which this server is all servers of the link.
    async fn of(&self, server: &Server) -> Client<'_> {
        let std::net::SocketAddr::V4(servers) = server.socket.local_addr().unwrap() else {
            panic!("an IPv4 socket")
        };
        Client {
            link: &self.link,
            boot_request: &self.boot_request,
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
            servers,
            xid: XID,
            began: Instant::now(),
        }
    }
}
