//! What this process knows about the cluster: one watch per kind, indexed by what is looked up.

mod parts;

use crate::metalman_machines::{self, MachineKey};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_api::{
    Bmc, BmcAccess, BmcSecret, Endpoint, MacAddr, Machine, Server, ServerBootConfiguration,
    ServerClaim, SystemUuid, condition,
};
use metal_core::{
    bmc::stem,
    bmc_host::BmcHost,
    claim::free,
    identity,
    machine_identity::{addresses_of_server, is_same_hardware},
    report::InventorySummary,
    server::{machines::may_be_at_bmc_of, twins},
    trim_metadata,
};
use metal_runtime::{
    health::{Readiness, State},
    index::{
        Index, Shares, footprint,
        readiness::{self, Lists},
    },
};
use parts::Parts;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// Memory for claims, of which a tenant may write any number. One takes some 4 KiB.
const CLAIMS: Shares = Shares { sure: 1 << 20, namespace: 64 << 20, all: 128 << 20 };

/// Lookup keys of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ServerKey {
    /// By system UUID.
    Uuid(SystemUuid),
    /// By the name of its BMC.
    Bmc(String),
    /// By the address or host name in its inline access.
    At(BmcHost),
    /// By the BMCSecret in its inline access.
    Secret(String),
    /// By the MAC address of a network interface.
    Mac(MacAddr),
    /// By namespace and name of the claim that holds it.
    Claim(String, String),
    /// By namespace and name of the claim that was last seen to hold it, if it refers to none.
    Bound(String, String),
    /// By namespace and name of what it boots.
    Boots(String, String),
    /// By the name of another server that it was last seen to share a machine with.
    Twin(String),
    /// Free for a claim.
    Free,
}

/// Lookup keys of an Endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EndpointKey {
    /// By its MAC address.
    Mac(MacAddr),
    /// By its IP address.
    Address(IpAddr),
}

/// Lookup keys of a BMC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BmcKey {
    /// By the name of its Endpoint.
    Endpoint(String),
    /// By the name of its BMCSecret.
    Secret(String),
    /// By the address in its inline access.
    Address(IpAddr),
    /// By what the names of its servers begin with, if that is not its own name.
    Stem(String),
    /// It has systems that are not servers, possibly because of other servers.
    LeavesOut,
}

/// Lookup keys of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClaimKey {
    /// By the server that it names.
    Server(String),
    /// It names no server.
    Open,
}

/// All kinds that the controllers use.
#[derive(Debug)]
pub(crate) struct View {
    /// Endpoints by MAC address, and by IP address.
    pub endpoints: Index<Endpoint, EndpointKey>,
    /// BMCs.
    pub bmcs: Index<Bmc, BmcKey>,
    /// Credentials, by name.
    pub secrets: Index<BmcSecret, ()>,
    /// Servers.
    pub servers: Index<Server, ServerKey>,
    /// Boot configurations by their UID.
    pub configurations: Index<ServerBootConfiguration, String>,
    /// Claims.
    pub claims: Index<ServerClaim, ClaimKey>,
    /// What decisions need of inventories, by name.
    pub inventories: Index<InventorySummary, ()>,
    /// Machines of metalman, by what identifies their hardware.
    pub machines: Index<Machine, MachineKey>,
}

impl Default for View {
    fn default() -> Self {
        let parts = Parts::default();
        Self {
            endpoints: Index::new(endpoint_keys),
            bmcs: Index::new(bmc_keys),
            secrets: Index::new(|_: &BmcSecret| vec![]),
            servers: Index::new(server_keys).trimmed(move |server| parts.share(server)),
            configurations: Index::new(|configuration: &ServerBootConfiguration| {
                configuration.metadata.uid.clone().into_iter().collect()
            })
            .trimmed(trim_metadata::trim),
            claims: Index::new(|claim: &ServerClaim| {
                vec![match &claim.spec.server_ref {
                    Some(server) => ClaimKey::Server(server.name.clone()),
                    None => ClaimKey::Open,
                }]
            })
            .trimmed(trim_metadata::trim)
            .bounded(footprint, CLAIMS),
            inventories: Index::new(|_: &InventorySummary| vec![]).trimmed(trim_inventory),
            machines: metalman_machines::index(),
        }
    }
}

/// The keys of an Endpoint.
pub(crate) fn endpoint_keys(endpoint: &Endpoint) -> Vec<EndpointKey> {
    let ip = endpoint.spec.ip.as_deref().and_then(canonical_ip);
    let mac = endpoint.spec.mac().map(EndpointKey::Mac);
    mac.into_iter().chain(ip.map(EndpointKey::Address)).collect()
}

/// The canonical form of an IP address, as used for keys.
pub(crate) fn canonical_ip(text: &str) -> Option<IpAddr> {
    text.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// The canonical form of a BMC's host, as used for keys.
pub(crate) fn canonical_host(text: &str) -> Option<BmcHost> {
    text.trim().parse::<BmcHost>().ok().map(BmcHost::canonical)
}

fn bmc_keys(bmc: &Bmc) -> Vec<BmcKey> {
    let endpoint = bmc.spec.endpoint_ref.iter().map(|it| BmcKey::Endpoint(it.name.clone()));
    let conditions = bmc.status.iter().flat_map(|status| &status.conditions);
    let mut left_out = conditions.filter(|c| c.type_ == condition::SYSTEMS_KNOWN);
    let leaves_out = left_out.any(|c| c.status == "False").then_some(BmcKey::LeavesOut);
    let secret = BmcKey::Secret(bmc.spec.bmc_secret_ref.name.clone());
    let access = bmc.spec.access.iter().filter_map(|access| canonical_ip(access.ip.as_deref()?));
    let address = access.map(BmcKey::Address);
    let name = bmc.metadata.name.as_deref().unwrap_or_default();
    let stem = Some(stem(name)).filter(|stem| stem != name);
    let stem = stem.map(|stem| BmcKey::Stem(stem.into_owned()));
    endpoint.chain([secret]).chain(address).chain(leaves_out).chain(stem).collect()
}

/// The keys of a system UUID in both byte orders of SMBIOS, which DHCP and HTTP treat as equal.
pub(crate) fn uuid_keys(uuid: SystemUuid) -> impl Iterator<Item = ServerKey> {
    uuid.byte_orders().map(ServerKey::Uuid)
}

fn server_keys(server: &Server) -> Vec<ServerKey> {
    let spec = &server.spec;
    let claim = spec.server_claim_ref.as_ref();
    let bound = server.status.as_ref().and_then(|status| status.bound_claim.as_ref());
    let bound = bound.filter(|_| claim.is_none());
    let boots = spec.boot_configuration_ref.as_ref();
    let macs = mac_addresses(server).into_iter().map(ServerKey::Mac);
    let twins = twins::recorded(server).into_iter().map(ServerKey::Twin);
    [
        spec.effective_uuid().map(ServerKey::Uuid),
        spec.bmc_ref.as_ref().map(|bmc| ServerKey::Bmc(bmc.name.clone())),
        spec.bmc.as_ref().and_then(|bmc| canonical_host(&bmc.address)).map(ServerKey::At),
        spec.bmc.as_ref().map(|bmc| ServerKey::Secret(bmc.bmc_secret_ref.name.clone())),
        claim.map(|claim| ServerKey::Claim(claim.namespace.clone(), claim.name.clone())),
        bound.map(|claim| ServerKey::Bound(claim.namespace.clone(), claim.name.clone())),
        boots.map(|boots| ServerKey::Boots(boots.namespace.clone(), boots.name.clone())),
        free(server).is_ok().then_some(ServerKey::Free),
    ]
    .into_iter()
    .flatten()
    .chain(macs)
    .chain(twins)
    .collect()
}

/// Whether two servers refer to the same system at the same BMC in the same way.
fn is_same_system(server: &Server, other: &Server) -> bool {
    let (own, its) = (&server.spec, &other.spec);
    let place = |access: &BmcAccess| (canonical_host(&access.address), access.protocol.port);
    let is_same_bmc = match (&own.bmc_ref, &its.bmc_ref) {
        (Some(own), Some(its)) => own.name == its.name,
        (None, None) => own
            .bmc
            .as_ref()
            .zip(its.bmc.as_ref())
            .is_some_and(|(own, its)| place(own) == place(its)),
        (Some(_), None) | (None, Some(_)) => false,
    };
    let uris = own.known_system_uri().zip(its.known_system_uri());
    is_same_bmc && uris.is_some_and(|(own, its)| identity::is_same_uri(own, its))
}

/// The MAC addresses of a server, as far as they are known.
fn mac_addresses(server: &Server) -> BTreeSet<MacAddr> {
    let interfaces = server.status.iter().flat_map(|status| &status.network_interfaces);
    interfaces.filter_map(|interface| interface.mac_address.parse().ok()).collect()
}

/// Leaves of the metadata of an inventory what identifies it.
fn trim_inventory(inventory: &mut InventorySummary) {
    let ObjectMeta { name, uid, resource_version, .. } = std::mem::take(&mut inventory.metadata);
    inventory.metadata = ObjectMeta { name, uid, resource_version, ..ObjectMeta::default() };
}

impl View {
    fn lists(&self) -> Lists<'_, 8> {
        Lists([
            ("endpoints", &self.endpoints),
            ("bmcs", &self.bmcs),
            ("bmcsecrets", &self.secrets),
            ("servers", &self.servers),
            ("serverbootconfigurations", &self.configurations),
            ("serverclaims", &self.claims),
            ("serverinventories", &self.inventories),
            ("machines", &self.machines),
        ])
    }

    /// The BMCs at an address.
    pub(crate) fn bmcs_at(&self, address: IpAddr) -> Vec<Arc<Bmc>> {
        let address = address.to_canonical();
        let endpoints = self.endpoints.get(&EndpointKey::Address(address));
        let named = endpoints
            .iter()
            .map(|endpoint| BmcKey::Endpoint(endpoint.metadata.name.clone().unwrap_or_default()));
        let keys = named.chain([BmcKey::Address(address)]);
        keys.flat_map(|key| self.bmcs.get(&key)).collect()
    }

    /// The servers with one of these keys.
    fn servers_of(&self, keys: impl Iterator<Item = ServerKey>) -> Vec<Arc<Server>> {
        keys.flat_map(|key| self.servers.get(&key)).collect()
    }

    /// The other servers that seem to be the same machine, by its UUID or by its system at `bmc`.
    /// If there are any, it is not known whose machine it is.
    /// While it is not known where its BMC is, those that were recorded remain.
    pub(crate) fn twins(&self, server: &Server, bmc: Option<(BmcHost, u16)>) -> Vec<String> {
        let recorded = if bmc.is_none() { twins::recorded(server) } else { vec![] };
        let recorded = recorded.into_iter().filter_map(|name| self.servers.named(None, &name));
        let by_uuid = server.spec.effective_uuid();
        let mut same = self.servers_of(by_uuid.into_iter().flat_map(uuid_keys));
        if let (Some(uri), Some((host, port))) = (server.spec.known_system_uri(), bmc) {
            let bmcs = host.address().map(|address| self.bmcs_at(address));
            let bmcs = bmcs.into_iter().flatten();
            let bmcs = bmcs.filter(|bmc| bmc.spec.protocol.port == i32::from(port));
            let bmcs = bmcs.filter_map(|bmc| bmc.metadata.name.clone().map(ServerKey::Bmc));
            let own = server.spec.bmc_ref.iter().map(|bmc| ServerKey::Bmc(bmc.name.clone()));
            let at = self.servers_of(bmcs.chain(own));
            let inline = self.servers.get(&ServerKey::At(host.canonical()));
            let is_there = |it: &Server| {
                let access = it.spec.bmc.as_ref().filter(|_| it.spec.bmc_ref.is_none());
                access.is_some_and(|access| access.protocol.port == i32::from(port))
            };
            let inline = inline.into_iter().filter(|it| is_there(it));
            same.extend(at.into_iter().chain(inline).filter(|it| {
                it.spec.known_system_uri().is_some_and(|other| identity::is_same_uri(other, uri))
            }));
        }
        same.extend(recorded);
        let twins = same.iter().filter(|other| identity::is_twin(server, other));
        let names = twins.filter_map(|twin| twin.metadata.name.clone());
        let names: BTreeSet<_> = names.chain(self.unreadable_twins(server)).collect();
        names.into_iter().collect()
    }

    /// The servers that cannot be read, but seemed to be the same machine when they could be.
    fn unreadable_twins(&self, server: &Server) -> impl Iterator<Item = String> {
        let is_same = |other: &&Arc<Server>| {
            let uuid = other.spec.effective_uuid();
            let has_uuid = uuid.is_some_and(|uuid| identity::has_uuid(server, uuid));
            let is_twin = has_uuid || is_same_system(server, other);
            is_twin && identity::is_twin(server, other)
        };
        let known = self.servers.withdrawn_objects();
        let known: Vec<_> =
            known.iter().filter(is_same).filter_map(|it| it.metadata.name.clone()).collect();
        let recorded = twins::recorded(server).into_iter();
        let recorded = recorded.filter(|name| self.servers.is_withdrawn(None, name));
        known.into_iter().chain(recorded.collect::<Vec<_>>())
    }

    /// Machines of metalman with a network interface or the UUID of this server, or with its system at
    /// `bmc`: it is not known whose machine it is.
    pub(crate) fn machines_of(&self, server: &Server, bmc: Option<(BmcHost, u16)>) -> Vec<String> {
        let holders = |address| {
            let holders = self.machines.get(&MachineKey::Hardware(address)).into_iter();
            holders.filter(move |machine| is_same_hardware(machine, server, address))
        };
        let mut machines: Vec<_> =
            addresses_of_server(server).into_iter().flat_map(holders).collect();
        if let Some((host, port)) = bmc {
            let there = self.machines.get(&MachineKey::Bmc(host.clone().canonical())).into_iter();
            machines.extend(there.filter(|it| may_be_at_bmc_of(it, server, &host, port)));
        }
        let names = machines.iter().filter_map(|machine| machine.metadata.name.clone());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The other Endpoints with the address of this one.
    pub(crate) fn endpoints_at(&self, endpoint: &Endpoint) -> Vec<String> {
        let Some(ip) = endpoint.spec.ip.as_deref().and_then(canonical_ip) else { return vec![] };
        let name = |it: &Endpoint| it.metadata.name.clone().unwrap_or_default();
        let bmc = |it: &Endpoint| self.bmcs.get(&BmcKey::Endpoint(name(it))).into_iter().next();
        let own = bmc(endpoint);
        let others = self.endpoints.get(&EndpointKey::Address(ip)).into_iter().filter(|other| {
            name(other) != name(endpoint)
                && identity::is_rival(own.as_deref(), other, bmc(other).as_deref())
        });
        others.map(|other| name(&other)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Registers what is waiting for which list; `started` is the time at which the process
    /// started.
    pub(crate) fn register(self: &Arc<Self>, readiness: &Readiness, started: Timestamp) {
        readiness::register(readiness, self, Self::lists);
        let view = Arc::clone(self);
        let waits = format!(
            "the registry asks for reports to be retried; API server not reached since {started:.0}"
        );
        readiness.part("api-server", move || {
            if view.servers.is_ready() { State::Fine } else { State::Unready(waits.clone()) }
        });
    }

    /// The content may be outdated: [`Self::listed`] waits for new lists.
    pub(crate) fn doubt(&self) {
        self.lists().doubt();
    }

    /// Waits for lists of all kinds that arrived after the last doubt.
    pub(crate) async fn listed(&self) {
        self.lists().listed().await;
    }

    /// Whether every list has arrived. Until then a miss means nothing.
    pub(crate) fn is_ready(&self) -> bool {
        self.lists().is_ready()
    }
}

#[cfg(test)]
mod tests;
