//! Gathers what a boot window needs from what is known of the cluster.

use super::Boot;
use crate::{
    blob_refs::BlobRef,
    config::{BootConfig, owner},
    secrets::SecretKey,
    view::{ConfigKey, View, canonical_address, named},
};
use jiff::Timestamp;
use kube::Resource;
use metal_api::{BootWindow, HttpBootConfig, IpxeBootConfig, Server};
use metal_core::boot::{
    address::{LeasedAddress, macs_of},
    window::closes,
};
use std::{collections::BTreeSet, sync::Arc};

/// If there are more of one kind, what the machine boots would be ambiguous anyway.
const MOST: usize = 64;
/// The copy of an object that `kubectl apply` stores in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What an open boot window needs.
pub(super) struct BootSnapshot {
    /// Its objects; its Secrets have yet to be read.
    pub(super) boot: Boot,
    /// Names of its Secrets.
    pub(super) secrets: BTreeSet<SecretKey>,
    /// The window.
    pub(super) window: BootWindow,
    /// When it closes.
    pub(super) closes: Timestamp,
}

/// What the boot window of a server needs; `None` if it is not open. Includes other objects with
/// the same identity, so that what is ambiguous stays ambiguous.
pub(super) fn gather(view: &View, server: &Server, now: Timestamp) -> Option<BootSnapshot> {
    let window = server.status.as_ref()?.boot_window.clone()?;
    let reference = &window.boot_configuration_ref;
    let configuration = view.configurations.named(Some(&reference.namespace), &reference.name)?;
    let closes = closes(server, &configuration, now)?;
    let uuid = server.spec.effective_uuid();
    let ipxe = uuid.map(|uuid| view.ipxe_of(uuid)).unwrap_or_default();
    let mut http = uuid.map(|uuid| view.http_of(uuid)).unwrap_or_default();
    let addresses: BTreeSet<_> = http
        .iter()
        .flat_map(|config| &config.spec.network_identifiers)
        .map(|text| canonical_address(text))
        .take(MOST)
        .collect();
    for address in addresses {
        add(&mut http, view.http.get(&ConfigKey::Address(address)));
    }
    let mut servers = view.servers_of(uuid);
    for uuid in http.iter().filter_map(|config| config.uuid()) {
        add(&mut servers, view.servers_of(Some(uuid)));
    }
    let owners = ipxe.iter().map(|it| it.meta()).chain(http.iter().map(|it| it.meta()));
    let mut configurations = vec![Arc::clone(&configuration)];
    for meta in owners {
        let Some((name, _)) = owner(meta) else { continue };
        let found = view.configurations.named(meta.namespace.as_deref(), name);
        add(&mut configurations, found.into_iter().collect());
    }
    let longest = servers.len().max(configurations.len()).max(ipxe.len()).max(http.len());
    if longest > MOST {
        return None;
    }
    let secrets = secrets_of(&ipxe, &http);
    let boot = Boot {
        servers: servers.iter().map(|it| of_this_boot(it, server)).collect(),
        configurations: trimmed(&configurations),
        ipxe: trimmed(&ipxe),
        http: trimmed(&http),
        secrets: Vec::new(),
        places: places(view, server, now),
    };
    Some(BootSnapshot { boot: without_news(boot), secrets, window, closes })
}

/// The addresses of a server. A MAC address of two servers identifies neither.
fn places(view: &View, server: &Server, now: Timestamp) -> Vec<LeasedAddress> {
    let macs = macs_of(server).into_iter().filter(|mac| !view.is_shared(*mac));
    let mut places: Vec<_> =
        macs.flat_map(|mac| view.leases.places_of(mac, now)).take(MOST).collect();
    places.sort_unstable_by_key(|place| place.address);
    places
}

/// The layers that boot configs refer to.
pub(super) fn images(boot: &Boot) -> Vec<BlobRef> {
    let mut images: Vec<_> = boot.ipxe.iter().flat_map(BootConfig::blobs).collect();
    images.extend(boot.http.iter().flat_map(BootConfig::blobs));
    images
}

fn secrets_of(ipxe: &[Arc<IpxeBootConfig>], http: &[Arc<HttpBootConfig>]) -> BTreeSet<SecretKey> {
    let of_ipxe = ipxe.iter().flat_map(|it| {
        [it.ignition(), it.script()]
            .map(|reference| secret(it.meta().namespace.as_ref(), reference))
    });
    let of_http = http.iter().map(|it| secret(it.meta().namespace.as_ref(), it.ignition()));
    of_ipxe.chain(of_http).flatten().collect()
}

fn secret(
    namespace: Option<&String>,
    reference: Option<&metal_api::LocalObjectReference>,
) -> Option<SecretKey> {
    Some((namespace?.clone(), named(reference)?.to_owned()))
}

fn add<K>(to: &mut Vec<Arc<K>>, found: Vec<Arc<K>>) {
    for object in found {
        if !to.iter().any(|known| Arc::ptr_eq(known, &object)) {
            to.push(object);
        }
    }
}

/// The server without its window, unless it is the one being booted: other windows have their own
/// files.
fn of_this_boot(it: &Server, server: &Server) -> Server {
    let mut kept = trim(it);
    if it.metadata.name != server.metadata.name
        && let Some(status) = &mut kept.status
    {
        status.boot_window = None;
    }
    kept
}

fn trimmed<K: Resource + Clone>(objects: &[Arc<K>]) -> Vec<K> {
    objects.iter().map(|object| trim(&**object)).collect()
}

/// Removes what is not needed, and what changes for no reason.
fn trim<K: Resource + Clone>(object: &K) -> K {
    let mut object = object.clone();
    let meta = object.meta_mut();
    (meta.managed_fields, meta.resource_version) = (None, None);
    meta.annotations.iter_mut().for_each(|annotations| drop(annotations.remove(LAST_APPLIED)));
    object
}

fn without_news(mut boot: Boot) -> Boot {
    for configuration in &mut boot.configurations {
        configuration.status.iter_mut().for_each(|status| status.conditions.clear());
    }
    boot.ipxe.iter_mut().for_each(|it| it.status.iter_mut().for_each(|s| s.conditions.clear()));
    boot.http.iter_mut().for_each(|it| it.status.iter_mut().for_each(|s| s.conditions.clear()));
    boot
}
