//! The packet path: read, decide, write down, answer. Nothing on it waits for anything but the
//! lease file.
//!
//! All packets that have arrived are taken from the kernel at once, and answered in batches. The
//! leases that a batch changes are written with one write, and only then the batch is answered. Of
//! more packets than can be answered, those of clients that are known come first.

mod batch;
mod places;
mod probes;
#[cfg(test)]
mod tests;

use crate::{
    Parts, lease_file, lease_store::LeaseStore, machines::Machines, recorder::Sightings,
    unknown_relays::UnknownRelays, unserved::Unserved,
};
use batch::{Asked, Batch};
use jiff::Timestamp;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use metal_dhcp::{
    Client,
    config::Config,
    intake::{Intake, Standing},
    lease::{Leases, State},
    v4::{self, MessageType, Silence},
};
use metal_runtime::health::Gate;
use metal_serve::{
    dhcp::{
        Metrics,
        link::{self, readable, v4::Link},
        prober::Prober,
    },
    guests::Guests,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often leases, interfaces and the lease file are looked after.
const TICK: Duration = Duration::from_secs(1);
/// How many packets are answered together: enough to share a write, and few enough that the first
/// one does not wait for long, nor the kernel's buffer fills.
const MOST: usize = 128;
/// How many packets may wait; each takes about a kilobyte.
const ROOM: usize = 2048;
/// Leases are counted every this many ticks.
const COUNT_EVERY: u32 = 10;

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A place cannot be served.
    #[error("interfaces or listen: the network cannot be served")]
    Link(#[from] link::Error),
    /// The lease file cannot be used.
    #[error("the leases cannot be kept")]
    LeaseFile(#[from] lease_file::Error),
    /// The runtime of the packet path does not start.
    #[error("the packet path does not start")]
    Runtime(#[source] std::io::Error),
}

/// A DHCP server with its sockets open.
#[derive(Debug)]
struct Server {
    config: Arc<Config>,
    bmcs: Arc<MacDb>,
    configs: watch::Receiver<Arc<Config>>,
    databases: watch::Receiver<Arc<MacDb>>,
    machines: Option<Arc<Machines>>,
    guests: Guests,
    lease_store: LeaseStore<Ipv4Addr>,
    links: Vec<Link>,
    waiting: Intake<Option<Client>, Asked>,
    prober: Option<Prober<probes::PendingOffer>>,
    unserved: Unserved,
    sightings: Option<Sightings>,
    metrics: Metrics,
    ready: Gate,
    unknown_relays: UnknownRelays,
}

/// Serves until `shutdown`, on a runtime of its own: whatever else the process does, packets are
/// answered. Blocks. Tells `opened` the addresses of its sockets, in the order of the
/// configuration, once they are open.
///
/// # Errors
///
/// If it cannot start.
pub(crate) fn serve(
    parts: Parts,
    opened: oneshot::Sender<Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    runtime.block_on(async {
        let mut server = Server::open(parts)?;
        let addresses = server.links.iter().filter_map(|link| link.socket.local_addr().ok());
        // Whoever asked may have lost interest.
        opened.send(addresses.collect()).ok();
        server.run(shutdown).await;
        server.lease_store.close();
        Ok(())
    })
}

impl Server {
    fn open(parts: Parts) -> Result<Self, Error> {
        let Parts { config: mut configs, bmcs: mut databases, machines, .. } = parts;
        let (sightings, metrics, ready) = (parts.sightings, parts.metrics, parts.ready);
        let guests = parts.guests;
        let config = Arc::clone(&configs.borrow_and_update());
        let bmcs = Arc::clone(&databases.borrow_and_update());
        let mut lease_store = LeaseStore::new(Leases::new(&config), parts.published);
        if let Some(path) = &parts.lease_file {
            read_leases(path, &config, &mut lease_store)?;
        } else {
            tracing::warn!("no --lease-file: leases end with this process");
        }
        let links = places::open_missing(&config, &[])?;
        let mut server = Self {
            config,
            bmcs,
            configs,
            databases,
            machines,
            guests,
            lease_store,
            links,
            waiting: Intake::new(ROOM),
            prober: None,
            unserved: Unserved::default(),
            sightings,
            metrics,
            ready,
            unknown_relays: UnknownRelays::default(),
        };
        server.look_after_links();
        server.tell_gap();
        server.open_prober();
        server.recall_guests();
        server.recall_bmcs();
        server.lease_store.publish_all();
        server.count();
        Ok(server)
    }

    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut batch, mut count_in) = (Batch::default(), COUNT_EVERY);
        let mut ticked = Instant::now();
        loop {
            let is_busy = self.turn(&mut batch);
            if is_busy && ticked.elapsed() < TICK && !shutdown.is_cancelled() {
                // The reactor must see the other sockets, too.
                yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {
                    ticked = Instant::now();
                    self.maintain().await;
                    count_in -= 1;
                    if count_in == 0 {
                        self.count();
                        count_in = COUNT_EVERY;
                    }
                }
                () = readable(self.links.iter().map(|link| &link.socket)) => {}
                () = wait(self.prober.as_ref()) => {}
            }
        }
    }

    /// Takes what has arrived, and answers it. Whether there was anything.
    fn turn(&mut self, batch: &mut Batch) -> bool {
        for (index, link) in self.links.iter().enumerate() {
            batch.receive(index, link, &self.metrics);
        }
        self.lease_store.follow_clock();
        if self.lease_store.takes_over() {
            self.recall_bmcs();
        }
        if !self.lease_store.answers() {
            drop(batch.requests());
            self.forget_waiting();
            return false;
        }
        let is_probed = self.finish_probes(batch);
        for asked in batch.requests() {
            self.take_in(asked);
        }
        if self.waiting.is_empty() && !is_probed {
            return false;
        }
        let now = Timestamp::now();
        for _ in 0..MOST {
            let Some(asked) = self.waiting.pop() else { break };
            self.decide(batch, &asked, now);
        }
        let is_kept = self.commit();
        batch.answer(&self.links, is_kept, self.sightings.as_ref(), &self.metrics);
        true
    }

    /// Takes a packet in, which is answered in its turn.
    fn take_in(&mut self, asked: Asked) {
        let client = Client::of(&asked.packet);
        let standing =
            client.as_ref().map_or(Standing::Stranger, |client| self.standing_of(client));
        if self.waiting.push(standing, client, asked).is_some() {
            self.metrics.overloaded();
        }
    }

    fn standing_of(&self, client: &Client) -> Standing {
        let own = self.lease_store.leases.standing_of(client);
        let is_server = || self.machines.as_ref().is_some_and(|machines| machines.knows(client));
        let is_expected = || self.config.has_reserved(client) || is_server();
        if own < Standing::Known && is_expected() { Standing::Known } else { own }
    }

    /// Those who wait ask again.
    fn forget_waiting(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting = Intake::new(ROOM);
        }
    }

    fn decide(&mut self, batch: &mut Batch, asked: &Asked, now: Timestamp) {
        let Asked { link, from, to, ref packet } = *asked;
        let Some(server) = to.or(self.links[link].address) else {
            self.metrics.silent("NoServerAddress");
            return;
        };
        let boot = self.boot_of(packet);
        let Self { config, bmcs, lease_store, .. } = &*self;
        let known = v4::Server { config, bmcs, leases: &lease_store.leases, boot: &boot };
        let arrival = v4::Arrival { server, port: self.links[link].place.port(), from };
        let decision = v4::decide(known, packet, arrival, now);
        let mut is_durable = false;
        for lease in decision.changes {
            if lease.state == State::Declined {
                self.metrics.conflicted();
            }
            is_durable |= self.lease_store.record(lease);
        }
        match decision.answer {
            Ok(reply) if !self.may_answer(&reply) => self.metrics.overloaded(),
            Ok(reply) => {
                self.note_guests(&reply);
                self.hold_address(packet, &reply);
                if let Some(kind) = v4::unserved(packet) {
                    let client = Client::of(packet);
                    let client = client.map(|client| client.to_string()).unwrap_or_default();
                    self.metrics.unserved(self.unserved.tell(kind, client));
                }
                if let Some(length) = v4::uncarried(packet, &boot) {
                    tracing::debug!(client = ?Client::of(packet), length, "link too long");
                    self.metrics.unserved("LinkTooLong");
                }
                if let Some(reply) = self.hold(link, from, reply, decision.probe) {
                    batch.reply(link, from, *reply, is_durable, decision.bmc);
                }
            }
            Err(reason) => {
                if reason == Silence::UnknownRelay {
                    self.unknown_relays.tell(packet.giaddr.into(), (*from.ip()).into());
                }
                tracing::debug!(%reason, client = ?Client::of(packet), "not answered");
                self.metrics.silent(reason);
            }
        }
    }

    /// What the sender of a packet boots, if that is what it is about.
    fn boot_of(&self, packet: &v4::Packet) -> Boot {
        let Some(machines) = &self.machines else { return Boot::Default };
        let Some(identity) = v4::identity(packet) else { return Boot::Default };
        let boot = machines.boot_of(identity);
        self.metrics.decided(&boot);
        boot
    }

    /// Who has an address from now on, for those who serve files to addresses. Of a machine that
    /// keeps what another server gave it, only its own word is known.
    fn hold_address(&self, packet: &v4::Packet, reply: &v4::Reply) {
        let Some(machines) = self.machines.as_ref().filter(|_| reply.kind == MessageType::Ack)
        else {
            return;
        };
        let addresses = [reply.packet.yiaddr, packet.ciaddr];
        if let Some(address) = addresses.into_iter().find(|address| !address.is_unspecified()) {
            machines.hold(address, v4::identity(packet));
        }
    }

    /// Whether what was decided is written down, or need not be.
    fn commit(&mut self) -> bool {
        let is_kept = self.lease_store.commit();
        if !is_kept {
            self.metrics.not_logged();
        }
        is_kept
    }

    /// Takes over what has changed, and looks after what changes by itself.
    async fn maintain(&mut self) {
        // An error says that nobody follows the file any more, which is the end of the process.
        if self.configs.has_changed().unwrap_or_default() {
            self.reconfigure();
        }
        if self.databases.has_changed().unwrap_or_default() {
            self.bmcs = Arc::clone(&self.databases.borrow_and_update());
            self.recall_bmcs();
        }
        self.look_after_links();
        if !self.lease_store.hear() || !self.lease_store.maintain().await {
            self.metrics.not_logged();
        }
    }

    fn recall_bmcs(&self) {
        let config = &self.config;
        let has_bmcs = |address| config.subnet_of(address).is_some_and(|subnet| subnet.bmc);
        self.lease_store.recall_bmcs(&self.bmcs, has_bmcs, self.sightings.as_ref());
    }

    /// Whoever had an address when the last process ended.
    fn recall_guests(&self) {
        let now = Timestamp::now();
        let leases = self.lease_store.leases.all();
        let bound = leases.into_iter().filter(|lease| lease.is_bound(now));
        bound.for_each(|lease| self.guests.note(lease.address));
    }

    /// Whether an answer may go out: one that costs the kernel no look for an address, or one that
    /// it can bear.
    fn may_answer(&self, reply: &v4::Reply) -> bool {
        let to = *reply.to.ip();
        reply.direct.is_some()
            || to.is_broadcast()
            || self.config.names_relay(to)
            || self.guests.admits(to)
    }

    /// Who has an address from now on, and the relay that it came by.
    fn note_guests(&self, reply: &v4::Reply) {
        let is_ack = reply.kind == MessageType::Ack && !reply.packet.yiaddr.is_unspecified();
        let addresses = [reply.packet.yiaddr, *reply.to.ip()].into_iter().filter(|_| is_ack);
        addresses.filter(|it| !it.is_broadcast()).for_each(|address| self.guests.note(address));
    }

    fn count(&self) {
        self.metrics.count(&self.lease_store.leases.count(Timestamp::now()));
    }
}

fn read_leases(
    path: &Path,
    config: &Config,
    lease_store: &mut LeaseStore<Ipv4Addr>,
) -> Result<(), lease_file::Error> {
    lease_store.open(path)?;
    // What the configuration has no place for, and is past, is not needed.
    lease_store.leases.reconfigure(config, Timestamp::now());
    tracing::info!(path = %path.display(), leases = lease_store.leases.len(), "leases read");
    Ok(())
}

/// Waits until an offer that was held back can go.
async fn wait(prober: Option<&Prober<probes::PendingOffer>>) {
    match prober {
        Some(prober) => prober.wait().await,
        None => std::future::pending().await,
    }
}
