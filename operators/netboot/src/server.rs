//! The packet path: read, decide, write down, answer. Nothing on it waits for anything but the
//! lease file.
//!
//! Packets are taken in batches, as many as have arrived. The leases that a batch changes are
//! written with one write, and only then the batch is answered.

mod batch;
mod places;
mod probes;
mod publishing;
#[cfg(test)]
mod tests;

use crate::{
    lease_file::{self, LeaseFile},
    link::{self, Link},
    machines::Machines,
    metrics::Metrics,
    prober::Prober,
    published::Published,
    recorder::Sightings,
};
use batch::Batch;
use futures::future::select_all;
use jiff::Timestamp;
use metal_core::{
    boot::decision::Boot,
    dhcp::{self, Config, Lease, Leases, MessageType},
    macdb::MacDb,
};
use metal_runtime::{health::Gate, report::Chain};
use std::{
    net::{SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often we look after leases, interfaces and the lease file.
const TICK: Duration = Duration::from_secs(1);
/// Every how many ticks the leases are counted.
const COUNT_EVERY: u32 = 10;

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration, now and from now on.
    pub config: watch::Receiver<Arc<Config>>,
    /// Who is a BMC, now and from now on.
    pub bmcs: watch::Receiver<Arc<MacDb>>,
    /// What machines boot; without it what the configuration has.
    pub machines: Option<Arc<Machines>>,
    /// Where leases are kept.
    pub lease_file: Option<PathBuf>,
    /// Who hears of BMCs.
    pub sightings: Option<Sightings>,
    /// Who shows the leases to others, and says whether we answer.
    pub published: Option<Published>,
    /// What is counted.
    pub metrics: Metrics,
    /// Opened once every place is served.
    pub ready: Gate,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A place cannot be served.
    #[error("the network cannot be served")]
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
    leases: Leases,
    lease_file: Option<LeaseFile>,
    links: Vec<Link>,
    prober: Option<Prober<probes::Held>>,
    sightings: Option<Sightings>,
    published: Option<Published>,
    /// Leases that are not shown before they are written down.
    changed: Vec<Lease>,
    /// Whether the last packets were answered.
    answered: bool,
    metrics: Metrics,
    ready: Gate,
    /// What was wrong with the lease file last time, so that it is told once.
    trouble: Option<String>,
}

/// Serves until `shutdown`, on a runtime of its own: whatever else the process does, packets are
/// answered. Blocks. Tells `opened` the addresses of its sockets, in the order of the
/// configuration, once they are open.
///
/// # Errors
///
/// If it cannot start.
pub fn serve(
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
        server.close();
        Ok(())
    })
}

impl Server {
    fn open(parts: Parts) -> Result<Self, Error> {
        let Parts { config: mut configs, bmcs: mut databases, machines, .. } = parts;
        let (sightings, metrics, ready) = (parts.sightings, parts.metrics, parts.ready);
        let config = Arc::clone(&configs.borrow_and_update());
        let bmcs = Arc::clone(&databases.borrow_and_update());
        let mut leases = Leases::new(&config);
        let lease_file = match &parts.lease_file {
            Some(path) => Some(read_leases(path, &config, &mut leases)?),
            None => None,
        };
        if lease_file.is_none() {
            tracing::warn!("no --lease-file: leases end with this process");
        }
        let links = places::open_missing(&config, &[])?;
        let mut server = Self {
            config,
            bmcs,
            configs,
            databases,
            machines,
            leases,
            lease_file,
            links,
            prober: None,
            sightings,
            published: parts.published,
            changed: Vec::new(),
            answered: false,
            metrics,
            ready,
            trouble: None,
        };
        server.look_after_links();
        server.open_prober();
        server.recall_bmcs();
        server.publish_all();
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
                () = readable(&self.links) => {}
                () = wait(self.prober.as_ref()) => {}
            }
        }
    }

    /// Takes what has arrived, and answers it. Whether there was anything.
    fn turn(&mut self, batch: &mut Batch) -> bool {
        for (index, link) in self.links.iter().enumerate() {
            batch.receive(index, link, &self.metrics);
        }
        if !self.may_answer() {
            // They are the other instance's.
            drop(batch.requests());
            return false;
        }
        let is_probed = self.finish_probes(batch);
        if batch.is_empty() && !is_probed {
            return false;
        }
        let now = Timestamp::now();
        for (link, from, packet) in batch.requests() {
            self.decide(batch, link, from, &packet, now);
        }
        let is_kept = self.commit();
        batch.answer(&self.links, is_kept, self.sightings.as_ref(), &self.metrics);
        true
    }

    fn decide(
        &mut self,
        batch: &mut Batch,
        link: usize,
        from: SocketAddrV4,
        packet: &dhcp::Packet,
        now: Timestamp,
    ) {
        let Some(server) = self.links[link].address else {
            self.metrics.homeless();
            return;
        };
        let boot = self.boot_of(packet);
        let Self { config, bmcs, leases, .. } = &*self;
        let known = dhcp::Server { config, bmcs, leases, boot: &boot };
        let arrival = dhcp::Arrival { server, port: self.links[link].place.port(), from };
        let decision = dhcp::decide(known, packet, arrival, now);
        let mut is_durable = false;
        for lease in decision.changes {
            if lease.is_durable() {
                is_durable = true;
                self.note(&lease);
            }
            self.leases.apply(lease);
        }
        match decision.answer {
            Ok(reply) => {
                self.hold_address(packet, &reply);
                if let Some(reply) = self.hold(link, from, reply, decision.probe) {
                    batch.reply(link, from, *reply, is_durable, decision.bmc);
                }
            }
            Err(reason) => {
                tracing::debug!(%reason, client = ?dhcp::Client::of(packet), "not answered");
                self.metrics.silent(reason);
            }
        }
    }

    /// What the sender of a packet boots, if that is what it is about.
    fn boot_of(&self, packet: &dhcp::Packet) -> Boot {
        let Some(machines) = &self.machines else { return Boot::Default };
        let Some(identity) = dhcp::identity(packet) else { return Boot::Default };
        let boot = machines.boot_of(identity);
        self.metrics.decided(&boot);
        boot
    }

    /// Who has an address from now on, for those who serve files to addresses. Of a machine that
    /// keeps what another server gave it, only its own word is known.
    fn hold_address(&self, packet: &dhcp::Packet, reply: &dhcp::Reply) {
        let Some(machines) = self.machines.as_ref().filter(|_| reply.kind == MessageType::Ack)
        else {
            return;
        };
        let addresses = [reply.packet.yiaddr, packet.ciaddr];
        if let Some(address) = addresses.into_iter().find(|address| !address.is_unspecified()) {
            machines.hold(address, dhcp::identity(packet));
        }
    }

    /// Writes a lease down with the next commit.
    fn note(&mut self, lease: &Lease) {
        self.lease_file.iter_mut().for_each(|file| file.append(lease));
        if self.published.is_some() {
            self.changed.push(lease.clone());
        }
    }

    /// Whether what was decided is written down, or need not be.
    fn commit(&mut self) -> bool {
        let changed = std::mem::take(&mut self.changed);
        match self.lease_file.as_mut().map_or(Ok(()), LeaseFile::commit) {
            Ok(()) => {
                self.trouble = None;
                self.published.iter().for_each(|published| published.note(&changed));
                true
            }
            Err(error) => {
                self.metrics.not_logged();
                self.complain("leases not written down; their clients are not answered", &error);
                false
            }
        }
    }

    /// Tells about trouble with the lease file, once for each kind.
    fn complain(&mut self, what: &'static str, error: &std::io::Error) {
        let text = Chain(error).to_string();
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!(error = text, "{what}");
            self.trouble = Some(text);
        }
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
        self.hear();
        let Self { lease_file: Some(file), leases, .. } = self else { return };
        let durable = || {
            let durable: Vec<&Lease> =
                leases.all().into_iter().filter(|lease| lease.is_durable()).collect();
            durable.into_iter()
        };
        if let Err(error) = file.maintain(leases.len(), durable).await {
            self.metrics.not_logged();
            self.complain("lease file not looked after; it is tried again", &error);
        }
    }

    /// Tells about every BMC that has a lease: after a start, and when more of them are known.
    fn recall_bmcs(&self) {
        let Some(sightings) = &self.sightings else { return };
        if !self.published.as_ref().is_none_or(Published::answers) {
            // The other instance knows better.
            return;
        }
        let now = Timestamp::now();
        for lease in self.leases.all().into_iter().filter(|lease| lease.is_bound(now)) {
            if let Some(mac) = lease.client.mac().filter(|mac| self.bmcs.lookup(*mac).is_some()) {
                sightings.saw(mac, lease.address);
            }
        }
    }

    fn count(&self) {
        self.metrics.count(&self.leases.count(Timestamp::now()));
    }

    fn close(self) {
        if let Some(Err(error)) = self.lease_file.map(LeaseFile::close) {
            tracing::error!(error = %Chain(&error), "lease file not handed to the disk");
        }
    }
}

fn read_leases(
    path: &Path,
    config: &Config,
    leases: &mut Leases,
) -> Result<LeaseFile, lease_file::Error> {
    let (file, logged) = LeaseFile::open(path)?;
    for lease in logged {
        leases.apply(lease);
    }
    // What the configuration has no place for, and is past, is not needed.
    leases.reconfigure(config, Timestamp::now());
    tracing::info!(path = %path.display(), leases = leases.len(), "leases read");
    Ok(file)
}

/// Waits until an offer that was held back can go.
async fn wait(prober: Option<&Prober<probes::Held>>) {
    match prober {
        Some(prober) => prober.wait().await,
        None => std::future::pending().await,
    }
}

/// Waits until a packet has arrived, or a socket has failed.
async fn readable(links: &[Link]) {
    if links.is_empty() {
        std::future::pending::<()>().await;
    }
    // An error shows again when the socket is read.
    select_all(links.iter().map(|link| Box::pin(link.socket.readable()))).await.0.ok();
}
