//! The DHCPv4 server: its leases on disk, and the recording of BMCs, around
//! [`metal_dhcp::v4::decide`]. The loop is in [`metal_serve::dhcp`].

mod probes;
mod sockets;
#[cfg(test)]
pub(crate) mod tests;

use crate::{ServerParts, lease_file, lease_server::LeaseServer};
use jiff::Timestamp;
use metal_core::{boot::decision::Boot, endpoint::Sighting};
use metal_dhcp::{
    Client,
    fair_queue::Priority,
    v4::{self, DropReason, MessageType},
};
use metal_serve::dhcp::{
    self, Request, Responder, Server, Sockets, link, link::v4::Link, prober::Prober,
};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Why a bind target cannot be served.
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
    common: LeaseServer<Ipv4Addr>,
    prober: Option<Prober<probes::PendingOffer>>,
    quarantines: probes::QuarantineRate,
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
    let mut common = LeaseServer::new(parts);
    read_leases(&mut common)?;
    let mut sockets = Sockets::default();
    sockets.serve(&sockets::of(&common.config))?;
    let metrics = common.parts.metrics.clone();
    let quarantines = probes::QuarantineRate::default();
    let mut v4 = V4 { common, prober: None, quarantines };
    v4.look_after(&mut sockets);
    v4.tell_missing_boot_files();
    v4.open_prober();
    v4.recall_neighbors();
    v4.common.recall_bmcs();
    v4.common.lease_store.publish_all();
    v4.common.count();
    Ok(Server::new(v4, sockets, metrics))
}

impl Responder for V4 {
    type Link = Link;
    type News = Sighting<Ipv4Addr>;

    fn answers(&mut self) -> bool {
        self.common.answers()
    }

    fn source_of(&self, request: &Request<Link>) -> (Priority, Option<Client>) {
        let client = Client::of(&request.packet);
        let priority = client.as_ref().map_or(Priority::Unknown, |it| self.common.priority_of(it));
        (priority, client)
    }

    fn decide(&mut self, links: &[Link], request: Request<Link>, now: Timestamp) -> Option<Answer> {
        let Request { link, from, to, packet } = request;
        let Some(server) = to.or(links[link].address) else {
            self.common.parts.metrics.unanswered("NoServerAddress");
            return None;
        };
        let boot = self.common.boot_of(v4::identity(&packet));
        let LeaseServer { config, bmcs, lease_store, .. } = &self.common;
        let known = v4::Server { config, bmcs, leases: &lease_store.leases, boot: &boot };
        let Link { bind_target, addresses, .. } = &links[link];
        let link_addresses: &[_] = if to.is_none() { addresses } else { &[] };
        let (is_unicast, port) = (to.is_some(), bind_target.port());
        let arrival = v4::Arrival { server, link: link_addresses, is_unicast, port, from };
        let decision = v4::decide(known, &packet, arrival, now);
        let is_durable = self.common.record(decision.changes);
        if let Some(address) = decision.doubted {
            self.common.lease_store.leases.doubt(address, now);
        }
        if let Some(subnet) = decision.exhausted {
            self.common.tell_exhausted(&subnet);
        }
        let reply = match decision.answer {
            Ok(reply) => reply,
            Err(reason) => return self.drop_request(&packet, *from.ip(), reason),
        };
        let LeaseServer { parts, config, .. } = &self.common;
        if !parts.neighbors.admits_reply(&reply, |to| config.names_relay(to)) {
            parts.metrics.overloaded();
            return None;
        }
        parts.neighbors.note_reply(&reply);
        self.hold_address(&packet, *from.ip(), &reply);
        self.count_unserved(&packet, &boot);
        let answer = Answer { link, from, own: to, reply, is_durable, news: decision.bmc };
        self.hold(&links[link].bind_target, answer, Client::of(&packet), decision.probe)
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

    fn forget_held(&mut self) {
        self.prober.iter_mut().for_each(Prober::forget);
    }

    fn commit(&mut self) -> bool {
        self.common.commit()
    }

    fn tell(&mut self, bmc: Sighting<Ipv4Addr>) {
        self.common.tell(bmc);
    }

    async fn maintain(&mut self, sockets: &mut Sockets<Link>) {
        if let Some(config) = self.common.new_config() {
            self.reconfigure(config, sockets);
        }
        self.look_after(sockets);
        self.common.maintain().await;
    }

    fn close(self) {
        self.common.lease_store.close();
    }
}

impl V4 {
    fn drop_request(
        &mut self,
        packet: &v4::Packet,
        from: Ipv4Addr,
        reason: DropReason,
    ) -> Option<Answer> {
        if reason == DropReason::UnknownRelay {
            self.common.unknown_relays.tell(packet.giaddr.into(), from.into());
        }
        tracing::debug!(%reason, client = ?Client::of(packet), "not answered");
        self.common.parts.metrics.unanswered(reason);
        None
    }

    fn count_unserved(&mut self, packet: &v4::Packet, boot: &Boot) {
        if let Some(kind) = v4::unserved(packet) {
            let client = Client::of(packet);
            let client = client.map(|client| client.to_string()).unwrap_or_default();
            self.common.parts.metrics.unserved(self.common.unserved.tell(kind, client));
        }
        if let Some(length) = v4::uncarried(packet, boot) {
            tracing::debug!(client = ?Client::of(packet), length, "link too long");
            self.common.parts.metrics.unserved("LinkTooLong");
        }
    }

    /// Records who has an address from now on, for servers that serve files by address. If the
    /// machine keeps an address from another server, only its own claim is known, sent from there.
    fn hold_address(&self, packet: &v4::Packet, from: Ipv4Addr, reply: &v4::Reply) {
        let machines = self.common.parts.machines.as_ref();
        let Some(machines) = machines.filter(|_| reply.kind == MessageType::Ack) else { return };
        let claimed = Some(packet.ciaddr).filter(|claimed| *claimed == from);
        let addresses = [Some(reply.packet.yiaddr), claimed].into_iter().flatten();
        let mut addresses = addresses.filter(|address| !address.is_unspecified());
        if let Some(address) = addresses.next() {
            machines.hold(address, v4::identity(packet));
        }
    }

    /// Clients that had an address when the last process ended.
    fn recall_neighbors(&self) {
        let now = Timestamp::now();
        let leases = self.common.lease_store.leases.all();
        let bound = leases.into_iter().filter(|lease| lease.is_bound(now));
        bound.for_each(|lease| self.common.parts.neighbors.note(lease.address));
    }
}

fn read_leases(common: &mut LeaseServer<Ipv4Addr>) -> Result<(), lease_file::Error> {
    let LeaseServer { parts, config, lease_store, .. } = common;
    match &parts.lease_file {
        Some(path) => {
            lease_store.open(path)?;
            let leases = lease_store.leases.len();
            tracing::info!(path = %path.display(), leases, "leases loaded");
        }
        None => {
            tracing::warn!("--lease-file is not set: leases are lost when this process ends");
        }
    }
    // Ended leases that the configuration has no place for are not needed.
    lease_store.leases.reconfigure(config, Timestamp::now());
    Ok(())
}
