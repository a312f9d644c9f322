//! The DHCPv4 side of a fleet's clients (RFC 2131), all over one socket.
//!
//! Clients request broadcast answers, and an answer is matched to its client by transaction and MAC
//! address, so offered addresses need not exist yet.

mod clients;
mod exchange;
mod wire;

pub use clients::{DhcpClients, Offered};
pub use exchange::DhcpError;
pub(super) use exchange::Renewal;
pub(super) use wire::{Answer, BootUri, Client, Identity};

use super::{config::Dhcp, mac::Mac};
use metal_base::Locked;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, SocketAddrV4},
    sync::Mutex,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::mpsc::{Receiver, Sender, channel},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Answers queued for a slow client.
const BACKLOG: usize = 8;
/// Pause after an error of the socket.
const BREATH: Duration = Duration::from_millis(50);
/// Longest packet.
const PACKET: usize = 9216;

/// Transaction and MAC.
type Key = (u32, Mac);

/// One socket for many clients.
#[derive(Debug)]
pub(super) struct Link {
    socket: UdpSocket,
    config: Dhcp,
    waiting: Mutex<HashMap<Key, Sender<Vec<u8>>>>,
}

impl Link {
    /// Opens the socket; nothing is received unless [`Link::run`] runs.
    pub(super) fn open(config: &Dhcp) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind_device(Some(config.device.as_bytes()))?;
        socket.bind(&SocketAddr::V4(config.client).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, config: config.clone(), waiting: Mutex::default() })
    }

    /// How long a client waits before starting over.
    pub(super) fn patience(&self) -> Duration {
        self.config.patience
    }

    /// Passes answers to their clients, until stopped.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut buffer = vec![0; PACKET];
        let receive = async {
            loop {
                match self.socket.recv_from(&mut buffer).await {
                    Ok((length, _)) => self.deliver(&buffer[..length]),
                    Err(error) => {
                        tracing::debug!(%error, "DHCP socket");
                        sleep(BREATH).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(receive).await;
    }

    fn deliver(&self, packet: &[u8]) {
        let Some(key) = wire::reply_key(packet) else { return };
        let waiting = self.waiting.locked();
        if let Some(client) = waiting.get(&key)
            && client.try_send(packet.to_vec()).is_err()
        {
            tracing::debug!(mac = %key.1, "DHCP answer dropped");
        }
    }

    /// Subscribes to the answers of one transaction.
    fn listen(&self, key: Key) -> Listening<'_> {
        let (sender, answers) = channel(BACKLOG);
        self.waiting.locked().insert(key, sender);
        Listening { link: self, key, answers }
    }

    async fn send(&self, packet: &[u8], to: SocketAddrV4) -> io::Result<()> {
        self.socket.send_to(packet, to).await.map(drop)
    }
}

/// A subscription, until it is dropped.
struct Listening<'a> {
    link: &'a Link,
    key: Key,
    answers: Receiver<Vec<u8>>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.link.waiting.locked().remove(&self.key);
    }
}
