//! What the API server says about machines: which servers they are, and what they boot.
//!
//! Packets are answered from here, without requests to the API server. Once everything has been
//! listed, an outage of the API server changes nothing: the last known state counts.

mod boot_urls;
mod conflict;
mod holders;
mod notices;

use boot_urls::{BootUrls, FoundUrls};
use holders::Holders;
use jiff::Timestamp;
use kube::{Client, Resource};
use metal_api::{
    HttpBootConfig, HttpBootConfigSpec, HttpBootConfigStatus, IpxeBootConfig, IpxeBootConfigSpec,
    IpxeBootConfigStatus, MacAddr, NetworkInterface, ObjectReference, Server,
    ServerBootConfiguration, ServerStatus, SystemUuid,
};
use metal_core::{
    boot::decision::{
        Boot, CandidateServer, Identity, KnownServers, Reason, by_url, current, decide,
    },
    identity::of_machine,
    trim_metadata,
};
use metal_runtime::{
    follow,
    health::ReadinessCondition,
    index::{Ended, Index, readiness::Lists},
};
use notices::Notices;
use std::{net::Ipv4Addr, sync::Arc};

/// Lookup keys of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Uuid(SystemUuid),
    Mac(MacAddr),
}

/// Kinds that are looked up by name only.
type ByName<K> = Index<K, ()>;

/// Servers, and the objects that they refer to.
#[derive(Debug)]
pub(crate) struct Machines {
    servers: Index<Server, Key>,
    configurations: ByName<ServerBootConfiguration>,
    http: ByName<HttpBootConfig>,
    ipxe: ByName<IpxeBootConfig>,
    /// `None` if nobody may make any.
    urls: Option<BootUrls>,
    holders: Holders,
    notices: Notices,
}

impl Default for Machines {
    fn default() -> Self {
        Self {
            servers: Index::new(keys_of).trimmed(prune_server),
            configurations: Index::new(|_| Vec::new()).trimmed(prune_configuration),
            http: Index::new(|_| Vec::new()).trimmed(prune_http),
            ipxe: Index::new(|_| Vec::new()).trimmed(prune_ipxe),
            urls: None,
            holders: Holders::default(),
            notices: Notices::default(),
        }
    }
}

/// A server, with the objects that it refers to.
struct Found {
    server: Arc<Server>,
    configuration: Option<Arc<ServerBootConfiguration>>,
    http: Option<Arc<HttpBootConfig>>,
    ipxe: Option<Arc<IpxeBootConfig>>,
}

impl Machines {
    /// Those of a site, with boot URLs in Secrets of this namespace, if there is one.
    pub(crate) fn new(boot_url_namespace: Option<String>) -> Self {
        Self { urls: boot_url_namespace.map(BootUrls::of), ..Self::default() }
    }

    /// Watches all kinds forever, and opens `listed` once everything is known.
    ///
    /// # Errors
    ///
    /// When a watch ends, which it never should.
    pub(crate) async fn follow(
        &self,
        client: &Client,
        listed: &ReadinessCondition,
    ) -> Result<(), Ended> {
        let listed_all = async {
            self.lists().listed().await;
            if let Some(urls) = &self.urls {
                tokio::join!(urls.secrets.listed(), urls.machines.listed());
            }
        };
        let follow_urls = async {
            match &self.urls {
                Some(urls) => urls.follow(client, &self.notices).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(
            follow(client, &self.servers, |_| {}),
            follow(client, &self.configurations, |_| {}),
            follow(client, &self.http, |_| {}),
            follow(client, &self.ipxe, |_| {}),
            follow_urls,
            listed.open_after::<Result<(), Ended>>(listed_all),
            self.notices.tell(client),
        )
        .map(drop)
    }

    fn lists(&self) -> Lists<'_, 4> {
        Lists([
            ("servers", &self.servers),
            ("serverbootconfigurations", &self.configurations),
            ("httpbootconfigs", &self.http),
            ("ipxebootconfigs", &self.ipxe),
        ])
    }

    /// Whether everything was listed.
    fn is_ready(&self) -> bool {
        let has_urls = |urls: &BootUrls| urls.secrets.is_ready() && urls.machines.is_ready();
        self.lists().is_ready() && self.urls.as_ref().is_none_or(has_urls)
    }

    /// What a machine boots. Never waits.
    pub(crate) fn boot_of(&self, identity: Identity) -> Boot {
        if !self.is_ready() {
            return decide(&KnownServers::Nothing, Timestamp::now());
        }
        let found: Vec<Found> =
            self.servers_of(identity).into_iter().map(|server| self.find(server)).collect();
        let candidates = found.iter().map(|found| CandidateServer {
            server: &found.server,
            configuration: found.configuration.as_deref(),
            http: found.http.as_deref(),
            ipxe: found.ipxe.as_deref(),
        });
        let FoundUrls { urls, mut about, machines } = self.urls_of(identity);
        let from_url = by_url(&urls, found.len() + machines);
        let decided = || decide(&KnownServers::Servers(candidates.collect()), Timestamp::now());
        let boot = from_url.unwrap_or_else(decided);
        if boot == Boot::Nothing(Reason::Ambiguous) {
            about.retain(|_| !urls.is_empty());
            about.extend(found.iter().map(|found| found.server.object_ref(&())));
            self.notices.add(|| conflict::notice(identity, about));
        }
        boot
    }

    fn urls_of(&self, identity: Identity) -> FoundUrls {
        let found = self.urls.as_ref().zip(identity.mac).map(|(urls, mac)| urls.find(mac));
        found.unwrap_or_default()
    }

    /// Records who has an address from now on; `None` for a client that does not boot.
    pub(crate) fn hold(&self, address: Ipv4Addr, identity: Option<Identity>) {
        self.holders.hold(address, identity);
    }

    /// Whether a server has the MAC address of a client.
    pub(crate) fn knows(&self, client: &metal_dhcp::Client) -> bool {
        client.mac().is_some_and(|mac| !self.servers.get(&Key::Mac(mac)).is_empty())
    }

    /// What the machine with an address boots. Never waits.
    pub(crate) fn boot_at(&self, address: Ipv4Addr) -> Boot {
        self.holders.of(address).map_or(Boot::Default, |identity| self.boot_of(identity))
    }

    /// The servers that a machine may be. UUIDs may be in the byte order of SMBIOS or in that used by
    /// firmware before SMBIOS 2.6 and some BMCs; MAC addresses are known once a server was discovered.
    /// If these contradict each other, several are found, and none boots.
    fn servers_of(&self, Identity { mac, uuid }: Identity) -> Vec<Arc<Server>> {
        let uuids = uuid.into_iter().flat_map(SystemUuid::byte_orders).map(Key::Uuid);
        let by_uuid = uuids.flat_map(|key| self.servers.get(&key)).collect();
        let by_mac = mac.map(|mac| self.servers.get(&Key::Mac(mac))).unwrap_or_default();
        of_machine(by_uuid, by_mac, |server| server)
    }

    fn find(&self, server: Arc<Server>) -> Found {
        let Some(ObjectReference { namespace, name }) = current(&server).cloned() else {
            return Found { server, configuration: None, http: None, ipxe: None };
        };
        let namespace = Some(namespace.as_str());
        Found {
            server,
            configuration: self.configurations.named(namespace, &name),
            http: self.http.named(namespace, &name),
            ipxe: self.ipxe.named(namespace, &name),
        }
    }
}

fn keys_of(server: &Server) -> Vec<Key> {
    let uuid = server.spec.effective_uuid();
    let interfaces = server.status.iter().flat_map(|status| &status.network_interfaces);
    let macs = interfaces.filter_map(|interface| interface.mac_address.parse().ok());
    let mut keys: Vec<Key> = macs.map(Key::Mac).chain(uuid.map(Key::Uuid)).collect();
    // Bonds have the address of their first port.
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

/// Reduces a server to what the decision needs; the rest of an inventory is many times as large.
fn prune_server(server: &mut Server) {
    let Some(status) = server.status.take() else { return };
    let interface = |interface: NetworkInterface| NetworkInterface {
        mac_address: interface.mac_address,
        ..NetworkInterface::default()
    };
    server.status = Some(ServerStatus {
        state: status.state,
        boot_window: status.boot_window,
        network_interfaces: status.network_interfaces.into_iter().map(interface).collect(),
        ..ServerStatus::default()
    });
}

fn prune_configuration(configuration: &mut ServerBootConfiguration) {
    trim_metadata::trim(configuration);
    if let Some(status) = &mut configuration.status {
        status.conditions.clear();
    }
}

fn prune_http(config: &mut HttpBootConfig) {
    trim_metadata::trim(config);
    let uki_url = config.spec.uki_url.take();
    config.spec = HttpBootConfigSpec { uki_url, ..HttpBootConfigSpec::default() };
    config.status = None::<HttpBootConfigStatus>;
}

fn prune_ipxe(config: &mut IpxeBootConfig) {
    trim_metadata::trim(config);
    config.spec = IpxeBootConfigSpec::default();
    config.status = None::<IpxeBootConfigStatus>;
}

#[cfg(test)]
pub(crate) mod tests;
