//! DHCP for machines: asks [`metal_dhcp::reservations`] for decisions, based on what is known of the
//! cluster.
//!
//! Every replica answers. Addresses are reserved by objects, so two replicas cannot give different
//! answers, and a restart forgets nothing.

mod drop_reason;
mod listen;
#[cfg(test)]
mod tests;

pub(crate) use listen::Listen;

use crate::{
    Context,
    confirm::confirm_here,
    serve_url::ServeUrl,
    status_writes::{Decision, record},
};
use drop_reason::DropReason;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{MacAddr, Machine, SystemUuid};
use metal_base::Never;
use metal_core::machine_identity::{
    lease::{Lease, leases_of},
    told_by_firmware,
};
use metal_dhcp::{
    Client,
    fair_queue::Priority,
    reservations::{Image, Reserved, decide, is_on_link},
    v4::{self, Arrival, MessageType, Reply, code},
};
use metal_machine::{attest::MachineLookupError, operations::installs};
use metal_runtime::{health::ReadinessCondition, report::Chain};
use metal_serve::{
    dhcp::{
        self, Answer, Error, LogOnce, Metrics, Request, Responder, Server, Sockets,
        UnservedArchitectures, link::v4::Link,
    },
    neighbor_limit::NeighborLimit,
};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// For how many machines the log has an entry, once for each reason.
const MACHINES: usize = 4096;

/// What the server depends on.
pub(crate) struct Parts {
    /// What is known of the cluster.
    pub(crate) ctx: Arc<Context>,
    /// Where packets come in.
    pub(crate) listen: Listen,
    /// Where machines find their files.
    pub(crate) url: ServeUrl,
    /// Whose addresses are known.
    pub(crate) neighbors: NeighborLimit,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Open while all bind targets are served.
    pub(crate) ready: ReadinessCondition,
}

/// Makes the decisions.
struct Dhcp {
    parts: Parts,
    /// Separate, as anybody can make up MAC addresses.
    strangers: LogOnce<(String, &'static str)>,
    /// Existing machines.
    machines: LogOnce<(String, &'static str)>,
    unserved: UnservedArchitectures,
}

/// Serves until `shutdown`. Blocks. Sends the addresses of its sockets to `opened` once they are
/// open.
///
/// # Errors
///
/// If it cannot start.
pub(crate) fn serve(
    parts: Parts,
    opened: oneshot::Sender<Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    dhcp::serve(|| open(parts), opened, shutdown)
}

fn open(parts: Parts) -> Result<Server<Dhcp>, Error> {
    let mut sockets = Sockets::default();
    sockets.serve(&parts.listen.bind_targets())?;
    let metrics = parts.metrics.clone();
    let (strangers, machines) = (LogOnce::default(), LogOnce::with_room_for(MACHINES));
    let dhcp = Dhcp { parts, strangers, machines, unserved: UnservedArchitectures::default() };
    dhcp.look_after(&mut sockets);
    Ok(Server::new(dhcp, sockets, metrics))
}

impl Responder for Dhcp {
    type Link = Link;
    type News = Never;

    fn source_of(&self, request: &Request<Link>) -> (Priority, Option<Client>) {
        let client = Client::of(&request.packet);
        let mac = client.as_ref().and_then(Client::mac);
        let is_known = mac.is_some_and(|mac| self.parts.ctx.view.knows(mac));
        (if is_known { Priority::Known } else { Priority::Unknown }, client)
    }

    fn decide(
        &mut self,
        links: &[Link],
        request: Request<Link>,
        now: Timestamp,
    ) -> Option<Answer<Link, Never>> {
        match self.reply(&links[request.link], &request, now) {
            Ok(reply) => {
                self.count_unserved(&request.packet, &reply);
                let Request { link, from, to, .. } = request;
                Some(Answer { link, from, own: to, reply, is_durable: false, news: None })
            }
            Err(silent) => {
                self.drop_request(&request.packet, &silent);
                None
            }
        }
    }

    async fn maintain(&mut self, sockets: &mut Sockets<Link>) {
        if let Err(error) = self.parts.listen.follow(sockets) {
            tracing::debug!(
                error = %Chain(&error),
                "could not update the listening sockets",
            );
        }
        self.look_after(sockets);
    }

    fn close(self) {}
}

/// The machine that has sent a request.
struct Sender {
    mac: MacAddr,
    machine: Arc<Machine>,
    /// Whether it is told what its image has for it.
    is_told: bool,
}

impl Dhcp {
    /// Who has sent it, if it is ours to answer.
    fn sender(&self, request: &Request<Link>) -> Result<Sender, DropReason> {
        let Request { packet, from, to, .. } = request;
        let Parts { ctx, listen, .. } = &self.parts;
        if !ctx.view.is_ready() {
            return Err(DropReason::NotListed);
        }
        if !listen.hears(packet, *to) {
            return Err(DropReason::NotRelayed);
        }
        let mac =
            Client::of(packet).and_then(|client| client.mac()).ok_or(DropReason::Unidentified)?;
        let machine = ctx.view.machine_with(mac).map_err(|why| DropReason::Lookup(mac, why))?;
        let uuid = v4::identity(packet).and_then(|identity| identity.uuid);
        // Before anything is refused: a board may have come from another machine, and while the record says the
        // one before, a Server of that one would be taken for this machine for good.
        if let Some(uuid) = uuid
            && comes_from_its_link(packet, *from, *to)
        {
            self.note_hardware(&machine, uuid);
        }
        let boots = v4::identity(packet).is_some();
        let is_anothers = uuid.is_some_and(|uuid| ctx.view.is_of_another(&machine, uuid));
        // Neither of the two programs boots it.
        let is_also_server = boots && !ctx.view.servers_like(&machine).is_empty();
        // Its operating system gets the address, whatever it asks like.
        let is_up = v4::is_up(packet);
        if (is_anothers || is_also_server) && !is_up {
            return Err(DropReason::Lookup(mac, MachineLookupError::Ambiguous));
        }
        let is_discover = MessageType::of(packet) == Some(MessageType::Discover);
        let is_stale = boots && is_discover && confirm_here(ctx, &machine).is_err();
        if is_stale && !is_up {
            return Err(DropReason::StaleCache);
        }
        Ok(Sender { mac, machine, is_told: !(is_anothers || is_also_server || is_stale) })
    }

    fn reply(
        &self,
        link: &Link,
        request: &Request<Link>,
        now: Timestamp,
    ) -> Result<Box<Reply>, DropReason> {
        let Sender { mac, machine, is_told } = self.sender(request)?;
        let Request { packet, from, to, .. } = request;
        let Parts { ctx, url, neighbors, .. } = &self.parts;
        let leases = leases_of(&machine, mac);
        let name = machine.name_any();
        let Some(server) = to.or_else(|| own_address(link, &leases)) else {
            return Err(DropReason::NoServerAddress);
        };
        let (url, tftp) = (url.at(server), url.bound());
        let image = ctx.images.of(&machine).filter(|_| is_told);
        let has = |path: &str| image.as_ref().is_some_and(|image| image.has(path));
        let image = image
            .as_ref()
            .map(|image| Image { boot_file: image.boot_file().unwrap_or_default(), has: &has });
        let reserved = Reserved { leases: &leases, hostname: &name, image, url: &url, tftp };
        let (is_unicast, port) = (to.is_some(), v4::SERVER_PORT);
        let arrival = Arrival { server, link: &[], is_unicast, port, from: *from };
        let reply = decide(&reserved, packet, arrival, now);
        let reply = reply.map_err(|why| DropReason::Machine { name, why })?;
        let is_gateway = |to| leases.iter().any(|lease| lease.gateway == Some(to));
        if !neighbors.admits_reply(&reply, is_gateway) {
            return Err(DropReason::Overloaded);
        }
        neighbors.note_reply(&reply);
        Ok(reply)
    }

    /// Records which hardware a machine is that has no BMC to tell it: whoever else looks after that hardware is
    /// to know.
    fn note_hardware(&self, machine: &Arc<Machine>, uuid: SystemUuid) {
        let ctx = &self.parts.ctx;
        if told_by_firmware(machine, uuid).is_none() || !ctx.hardware.may(&machine.name_any()) {
            return;
        }
        let (ctx, machine) = (Arc::clone(ctx), Arc::clone(machine));
        self.parts.ctx.live.runtime.spawn(async move {
            let recorded = record(&ctx, Arc::clone(&machine), |machine| Decision {
                status: told_by_firmware(machine, uuid).map(Box::new),
                result: (),
            });
            if let Err(error) = recorded.await {
                let (machine, error) = (machine.name_any(), Chain(&error));
                tracing::warn!(machine, %error, "UUID of a machine not recorded");
            }
        });
    }

    /// Counts firmware that gets an address but no boot file, because its image has none for it.
    fn count_unserved(&mut self, packet: &v4::Packet, reply: &Reply) {
        let is_firmware = v4::identity(packet).is_some() && !v4::is_up(packet);
        if !is_firmware || reply.kind != MessageType::Offer {
            return;
        }
        if let Some(kind) = v4::unserved(packet) {
            let client = Client::of(packet).map(|client| client.to_string()).unwrap_or_default();
            self.parts.metrics.unserved(self.unserved.tell(kind, client));
        } else if reply.packet.options.get(code::BOOT_FILE).is_none() {
            self.parts.metrics.unserved("NoFile");
        } else {
            return;
        }
        self.tell_unserved(packet);
    }

    /// Tells of a machine that is to be installed, and gets nothing to boot: otherwise it is only an installer that
    /// is never heard of.
    fn tell_unserved(&self, packet: &v4::Packet) {
        let ctx = &self.parts.ctx;
        let Some(mac) = Client::of(packet).and_then(|client| client.mac()) else { return };
        let Ok(machine) = ctx.view.machine_with(mac) else { return };
        if installs(&machine, ctx.now()).is_none() || !ctx.unserved.may(&machine.name_any()) {
            return;
        }
        let (ctx, note) = (Arc::clone(ctx), no_boot_file(packet));
        self.parts.ctx.live.runtime.spawn(async move {
            ctx.publish_event(&machine, EventType::Warning, "NoBootFile", &note).await;
        });
    }

    fn drop_request(&mut self, packet: &v4::Packet, silent: &DropReason) {
        let label = silent.label();
        self.parts.metrics.unanswered(label);
        if silent.is_conflict() {
            self.parts.metrics.conflicted();
        }
        let told = if silent.is_of_a_machine() { &mut self.machines } else { &mut self.strangers };
        silent.tell(packet, |whom| told.is_due((whom, label)));
    }

    fn look_after(&self, sockets: &mut Sockets<Link>) {
        sockets.follow_interfaces();
        for link in sockets.links_mut() {
            // The address to use for a machine is determined by its request.
            link.find_address(|_| true);
        }
        let ready = &self.parts.ready;
        match self.parts.listen.waits_for(sockets.links()) {
            None => ready.open(),
            Some(what) => ready.wait_for(what),
        }
    }
}

/// What a person may do about firmware for which an image has no boot file (RFC 4578, section 2.1).
fn no_boot_file(packet: &v4::Packet) -> String {
    let told = packet.options.get(code::ARCHITECTURE).and_then(|told| told.first_chunk::<2>());
    let what = match told.map(|told| u16::from_be_bytes(*told)) {
        Some(0) => "for BIOS: set up the machine to boot by UEFI".to_owned(),
        Some(number) => format!(
            "for its architecture, which is number {number} in DHCP: name another image, or correct the label \
             kubernetes.io/arch"
        ),
        None => "for it, and it does not say its architecture".to_owned(),
    };
    format!(
        "the machine boots from the network to be installed, but its image has no boot file {what}"
    )
}

/// Whether a packet comes from the link of its client: a broadcast that we have heard there, or what a relay
/// sends by the address that it gives itself (RFC 2131, section 4.1). Anybody who reaches us can send another one.
fn comes_from_its_link(packet: &v4::Packet, from: SocketAddrV4, to: Option<Ipv4Addr>) -> bool {
    if packet.giaddr.is_unspecified() { to.is_none() } else { packet.giaddr == *from.ip() }
}

/// Our address in the machine's subnet, or else any address of this link.
fn own_address(link: &Link, leases: &[Lease]) -> Option<Ipv4Addr> {
    let on_link = link.addresses.iter().copied().find(|own| is_on_link(leases, *own));
    on_link.or(link.address)
}
