//! The DHCPv6 server: its leases on disk, and the recording of BMCs, around
//! [`metal_dhcp::v6::decide`]. The loop is in [`metal_serve::dhcp`]. The lease file is next to that
//! of DHCPv4.

#[cfg(test)]
mod tests;

use crate::{ServerParts, lease_file, lease_server::LeaseServer};
use jiff::Timestamp;
use metal_core::endpoint::Sighting;
use metal_dhcp::{
    Client,
    config::{self, Config},
    fair_queue::Priority,
    v6::{self, Arrival, DropReason, Packet},
};
use metal_serve::dhcp::{
    self, Request, Responder, Server, Sockets,
    link::{
        self,
        v6::{BindTarget, Link, ServerDuid, bind_targets, duid},
    },
};
use std::{
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Why a bind target cannot be served.
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
    /// Its lease file is opened when the configuration has a DHCPv6 server for the first time.
    common: LeaseServer<Ipv6Addr>,
    duid: ServerDuid,
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

fn open(parts: ServerParts) -> Result<Server<V6>, Error> {
    let common = LeaseServer::new(parts);
    let (config, metrics) = (Arc::clone(&common.config), common.parts.metrics.clone());
    let mut sockets = Sockets::default();
    let mut v6 = V6 { common, duid: ServerDuid::default() };
    v6.take(config, &mut sockets)?;
    v6.common.recall_bmcs();
    v6.common.lease_store.publish_all();
    v6.common.count();
    Ok(Server::new(v6, sockets, metrics))
}

impl Responder for V6 {
    type Link = Link;
    type News = Sighting<Ipv6Addr>;

    fn answers(&mut self) -> bool {
        self.common.answers()
    }

    fn source_of(&self, request: &Request<Link>) -> (Priority, Option<Client>) {
        let mut clients = v6::clients(&request.packet, *request.from.ip());
        let priority = clients.iter().map(|client| self.common.priority_of(client)).max();
        (priority.unwrap_or(Priority::Unknown), clients.pop())
    }

    fn decide(&mut self, links: &[Link], request: Request<Link>, now: Timestamp) -> Option<Answer> {
        let Request { link, from, to, packet } = request;
        let boot = self.common.boot_of(v6::identity(&packet, *from.ip()));
        let LeaseServer { config, bmcs, lease_store, .. } = &self.common;
        let v6 = config.dhcp6.as_ref()?;
        let leases = &lease_store.leases;
        let server = v6::Server { config, v6, id: &self.duid.id, bmcs, leases, boot: &boot };
        let Link { bind_target, addresses, .. } = &links[link];
        let arrival = Arrival { interface: bind_target.interface(), addresses, from };
        let decision = v6::decide(server, &packet, arrival, now);
        let is_durable = self.common.record(decision.changes);
        for address in decision.doubted {
            self.common.lease_store.leases.doubt(address, now);
        }
        if let Some(subnet) = decision.exhausted {
            self.common.parts.metrics.unanswered("NoFreeAddress");
            self.common.tell_exhausted(&subnet);
        }
        let reply = match decision.answer {
            Ok(reply) => reply,
            Err(reason) => return self.drop_request(&packet, from, reason),
        };
        if !self.admits(*reply.to.ip()) {
            self.common.parts.metrics.overloaded();
            return None;
        }
        if is_durable {
            // It has requested what it was offered there.
            self.common.parts.neighbors.note(*reply.to.ip());
        }
        if let Some(kind) = v6::unserved(&packet) {
            self.common.parts.metrics.unserved(self.common.unserved.tell(kind, from));
        }
        Some(Answer { link, from, own: to, reply, is_durable, news: decision.bmc })
    }

    fn commit(&mut self) -> bool {
        self.common.commit()
    }

    fn tell(&mut self, bmc: Sighting<Ipv6Addr>) {
        self.common.tell(bmc);
    }

    async fn maintain(&mut self, sockets: &mut Sockets<Link>) {
        if let Some(config) = self.common.new_config()
            && let Err(error) = self.take(config, sockets)
        {
            self.common.refuse(&error);
        }
        self.look_after(sockets);
        self.common.maintain().await;
    }

    fn close(self) {
        self.common.lease_store.close();
    }
}

impl V6 {
    /// Adopts a configuration; if that fails, the previous one stays in force.
    fn take(&mut self, config: Arc<Config>, sockets: &mut Sockets<Link>) -> Result<(), Error> {
        let wanted: Vec<BindTarget> = config.dhcp6.as_ref().map(bind_targets).unwrap_or_default();
        let duid = config.dhcp6.as_ref().map(own_duid).transpose()?.unwrap_or_default();
        let LeaseServer { parts, lease_store, .. } = &mut self.common;
        let file = parts.lease_file.as_ref().filter(|_| !lease_store.is_kept());
        if let Some(path) = file.filter(|_| config.dhcp6.is_some()) {
            lease_store.open(&beside(path))?;
            lease_store.publish_all();
        }
        sockets.serve(&wanted)?;
        if duid.is_of_other && duid != self.duid {
            tracing::warn!(
                hint = "set dhcp6.duid",
                "no interface in dhcp6.interfaces or with an address in dhcp6.listen has a MAC \
                 address: the DUID of the server is made from another one, which may be one of a \
                 container"
            );
        }
        if let Some(own) = config.unserved_tftp(is_own) {
            let hint = "add it, or `::`, to tftp.listen";
            tracing::warn!(
                address = %own, hint,
                "dhcp6.boot names files that are not served: TFTP does not listen there"
            );
        }
        if let Some(v6) = &config.dhcp6 {
            v6::reconfigure(&mut self.common.lease_store.leases, v6, Timestamp::now());
        }
        self.duid = duid;
        self.common.adopt(config);
        self.look_after(sockets);
        Ok(())
    }

    /// Whether an answer may be sent to this address now.
    fn admits(&self, to: Ipv6Addr) -> bool {
        let LeaseServer { parts, config, .. } = &self.common;
        let is_relay = config.dhcp6.as_ref().is_some_and(|dhcp6| dhcp6.names_relay(to));
        is_relay || parts.neighbors.admits(to)
    }

    fn drop_request(
        &mut self,
        packet: &Packet,
        from: SocketAddrV6,
        reason: DropReason,
    ) -> Option<Answer> {
        if reason == DropReason::UnknownRelay {
            let named = v6::link_of(packet).unwrap_or(*from.ip());
            self.common.unknown_relays.tell(named.into(), (*from.ip()).into());
        }
        tracing::debug!(%reason, %from, "not answered");
        self.common.parts.metrics.unanswered(reason);
        None
    }

    /// Follows interfaces that appear, disappear and change their addresses.
    fn look_after(&self, sockets: &mut Sockets<Link>) {
        sockets.follow_interfaces();
        for link in sockets.links_mut() {
            link.find_addresses();
            if let Some(v6) = &self.common.config.dhcp6 {
                link.look_for_subnet(v6);
            }
        }
        let links = sockets.links();
        let count = |is: fn(&&Link) -> bool| links.iter().filter(is).count();
        let LeaseServer { parts, .. } = &self.common;
        let metrics = &parts.metrics;
        metrics.links(count(|it| it.is_without_subnet), count(|it| it.has_several_subnets));
        match links.iter().find(|link| !link.can_send) {
            None => parts.ready.open(),
            Some(link) => {
                parts.ready.wait_for(format!("an IPv6 link-local address on {}", link.bind_target));
            }
        }
    }
}

/// The DUID in the configuration, or one that is made from an interface.
fn own_duid(config: &config::v6::Config) -> Result<ServerDuid, Error> {
    let configured = config.duid.clone().map(|id| ServerDuid { id, is_of_other: false });
    configured.or_else(|| duid(config)).ok_or(Error::NoDuid)
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
