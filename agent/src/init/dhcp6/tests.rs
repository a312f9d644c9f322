use super::*;
use crate::init::wire::{Wire, alone, eventually};
use metal_wire::v6::{MessageType, Packet, code};
use std::{fs, net::SocketAddr};
use tokio::{select, sync::watch};

#[test]
fn a_machine_without_ipv4_has_the_name_servers_that_dhcpv6_tells() {
    alone(async || {
        let (wire, folder) = (Wire::new("port0"), tempfile::tempdir().unwrap());
        let file = folder.path().join("resolv.conf");
        let resolvers = Resolvers::at(file.clone());
        let asked = BootUrlRequest { firmware: None, boot_url: watch::channel(None).0 };
        let server = Server::open(&wire);
        let serving = async {
            let told = || fs::read_to_string(&file).unwrap_or_default();
            let is_told = || told().starts_with("nameserver fd77::3\nnameserver fe80::9%port0\n");
            select! {
                never = async { loop { server.answer().await } } => never,
                () = eventually(is_told) => {}
            }
        };
        select! {
            never = ask(&wire.link, &asked, &resolvers) => match never {},
            () = serving => {}
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "", "the port is no longer in use");
    });
}

/// A DHCPv6 server at the far end.
struct Server(UdpSocket);

impl Server {
    fn open(wire: &Wire) -> Self {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM.nonblocking(), None).unwrap();
        socket.bind_device(Some(wire.far.as_bytes())).unwrap();
        socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, SERVER_PORT, 0, 0).into()).unwrap();
        let index = nix::net::if_::if_nametoindex(&*wire.far).unwrap();
        socket.join_multicast_v6(&SERVERS, index).unwrap();
        Self(UdpSocket::from_std(socket.into()).unwrap())
    }

    /// Answers one request.
    async fn answer(&self) {
        let mut buffer = [0; LARGEST];
        let (length, from) = self.0.recv_from(&mut buffer).await.unwrap();
        let request = Packet::parse(&buffer[..length]).unwrap();
        assert_eq!(request.kind(), Some(MessageType::InformationRequest));
        let SocketAddr::V6(from) = from else { panic!("an IPv6 socket") };
        let mut answer = Packet { kind: MessageType::Reply as u8, ..request.clone() };
        answer.options = metal_wire::v6::Options::default();
        answer.options.push(code::CLIENT_ID, request.options.get(code::CLIENT_ID).unwrap());
        answer.options.push(code::SERVER_ID, [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        let servers = ["fd77::3", "fe80::9"].map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets());
        answer.options.push(code::DNS, servers.concat());
        // This end has no address at once; the client asks again.
        self.0.send_to(&answer.encode(), from).await.ok();
    }
}
