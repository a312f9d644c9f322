//! Asks DHCPv6 servers what this machine boots, as its firmware did (RFC 5970), with an
//! Information-request, which involves no addresses (RFC 9915, section 18.2.6). Addresses come from
//! router advertisements.

mod packet;

use super::{
    boot_url::BootUrl,
    dhcp::{BootUrlRequest, Link},
};
use metal_base::{
    Chain,
    jitter::{number, within},
};
use packet::{Question, boot_url};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep, timeout_at},
};

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

/// Asks on this link until a server has sent a URL, which is kept unless there is one already.
/// Returns at once if the URL is not needed. Cancel safe.
pub(super) async fn ask(link: &Link, boot_request: &BootUrlRequest) {
    let Some(firmware) = boot_request.firmware else { return };
    let began = Instant::now();
    let mut pause = FIRST;
    loop {
        let question = Question { xid: number(), mac: link.mac, firmware, began };
        match ask_once(link, question, within(pause, SPREAD)).await {
            Ok(Some(url)) => {
                tracing::info!(link = link.name, %url, "received a boot URL by DHCPv6");
                boot_request.boot_url.send_if_modified(|known| {
                    let is_new = known.is_none();
                    known.get_or_insert(url);
                    is_new
                });
                return;
            }
            Ok(None) => {}
            // A link has no address during its first second or two.
            Err(error) => {
                tracing::debug!(link = link.name, error = %Chain(&error), "DHCPv6 request failed");
                sleep(within(pause, SPREAD)).await;
            }
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// The URL of an answer that arrives in time.
async fn ask_once(
    link: &Link,
    question: Question,
    within: Duration,
) -> io::Result<Option<BootUrl>> {
    let socket = open(link)?;
    let deadline = Instant::now() + within;
    let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, link.index);
    socket.send_to(&question.encode(), to).await?;
    let mut buffer = [0; LARGEST];
    while let Ok(received) = timeout_at(deadline, socket.recv(&mut buffer)).await {
        if let Some(url) = boot_url(&buffer[..received?], &question) {
            return Ok(Some(url));
        }
    }
    Ok(None)
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
