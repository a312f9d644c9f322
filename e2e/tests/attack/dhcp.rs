//! DHCP, as spoken by BMCs and by those who pretend to be one.

use crate::{
    ports::Target,
    site::{KNOWN, KNOWN_MAC, NETBOOT, NETBOOT_AT_BMCS, POOL_OF_BMCS, Site},
    wire::Frames,
};
use anyhow::{Context, Result, ensure};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::{Duration, Instant},
};
use tokio::task::block_in_place;

pub(crate) const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
/// Offsets of the fields of an answer (RFC 2131, figure 1), and of its options.
const XID: usize = 4;
const YIADDR: usize = 16;
const OPTIONS: usize = 240;
/// How long a client waits before it sends its request again.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;

/// A client's message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) xid: u32,
    pub(crate) mac: [u8; 6],
    pub(crate) ciaddr: Ipv4Addr,
    /// The relay's address, `giaddr`.
    pub(crate) giaddr: Ipv4Addr,
    /// The requested address.
    pub(crate) wanted: Option<Ipv4Addr>,
    pub(crate) server: Option<Ipv4Addr>,
    /// Whether it is from firmware that boots by PXE.
    pub(crate) boots: bool,
}

impl Message {
    pub(crate) fn discover(mac: [u8; 6], xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        let (ciaddr, giaddr) = (none, none);
        let (wanted, server) = (None, None);
        Self { kind: DISCOVER, xid, mac, ciaddr, giaddr, wanted, server, boots: false }
    }

    /// The REQUEST for an address that was offered, or that an attacker wants to have been offered.
    pub(crate) fn selecting(self, wanted: Ipv4Addr, server: Ipv4Addr) -> Self {
        Self { kind: REQUEST, wanted: Some(wanted), server: Some(server), ..self }
    }

    fn encode(&self) -> Vec<u8> {
        let Self { kind, xid, mac, ciaddr, giaddr, wanted, server, boots } = *self;
        let mut out = vec![0; OPTIONS];
        out[..4].copy_from_slice(&[1, 1, 6, 0]);
        out[XID..8].copy_from_slice(&xid.to_be_bytes());
        // Asks for a broadcast answer.
        out[10] = 0x80;
        out[12..16].copy_from_slice(&ciaddr.octets());
        out[24..28].copy_from_slice(&giaddr.octets());
        out[28..34].copy_from_slice(&mac);
        out[236..].copy_from_slice(&[99, 130, 83, 99]);
        out.extend([53, 1, kind]);
        for (code, address) in [(50, wanted), (54, server)] {
            if let Some(address) = address {
                out.extend([code, 4]);
                out.extend(address.octets());
            }
        }
        if boots {
            // UEFI, and a UUID made from the MAC address.
            out.extend([
                93, 2, 0, 7, 94, 3, 1, 3, 16, 97, 17, 0, 7, 7, 7, 7, 7, 7, 0x47, 7, 0x87, 7,
            ]);
            out.extend(mac);
            out.extend(b"\x3c\x20PXEClient:Arch:00007:UNDI:003016");
        }
        out.push(255);
        out
    }

    /// Broadcasts it.
    pub(crate) fn broadcast(&self, frames: &Frames) -> Result<()> {
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT);
        frames.send(from, SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER), &self.encode())
    }

    /// Sends it to netboot alone, from this address.
    pub(crate) fn unicast(&self, frames: &Frames, from: Ipv4Addr, to: Ipv4Addr) -> Result<()> {
        let port = if self.giaddr.is_unspecified() { CLIENT } else { SERVER };
        frames.send(SocketAddrV4::new(from, port), SocketAddrV4::new(to, SERVER), &self.encode())
    }
}

/// Asks netboot for an address, with a client's retries; returns the address.
pub(crate) fn exchange(
    frames: &Frames,
    mac: [u8; 6],
    wanted: Option<Ipv4Addr>,
) -> Result<Ipv4Addr> {
    lease(frames, Message { wanted, ..Message::discover(mac, getrandom::u32()?) })
}

/// The address that the exchange started by `discover` results in. A client that is refused begins anew
/// (RFC 2131, section 3.1): in a flood, an offer is soon given to somebody else.
pub(crate) fn lease(frames: &Frames, discover: Message) -> Result<Ipv4Addr> {
    for _ in 0..TRIES {
        let (_, offered, server) = answered(frames, &discover, |kind| kind == OFFER)?;
        let request = discover.selecting(offered, server);
        let (kind, address, _) = answered(frames, &request, |kind| matches!(kind, ACK | NAK))?;
        if kind == ACK {
            return Ok(address);
        }
    }
    anyhow::bail!("every request was refused after {discover:?}")
}

/// Message type and address of the answer, and the server that sent it.
fn answered(
    frames: &Frames,
    message: &Message,
    is_it: impl Fn(u8) -> bool,
) -> Result<(u8, Ipv4Addr, Ipv4Addr)> {
    for _ in 0..TRIES {
        message.broadcast(frames)?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            let answer = frames.hear(CLIENT).and_then(|data| read(&data, message.xid));
            if let Some(answer) = answer.filter(|(kind, ..)| is_it(*kind)) {
                return Ok(answer);
            }
        }
    }
    anyhow::bail!("no answer to {message:?}")
}

/// Message type, address and server of an answer.
fn read(data: &[u8], xid: u32) -> Option<(u8, Ipv4Addr, Ipv4Addr)> {
    let octets = |at: usize| <[u8; 4]>::try_from(data.get(at..at + 4)?).ok();
    if octets(XID)? != xid.to_be_bytes() {
        return None;
    }
    let mut options = data.get(OPTIONS..)?;
    let (mut kind, mut server) = (None, None);
    while let [code, len, rest @ ..] = options {
        let (value, after) = rest.split_at_checked((*len).into())?;
        match (code, value) {
            (53, [value]) => kind = Some(*value),
            (54, value) => server = <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from),
            _ => {}
        }
        options = after;
    }
    Some((kind?, octets(YIADDR)?.into(), server?))
}

/// Attackers release and decline the address of a BMC.
pub(crate) fn give_back_for_another(site: &Site) {
    let outcome = block_in_place(|| foreign_ends(site));
    site.tell("RELEASE and DECLINE by others than the client", Target::Netboot, outcome);
}

#[expect(clippy::disallowed_methods, reason = "runs on a thread that may block")]
fn foreign_ends(site: &Site) -> Result<Duration> {
    let (frames, boot) = (site.bmcs.frames()?, site.boot.frames()?);
    // It has a lease to lose.
    exchange(&frames, KNOWN_MAC, None).context("the BMC, before")?;
    let release =
        |mac| Message { kind: RELEASE, ciaddr: KNOWN, ..Message::discover(mac, 0x0bad_cafe) };
    let stranger = Ipv4Addr::new(10, 67, 0, 66);
    release(KNOWN_MAC).unicast(&frames, stranger, NETBOOT_AT_BMCS)?;
    release([2, 0, 0, 0, 0, 0x66]).unicast(&frames, KNOWN, NETBOOT_AT_BMCS)?;
    let decline = |mac| Message {
        kind: DECLINE,
        wanted: Some(KNOWN),
        server: Some(NETBOOT_AT_BMCS),
        ..Message::discover(mac, 0x0bad_beef)
    };
    // By another client of its link, and in its name from another one.
    decline([2, 0, 0, 0, 0, 0x66]).broadcast(&frames)?;
    for server in [None, Some(NETBOOT), Some(NETBOOT_AT_BMCS)] {
        Message { server, ..decline(KNOWN_MAC) }.broadcast(&boot)?;
    }
    let asked = Instant::now();
    let address = exchange(&frames, [2, 0, 0, 0, 0, 0x67], None).context("an honest client")?;
    let waited = asked.elapsed();
    ensure!(address != KNOWN, "the address went to somebody else");
    thread::sleep(Duration::from_millis(100));
    let leases = site.leases()?;
    let line = leases.lines().rfind(|line| line.contains(&KNOWN.to_string()));
    let line = line.context("the lease is gone")?;
    ensure!(line.contains(" bound "), "the lease is now: {line}");
    let address = exchange(&frames, KNOWN_MAC, None).context("the BMC, after that")?;
    ensure!(address == KNOWN, "the BMC is at {address} now");
    Ok(waited)
}

/// A host in the boot network names relays in the network of the BMCs, and wants every address there.
/// It need not see the answers.
pub(crate) fn take_all_of_the_bmcs(site: &Site) {
    let outcome = block_in_place(|| forged_relays(site));
    site.tell("every address of the BMCs, by forged relays", Target::Netboot, outcome);
}

#[expect(clippy::disallowed_methods, reason = "runs on a thread that may block")]
fn forged_relays(site: &Site) -> Result<Duration> {
    /// Beginning of the attacker's MAC addresses.
    const PREFIX: [u8; 4] = [2, 0, 0, 9];
    let (boot, stranger) = (site.boot.frames()?, Ipv4Addr::new(10, 66, 100, 66));
    let [first, last] = POOL_OF_BMCS.map(u32::from);
    for (number, wanted) in (first..=last).map(Ipv4Addr::from).enumerate() {
        let [high, low] = u16::try_from(number)?.to_be_bytes();
        let [a, b, c, d] = PREFIX;
        let forged = Message {
            giaddr: Ipv4Addr::new(10, 67, 0, 9),
            wanted: Some(wanted),
            ..Message::discover([a, b, c, d, high, low], getrandom::u32()?)
        };
        for message in [forged, forged.selecting(wanted, NETBOOT_AT_BMCS)] {
            message.unicast(&boot, stranger, NETBOOT)?;
        }
        // All of them shall be looked at.
        if number % 64 == 0 {
            thread::sleep(Duration::from_millis(50));
        }
    }
    let asked = Instant::now();
    let frames = site.bmcs.frames()?;
    exchange(&frames, [2, 0, 0, 0, 0, 0x68], None).context("an honest client")?;
    let waited = asked.elapsed();
    let taken = PREFIX.map(|byte| format!("{byte:02x}")).join(":");
    let leases = site.leases()?;
    let line = leases.lines().find(|line| line.contains(&taken));
    ensure!(line.is_none(), "an attacker has a lease among the BMCs: {line:?}");
    Ok(waited)
}
