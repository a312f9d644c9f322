//! The DHCPv6 server: its sockets, its leases on disk, and the loop between them.
//!
//! As with DHCPv4, packets are answered in batches, those of clients that are known first; the leases
//! that a batch changes are written with one write, and only then the batch is answered. Leases are in a file beside the one of DHCPv4.

#[cfg(test)]
mod tests;

use crate::{
    Parts, lease_file, lease_store::LeaseStore, unknown_relays::UnknownRelays, unserved::Unserved,
};
use jiff::Timestamp;
use metal_core::{boot::decision::Boot, endpoint::Sighting, macdb::MacDb};
use metal_dhcp::{
    Client,
    config::Config,
    intake::{Intake, Standing},
    lease::{Leases, State},
    v6::{self, Arrival, Packet, Reply, Silence},
};
use metal_runtime::report::Chain;
use metal_serve::dhcp::link::{
    self, readable,
    v6::{Asked, Link, Place, duid, places},
};
use std::{
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often leases, interfaces and the lease file are looked after.
const TICK: Duration = Duration::from_secs(1);

/// How many packets are answered together, and how many wait.
const MOST: usize = 128;
const ROOM: usize = 2048;

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A place cannot be served.
    #[error("dhcp6.interfaces or dhcp6.listen: the network cannot be served")]
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
    /// Its file is opened when the configuration first has a DHCPv6 server.
    lease_store: LeaseStore<Ipv6Addr>,
    links: Vec<Link>,
    /// With the number of their link.
    waiting: Intake<Option<Client>, (usize, Asked)>,
    unserved: Unserved,
    unknown_relays: UnknownRelays,
}

/// An answer that waits for its lease to be written down.
#[derive(Debug)]
struct Answer {
    link: usize,
    /// Our address that was asked alone, from which the answer goes.
    own: Option<Ipv6Addr>,
    reply: Box<Reply>,
    is_durable: bool,
    bmc: Option<Sighting<Ipv6Addr>>,
}

/// Serves until `shutdown`, on a runtime of its own. Blocks. Tells `opened` the addresses of its
/// sockets, of which there are none as long as the configuration has no DHCPv6 server.
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
    runtime.map_err(Error::Runtime)?.block_on(async {
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
    fn open(mut parts: Parts) -> Result<Self, Error> {
        let config = Arc::clone(&parts.config.borrow_and_update());
        let bmcs = Arc::clone(&parts.bmcs.borrow_and_update());
        let lease_store = LeaseStore::new(Leases::default(), parts.published.take());
        let mut server = Self {
            parts,
            config: Arc::clone(&config),
            bmcs,
            duid: Vec::new(),
            lease_store,
            links: Vec::new(),
            waiting: Intake::new(ROOM),
            unserved: Unserved::default(),
            unknown_relays: UnknownRelays::default(),
        };
        server.take(config)?;
        server.recall_bmcs();
        server.lease_store.publish_all();
        Ok(server)
    }

    /// Takes over a configuration, or changes nothing.
    fn take(&mut self, config: Arc<Config>) -> Result<(), Error> {
        let wanted: Vec<Place> = config.dhcp6.as_ref().map(places).unwrap_or_default();
        let is_open = |place: &Place| self.links.iter().any(|link| link.place == *place);
        let missing = wanted.iter().filter(|place| !is_open(place)).cloned();
        let missing: Vec<Link> = missing.map(Link::open).collect::<Result<_, _>>()?;
        if let Some(v6) = &config.dhcp6 {
            let own = v6.duid.clone().or_else(|| duid(&v6.interfaces));
            self.duid = own.ok_or(Error::NoDuid)?;
            if let Some(path) =
                self.parts.lease_file.as_ref().filter(|_| !self.lease_store.is_kept())
            {
                self.lease_store.open(&beside(path))?;
                self.lease_store.publish_all();
            }
            v6::reconfigure(&mut self.lease_store.leases, v6, Timestamp::now());
        }
        // They came by links as they were, and ask again.
        self.waiting = Intake::new(ROOM);
        self.links.retain(|link| wanted.contains(&link.place));
        self.links.extend(missing);
        self.config = config;
        self.look_after_links();
        Ok(())
    }

    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticked = Instant::now();
        loop {
            let is_busy = !self.waiting.is_empty();
            if is_busy && ticked.elapsed() < TICK && !shutdown.is_cancelled() {
                self.turn();
                // The reactor must see the sockets, too.
                yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {
                    ticked = Instant::now();
                    self.maintain().await;
                }
                () = readable(self.links.iter().map(|link| &link.socket)) => self.turn(),
            }
        }
    }

    /// Takes what has arrived, and answers those whose turn it is.
    fn turn(&mut self) {
        self.lease_store.follow_clock();
        if self.lease_store.takes_over() {
            self.recall_bmcs();
        }
        let (now, may_answer) = (Timestamp::now(), self.lease_store.answers());
        let mut answers = Vec::new();
        for index in 0..self.links.len() {
            for asked in self.links[index].receive(&self.parts.metrics) {
                self.take_in(index, asked);
            }
        }
        for _ in 0..MOST {
            let Some((link, Asked { from, to, packet })) = self.waiting.pop() else { break };
            // If not, they are the other instance's.
            let answer = may_answer.then(|| self.decide(link, from, &packet, now)).flatten();
            answers.extend(answer.map(|answer| Answer { own: to, ..answer }));
        }
        let is_kept = self.commit();
        for answer in answers.into_iter().filter(|answer| is_kept || !answer.is_durable) {
            self.answer(&answer);
        }
    }

    /// Takes a packet in, which is answered in its turn.
    fn take_in(&mut self, link: usize, asked: Asked) {
        let mut clients = v6::clients(&asked.packet, *asked.from.ip());
        let standing = clients.iter().map(|client| self.standing_of(client)).max();
        let standing = standing.unwrap_or(Standing::Stranger);
        if self.waiting.push(standing, clients.pop(), (link, asked)).is_some() {
            self.parts.metrics.overloaded();
        }
    }

    fn standing_of(&self, client: &Client) -> Standing {
        let own = self.lease_store.leases.standing_of(client);
        let machines = self.parts.machines.as_ref();
        let is_server = || machines.is_some_and(|machines| machines.knows(client));
        if own < Standing::Known && is_server() { Standing::Known } else { own }
    }

    fn decide(
        &mut self,
        link: usize,
        from: SocketAddrV6,
        packet: &Packet,
        now: Timestamp,
    ) -> Option<Answer> {
        let boot = self.boot_of(packet, *from.ip());
        let Self { config, bmcs, lease_store, duid, links, .. } = &*self;
        let v6 = config.dhcp6.as_ref()?;
        let leases = &lease_store.leases;
        let server = v6::Server { config, v6, id: duid, bmcs, leases, boot: &boot };
        let Link { place, addresses, .. } = &links[link];
        let arrival = Arrival { interface: place.interface(), addresses, from };
        let decision = v6::decide(server, packet, arrival, now);
        let mut is_durable = false;
        for lease in decision.changes {
            if lease.state == State::Declined {
                self.parts.metrics.conflicted();
            }
            is_durable |= self.lease_store.record(lease);
        }
        match decision.answer {
            Ok(reply) if !self.parts.guests.admits(*reply.to.ip()) => {
                self.parts.metrics.overloaded();
                None
            }
            Ok(reply) => {
                if is_durable {
                    // It has asked for what it was offered there.
                    self.parts.guests.note(*reply.to.ip());
                }
                if let Some(kind) = v6::unserved(packet) {
                    self.parts.metrics.unserved(self.unserved.tell(kind, from));
                }
                Some(Answer { link, own: None, reply, is_durable, bmc: decision.bmc })
            }
            Err(reason) => {
                if reason == Silence::UnknownRelay {
                    let named = packet.relays.last().map_or(*from.ip(), |relay| relay.link);
                    self.unknown_relays.tell(named.into(), (*from.ip()).into());
                }
                tracing::debug!(%reason, %from, "not answered");
                self.parts.metrics.silent(reason);
                None
            }
        }
    }

    /// What the sender of a packet boots, if that is what it is about.
    fn boot_of(&self, packet: &Packet, from: Ipv6Addr) -> Boot {
        let Some(machines) = &self.parts.machines else { return Boot::Default };
        let Some(identity) = v6::identity(packet, from) else { return Boot::Default };
        let boot = machines.boot_of(identity);
        self.parts.metrics.decided(&boot);
        boot
    }

    fn answer(&self, Answer { link, own, reply, bmc, .. }: &Answer) {
        if let (Some(seen), Some(sightings)) = (bmc, &self.parts.sightings) {
            sightings.saw(*seen);
        }
        let to = reply.to;
        if let Err(error) = self.links[*link].send(&reply.packet.encode(), *own, to) {
            // The client asks again.
            tracing::debug!(%error, %to, "answer not sent");
            self.parts.metrics.not_sent();
        }
        self.parts.metrics.answered(reply.kind);
    }

    /// Whether what was decided is written down, or need not be.
    fn commit(&mut self) -> bool {
        let is_kept = self.lease_store.commit();
        if !is_kept {
            self.parts.metrics.not_logged();
        }
        is_kept
    }

    /// Takes over what has changed, and looks after what changes by itself.
    async fn maintain(&mut self) {
        // An error says that nobody follows the file any more, which is the end of the process.
        if self.parts.config.has_changed().unwrap_or_default() {
            let config = Arc::clone(&self.parts.config.borrow_and_update());
            if let Err(error) = self.take(config) {
                let error = Chain(&error);
                tracing::error!(%error, "configuration refused; the previous one stays in force");
            }
        }
        if self.parts.bmcs.has_changed().unwrap_or_default() {
            self.bmcs = Arc::clone(&self.parts.bmcs.borrow_and_update());
            self.recall_bmcs();
        }
        self.look_after_links();
        self.parts.metrics.count(&self.lease_store.leases.count(Timestamp::now()));
        if !self.lease_store.hear() || !self.lease_store.maintain().await {
            self.parts.metrics.not_logged();
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
            if let Some(v6) = &self.config.dhcp6 {
                link.look_for_subnet(v6);
            }
        }
        let without_subnet = self.links.iter().filter(|link| link.is_without_subnet).count();
        self.parts.metrics.links(without_subnet);
        match self.links.iter().find(|link| !link.can_send) {
            None => self.parts.ready.open(),
            Some(link) => {
                self.parts.ready.wait_for(format!("an IPv6 link-local address on {}", link.place));
            }
        }
    }

    fn recall_bmcs(&self) {
        let Some(v6) = &self.config.dhcp6 else { return };
        let has_bmcs = |address| v6.subnet_of(address).is_some_and(|subnet| subnet.bmc);
        self.lease_store.recall_bmcs(&self.bmcs, has_bmcs, self.parts.sightings.as_ref());
    }
}

/// Where our leases are.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".v6");
    name.into()
}
