//! More packets than netboot can answer, with forged senders.

use crate::{
    dhcp::{Message, exchange, lease},
    ports::Target,
    site::{FILE, NETBOOT, NETBOOT_AT_HONEST, Site},
    wire::{Frames, Wire},
};
use anyhow::{Context, Result, ensure};
use e2e::namespace::{ip, run};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::task::block_in_place;

const TFTP: u16 = 69;
/// An honest machine, which got its address from netboot.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 66, 150, 9);
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
/// How many packets are sent in a burst.
const BURST: u32 = 64;
/// How long the DHCP flood lasts at full size.
const FLOODED: Duration = Duration::from_secs(3);
/// How many clients ask for an address meanwhile, at least: known ones, and as many new ones.
const ASKING: u8 = 6;
/// How long an honest client may take during a flood: it may have to retry.
const BEARABLE: Duration = Duration::from_secs(8);

/// A flood, which lasts until it is dropped.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    began: Instant,
    sending: Option<JoinHandle<()>>,
}

impl Flood {
    /// Sends `per_second` packets each second; `send` makes and sends the packet with the given
    /// number.
    #[expect(clippy::disallowed_methods, reason = "sleeps on a thread of its own")]
    fn start(
        wire: &Wire,
        per_second: u32,
        send: impl Fn(&Frames, u32) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let frames = wire.frames()?;
        let (stop, total) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counter, began) = (Arc::clone(&stop), Arc::clone(&total), Instant::now());
        let sending = thread::spawn(move || {
            let mut number = 0_u32;
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..BURST {
                    number = number.wrapping_add(1);
                    // Packets that could not be sent do not count.
                    if send(&frames, number).is_ok() {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let due = Duration::from_secs(number.into()) / per_second;
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
        });
        Ok(Self { stop, sent: total, began, sending: Some(sending) })
    }

    fn per_second(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) * 1000
            / u64::try_from(self.began.elapsed().as_millis()).unwrap_or(1).max(1)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sending) = self.sending.take() {
            sending.join().ok();
        }
    }
}

/// A number that does not look related to the ones before it.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1)
}

pub(crate) fn forge_file_requests(site: &Site) {
    // An honest request among those in the name of its own address is as likely dropped as they are: what
    // an unoptimized binary on a busy machine cannot answer, it cannot promise.
    let per_second = site.scale.of(1_000, 45_000);
    for (what, source) in [
        ("one address", one as fn(u32) -> Ipv4Addr),
        ("the client itself", of_the_client),
        ("addresses of the subnet", of_the_subnet),
        ("addresses of anywhere", of_anywhere),
    ] {
        let mut rate = 0;
        let outcome = block_in_place(|| file_requests(site, per_second, source, &mut rate));
        site.tell(
            &format!("{rate} file requests/s in the name of {what}"),
            Target::Netboot,
            outcome,
        );
    }
}

/// Gives the honest client its address by DHCP, and nothing else.
pub(crate) fn boot_a_client(site: &Site) -> Result<()> {
    block_in_place(|| booted(site))
}

fn booted(site: &Site) -> Result<()> {
    let discover = Message::discover(CLIENT_MAC, 9);
    let discover = Message { wanted: Some(CLIENT), boots: true, ..discover };
    let address = lease(&site.boot.frames()?, discover)?;
    ensure!(address == CLIENT, "the client got {address}");
    site.honest.ip(&format!("address add {CLIENT}/32 dev honest"))?;
    site.honest.ip(&format!("route add {NETBOOT_AT_HONEST} dev honest"))?;
    ip(&format!("route add {CLIENT} dev honest"))
}

fn of_the_client(_: u32) -> Ipv4Addr {
    CLIENT
}

fn one(_: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 0, 66)
}

fn of_the_subnet(number: u32) -> Ipv4Addr {
    let [.., third, fourth] = scattered(number).to_be_bytes();
    Ipv4Addr::new(10, 66, third, fourth)
}

fn of_anywhere(number: u32) -> Ipv4Addr {
    let [_, second, third, fourth] = scattered(number).to_be_bytes();
    Ipv4Addr::new(20, second, third, fourth)
}

fn file_requests(
    site: &Site,
    per_second: u32,
    source: fn(u32) -> Ipv4Addr,
    rate: &mut u64,
) -> Result<Duration> {
    let request = [&[0, 1], FILE.as_bytes(), b"\0octet\0blksize\x001468\0tsize\x000\0"].concat();
    let flood = Flood::start(&site.boot, per_second, move |frames, number| {
        let [.., third, fourth] = scattered(number).to_be_bytes();
        // No port that a client uses: an attacker who does not see its packets cannot know which
        // one it is.
        let port = u16::from_be_bytes([third, fourth]) & 0x7fff;
        let from = SocketAddrV4::new(source(number), port);
        frames.send(from, SocketAddrV4::new(NETBOOT, TFTP), &request)
    })?;
    let mut slowest = Duration::ZERO;
    for _ in 0..site.scale.of(2, 5) {
        let asked = Instant::now();
        load(site)?;
        slowest = slowest.max(asked.elapsed());
    }
    *rate = flood.per_second();
    ensure!(slowest < BEARABLE, "an honest client waited {slowest:?} for its file");
    Ok(slowest)
}

fn load(site: &Site) -> Result<()> {
    run(&mut loading(site)).context("an honest client").map(drop)
}

/// What loads the file as a machine does: curl retries after 5 s, like the firmware of some.
pub(crate) fn loading(site: &Site) -> Command {
    let mut command = site.honest.command(Path::new("curl")).into_std();
    command.args(["-sSf", "--max-time", "60", "--tftp-blksize", "1468", "-o", "/dev/null"]);
    command.arg(format!("tftp://{NETBOOT_AT_HONEST}/{FILE}"));
    command
}

pub(crate) fn discover_without_end(site: &Site) {
    let per_second = site.scale.of(5_000, 45_000);
    let mut rate = 0;
    let outcome = block_in_place(|| discovers(site, per_second, &mut rate));
    site.tell(&format!("{rate} DISCOVERs/s of ever new clients"), Target::Netboot, outcome);
}

/// Asks for clients that had an address before the flood, and for new ones.
#[expect(clippy::disallowed_methods, reason = "runs on a thread that may block")]
fn discovers(site: &Site, per_second: u32, rate: &mut u64) -> Result<Duration> {
    let frames = site.boot.frames()?;
    let mac = |last| [2, 0, 0, 0, 1, last];
    for known in 0..ASKING / 2 {
        exchange(&frames, mac(known), None).context("before")?;
    }
    let flood = Flood::start(&site.boot, per_second, |frames, number| {
        let [a, b, c, d] = scattered(number).to_be_bytes();
        Message::discover([2, 0x66, a, b, c, d], number).broadcast(frames)
    })?;
    let (mut slowest, began) = (Duration::ZERO, Instant::now());
    let flooded = site.scale.of(FLOODED / 3, FLOODED);
    let mut clients = 0..;
    while began.elapsed() < flooded || clients.start < ASKING {
        // The first ones had an address before.
        let client = clients.next().context("a client")?;
        let asked = Instant::now();
        exchange(&frames, mac(client), None)?;
        slowest = slowest.max(asked.elapsed());
        thread::sleep(FLOODED / 100);
    }
    *rate = flood.per_second();
    ensure!(slowest < BEARABLE, "an honest client waited {slowest:?} for its address");
    Ok(slowest)
}
