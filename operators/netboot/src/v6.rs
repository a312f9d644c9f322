//! The DHCPv6 server: its sockets, its leases on disk, and the loop between them.
//!
//! As with DHCPv4, packets are taken in batches; the leases that a batch changes are written with
//! one write, and only then the batch is answered. Leases are in a file beside the one of DHCPv4.

mod link;
mod metrics;
mod publishing;
#[cfg(test)]
mod tests;

pub use metrics::Metrics;

use crate::{
    lease_file::{self, LeaseFile},
    machines::Machines,
    published::Published,
    recorder::Sightings,
};
use futures::future::select_all;
use jiff::Timestamp;
use link::{Link, Place};
use metal_api::MacAddr;
use metal_core::{
    boot::decision::Boot,
    dhcp::{Config, Lease, Leases},
    dhcp6::{self, Arrival, Packet, Reply},
    macdb::MacDb,
};
use metal_runtime::{health::Gate, report::Chain};
use std::{
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often we look after leases, interfaces and the lease file.
const TICK: Duration = Duration::from_secs(1);

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration, now and from now on.
    pub config: watch::Receiver<Arc<Config>>,
    /// Who is a BMC, now and from now on.
    pub bmcs: watch::Receiver<Arc<MacDb>>,
    /// What machines boot; without it what the configuration has.
    pub machines: Option<Arc<Machines>>,
    /// Where the leases of DHCPv4 are kept; ours are beside it.
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
    /// There is nothing to call ourselves.
    #[error("dhcp6.duid is missing, and no interface has a MAC address to make one of; write one")]
    NoDuid,
    /// The runtime of the packet path does not start.
    #[error("the packet path does not start")]
    Runtime(#[source] std::io::Error),
}

#[derive(Debug)]
struct Server {
    parts: Parts,
    config: Arc<Config>,
    bmcs: Arc<MacDb>,
    duid: Vec<u8>,
    leases: Leases<Ipv6Addr>,
    /// Opened when the configuration first has a DHCPv6 server.
    lease_file: Option<LeaseFile>,
    links: Vec<Link>,
    /// Leases that are not shown before they are written down.
    changed: Vec<Lease<Ipv6Addr>>,
    /// Whether the last packets were answered.
    answered: bool,
    /// What was wrong with the lease file last time, so that it is told once.
    trouble: Option<String>,
}

/// An answer that waits for its lease to be written down.
#[derive(Debug)]
struct Answer {
    link: usize,
    reply: Box<Reply>,
    is_durable: bool,
    bmc: Option<(MacAddr, Ipv6Addr)>,
}

/// Serves until `shutdown`, on a runtime of its own. Blocks. Tells `opened` the addresses of its
/// sockets, of which there are none as long as the configuration has no DHCPv6 server.
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
    runtime.map_err(Error::Runtime)?.block_on(async {
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
    fn open(mut parts: Parts) -> Result<Self, Error> {
        let config = Arc::clone(&parts.config.borrow_and_update());
        let bmcs = Arc::clone(&parts.bmcs.borrow_and_update());
        let mut server = Self {
            parts,
            config: Arc::clone(&config),
            bmcs,
            duid: Vec::new(),
            leases: Leases::default(),
            lease_file: None,
            links: Vec::new(),
            changed: Vec::new(),
            answered: false,
            trouble: None,
        };
        server.take(config)?;
        server.recall_bmcs();
        server.publish_all();
        Ok(server)
    }

    /// Takes over a configuration, or changes nothing.
    fn take(&mut self, config: Arc<Config>) -> Result<(), Error> {
        let places: Vec<Place> = config.dhcp6.as_ref().map(link::places).unwrap_or_default();
        let is_open = |place: &Place| self.links.iter().any(|link| link.place == *place);
        let missing = places.iter().filter(|place| !is_open(place)).cloned();
        let missing: Vec<Link> = missing.map(Link::open).collect::<Result<_, _>>()?;
        if let Some(v6) = &config.dhcp6 {
            let duid = v6.duid.clone().or_else(|| link::duid(&v6.interfaces));
            self.duid = duid.ok_or(Error::NoDuid)?;
            if let (None, Some(path)) = (&self.lease_file, &self.parts.lease_file) {
                let (file, logged) = LeaseFile::open(&beside(path))?;
                for lease in logged {
                    self.leases.apply(lease);
                }
                self.lease_file = Some(file);
                self.publish_all();
            }
            dhcp6::reconfigure(&mut self.leases, v6, Timestamp::now());
        }
        self.links.retain(|link| places.contains(&link.place));
        self.links.extend(missing);
        self.config = config;
        self.look_after_links();
        Ok(())
    }

    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => self.maintain().await,
                () = readable(&self.links) => self.turn(),
            }
        }
    }

    /// Takes what has arrived, and answers it.
    fn turn(&mut self) {
        let (now, may_answer) = (Timestamp::now(), self.may_answer());
        let mut answers = Vec::new();
        for index in 0..self.links.len() {
            // If not, they are the other instance's.
            for (from, packet) in self.links[index].receive(&self.parts.metrics) {
                let answer = may_answer.then(|| self.decide(index, from, &packet, now));
                answers.extend(answer.flatten());
            }
        }
        let is_kept = self.commit();
        for answer in answers.into_iter().filter(|answer| is_kept || !answer.is_durable) {
            self.answer(&answer);
        }
    }

    fn decide(
        &mut self,
        link: usize,
        from: SocketAddrV6,
        packet: &Packet,
        now: Timestamp,
    ) -> Option<Answer> {
        let boot = self.boot_of(packet, *from.ip());
        let Self { config, bmcs, leases, duid, links, .. } = &*self;
        let v6 = config.dhcp6.as_ref()?;
        let server = dhcp6::Server { config, v6, id: duid, bmcs, leases, boot: &boot };
        let Link { place, addresses, .. } = &links[link];
        let arrival = Arrival { interface: place.interface(), addresses, from };
        let decision = dhcp6::decide(server, packet, arrival, now);
        let is_durable = decision.changes.iter().any(Lease::is_durable);
        for lease in decision.changes {
            if lease.is_durable() {
                self.note(&lease);
            }
            self.leases.apply(lease);
        }
        match decision.answer {
            Ok(reply) => Some(Answer { link, reply, is_durable, bmc: decision.bmc }),
            Err(reason) => {
                tracing::debug!(%reason, %from, "not answered");
                self.parts.metrics.silent(reason.into());
                None
            }
        }
    }

    /// What the sender of a packet boots, if that is what it is about.
    fn boot_of(&self, packet: &Packet, from: Ipv6Addr) -> Boot {
        let identity = || dhcp6::identity(packet, from);
        let machines = self.parts.machines.as_ref();
        machines.and_then(|machines| Some(machines.boot_of(identity()?))).unwrap_or(Boot::Default)
    }

    fn answer(&self, Answer { link, reply, bmc, .. }: &Answer) {
        if let (Some((mac, ip)), Some(sightings)) = (bmc, &self.parts.sightings) {
            sightings.saw(*mac, *ip);
        }
        let to = reply.to;
        if let Err(error) = self.links[*link].socket.try_send_to(&reply.packet.encode(), to.into())
        {
            // The client asks again.
            tracing::debug!(%error, %to, "answer not sent");
            self.parts.metrics.not_sent();
        }
        self.parts.metrics.answered(reply.kind);
    }

    /// Whether what was decided is written down, or need not be.
    fn commit(&mut self) -> bool {
        let changed = std::mem::take(&mut self.changed);
        match self.lease_file.as_mut().map_or(Ok(()), LeaseFile::commit) {
            Ok(()) => {
                self.trouble = None;
                self.parts.published.iter().for_each(|published| published.note(&changed));
                true
            }
            Err(error) => {
                self.complain("leases not written down; their clients are not answered", &error);
                false
            }
        }
    }

    /// Tells about trouble with the lease file, once for each kind.
    fn complain(&mut self, what: &'static str, error: &std::io::Error) {
        self.parts.metrics.not_logged();
        let text = Chain(error).to_string();
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!(error = text, "{what}");
            self.trouble = Some(text);
        }
    }

    /// Takes over what has changed, and looks after what changes by itself.
    async fn maintain(&mut self) {
        // An error says that nobody follows the file any more, which is the end of the process.
        if self.parts.config.has_changed().unwrap_or_default() {
            let config = Arc::clone(&self.parts.config.borrow_and_update());
            if let Err(error) = self.take(config) {
                let error = Chain(&error);
                tracing::error!(%error, "configuration not taken; the one before stays in force");
            }
        }
        if self.parts.bmcs.has_changed().unwrap_or_default() {
            self.bmcs = Arc::clone(&self.parts.bmcs.borrow_and_update());
            self.recall_bmcs();
        }
        self.look_after_links();
        self.hear();
        self.parts.metrics.count(&self.leases.count(Timestamp::now()));
        let Self { lease_file: Some(file), leases, .. } = self else { return };
        let durable = || {
            let all = leases.all().into_iter().filter(|lease| lease.is_durable());
            all.collect::<Vec<_>>().into_iter()
        };
        if let Err(error) = file.maintain(leases.len(), durable).await {
            self.complain("lease file not looked after; it is tried again", &error);
        }
    }

    /// Follows interfaces that come, go and change their addresses.
    fn look_after_links(&mut self) {
        for link in &mut self.links {
            if link.is_stale()
                && let Ok(fresh) = Link::open(link.place.clone())
            {
                tracing::info!(place = %fresh.place, "served again");
                *link = fresh;
            }
            link.find_addresses();
        }
        match self.links.iter().find(|link| !link.can_send) {
            None => self.parts.ready.open(),
            Some(link) => {
                self.parts.ready.wait_for(format!("an IPv6 link-local address on {}", link.place));
            }
        }
    }

    /// Tells about every BMC that has a lease: after a start, and when more of them are known.
    fn recall_bmcs(&self) {
        let Some(sightings) = &self.parts.sightings else { return };
        if !self.parts.published.as_ref().is_none_or(Published::answers) {
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

    fn close(self) {
        if let Some(Err(error)) = self.lease_file.map(LeaseFile::close) {
            tracing::error!(error = %Chain(&error), "lease file not handed to the disk");
        }
    }
}

/// Where our leases are.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".v6");
    name.into()
}

/// Waits until a packet has arrived, or a socket has failed.
async fn readable(links: &[Link]) {
    if links.is_empty() {
        std::future::pending::<()>().await;
    }
    // An error shows again when the socket is read.
    select_all(links.iter().map(|link| Box::pin(link.socket.readable()))).await.0.ok();
}
