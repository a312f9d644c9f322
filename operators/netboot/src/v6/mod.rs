//! The DHCPv6 server: its leases on disk, and the recording of BMCs, around
//! [`metal_dhcp::v6::decide`]. The loop is in [`metal_serve::dhcp`]. The lease file is next to that
//! of DHCPv4.

#[cfg(test)]
mod tests;

use crate::{ServerParts, lease_file, lease_store::LeaseStore};
use jiff::Timestamp;
use metal_core::{boot::decision::Boot, endpoint::Sighting, macdb::MacDb};
use metal_dhcp::{
    Client,
    config::Config,
    fair_queue::Priority,
    lease::{Leases, State},
    v6::{self, Arrival, DropReason, Packet},
};
use metal_runtime::report::Chain;
use metal_serve::dhcp::{
    self, Request, Responder, Server, Sockets, UnknownRelays, UnservedArchitectures,
    link::{
        self,
        v6::{Link, Place, duid, places},
    },
};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Why a place cannot be served.
    #[error("dhcp6.interfaces or dhcp6.listen: could not start the DHCPv6 server")]
    Link(#[from] link::Error),
    /// The lease file cannot be used.
    #[error("could not store leases")]
    LeaseFile(#[from] lease_file::Error),
    /// There is no DUID.
    #[error("dhcp6.duid is required, because no interface has a MAC address to generate one from")]
    NoDuid,
    /// The loop cannot start.
    #[error(transparent)]
    Loop(#[from] dhcp::Error),
}

/// An answer of this server.
type Answer = dhcp::Answer<Link, Sighting<Ipv6Addr>>;

/// Makes the decisions, with their inputs.
#[derive(Debug)]
struct V6 {
    parts: ServerParts,
    config: Arc<Config>,
    bmcs: Arc<MacDb>,
    duid: Vec<u8>,
    /// Its file is opened when the configuration has a DHCPv6 server for the first time.
    lease_store: LeaseStore<Ipv6Addr>,
    unserved: UnservedArchitectures,
    unknown_relays: UnknownRelays,
}

/// Serves until `shutdown`. Blocks. Sends the addresses of its sockets to `opened`; there are none
/// while the configuration has no DHCPv6 server.
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

fn open(mut parts: ServerParts) -> Result<Server<V6>, Error> {
    let config = Arc::clone(&parts.config.borrow_and_update());
    let bmcs = Arc::clone(&parts.bmcs.borrow_and_update());
    let lease_store = LeaseStore::new(Leases::default(), parts.published.take());
    let metrics = parts.metrics.clone();
    let mut sockets = Sockets::default();
    let mut v6 = V6 {
        parts,
        config: Arc::clone(&config),
        bmcs,
        duid: Vec::new(),
        lease_store,
        unserved: UnservedArchitectures::default(),
        unknown_relays: UnknownRelays::default(),
    };
    v6.take(config, &mut sockets)?;
    v6.recall_bmcs();
    v6.lease_store.publish_all();
    Ok(Server::new(v6, sockets, metrics))
}

impl Responder for V6 {
    type Link = Link;
    type News = Sighting<Ipv6Addr>;

    fn answers(&mut self) -> bool {
        self.lease_store.follow_clock();
        if self.lease_store.takes_over() {
            self.recall_bmcs();
        }
        self.lease_store.answers()
    }

    fn source_of(&self, request: &Request<Link>) -> (Priority, Option<Client>) {
        let mut clients = v6::clients(&request.packet, *request.from.ip());
        let priority = clients.iter().map(|client| self.priority_of(client)).max();
        (priority.unwrap_or(Priority::Unknown), clients.pop())
    }

    fn decide(&mut self, links: &[Link], request: Request<Link>, now: Timestamp) -> Option<Answer> {
        let Request { link, from, to, packet } = request;
        let boot = self.boot_of(&packet, *from.ip());
        let Self { config, bmcs, lease_store, duid, .. } = &*self;
        let v6 = config.dhcp6.as_ref()?;
        let leases = &lease_store.leases;
        let server = v6::Server { config, v6, id: duid, bmcs, leases, boot: &boot };
        let Link { place, addresses, .. } = &links[link];
        let arrival = Arrival { interface: place.interface(), addresses, from };
        let decision = v6::decide(server, &packet, arrival, now);
        let mut is_durable = false;
        for lease in decision.changes {
            if lease.state == State::Declined {
                self.parts.metrics.conflicted();
            }
            is_durable |= self.lease_store.record(lease);
        }
        for address in decision.doubted {
            self.lease_store.leases.doubt(address, now);
        }
        let reply = match decision.answer {
            Ok(reply) => reply,
            Err(reason) => return self.drop_request(&packet, from, reason),
        };
        let neighbors = &self.parts.neighbors;
        if !neighbors.admits(*reply.to.ip()) {
            self.parts.metrics.overloaded();
            return None;
        }
        if is_durable {
            // It has requested what it was offered there.
            neighbors.note(*reply.to.ip());
        }
        if let Some(kind) = v6::unserved(&packet) {
            self.parts.metrics.unserved(self.unserved.tell(kind, from));
        }
        Some(Answer { link, from, own: to, reply, is_durable, news: decision.bmc })
    }

    fn commit(&mut self) -> bool {
        let is_kept = self.lease_store.commit();
        if !is_kept {
            self.parts.metrics.not_logged();
        }
        is_kept
    }

    fn tell(&mut self, bmc: Sighting<Ipv6Addr>) {
        self.parts.sightings.iter().for_each(|sightings| sightings.saw(bmc));
    }

    async fn maintain(&mut self, sockets: &mut Sockets<Link>) {
        // An error means that nothing watches the file any longer, because the process is ending.
        if self.parts.config.has_changed().unwrap_or_default() {
            let config = Arc::clone(&self.parts.config.borrow_and_update());
            if let Err(error) = self.take(config, sockets) {
                let error = Chain(&error);
                tracing::error!(%error, "invalid configuration; the previous one stays in effect");
            }
        }
        if self.parts.bmcs.has_changed().unwrap_or_default() {
            self.bmcs = Arc::clone(&self.parts.bmcs.borrow_and_update());
            self.recall_bmcs();
        }
        self.look_after(sockets);
        self.keep_for_bmcs();
        self.parts.metrics.count(&self.lease_store.leases.count(Timestamp::now()));
        if !self.lease_store.hear() || !self.lease_store.maintain().await {
            self.parts.metrics.not_logged();
        }
    }

    fn close(self) {
        self.lease_store.close();
    }
}

impl V6 {
    /// Adopts a configuration; if that fails, the previous one stays in force.
    fn take(&mut self, config: Arc<Config>, sockets: &mut Sockets<Link>) -> Result<(), Error> {
        let wanted: Vec<Place> = config.dhcp6.as_ref().map(places).unwrap_or_default();
        let own = |it: &metal_dhcp::config::v6::Config| {
            it.duid.clone().or_else(|| duid(it)).ok_or(Error::NoDuid)
        };
        let duid = config.dhcp6.as_ref().map(own).transpose()?;
        let file = self.parts.lease_file.as_ref().filter(|_| !self.lease_store.is_kept());
        if let Some(path) = file.filter(|_| config.dhcp6.is_some()) {
            self.lease_store.open(&beside(path))?;
            self.lease_store.publish_all();
        }
        sockets.serve(&wanted)?;
        if let Some(own) = config.unserved_tftp(is_own) {
            let hint = "add it, or `::`, to tftp.listen";
            tracing::warn!(
                address = %own, hint,
                "dhcp6.boot names files that are not served: TFTP does not listen there"
            );
        }
        if let Some(v6) = &config.dhcp6 {
            v6::reconfigure(&mut self.lease_store.leases, v6, Timestamp::now());
        }
        self.duid = duid.unwrap_or_default();
        self.config = config;
        self.look_after(sockets);
        Ok(())
    }

    fn priority_of(&self, client: &Client) -> Priority {
        let own = self.lease_store.leases.priority_of(client);
        let machines = self.parts.machines.as_ref();
        let is_server = || machines.is_some_and(|machines| machines.knows(client));
        let has_reserved = |v6: &metal_dhcp::config::v6::Config| v6.has_reserved(client);
        let is_expected = || self.config.dhcp6.as_ref().is_some_and(has_reserved) || is_server();
        if own < Priority::Known && is_expected() { Priority::Known } else { own }
    }

    /// What the sender of a packet boots, if it wants to boot.
    fn boot_of(&self, packet: &Packet, from: Ipv6Addr) -> Boot {
        let Some(machines) = &self.parts.machines else { return Boot::Default };
        let Some(identity) = v6::identity(packet, from) else { return Boot::Default };
        let boot = machines.boot_of(identity);
        self.parts.metrics.decided(&boot);
        boot
    }

    fn drop_request(
        &mut self,
        packet: &Packet,
        from: SocketAddrV6,
        reason: DropReason,
    ) -> Option<Answer> {
        if reason == DropReason::UnknownRelay {
            let named = packet.relays.last().map_or(*from.ip(), |relay| relay.link);
            self.unknown_relays.tell(named.into(), (*from.ip()).into());
        }
        tracing::debug!(%reason, %from, "not answered");
        self.parts.metrics.unanswered(reason);
        None
    }

    /// Follows interfaces that appear, disappear and change their addresses.
    fn look_after(&self, sockets: &mut Sockets<Link>) {
        sockets.follow_interfaces();
        for link in sockets.links_mut() {
            link.find_addresses();
            if let Some(v6) = &self.config.dhcp6 {
                link.look_for_subnet(v6);
            }
        }
        let links = sockets.links();
        let count = |is: fn(&&Link) -> bool| links.iter().filter(is).count();
        let metrics = &self.parts.metrics;
        metrics.links(count(|it| it.is_without_subnet), count(|it| it.has_several_subnets));
        match links.iter().find(|link| !link.can_send) {
            None => self.parts.ready.open(),
            Some(link) => {
                self.parts.ready.wait_for(format!("an IPv6 link-local address on {}", link.place));
            }
        }
    }

    fn keep_for_bmcs(&mut self) {
        let (Some(recorded), Some(v6)) = (&self.parts.recorded, &self.config.dhcp6) else { return };
        let has_bmcs = |it: &Ipv6Addr| v6.subnet_of(*it).is_some_and(|it| it.bmc);
        let address = |ip| match ip {
            IpAddr::V6(ip) => Some(ip).filter(has_bmcs),
            IpAddr::V4(_) => None,
        };
        self.lease_store.leases.keep_for(recorded.addresses(address));
    }

    fn recall_bmcs(&self) {
        let Some(v6) = &self.config.dhcp6 else { return };
        let has_bmcs = |address| v6.subnet_of(address).is_some_and(|subnet| subnet.bmc);
        self.lease_store.recall_bmcs(&self.bmcs, has_bmcs, self.parts.sightings.as_ref());
    }
}

/// Whether an interface of this host has the address.
fn is_own(address: Ipv6Addr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// The path of our lease file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".v6");
    name.into()
}
