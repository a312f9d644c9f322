//! Which change of which kind wakes what.
//!
//! An object is woken by every change of another object that its decision reads. Waking it
//! needlessly costs a pass that neither reads nor writes; an object that is not woken waits for a
//! resync.

use crate::{
    metalman_machines::{MachineKey, hardware},
    view::{
        BmcKey, ClaimKey, ServerKey, View, canonical_host, canonical_ip, endpoint_keys, uuid_keys,
    },
};
use kube::ResourceExt;
use metal_api::{
    Bmc, BmcSecret, Endpoint, Machine, Server, ServerBootConfiguration, ServerClaim, condition,
};
use metal_core::{
    bmc_host::BmcHost,
    claim::{fits, free},
    identity::is_same_uri,
    machine_identity::Address,
    report::InventorySummary,
};
use metal_runtime::index::Change;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// An object that is due for a pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WakeTarget {
    /// By name.
    Endpoint(String),
    /// By name.
    Bmc(String),
    /// By name.
    Server(String),
    /// By namespace and name.
    Claim(String, String),
}

/// Objects that are due for a pass.
pub(crate) type Wakes = BTreeSet<WakeTarget>;

/// An Endpoint determines the addresses of BMCs, and so how their servers are reached.
pub(crate) fn endpoint(view: &View, change: &Change<'_, Endpoint>) -> Wakes {
    let mut woken = Wakes::new();
    for endpoint in change.objects() {
        let name = endpoint.name_any();
        if change.is_beyond_status()
            && let Some(address) = endpoint.spec.ip.as_deref().and_then(canonical_ip)
        {
            rivals(view, &address.into(), &mut woken);
        }
        for bmc in view.bmcs.get(&BmcKey::Endpoint(name.clone())) {
            if change.is_beyond_status() {
                servers(view, &ServerKey::Bmc(bmc.name_any()), &mut woken);
            }
            woken.insert(WakeTarget::Bmc(bmc.name_any()));
        }
        woken.insert(WakeTarget::Endpoint(name));
        // Endpoints that share an address with it, or did.
        let twins = endpoint_keys(endpoint).into_iter().flat_map(|key| view.endpoints.get(&key));
        for twin in twins.map(|twin| twin.name_any()) {
            for bmc in view.bmcs.get(&BmcKey::Endpoint(twin.clone())) {
                if change.is_beyond_status() {
                    servers(view, &ServerKey::Bmc(bmc.name_any()), &mut woken);
                    woken.insert(WakeTarget::Bmc(bmc.name_any()));
                }
            }
            woken.insert(WakeTarget::Endpoint(twin));
        }
    }
    if let Some(name) = unread(change) {
        for bmc in view.bmcs.get(&BmcKey::Endpoint(name.to_owned())) {
            servers(view, &ServerKey::Bmc(bmc.name_any()), &mut woken);
            woken.insert(WakeTarget::Bmc(bmc.name_any()));
        }
    }
    woken
}

/// A Machine of metalman may be a server as well.
pub(crate) fn machine(view: &View, change: &Change<'_, Machine>) -> Wakes {
    let mut woken = Wakes::new();
    for machine in change.objects() {
        for key in hardware(machine) {
            match key {
                MachineKey::Hardware(Address::Mac(mac)) => {
                    servers(view, &ServerKey::Mac(mac), &mut woken);
                }
                MachineKey::Hardware(Address::Uuid(uuid)) => {
                    uuid_keys(uuid).for_each(|key| servers(view, &key, &mut woken));
                }
                MachineKey::Hardware(Address::Ip(_)) => {}
                MachineKey::Bmc(host) => rivals(view, &host, &mut woken),
            }
        }
    }
    woken
}

/// A BMC provides access to its servers, and may have been made from the Endpoint of its name.
pub(crate) fn bmc(view: &View, change: &Change<'_, Bmc>) -> Wakes {
    let mut woken = Wakes::new();
    let is_beyond_status = change.is_beyond_status();
    for bmc in change.objects() {
        let name = bmc.name_any();
        if is_beyond_status || answers_anew(change) {
            servers(view, &ServerKey::Bmc(name.clone()), &mut woken);
        }
        if is_beyond_status {
            if let Some(address) = address_of(view, bmc) {
                rivals(view, &address.into(), &mut woken);
            }
            // The Endpoint that it was made from recreates it.
            woken.insert(WakeTarget::Endpoint(name.clone()));
        }
        woken.insert(WakeTarget::Bmc(name));
    }
    if let Some(name) = unread(change) {
        // Its Endpoint and its servers say that it cannot be parsed; it may be gone.
        servers(view, &ServerKey::Bmc(name.to_owned()), &mut woken);
        woken.insert(WakeTarget::Endpoint(name.to_owned()));
    }
    woken
}

/// The name of an object that cannot be parsed, or could not be and is gone. Unlike
/// [`Change::objects`] this includes one that was never known.
fn unread<'a, K>(change: &Change<'a, K>) -> Option<&'a str> {
    match *change {
        Change::Unreadable { meta, .. } => meta.name.as_deref(),
        Change::Applied { .. } | Change::Removed(_) => None,
    }
}

/// Whether a BMC has started or ceased to answer.
fn answers_anew(change: &Change<'_, Bmc>) -> bool {
    let ready = |bmc: &Bmc| {
        let conditions = bmc.status.iter().flat_map(|status| &status.conditions);
        conditions.filter(|c| c.type_ == condition::READY).map(|c| c.status == "True").next()
    };
    matches!(change, Change::Applied { old: Some(old), new } if ready(old) != ready(new))
}

/// Credentials belong to BMCs, and to servers without a BMC object.
pub(crate) fn secret(view: &View, change: &Change<'_, BmcSecret>) -> Wakes {
    let mut woken = Wakes::new();
    let names = change.objects().map(|secret| secret.name_any());
    for name in names.chain(unread(change).map(str::to_owned)) {
        for bmc in view.bmcs.get(&BmcKey::Secret(name.clone())) {
            servers(view, &ServerKey::Bmc(bmc.name_any()), &mut woken);
            woken.insert(WakeTarget::Bmc(bmc.name_any()));
        }
        servers(view, &ServerKey::Secret(name), &mut woken);
    }
    woken
}

/// A server wakes those that share its UUID or its BMC, the claim that holds it, and those that
/// could take it.
pub(crate) fn server(view: &View, change: &Change<'_, Server>) -> Wakes {
    let mut woken = Wakes::new();
    for server in change.objects() {
        woken.insert(WakeTarget::Server(server.name_any()));
        if let Some(claim) = &server.spec.server_claim_ref {
            woken.insert(WakeTarget::Claim(claim.namespace.clone(), claim.name.clone()));
        }
        if let Some(uuid) = server.spec.effective_uuid() {
            uuid_keys(uuid).for_each(|key| servers(view, &key, &mut woken));
        }
        if is_another_system(change) {
            // If it has the system of another one, both are left alone.
            let uri = server.spec.system_uri.as_deref().unwrap_or_default();
            woken.extend(neighbors(view, server).into_iter().filter_map(|other| {
                let its = other.spec.system_uri.as_deref().unwrap_or_default();
                is_same_uri(its, uri).then(|| WakeTarget::Server(other.name_any()))
            }));
        }
    }
    let name = match change {
        Change::Applied { new: server, .. } | Change::Removed(server) => Some(server.name_any()),
        Change::Unreadable { meta, .. } => meta.name.clone(),
    };
    if let Some(name) = unread(change) {
        // It may be being deleted. A claim that names it says that it cannot be parsed, or that there is none.
        woken.insert(WakeTarget::Server(name.to_owned()));
        wake_claims(view.claims.get(&ClaimKey::Server(name.to_owned())).iter(), &mut woken);
    }
    if let Some(name) = name {
        servers(view, &ServerKey::Twin(name), &mut woken);
    }
    if is_another_system(change) {
        // A BMC creates its servers one after the other, and recreates one that was deleted.
        let own = change.objects().filter_map(|server| server.spec.bmc_ref.as_ref());
        woken.extend(own.map(|bmc| WakeTarget::Bmc(bmc.name.clone())));
        let others = view.bmcs.get(&BmcKey::LeavesOut);
        woken.extend(others.iter().map(|bmc| WakeTarget::Bmc(bmc.name_any())));
    }
    candidates(view, change, &mut woken);
    woken
}

/// The servers at the BMC of a server.
fn neighbors(view: &View, server: &Server) -> Vec<Arc<Server>> {
    let inline = server.spec.bmc.as_ref().and_then(|bmc| canonical_host(&bmc.address));
    let named = server.spec.bmc_ref.as_ref();
    let named = named.and_then(|bmc| view.bmcs.named(None, &bmc.name));
    let address = named.as_deref().and_then(|bmc| address_of(view, bmc));
    address.map(BmcHost::from).or(inline).map(|host| servers_at(view, &host)).unwrap_or_default()
}

/// The address of a BMC.
fn address_of(view: &View, bmc: &Bmc) -> Option<IpAddr> {
    match (&bmc.spec.access, &bmc.spec.endpoint_ref) {
        (Some(access), _) => canonical_ip(access.ip.as_deref()?),
        (None, Some(endpoint)) => {
            canonical_ip(view.endpoints.named(None, &endpoint.name)?.spec.ip.as_deref()?)
        }
        (None, None) => None,
    }
}

/// Servers with a system at a host, as another one may have it now, or no longer.
fn rivals(view: &View, host: &BmcHost, woken: &mut Wakes) {
    let servers = servers_at(view, host);
    woken.extend(servers.iter().map(|server| WakeTarget::Server(server.name_any())));
}

/// The servers whose BMC has this address.
fn servers_at(view: &View, host: &BmcHost) -> Vec<Arc<Server>> {
    let bmcs = host.address().map(|address| view.bmcs_at(address)).unwrap_or_default();
    let keys = bmcs.iter().map(|bmc| ServerKey::Bmc(bmc.name_any()));
    let keys = keys.chain([ServerKey::At(host.clone())]);
    keys.flat_map(|key| view.servers.get(&key)).collect()
}

/// Whether anything has changed that a BMC compares with its systems.
fn is_another_system(change: &Change<'_, Server>) -> bool {
    let Change::Applied { old: Some(old), new } = change else { return true };
    let identity = |server: &Server| {
        let spec = &server.spec;
        let inline = spec.bmc.as_ref().map(|bmc| (bmc.address.clone(), bmc.protocol.port));
        (spec.effective_uuid(), spec.system_uri.clone(), spec.bmc_ref.clone(), inline)
    };
    identity(old) != identity(new)
        || old.metadata.labels != new.metadata.labels
        || old.metadata.owner_references != new.metadata.owner_references
}

/// Claims without a server that may take this one now, and those that request this one by name and
/// may get a new message about it.
fn candidates(view: &View, change: &Change<'_, Server>, woken: &mut Wakes) {
    let (old, new) = match change {
        Change::Applied { old, new } => (*old, Some(*new)),
        Change::Removed(old) => (Some(*old), None),
        Change::Unreadable { old, .. } => (*old, None),
    };
    let Some(name) = new.or(old).map(|server| server.name_any()) else { return };
    let named = view.claims.get(&ClaimKey::Server(name));
    let tells = |claim: &ServerClaim| {
        old.map(|old| fits(claim, old)) != new.map(|new| fits(claim, new))
            || new.is_some_and(|new| free(new).is_ok())
    };
    wake_claims(named.iter().filter(|claim| tells(claim)), woken);
    let Some(new) = new.filter(|new| free(new).is_ok()) else { return };
    let takes = |claim: &ServerClaim| {
        fits(claim, new).is_ok() && old.is_none_or(|old| fits(claim, old).is_err())
    };
    let open = view.claims.get(&ClaimKey::Open);
    wake_claims(open.iter().filter(|claim| takes(claim)), woken);
}

fn wake_claims<'a>(claims: impl Iterator<Item = &'a Arc<ServerClaim>>, woken: &mut Wakes) {
    let key = |claim: &Arc<ServerClaim>| (claim.namespace().unwrap_or_default(), claim.name_any());
    woken.extend(claims.map(key).map(|(namespace, name)| WakeTarget::Claim(namespace, name)));
}

/// A boot configuration concerns its server, and the claim of its name.
pub(crate) fn configuration(view: &View, change: &Change<'_, ServerBootConfiguration>) -> Wakes {
    let mut woken = Wakes::new();
    for configuration in change.objects() {
        woken.insert(WakeTarget::Server(configuration.spec.server_ref.name.clone()));
        let (namespace, name) =
            (configuration.namespace().unwrap_or_default(), configuration.name_any());
        servers(view, &ServerKey::Boots(namespace.clone(), name.clone()), &mut woken);
        woken.insert(WakeTarget::Claim(namespace, name));
    }
    woken
}

/// A claim determines the power state of the server that it holds.
pub(crate) fn claim(view: &View, change: &Change<'_, ServerClaim>) -> Wakes {
    let mut woken = Wakes::new();
    for claim in change.objects() {
        let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
        holders(view, &namespace, &name, &mut woken);
        // A server without a reference is waiting for the claim that has it.
        let named = claim.spec.server_ref.as_ref();
        let named = named.and_then(|server| view.servers.named(None, &server.name));
        let named = named.filter(|server| server.spec.server_claim_ref.is_none());
        woken.extend(named.map(|server| WakeTarget::Server(server.name_any())));
        woken.insert(WakeTarget::Claim(namespace, name));
    }
    // It may be being deleted, or gone.
    if let Change::Unreadable { meta, .. } = change
        && let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name)
    {
        holders(view, namespace, name, &mut woken);
        woken.insert(WakeTarget::Claim(namespace.clone(), name.clone()));
    }
    woken
}

/// The servers that refer to a claim, and those that wait for it without a reference.
fn holders(view: &View, namespace: &str, name: &str, woken: &mut Wakes) {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    servers(view, &ServerKey::Bound(namespace.clone(), name.clone()), woken);
    servers(view, &ServerKey::Claim(namespace, name), woken);
}

/// A report is about the server of its name.
pub(crate) fn inventory(change: &Change<'_, InventorySummary>) -> Wakes {
    change.objects().map(|inventory| WakeTarget::Server(inventory.name_any())).collect()
}

fn servers(view: &View, key: &ServerKey, woken: &mut Wakes) {
    let found = view.servers.get(key);
    woken.extend(found.iter().map(|server| WakeTarget::Server(server.name_any())));
}

#[cfg(test)]
mod tests;
