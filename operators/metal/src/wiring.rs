//! Which change of which kind wakes which controller.

use crate::{
    Context, Unreadable,
    claim::Key as ClaimQueueKey,
    view::{BmcKey, ClaimKey, ServerKey, canonical_mac, is_wish, prune},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource, ResourceExt};
use metal_api::{
    Bmc, BmcSecret, Endpoint, Server, ServerBootConfiguration, ServerClaim, ServerInventory,
};
use metal_runtime::{
    follow,
    index::{Change, Ended},
    work::Work,
};
use std::sync::Arc;

/// The queues of the controllers.
#[derive(Clone)]
pub struct Queues {
    /// Endpoints, by name.
    pub endpoints: Arc<Work<String>>,
    /// BMCs, by name.
    pub bmcs: Arc<Work<String>>,
    /// Servers, by name.
    pub servers: Arc<Work<String>>,
    /// Claims, by namespace and name.
    pub claims: Arc<Work<ClaimQueueKey>>,
}

/// Follows every kind, and wakes whoever depends on a change.
///
/// # Errors
///
/// When a watch ends, which none does by itself.
pub async fn watch<C: Send + Sync>(
    client: &Client,
    ctx: &Context<C>,
    queues: &Queues,
) -> Result<(), Ended> {
    let view = &ctx.view;
    tokio::try_join!(
        follow(
            client,
            &view.endpoints,
            |_| {},
            |change| {
                unreadable(ctx, &change);
                endpoint(ctx, queues, &change);
            }
        ),
        follow(
            client,
            &view.bmcs,
            |_| {},
            |change| {
                unreadable(ctx, &change);
                bmc(ctx, queues, &change);
            }
        ),
        follow(
            client,
            &view.secrets,
            |_| {},
            |change| {
                unreadable(ctx, &change);
                secret(ctx, queues, &change);
            }
        ),
        follow(
            client,
            &view.servers,
            |_| {},
            |change| {
                unreadable(ctx, &change);
                server(ctx, queues, &change);
            }
        ),
        follow(
            client,
            &view.configurations,
            |_| {},
            |change| {
                unreadable(ctx, &change);
                configuration(queues, &change);
            }
        ),
        follow(
            client,
            &view.claims,
            |_| {},
            |change| {
                unreadable(ctx, &change);
                claim(ctx, queues, &change);
            }
        ),
        follow(client, &view.inventories, prune, |change| {
            unreadable(ctx, &change);
            inventory(queues, &change);
        }),
    )
    .map(drop)
}

/// Hands an object that does not parse to whoever tells of it.
fn unreadable<C, K: Resource<DynamicType = ()>>(ctx: &Context<C>, change: &Change<'_, K>) {
    let Change::Unreadable { meta, error } = change else { return };
    let object = ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        ..ObjectReference::default()
    };
    // Where there are too many, the log still has it.
    ctx.unreadable.try_send(Unreadable { object, error: (*error).to_owned() }).ok();
}

fn endpoint<C>(ctx: &Context<C>, queues: &Queues, change: &Change<'_, Endpoint>) {
    for endpoint in objects(change) {
        let name = endpoint.name_any();
        for bmc in ctx.view.bmcs.get(&BmcKey::Endpoint(name.clone())) {
            queues.bmcs.queue.add(bmc.name_any());
        }
        queues.endpoints.queue.add(name);
        // Whoever shares the address with it, or did.
        let mac = endpoint.spec.mac_address.as_deref().and_then(canonical_mac);
        for twin in mac.iter().flat_map(|mac| ctx.view.endpoints.get(mac)) {
            queues.endpoints.queue.add(twin.name_any());
        }
    }
}

fn bmc<C>(ctx: &Context<C>, queues: &Queues, change: &Change<'_, Bmc>) {
    if let Change::Applied { old: Some(old), new } = change
        && !is_wish(&old.metadata, &new.metadata)
    {
        // Only the status, which is ours: it is recorded, and the next step is due.
        queues.bmcs.queue.add(new.name_any());
        return;
    }
    for bmc in objects(change) {
        let name = bmc.name_any();
        for server in ctx.view.servers.get(&ServerKey::Bmc(name.clone())) {
            queues.servers.queue.add(server.name_any());
        }
        // The Endpoint that it was made of makes it again.
        queues.endpoints.queue.add(name.clone());
        queues.bmcs.queue.add(name);
    }
}

fn secret<C>(ctx: &Context<C>, queues: &Queues, change: &Change<'_, BmcSecret>) {
    for secret in objects(change) {
        let name = secret.name_any();
        for bmc in ctx.view.bmcs.get(&BmcKey::Secret(name.clone())) {
            for server in ctx.view.servers.get(&ServerKey::Bmc(bmc.name_any())) {
                queues.servers.queue.add(server.name_any());
            }
            queues.bmcs.queue.add(bmc.name_any());
        }
        for server in ctx.view.servers.get(&ServerKey::Secret(name)) {
            queues.servers.queue.add(server.name_any());
        }
    }
}

fn server<C>(ctx: &Context<C>, queues: &Queues, change: &Change<'_, Server>) {
    for server in objects(change) {
        queues.servers.queue.add(server.name_any());
        if let Some(claim) = &server.spec.server_claim_ref {
            queues.claims.queue.add((claim.namespace.clone(), claim.name.clone()));
        }
        let uuid = server.spec.effective_uuid();
        let twins = uuid.map(ServerKey::Uuid).map(|key| ctx.view.servers.get(&key));
        for twin in twins.into_iter().flatten() {
            if twin.name_any() != server.name_any() {
                queues.servers.queue.add(twin.name_any());
            }
        }
    }
    match change {
        Change::Applied { old, new } => {
            let name = new.name_any();
            let is_free = |server: &Server| crate::view::is_free(server);
            if is_free(new) {
                // Those that wait for this server, and those that take any.
                wake_claims(ctx, queues, &ClaimKey::Server(name));
                if old.is_none_or(|old| !is_free(old) || is_wish(&old.metadata, &new.metadata)) {
                    wake_claims(ctx, queues, &ClaimKey::Open);
                }
            } else if old.is_none() {
                wake_claims(ctx, queues, &ClaimKey::Server(name));
            }
        }
        // A BMC makes it again, if it still has that system.
        Change::Removed(server) => {
            if let Some(bmc) = &server.spec.bmc_ref {
                queues.bmcs.queue.add(bmc.name.clone());
            }
        }
        Change::Unreadable { .. } => {}
    }
}

fn wake_claims<C>(ctx: &Context<C>, queues: &Queues, key: &ClaimKey) {
    for claim in ctx.view.claims.get(key) {
        queues.claims.queue.add((claim.namespace().unwrap_or_default(), claim.name_any()));
    }
}

fn configuration(queues: &Queues, change: &Change<'_, ServerBootConfiguration>) {
    for configuration in objects(change) {
        queues.servers.queue.add(configuration.spec.server_ref.name.clone());
        // Named like its claim, if it has one.
        let namespace = configuration.namespace().unwrap_or_default();
        queues.claims.queue.add((namespace, configuration.name_any()));
    }
}

fn claim<C>(ctx: &Context<C>, queues: &Queues, change: &Change<'_, ServerClaim>) {
    for claim in objects(change) {
        let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
        let key = ServerKey::Claim(namespace.clone(), name.clone());
        for server in ctx.view.servers.get(&key) {
            queues.servers.queue.add(server.name_any());
        }
        queues.claims.queue.add((namespace, name));
    }
}

fn inventory(queues: &Queues, change: &Change<'_, ServerInventory>) {
    for inventory in objects(change) {
        queues.servers.queue.add(inventory.name_any());
    }
}

/// What was there, and what is there.
fn objects<'a, K>(change: &'a Change<'_, K>) -> impl Iterator<Item = &'a Arc<K>> {
    let (old, new) = match change {
        Change::Applied { old, new } => (*old, Some(*new)),
        Change::Removed(old) => (Some(*old), None),
        Change::Unreadable { .. } => (None, None),
    };
    old.into_iter().chain(new)
}
