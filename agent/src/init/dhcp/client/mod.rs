//! The DHCP client of one link: acquires an address, and keeps it.

use super::{
    assigned::Assigned,
    frames::Frames,
    lease::Lease,
    packet::{Answer, Firmware, LARGEST, Request},
};
use crate::init::{boot_url::BootUrl, link::Link, resolvers::Resolvers};
use metal_base::{
    Backoff, Chain,
    jitter::{number, within},
};
use metal_wire::v4::{MessageType, code};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};

/// Ports of DHCP (RFC 2131, section 4.1).
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// First delay before a packet is repeated, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(16);
/// Each delay varies by up to this fraction of it.
const SPREAD: u32 = 4;
/// How often an offer is requested before starting over.
const REQUESTS: u32 = 3;
/// After this many unanswered packets a person is told.
const SILENCE: u32 = 3;
/// The longest delay before a machine asks once more what it boots.
const LONGEST_INFORM: Duration = Duration::from_mins(1);

/// What to ask for besides an address.
#[derive(Clone, Debug)]
pub(crate) struct BootUrlRequest {
    /// The identity under which to ask what to boot; `None` if that is known already.
    pub(crate) firmware: Option<Firmware>,
    /// Where the boot URL goes.
    pub(crate) boot_url: watch::Sender<Option<BootUrl>>,
}

/// Gives the link an address, and keeps it forever. Cancel safe: the address is removed, and what came with
/// it.
pub(crate) async fn keep(
    link: &Link,
    boot_request: &BootUrlRequest,
    resolvers: &Resolvers,
) -> Infallible {
    let mut pauses = Backoff::new(FIRST, LONGEST);
    loop {
        match lease_once(link, boot_request, resolvers).await {
            Ok(()) => pauses.reset(),
            Err(error) => {
                let error = Chain(&error).to_string();
                tracing::warn!(
                    link = link.name,
                    error,
                    "could not request an address on this port"
                );
            }
        }
        sleep(within(pauses.failed(), SPREAD)).await;
    }
}

/// From DISCOVER to the end of the lease.
async fn lease_once(
    link: &Link,
    boot_request: &BootUrlRequest,
    resolvers: &Resolvers,
) -> io::Result<()> {
    let client = Client::open(link, boot_request)?;
    let mut lease = client.acquire().await?;
    let mut assigned = Assigned::apply(link, resolvers, &lease)?;
    let mut pauses = Backoff::new(FIRST, LONGEST_INFORM);
    loop {
        let until = Instant::now() + lease.time;
        client.rest(&lease, &mut pauses).await?;
        match client.renew(&lease, until).await? {
            Some(renewed) => {
                assigned.renew(&lease, &renewed)?;
                lease = renewed;
            }
            None => break,
        }
    }
    tracing::warn!(link = link.name, address = %lease.ip, "address lost");
    Ok(())
}

struct Client<'a> {
    link: &'a Link,
    boot_request: &'a BootUrlRequest,
    /// Receives, and sends from the address of the link.
    socket: UdpSocket,
    /// Sends where the link has no address yet.
    frames: Frames,
    xid: u32,
    began: Instant,
}

impl<'a> Client<'a> {
    fn open(link: &'a Link, boot_request: &'a BootUrlRequest) -> io::Result<Self> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV4, kind, Some(Protocol::UDP))?;
        socket.set_broadcast(true)?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(link.name.as_bytes()))?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let xid = u32::try_from(number() >> 32).unwrap_or_default();
        let frames = Frames::open(link)?;
        Ok(Self { link, boot_request, socket, frames, xid, began: Instant::now() })
    }

    /// Asks until a server has assigned an address.
    async fn acquire(&self) -> io::Result<Lease> {
        let (mut pauses, mut shunned) = (Backoff::new(FIRST, LONGEST), None);
        for round in 0_u32.. {
            if round == SILENCE {
                tracing::warn!(
                    link = self.link.name,
                    "no response from a DHCP server on this port; check the VLAN of the switch \
                     port, the DHCP relay and the DHCP server"
                );
            }
            self.broadcast(MessageType::Discover, &[])?;
            let pause = within(pauses.failed(), SPREAD);
            let Outcome::Lease(offer) = self.offer(pause, shunned).await? else { continue };
            shunned = Some(offer.server);
            match self.accept(&offer).await? {
                Outcome::Lease(lease) => return Ok(lease),
                // The server takes its offers back, and would do so as often as we ask.
                Outcome::Nak => sleep(within(pauses.failed(), SPREAD)).await,
                Outcome::Timeout => {}
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// The first offer. One of the server that has not kept its word last counts only if there is no other soon.
    async fn offer(&self, within: Duration, shunned: Option<Ipv4Addr>) -> io::Result<Outcome> {
        let (mut deadline, mut last) = (Instant::now() + within, Outcome::Timeout);
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.hear(MessageType::Offer, left).await? {
                Outcome::Lease(offer) if Some(offer.server) == shunned => {
                    deadline = deadline.min(Instant::now() + FIRST);
                    last = Outcome::Lease(offer);
                }
                Outcome::Timeout => break,
                heard @ (Outcome::Lease(_) | Outcome::Nak) => return Ok(heard),
            }
        }
        Ok(last)
    }

    /// Requests what was offered.
    async fn accept(&self, offer: &Lease) -> io::Result<Outcome> {
        let asked = [(code::REQUESTED_ADDRESS, offer.ip), (code::SERVER_ID, offer.server)];
        for _ in 0..REQUESTS {
            self.broadcast(MessageType::Request, &asked)?;
            match self.hear(MessageType::Ack, FIRST).await? {
                Outcome::Timeout => {}
                heard @ (Outcome::Lease(_) | Outcome::Nak) => return Ok(heard),
            }
        }
        Ok(Outcome::Timeout)
    }

    /// Waits until the lease is to be renewed. A machine that needs a boot URL and has none listens and asks on
    /// (RFC 2131, section 3.4): a ProxyDHCP server may answer last, and a server may know later what it does not
    /// know yet.
    async fn rest(&self, lease: &Lease, pauses: &mut Backoff) -> io::Result<()> {
        let end = Instant::now() + lease.renewal;
        while self.lacks_url() && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            // No server answers with this type: the URL is taken from what arrives.
            self.hear(MessageType::Inform, within(pauses.failed(), SPREAD).min(left)).await?;
            // At the end the renewal asks as well, and no late answer to this may be taken for its own.
            if self.lacks_url() && Instant::now() < end {
                let request = self.request(MessageType::Inform, Some(lease.ip), &[]);
                let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
                self.socket.send_to(&request, everybody).await.ok();
            }
        }
        sleep_until(end).await;
        Ok(())
    }

    fn lacks_url(&self) -> bool {
        let BootUrlRequest { firmware, boot_url } = self.boot_request;
        firmware.is_some() && boot_url.borrow().is_none()
    }

    /// Extends the lease, asking first its own server and then all; `None` if it is lost, as it is where the
    /// server assigns another address.
    async fn renew(&self, lease: &Lease, until: Instant) -> io::Result<Option<Lease>> {
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let request = self.request(MessageType::Request, Some(lease.ip), &[]);
            let near_end = left < lease.time / 8;
            let to = if near_end { Ipv4Addr::BROADCAST } else { lease.server };
            // A server that is unreachable for a while is no reason to give up.
            self.socket.send_to(&request, SocketAddrV4::new(to, SERVER_PORT)).await.ok();
            let pause = (left / 4).max(FIRST);
            match self.hear(MessageType::Ack, pause).await? {
                Outcome::Lease(renewed) => {
                    return Ok(Some(renewed).filter(|renewed| renewed.ip == lease.ip));
                }
                Outcome::Nak => return Ok(None),
                Outcome::Timeout => {}
            }
        }
        Ok(None)
    }

    fn broadcast(&self, kind: MessageType, options: &[(u8, Ipv4Addr)]) -> io::Result<()> {
        let request = self.request(kind, None, options);
        self.frames.broadcast(CLIENT_PORT, SERVER_PORT, &request)
    }

    fn request(
        &self,
        kind: MessageType,
        ciaddr: Option<Ipv4Addr>,
        options: &[(u8, Ipv4Addr)],
    ) -> Vec<u8> {
        let (xid, mac, firmware) = (self.xid, self.link.mac, self.boot_request.firmware);
        let secs = u16::try_from(self.began.elapsed().as_secs()).unwrap_or(u16::MAX);
        Request { kind, xid, secs, mac, ciaddr, firmware, options }.encode()
    }

    /// The first answer of this type, or a NAK.
    async fn hear(&self, kind: MessageType, within: Duration) -> io::Result<Outcome> {
        let deadline = Instant::now() + within;
        let mut buffer = [0; LARGEST as usize];
        while let Ok(received) = timeout_at(deadline, self.socket.recv(&mut buffer)).await {
            let length = received?;
            let Some(answer) = Answer::parse(&buffer[..length], self.xid, self.link.mac) else {
                continue;
            };
            if let Some(url) = answer.boot_url().filter(|_| self.boot_request.firmware.is_some()) {
                self.boot_request.boot_url.send_replace(Some(url));
            }
            match Lease::read(&answer) {
                Some(lease) if answer.kind == kind => return Ok(Outcome::Lease(lease)),
                _ if answer.kind == MessageType::Nak && kind == MessageType::Ack => {
                    return Ok(Outcome::Nak);
                }
                _ => {}
            }
        }
        Ok(Outcome::Timeout)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Lease(Lease),
    Nak,
    Timeout,
}

#[cfg(test)]
mod tests;
