//! DHCPv6 (RFC 9915), as spoken by BMCs and by those who pretend to be one.

use crate::{
    bmc::{PASSWORD, endpoint_of, touch},
    ports::Target,
    recorder::Recorder,
    site::{KNOWN, KNOWN_MAC, Site, TEMPTED, soon},
    wire::index,
};
use anyhow::{Context, Result, bail, ensure};
use e2e::namespace::ip;
use std::{
    net::{Ipv6Addr, SocketAddrV6, UdpSocket},
    time::{Duration, Instant},
};
use tokio::{task::block_in_place, time::sleep};

const CLIENT: u16 = 546;
const SERVER: u16 = 547;
/// `All_DHCP_Relay_Agents_and_Servers`.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const REPLY: u8 = 7;
const INFORMATION_REQUEST: u8 = 11;
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IAADDR: u16 = 5;
/// Identifies the association.
const IAID: [u8; 4] = [0, 0, 0, 1];
/// Its lifetimes are up to the server.
const TIMES: [u8; 8] = [0; 8];
/// How long a client waits before it sends its message again.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;
/// A BMC that nobody knows at first, and where it is.
const HONEST_MAC: [u8; 6] = [2, 0xbb, 0xcc, 2, 0, 1];
const HONEST: Ipv6Addr = Ipv6Addr::new(0xfd67, 0, 0, 0, 0, 0, 0, 0x1777);
/// Where attackers want the passwords sent: an address of each subnet.
const WANTED: [(&str, Ipv6Addr); 2] = [
    ("boot-far", Ipv6Addr::new(0xfd66, 0, 0, 0, 0, 0, 0, 0x1066)),
    ("bmcs-far", Ipv6Addr::new(0xfd67, 0, 0, 0, 0, 0, 0, 0x1066)),
];
/// The link-local address of attackers.
const ATTACKER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66);

pub(crate) async fn speak_for_a_bmc(site: &Site) {
    let outcome = moved(site).await;
    site.tell("DHCPv6 in the name of known BMCs", Target::Netboot, outcome);
}

async fn moved(site: &Site) -> Result<Duration> {
    let bmc = Recorder::at(HONEST.into()).await?;
    let honest = Client6::plug("bmcs-far", made_of(HONEST_MAC))?;
    let asked = Instant::now();
    let address = block_in_place(|| honest.exchange(HONEST_MAC, HONEST, TRIES));
    let (address, waited) = (address.context("an honest BMC")?, asked.elapsed());
    ensure!(address == HONEST, "the BMC got {address}");
    let name = soon(async || {
        ensure!(bmc.knows(PASSWORD), "nobody logs in at the BMC");
        Ok(endpoint_of(site, HONEST_MAC).await?.0)
    })
    .await?;
    let mut strangers = vec![];
    for (device, wanted) in WANTED {
        strangers.push(Recorder::at(wanted.into()).await?);
        let attacker = Client6::plug(device, ATTACKER)?;
        for mac in [HONEST_MAC, KNOWN_MAC] {
            // Whatever it gets, it must not be the BMC.
            block_in_place(|| {
                attacker.exchange(mac, wanted, 1).ok();
                attacker.informs(mac)
            })?;
        }
    }
    sleep(TEMPTED).await;
    touch(site, &name).await?;
    sleep(TEMPTED / 3).await;
    for (mac, at) in [(HONEST_MAC, HONEST.to_string()), (KNOWN_MAC, KNOWN.to_string())] {
        let (name, address) = endpoint_of(site, mac).await?;
        ensure!(address == at, "Endpoint {name} is at {address} now, and not at {at}");
    }
    let knows = strangers.iter().any(|stranger| stranger.knows(PASSWORD));
    ensure!(!knows, "a stranger has the password of a BMC");
    Ok(waited)
}

/// The link-local address that is made from a MAC address (RFC 4291, appendix A).
fn made_of(mac: [u8; 6]) -> Ipv6Addr {
    let mut address = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    address[8..11].copy_from_slice(&mac[..3]);
    address[8] ^= 2;
    address[13..].copy_from_slice(&mac[3..]);
    address.into()
}

/// Sends from a link-local address.
struct Client6 {
    socket: UdpSocket,
    servers: SocketAddrV6,
}

impl Client6 {
    fn plug(device: &str, own: Ipv6Addr) -> Result<Self> {
        ip(&format!("address add {own}/64 dev {device} nodad"))?;
        let scope = index(device)?;
        let socket = UdpSocket::bind(SocketAddrV6::new(own, CLIENT, 0, scope))?;
        socket.set_read_timeout(Some(PATIENCE / 4))?;
        Ok(Self { socket, servers: SocketAddrV6::new(SERVERS, SERVER, 0, scope) })
    }

    /// Gets an address, with a client's retries.
    fn exchange(&self, mac: [u8; 6], wanted: Ipv6Addr, tries: u32) -> Result<Ipv6Addr> {
        let asks = [client(mac), association(wanted)].concat();
        let offer = self.answered((SOLICIT, ADVERTISE), &asks, tries)?;
        let server = option(SERVER_ID, find(&offer, SERVER_ID).context("no server")?);
        let offered = address_in(&offer).context("nothing was offered")?;
        let asks = [client(mac), server, association(offered)].concat();
        address_in(&self.answered((REQUEST, REPLY), &asks, tries)?).context("no address")
    }

    /// Tells that it has made its address itself.
    fn informs(&self, mac: [u8; 6]) -> Result<()> {
        self.send(INFORMATION_REQUEST, [0, 0, 1], &client(mac))
    }

    fn send(&self, kind: u8, id: [u8; 3], options: &[u8]) -> Result<()> {
        self.socket.send_to(&[&[kind], &id[..], options].concat(), self.servers)?;
        Ok(())
    }

    /// The options of the answer, of a kind, to a message of a kind.
    fn answered(&self, (kind, answer): (u8, u8), options: &[u8], tries: u32) -> Result<Vec<u8>> {
        let mut id = [0; 3];
        getrandom::fill(&mut id)?;
        for _ in 0..tries {
            self.send(kind, id, options)?;
            let asked = Instant::now();
            while asked.elapsed() < PATIENCE {
                let mut buffer = [0; 2048];
                let Ok(len) = self.socket.recv(&mut buffer) else { continue };
                match &buffer[..len] {
                    [is, a, b, c, rest @ ..] if *is == answer && [*a, *b, *c] == id => {
                        return Ok(rest.to_vec());
                    }
                    _ => {}
                }
            }
        }
        bail!("no answer to message {kind}")
    }
}

/// The identifier of a client, which is made from its MAC address (DUID-LL of Ethernet).
fn client(mac: [u8; 6]) -> Vec<u8> {
    option(CLIENT_ID, &[&[0, 3, 0, 1], &mac[..]].concat())
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap();
    [&code.to_be_bytes(), &len.to_be_bytes(), value].concat()
}

/// An association, with the address that is wanted in it.
fn association(wanted: Ipv6Addr) -> Vec<u8> {
    let wanted = option(IAADDR, &[&wanted.octets(), &TIMES[..]].concat());
    option(IA_NA, &[&IAID, &TIMES[..], &wanted].concat())
}

/// The value of the first option of this code.
fn find(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    while let [a, b, c, d, rest @ ..] = options {
        let (value, after) = rest.split_at_checked(u16::from_be_bytes([*c, *d]).into())?;
        if u16::from_be_bytes([*a, *b]) == wanted {
            return Some(value);
        }
        options = after;
    }
    None
}

fn address_in(options: &[u8]) -> Option<Ipv6Addr> {
    let association = find(options, IA_NA)?.get(IAID.len() + TIMES.len()..)?;
    let octets: [u8; 16] = *find(association, IAADDR)?.first_chunk()?;
    Some(octets.into())
}
