//! A minimal DHCP server on loopback. It answers to where a packet came from.

use dhcproto::{
    Decodable, Decoder, Encodable,
    v4::{DhcpOption, Message, MessageType, Opcode, OptionCode},
};
use metal_simulator::Dhcp;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// Assigns 127.2.0.x to every client, and boot files by class.
pub(crate) struct Dhcpd {
    address: SocketAddrV4,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    lease: u32,
    addresses: BTreeMap<Vec<u8>, Ipv4Addr>,
    /// By vendor class: `PXE`, `HTTP`, `iPXE`.
    boot_files: BTreeMap<&'static str, String>,
    /// Type and class of every message.
    seen: Vec<(MessageType, &'static str)>,
    refuses: bool,
}

impl Dhcpd {
    /// Serves leases of `lease` seconds.
    pub(crate) async fn start(lease: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let state = Arc::new(Mutex::new(State { lease, ..State::default() }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let message = Message::decode(&mut Decoder::new(&buffer[..length])).unwrap();
                let reply = shared.lock().unwrap().answer(&message);
                socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
            }
        });
        Self { address, state, server }
    }

    /// The settings with which clients reach it. On no machine is it asked again because it is slow.
    pub(crate) fn client(&self) -> Dhcp {
        Dhcp {
            device: "lo".to_owned(),
            client: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            server: self.address,
            patience: Duration::from_secs(20),
        }
    }

    /// The boot file of a class.
    pub(crate) fn boot_file(&self, class: &'static str, file: String) {
        self.state.lock().unwrap().boot_files.insert(class, file);
    }

    /// From now on requests are refused.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.lock().unwrap().refuses = refuses;
    }

    /// Type and class of every message.
    pub(crate) fn seen(&self) -> Vec<(MessageType, &'static str)> {
        self.state.lock().unwrap().seen.clone()
    }
}

impl Drop for Dhcpd {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn answer(&mut self, message: &Message) -> Message {
        let options = message.opts();
        let kind = options.msg_type().unwrap();
        let vendor = match options.get(OptionCode::ClassIdentifier) {
            Some(DhcpOption::ClassIdentifier(class)) => class.as_slice(),
            _ => b"",
        };
        let class = match vendor {
            _ if options.contains(OptionCode::UserClass) => "iPXE",
            [b'P', ..] => "PXE",
            [b'H', ..] => "HTTP",
            _ => "",
        };
        self.seen.push((kind, class));
        let next = Ipv4Addr::from_bits(0x7f02_0001 + u32::try_from(self.addresses.len()).unwrap());
        let address = *self.addresses.entry(message.chaddr().to_vec()).or_insert(next);
        let mut reply = message.clone();
        reply.set_opcode(Opcode::BootReply).set_yiaddr(address).opts_mut().clear();
        let kind = match kind {
            MessageType::Discover => MessageType::Offer,
            _ if self.refuses => MessageType::Nak,
            _ => MessageType::Ack,
        };
        let options = reply.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ServerIdentifier(Ipv4Addr::LOCALHOST));
        options.insert(DhcpOption::AddressLeaseTime(self.lease));
        if let Some(file) = self.boot_files.get(class) {
            options.insert(DhcpOption::BootfileName(file.clone().into_bytes()));
            let class = if class == "HTTP" { "HTTPClient" } else { "PXEClient" };
            options.insert(DhcpOption::ClassIdentifier(class.into()));
        }
        reply
    }
}
