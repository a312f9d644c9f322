//! The DHCPv4 server: its leases on disk, and the recording of BMCs, around
//! [`metal_dhcp::v4::decide`]. The loop is in [`metal_serve::dhcp`].

mod probes;
mod sockets;
#[cfg(test)]
mod tests;

use crate::{
    ServerParts, lease_file,
    lease_store::LeaseStore,
    machines::Machines,
    recorder::{RecordedBmcs, Sightings},
};
use jiff::Timestamp;
use metal_core::{boot::decision::Boot, endpoint::Sighting, macdb::MacDb};
use metal_dhcp::{
    Client,
    config::Config,
    fair_queue::Priority,
    lease::{Leases, State},
    v4::{self, DropReason, MessageType},
};
use metal_runtime::health::ReadinessCondition;
use metal_serve::{
    dhcp::{
        self, Metrics, Request, Responder, Server, Sockets, UnknownRelays, UnservedArchitectures,
        link, link::v4::Link, prober::Prober,
    },
    neighbor_limit::NeighborLimit,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Leases are counted every this many seconds.
const COUNT_EVERY: u32 = 10;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Why a place cannot be served.
    #[error("interfaces or listen: could not start the DHCP server")]
    Link(#[from] link::Error),
    /// The lease file cannot be used.
    #[error("could not store leases")]
    LeaseFile(#[from] lease_file::Error),
    /// The loop cannot start.
    #[error(transparent)]
    Loop(#[from] dhcp::Error),
}

/// An answer of this server.
type Answer = dhcp::Answer<Link, Sighting<Ipv4Addr>>;

/// Makes the decisions, with their inputs.
#[derive(Debug)]
struct V4 {
    config: Arc<Config>,
    bmcs: Arc<MacDb>,
    configs: watch::Receiver<Arc<Config>>,
    databases: watch::Receiver<Arc<MacDb>>,
    machines: Option<Arc<Machines>>,
    neighbors: NeighborLimit,
    lease_store: LeaseStore<Ipv4Addr>,
    prober: Option<Prober<probes::PendingOffer>>,
    quarantines: probes::QuarantineRate,
    unserved: UnservedArchitectures,
    recorded: Option<RecordedBmcs>,
    sightings: Option<Sightings>,
    metrics: Metrics,
    ready: ReadinessCondition,
    unknown_relays: UnknownRelays,
    /// Seconds until leases are counted again.
    count_in: u32,
}

/// Serves until `shutdown`. Blocks. Sends the addresses of its sockets, in the order of the
/// configuration, to `opened` once they are open.
///
/// # Errors
///
/// If it cannot start.
pub(crate) fn serve(
    parts: ServerParts,
    opened: oneshot::Sender<Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    dhcp::serve(|| open(parts), opened, shutdown)
}

fn open(parts: ServerParts) -> Result<Server<V4>, Error> {
    let ServerParts { config: mut configs, bmcs: mut databases, machines, metrics, .. } = parts;
    let config = Arc::clone(&configs.borrow_and_update());
    let bmcs = Arc::clone(&databases.borrow_and_update());
    let mut lease_store = LeaseStore::new(Leases::new(&config), parts.published);
    if let Some(path) = &parts.lease_file {
        read_leases(path, &config, &mut lease_store)?;
    } else {
        tracing::warn!("--lease-file is not set: leases are lost when this process ends");
    }
    let mut sockets = Sockets::default();
    sockets.serve(&sockets::of(&config))?;
    let mut v4 = V4 {
        config,
        bmcs,
        configs,
        databases,
        machines,
        neighbors: parts.neighbors,
        lease_store,
        prober: None,
        quarantines: probes::QuarantineRate::default(),
        unserved: UnservedArchitectures::default(),
        recorded: parts.recorded,
        sightings: parts.sightings,
        metrics: metrics.clone(),
        ready: parts.ready,
        unknown_relays: UnknownRelays::default(),
        count_in: COUNT_EVERY,
    };
    v4.look_after(&mut sockets);
    v4.tell_missing_boot_files();
    v4.open_prober();
    v4.recall_neighbors();
    v4.recall_bmcs();
    v4.lease_store.publish_all();
    v4.count();
    Ok(Server::new(v4, sockets, metrics))
}

impl Responder for V4 {
    type Link = Link;
    type News = Sighting<Ipv4Addr>;

    fn answers(&mut self) -> bool {
        self.lease_store.follow_clock();
        if self.lease_store.takes_over() {
            self.recall_bmcs();
        }
        self.lease_store.answers()
    }

    fn source_of(&self, request: &Request<Link>) -> (Priority, Option<Client>) {
        let client = Client::of(&request.packet);
        let priority = client.as_ref().map_or(Priority::Unknown, |it| self.priority_of(it));
        (priority, client)
    }

    fn decide(&mut self, links: &[Link], request: Request<Link>, now: Timestamp) -> Option<Answer> {
        let Request { link, from, to, packet } = request;
        let Some(server) = to.or(links[link].address) else {
            self.metrics.unanswered("NoServerAddress");
            return None;
        };
        let boot = self.boot_of(&packet);
        let Self { config, bmcs, lease_store, .. } = &*self;
        let known = v4::Server { config, bmcs, leases: &lease_store.leases, boot: &boot };
        let Link { place, addresses, .. } = &links[link];
        let link_addresses: &[_] = if to.is_none() { addresses } else { &[] };
        let arrival = v4::Arrival { server, link: link_addresses, port: place.port(), from };
        let decision = v4::decide(known, &packet, arrival, now);
        let mut is_durable = false;
        for lease in decision.changes {
            if lease.state == State::Declined {
                self.metrics.conflicted();
            }
            is_durable |= self.lease_store.record(lease);
        }
        if let Some(address) = decision.doubted {
            self.lease_store.leases.doubt(address, now);
        }
        let reply = match decision.answer {
            Ok(reply) => reply,
            Err(reason) => return self.drop_request(&packet, *from.ip(), reason),
        };
        if !self.neighbors.admits_reply(&reply, |to| self.config.names_relay(to)) {
            self.metrics.overloaded();
            return None;
        }
        self.neighbors.note_reply(&reply);
        self.hold_address(&packet, &reply);
        self.count_unserved(&packet, &boot);
        let answer = Answer { link, from, own: to, reply, is_durable, news: decision.bmc };
        self.hold(&links[link].place, answer, Client::of(&packet), decision.probe)
    }

    fn released(&mut self, links: &[Link]) -> Option<Vec<Answer>> {
        self.finish_probes(links)
    }

    async fn release(&self) {
        match &self.prober {
            Some(prober) => prober.wait().await,
            None => std::future::pending().await,
        }
    }

    fn commit(&mut self) -> bool {
        let is_kept = self.lease_store.commit();
        if !is_kept {
            self.metrics.not_logged();
        }
        is_kept
    }

    fn tell(&mut self, bmc: Sighting<Ipv4Addr>) {
        self.sightings.iter().for_each(|sightings| sightings.saw(bmc));
    }

    async fn maintain(&mut self, sockets: &mut Sockets<Link>) {
        // An error means that nothing watches the file any longer, because the process is ending.
        if self.configs.has_changed().unwrap_or_default() {
            self.reconfigure(sockets);
        }
        if self.databases.has_changed().unwrap_or_default() {
            self.bmcs = Arc::clone(&self.databases.borrow_and_update());
            self.recall_bmcs();
        }
        self.look_after(sockets);
        if !self.lease_store.hear() || !self.lease_store.maintain().await {
            self.metrics.not_logged();
        }
        self.count_in -= 1;
        if self.count_in == 0 {
            self.count();
            self.count_in = COUNT_EVERY;
        }
    }

    fn close(self) {
        self.lease_store.close();
    }
}

impl V4 {
    fn priority_of(&self, client: &Client) -> Priority {
        let own = self.lease_store.leases.priority_of(client);
        let is_server = || self.machines.as_ref().is_some_and(|machines| machines.knows(client));
        let is_expected = || self.config.has_reserved(client) || is_server();
        if own < Priority::Known && is_expected() { Priority::Known } else { own }
    }

    /// What the sender of a packet boots, if it wants to boot.
    fn boot_of(&self, packet: &v4::Packet) -> Boot {
        let Some(machines) = &self.machines else { return Boot::Default };
        let Some(identity) = v4::identity(packet) else { return Boot::Default };
        let boot = machines.boot_of(identity);
        self.metrics.decided(&boot);
        boot
    }

    fn drop_request(
        &mut self,
        packet: &v4::Packet,
        from: Ipv4Addr,
        reason: DropReason,
    ) -> Option<Answer> {
        if reason == DropReason::UnknownRelay {
            self.unknown_relays.tell(packet.giaddr.into(), from.into());
        }
        tracing::debug!(%reason, client = ?Client::of(packet), "not answered");
        self.metrics.unanswered(reason);
        None
    }

    fn count_unserved(&mut self, packet: &v4::Packet, boot: &Boot) {
        if let Some(kind) = v4::unserved(packet) {
            let client = Client::of(packet);
            let client = client.map(|client| client.to_string()).unwrap_or_default();
            self.metrics.unserved(self.unserved.tell(kind, client));
        }
        if let Some(length) = v4::uncarried(packet, boot) {
            tracing::debug!(client = ?Client::of(packet), length, "link too long");
            self.metrics.unserved("LinkTooLong");
        }
    }

    /// Records who has an address from now on, for servers that serve files by address. If the
    /// machine keeps an address from another server, only its own claim is known.
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

    fn recall_bmcs(&self) {
        let config = &self.config;
        let has_bmcs = |address| config.subnet_of(address).is_some_and(|subnet| subnet.bmc);
        self.lease_store.recall_bmcs(&self.bmcs, has_bmcs, self.sightings.as_ref());
    }

    /// Clients that had an address when the last process ended.
    fn recall_neighbors(&self) {
        let now = Timestamp::now();
        let leases = self.lease_store.leases.all();
        let bound = leases.into_iter().filter(|lease| lease.is_bound(now));
        bound.for_each(|lease| self.neighbors.note(lease.address));
    }

    fn count(&mut self) {
        if let Some(recorded) = &self.recorded {
            let config = &self.config;
            let has_bmcs = |it: &Ipv4Addr| config.subnet_of(*it).is_some_and(|it| it.bmc);
            let address = |ip| match ip {
                IpAddr::V4(ip) => Some(ip).filter(has_bmcs),
                IpAddr::V6(_) => None,
            };
            self.lease_store.leases.keep_for(recorded.addresses(address));
        }
        self.metrics.count(&self.lease_store.leases.count(Timestamp::now()));
    }
}

fn read_leases(
    path: &Path,
    config: &Config,
    lease_store: &mut LeaseStore<Ipv4Addr>,
) -> Result<(), lease_file::Error> {
    lease_store.open(path)?;
    // Ended leases that the configuration has no place for are not needed.
    lease_store.leases.reconfigure(config, Timestamp::now());
    tracing::info!(path = %path.display(), leases = lease_store.leases.len(), "leases loaded");
    Ok(())
}
