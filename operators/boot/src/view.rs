//! What this process knows about the cluster: one watch per kind, indexed by what is looked up.

use crate::{
    blob_refs::{self, BlobRef},
    leases::Leases,
    served::{CurrentServing, Serving},
};
use jiff::Timestamp;
use metal_api::{
    HttpBootConfig, IpxeBootConfig, LocalObjectReference, MacAddr, NetworkInterface, Server,
    ServerBootConfiguration, ServerStatus, SystemUuid,
};
use metal_core::{boot::address, identity, trim_metadata};
use metal_runtime::{
    health::{Readiness, State},
    index::{Index, readiness::Lists},
};
use std::{net::IpAddr, sync::Arc};

/// Lookup keys of a boot config.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConfigKey {
    /// By system UUID.
    Uuid(SystemUuid),
    /// By an address of the machine, in the form of [`canonical_address`].
    Address(String),
    /// By namespace and name of a Secret that it refers to.
    Secret(String, String),
    /// By the UKI at its URL.
    Uki(BlobRef),
}

/// Lookup keys of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    /// By system UUID.
    Uuid(SystemUuid),
    /// By the MAC address of an interface.
    Mac(MacAddr),
}

/// Lookup keys of a ServerBootConfiguration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConfigurationKey {
    /// By the name of its server.
    Server(String),
    /// By namespace and name of its Secret.
    Secret(String, String),
    /// By its UID.
    Uid(String),
}

/// All kinds that are watched.
#[derive(Debug)]
pub(crate) struct View {
    /// What machines get by iPXE.
    pub ipxe: Index<IpxeBootConfig, ConfigKey>,
    /// What machines get by UEFI HTTP boot.
    pub http: Index<HttpBootConfig, ConfigKey>,
    /// Servers, reduced to what a boot needs.
    pub servers: Index<Server, ServerKey>,
    /// What servers boot.
    pub configurations: Index<ServerBootConfiguration, ConfigurationKey>,
    /// Whether some of it was stored by an earlier process.
    pub served: CurrentServing,
    /// The addresses of machines.
    pub leases: Leases,
}

impl Default for View {
    fn default() -> Self {
        Self {
            ipxe: Index::new(ipxe_keys).trimmed(trim_metadata::trim),
            http: Index::new(http_keys).trimmed(trim_metadata::trim),
            servers: Index::new(server_keys).trimmed(prune),
            configurations: Index::new(configuration_keys).trimmed(trim_metadata::trim),
            served: CurrentServing::default(),
            leases: Leases::default(),
        }
    }
}

impl View {
    fn lists(&self) -> Lists<'_, 4> {
        Lists([
            ("ipxebootconfigs", &self.ipxe),
            ("httpbootconfigs", &self.http),
            ("servers", &self.servers),
            ("serverbootconfigurations", &self.configurations),
        ])
    }

    /// Whether every list has arrived. Until then a miss means nothing.
    pub(crate) fn is_ready(&self) -> bool {
        self.lists().is_ready()
    }

    /// The content may be outdated: [`Self::listed`] waits for new lists.
    pub(crate) fn doubt(&self) {
        self.lists().doubt();
    }

    /// Waits for lists of all kinds that arrived after the last doubt.
    pub(crate) async fn listed(&self) {
        self.lists().listed().await;
    }

    /// Whether a machine may be answered: from what has been listed, or from stored objects, where
    /// a miss means nothing. Leases are waited for only briefly.
    pub(crate) fn may_answer(&self) -> bool {
        (self.is_ready() && self.leases.is_settled()) || self.served.get().is_some()
    }

    /// Registers what is waiting for which list, and what is served until then; `started` is the
    /// time at which the process started.
    pub(crate) fn register(self: &Arc<Self>, readiness: &Readiness, started: Timestamp) {
        for (place, (kind, _)) in self.lists().0.into_iter().enumerate() {
            let (view, waits) = (Arc::clone(self), format!("waiting for the list of {kind}"));
            readiness.part(kind, move || {
                match (view.lists().is_ready_at(place), view.served.get()) {
                    (true, _) => State::Fine,
                    (false, Some(_)) => State::Noted(waits.clone()),
                    (false, None) => State::Unready(waits.clone()),
                }
            });
        }
        let view = Arc::clone(self);
        let since = format!("API server not reached since {started:.0}");
        readiness.part("api-server", move || match (view.is_ready(), view.served.get()) {
            (true, _) => State::Fine,
            (false, None) => State::Unready(format!("nothing to serve; {since}")),
            (false, Some(Serving::Boots(boots))) => {
                State::Noted(format!("serving stored boots ({boots}); {since}"))
            }
            (false, Some(Serving::Images(_))) => State::Noted(format!(
                "serving images only: stored boots need --ignition-key-file; {since}"
            )),
        });
    }

    /// The boot configs for iPXE of a machine that says it has this UUID.
    pub(crate) fn ipxe_of(&self, uuid: SystemUuid) -> Vec<Arc<IpxeBootConfig>> {
        by_uuid(uuid, |uuid| self.ipxe.get(&ConfigKey::Uuid(uuid)))
    }

    /// The boot configs for UEFI HTTP boot of a machine with this UUID.
    pub(crate) fn http_of(&self, uuid: SystemUuid) -> Vec<Arc<HttpBootConfig>> {
        by_uuid(uuid, |uuid| self.http.get(&ConfigKey::Uuid(uuid)))
    }

    /// The name of the server that a ServerBootConfiguration with this UID is for.
    pub(crate) fn server_of_boot(&self, uid: &str) -> Option<String> {
        let found = self.configurations.get(&ConfigurationKey::Uid(uid.to_owned()));
        found.first().map(|configuration| configuration.spec.server_ref.name.clone())
    }

    /// The servers with the UUID in a boot config.
    pub(crate) fn servers_of(&self, uuid: Option<SystemUuid>) -> Vec<Arc<Server>> {
        let found = uuid.map(|uuid| by_uuid(uuid, |uuid| self.servers.get(&ServerKey::Uuid(uuid))));
        let mut found = found.unwrap_or_default();
        identity::keep_admitted(&mut found, |server| server);
        found
    }

    /// The admitted servers with any of these MAC addresses, or IP addresses that netboot has leased.
    /// A server that nobody has admitted may have any address in its inventory.
    pub(crate) fn servers_at(&self, addresses: &[String], now: Timestamp) -> Vec<Arc<Server>> {
        let mut found: Vec<Arc<Server>> = vec![];
        for address in addresses.iter().filter_map(|text| as_address(text)) {
            let mac = address.parse::<MacAddr>().ok().or_else(|| {
                let ip = address.parse().ok()?;
                self.leases.holder(ip, now)
            });
            let servers = mac.map(|mac| self.servers.get(&ServerKey::Mac(mac)));
            found.extend(servers.into_iter().flatten().filter(|it| identity::is_admitted(it)));
        }
        found.sort_unstable_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        found.dedup_by(|one, other| one.metadata.name == other.metadata.name);
        found
    }

    /// Whether several servers have a MAC address, as is possible for the interfaces between hosts
    /// and BMCs: then it does not identify any of them.
    pub(crate) fn is_shared(&self, mac: MacAddr) -> bool {
        self.with_mac(mac) > 1
    }

    /// Whether exactly one server has a MAC address.
    pub(crate) fn is_of_a_server(&self, mac: MacAddr) -> bool {
        self.with_mac(mac) == 1
    }

    /// How many servers have a MAC address. Servers that nobody has admitted do not count against
    /// others.
    fn with_mac(&self, mac: MacAddr) -> usize {
        let mut found = self.servers.get(&ServerKey::Mac(mac));
        identity::keep_admitted(&mut found, |server| server);
        found.len()
    }
}

/// Everything with this UUID in either byte order of SMBIOS: if there are both, the machine is
/// ambiguous.
fn by_uuid<T>(uuid: SystemUuid, get: impl Fn(SystemUuid) -> Vec<T>) -> Vec<T> {
    uuid.byte_orders().flat_map(get).collect()
}

/// The canonical form of an IP or MAC address, as used for keys.
pub(crate) fn canonical_address(text: &str) -> String {
    as_address(text).unwrap_or_else(|| text.trim().to_ascii_lowercase())
}

/// The same, or `None` if it is not an address. Proxies append a port to an IP address, and then
/// put brackets around IPv6 addresses, quotes around both (RFC 7239, section 6), and a zone in
/// link-local ones.
pub(crate) fn as_address(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"');
    if let Ok(mac) = text.parse::<MacAddr>() {
        return Some(mac.to_string());
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let host = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let is_end = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            Some(host).filter(|_| is_end)?
        }
        None => match text.split_once(':') {
            Some((host, port)) if is_port(port) && host.contains('.') => host,
            Some(_) | None => text,
        },
    };
    let host = host.split_once('%').map_or(host, |(host, _)| host);
    Some(host.parse::<IpAddr>().ok()?.to_canonical().to_string())
}

fn server_keys(server: &Server) -> Vec<ServerKey> {
    let uuid = server.spec.effective_uuid().map(ServerKey::Uuid);
    uuid.into_iter().chain(address::macs_of(server).into_iter().map(ServerKey::Mac)).collect()
}

fn ipxe_keys(config: &IpxeBootConfig) -> Vec<ConfigKey> {
    let spec = &config.spec;
    let namespace = config.metadata.namespace.as_deref().unwrap_or_default();
    let secrets =
        [named(spec.ignition_secret_ref.as_ref()), named(spec.ipxe_script_secret_ref.as_ref())];
    let mut keys = uuid_key(spec.system_uuid.as_deref());
    keys.extend(secrets.into_iter().flatten().map(|name| secret(namespace, name)));
    keys.dedup();
    keys
}

fn http_keys(config: &HttpBootConfig) -> Vec<ConfigKey> {
    let spec = &config.spec;
    let namespace = config.metadata.namespace.as_deref().unwrap_or_default();
    let mut keys = uuid_key(spec.system_uuid.as_deref());
    keys.extend(named(spec.ignition_secret_ref.as_ref()).map(|name| secret(namespace, name)));
    let mut addresses: Vec<_> =
        spec.network_identifiers.iter().map(|text| canonical_address(text)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    keys.extend(addresses.into_iter().map(ConfigKey::Address));
    keys.extend(blob_refs::blobs(spec.uki_url.as_deref()).into_iter().map(ConfigKey::Uki));
    keys
}

fn configuration_keys(configuration: &ServerBootConfiguration) -> Vec<ConfigurationKey> {
    let namespace = configuration.metadata.namespace.clone().unwrap_or_default();
    let secret = named(configuration.spec.ignition_secret_ref.as_ref());
    let secret = secret.map(|name| ConfigurationKey::Secret(namespace, name.to_owned()));
    let server = ConfigurationKey::Server(configuration.spec.server_ref.name.clone());
    let uid = configuration.metadata.uid.clone().map(ConfigurationKey::Uid);
    secret.into_iter().chain([server]).chain(uid).collect()
}

fn uuid_key(uuid: Option<&str>) -> Vec<ConfigKey> {
    let uuid = uuid.and_then(|uuid| uuid.parse().ok());
    uuid.map(ConfigKey::Uuid).into_iter().collect()
}

fn secret(namespace: &str, name: &str) -> ConfigKey {
    ConfigKey::Secret(namespace.to_owned(), name.to_owned())
}

/// The name in a reference. An empty one, which is the default in the schema, refers to nothing.
pub(crate) fn named(reference: Option<&LocalObjectReference>) -> Option<&str> {
    reference.map(|reference| reference.name.as_str()).filter(|name| !name.is_empty())
}

/// Reduces a server to what a boot needs: its state, its boot window and its addresses. The rest of
/// an inventory is many times as large.
pub(crate) fn prune(server: &mut Server) {
    let Some(status) = server.status.take() else { return };
    let interface = |interface: NetworkInterface| NetworkInterface {
        mac_address: interface.mac_address,
        ip: interface.ip,
        ips: interface.ips,
        ..NetworkInterface::default()
    };
    server.status = Some(ServerStatus {
        state: status.state,
        boot_window: status.boot_window,
        network_interfaces: status.network_interfaces.into_iter().map(interface).collect(),
        ..ServerStatus::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_uuid_in_either_byte_order_has_it() {
        let one: SystemUuid = "0b3e2f6c-1111-2222-3333-444455556666".parse().unwrap();
        let other = "6c2f3e0b-1111-2222-3333-444455556666".parse().unwrap();
        let get = |uuid| vec![uuid];
        assert_eq!(by_uuid(one, get), [one, other]);
        assert_eq!(by_uuid(other, get), [other, one]);
    }

    #[test]
    fn addresses_have_one_form() {
        for (text, form) in [
            (" 10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("02-00-00-AA-00-01", "02:00:00:aa:00:01"),
            ("Something", "something"),
            ("10.1.1.1:51234", "10.1.1.1"),
            ("[2001:DB8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]\"", "2001:db8::1"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("0200.00aa.0001", "02:00:00:aa:00:01"),
            // No port, no host, and an address that ends like a port.
            ("10.1.1.1:x", "10.1.1.1:x"),
            ("[2001:db8::1", "[2001:db8::1"),
            ("[2001:db8::1]x", "[2001:db8::1]x"),
            ("host:80", "host:80"),
            ("2001:db8::443", "2001:db8::443"),
        ] {
            assert_eq!(canonical_address(text), form);
        }
    }
}
