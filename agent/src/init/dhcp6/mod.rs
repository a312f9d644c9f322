//! Asks DHCPv6 servers for name servers, and for what this machine boots as its firmware did (RFC 5970), with
//! an Information-request, which involves no addresses (RFC 9915, section 18.2.6). Addresses come from
//! router advertisements.

mod packet;
#[cfg(test)]
mod tests;

use super::{
    boot_url::BootUrl,
    dhcp::BootUrlRequest,
    link::Link,
    resolvers::{self, LinkResolvers, Resolvers, Source},
};
use metal_base::{
    Chain,
    jitter::{number, within},
};
use packet::{Answer, InformationRequest};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddrV6},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep, timeout_at},
};

/// Ports of DHCPv6 (RFC 9915, section 7.2).
const SERVER_PORT: u16 = 547;
const CLIENT_PORT: u16 = 546;
/// All relays and servers of a link.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// First delay before the request is repeated, and the longest. There may be no server at all, and
/// someone may be watching the machine wait.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(32);
/// Each delay varies by up to this fraction of it.
const SPREAD: u32 = 4;
/// Fits into an Ethernet frame without fragmentation.
const LARGEST: usize = 1452;

/// Asks on this link, and again when what was told is no longer fresh. The name servers go to `resolvers`. The
/// URL, if it is needed, is kept unless there is one already. Cancel safe: the name servers are removed.
pub(super) async fn ask(
    link: &Link,
    boot_request: &BootUrlRequest,
    resolvers: &Resolvers,
) -> Infallible {
    let resolvers = resolvers.of(link, Source::Dhcp6);
    let client = Client { link, boot_request, resolvers };
    loop {
        let refresh = client.ask_until_told().await;
        sleep(within(refresh, SPREAD)).await;
    }
}

struct Client<'a> {
    link: &'a Link,
    boot_request: &'a BootUrlRequest,
    resolvers: LinkResolvers,
}

impl Client<'_> {
    /// Asks until a server has told all that we need; returns how long that is fresh.
    async fn ask_until_told(&self) -> Duration {
        let (mut pause, began) = (FIRST, Instant::now());
        loop {
            let firmware = self.boot_request.firmware;
            let question =
                InformationRequest { xid: number(), mac: self.link.mac, firmware, began };
            match self.ask_once(question, within(pause, SPREAD)).await {
                Ok(Some(refresh)) => return refresh,
                Ok(None) => {}
                // A link has no address during its first second or two.
                Err(error) => {
                    let error = Chain(&error).to_string();
                    tracing::debug!(link = self.link.name, error, "DHCPv6 request failed");
                    sleep(within(pause, SPREAD)).await;
                }
            }
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// How long the answers that arrive in time are fresh, if they tell all that we need.
    async fn ask_once(
        &self,
        question: InformationRequest,
        within: Duration,
    ) -> io::Result<Option<Duration>> {
        let socket = open(self.link)?;
        let deadline = Instant::now() + within;
        let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, self.link.index);
        socket.send_to(&question.encode(), to).await?;
        let (mut buffer, mut servers, mut fresh) = ([0; LARGEST], Vec::new(), None);
        while let Ok(received) = timeout_at(deadline, socket.recv(&mut buffer)).await {
            let Some(answer) = Answer::parse(&buffer[..received?], &question) else { continue };
            // Of several servers each may know something.
            for ip in answer.resolvers.into_iter().map(IpAddr::V6) {
                if servers.len() < resolvers::MOST && !servers.contains(&ip) {
                    servers.push(ip);
                }
            }
            self.resolvers.set(servers.iter().copied());
            if self.take_url(answer.boot_url) {
                let before = fresh.unwrap_or(answer.refresh);
                fresh = Some(answer.refresh.min(before));
            }
            if fresh.is_some() && !servers.is_empty() {
                break;
            }
        }
        Ok(fresh)
    }

    /// Keeps the URL if it is needed; returns whether we have all of this that we need.
    fn take_url(&self, url: Option<BootUrl>) -> bool {
        if self.boot_request.firmware.is_none() {
            return true;
        }
        let Some(url) = url else { return false };
        tracing::info!(link = self.link.name, %url, "received a boot URL by DHCPv6");
        self.boot_request.boot_url.send_if_modified(|known| {
            let is_new = known.is_none();
            known.get_or_insert(url);
            is_new
        });
        true
    }
}

fn open(link: &Link) -> io::Result<UdpSocket> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(link.name.as_bytes()))?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, 0).into())?;
    UdpSocket::from_std(socket.into())
}
