//! Options of router advertisements that the kernel passes on because it has no use for them
//! (`RTM_NEWNDUSEROPT`): which name servers there are (RFC 8106).

use super::{ROUTE, message, socket::FAMILY};
use nix::sys::socket::{NetlinkAddr, bind};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::Ipv6Addr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net,
    },
    time::Duration,
};
use tokio::net::UnixDatagram;

/// `RTM_NEWNDUSEROPT` (`linux/rtnetlink.h`).
const NEW_OPTIONS: u16 = 68;
/// `RTNLGRP_ND_USEROPT`, as a bit.
const GROUP: u32 = 1 << 19;
/// `struct nduseroptmsg`: family, padding, length of the options, index of the link, type and code of the
/// ICMPv6 message, padding.
const HEADER: usize = 16;
const INET6: u8 = 10;
const ROUTER_ADVERTISEMENT: u8 = 134;
/// Recursive DNS Server (RFC 8106, section 5.1): type, length in units of eight octets, two octets reserved,
/// lifetime in seconds, addresses.
const SERVERS: u8 = 25;
const UNIT: usize = 8;
const DATAGRAM: usize = 8 << 10;

/// Hears what routers announce, on all links.
///
/// As the LLDP listener's, the socket is waited for by the runtime's type of Unix datagrams.
#[derive(Debug)]
pub(crate) struct RouterOptions(UnixDatagram);

/// Name servers that a router announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Servers {
    /// Index of the link.
    pub index: u32,
    /// How long they count; zero if they no longer do.
    pub lifetime: Duration,
    /// Their addresses.
    pub addresses: Vec<Ipv6Addr>,
}

impl RouterOptions {
    /// Opens the socket. Must be called within the runtime.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::from(FAMILY), kind, Some(Protocol::from(ROUTE)))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUP))?;
        let socket = net::UnixDatagram::from(OwnedFd::from(socket));
        Ok(Self(UnixDatagram::from_std(socket)?))
    }

    /// The next announcement, of any link. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the socket fails. An overflow is no error: routers repeat what they announce.
    pub(crate) async fn next(&self) -> io::Result<Vec<Servers>> {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            match self.0.recv(&mut buffer).await {
                Ok(length) => return Ok(parse(&buffer[..length])),
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn parse(datagram: &[u8]) -> Vec<Servers> {
    let messages = message::messages(datagram).filter(|message| message.kind == NEW_OPTIONS);
    messages.filter_map(|message| servers(message.payload)).flatten().collect()
}

/// The name servers in a message, one for each option.
fn servers(payload: &[u8]) -> Option<Vec<Servers>> {
    let (family, kind) = (*payload.first()?, *payload.get(8)?);
    if (family, kind) != (INET6, ROUTER_ADVERTISEMENT) {
        return None;
    }
    let (length, index) = (message::u16_at(payload, 2)?, message::u32_at(payload, 4)?);
    let mut rest = payload.get(HEADER..HEADER + usize::from(length))?;
    let mut all = Vec::new();
    while let [kind, units @ 1..=u8::MAX, ..] = *rest {
        let (option, others) = rest.split_at_checked(usize::from(units) * UNIT)?;
        if kind == SERVERS {
            let lifetime = u32::from_be_bytes(option.get(4..8)?.try_into().ok()?);
            let addresses = option[UNIT..].as_chunks::<16>().0.iter().copied();
            all.push(Servers {
                index,
                lifetime: Duration::from_secs(lifetime.into()),
                addresses: addresses.map(Ipv6Addr::from).collect(),
            });
        }
        rest = others;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_an_advertisement_are_read() {
        let expected = Servers {
            index: 7,
            lifetime: Duration::from_mins(10),
            addresses: ["fd77::3", "fe80::1"].map(|ip| ip.parse().unwrap()).to_vec(),
        };
        assert_eq!(parse(&request(&options())), [expected]);
        let mut solicitation = request(&options());
        solicitation[16 + 8] = 133;
        assert_eq!(parse(&solicitation), []);
    }

    #[test]
    fn options_cut_at_any_byte_are_read_without_harm() {
        let whole = options();
        for length in 0..whole.len() {
            parse(&request(&whole[..length]));
            let mut claims = request(&whole[..length]);
            claims[18..20].copy_from_slice(&u16::MAX.to_ne_bytes());
            assert_eq!(parse(&claims), []);
        }
        assert_eq!(parse(&request(&[SERVERS, 0, 0, 0, 0, 0, 0, 0])), [], "no length loops");
    }

    /// A list of search domains, and name servers.
    fn options() -> Vec<u8> {
        let servers = ["fd77::3", "fe80::1"].map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets());
        let head = [SERVERS, 5, 0, 0, 0, 0, 2, 88];
        [&[31, 1, 0, 0, 0, 0, 2, 88], &head[..], servers.as_flattened()].concat()
    }

    fn request(options: &[u8]) -> Vec<u8> {
        let length = u16::try_from(options.len()).unwrap().to_ne_bytes();
        let header = [&[INET6, 0], &length[..], &7_u32.to_ne_bytes(), &[134, 0], &[0; 6]].concat();
        message::request(NEW_OPTIONS, 0, 0, &[&header[..], options].concat())
    }
}
