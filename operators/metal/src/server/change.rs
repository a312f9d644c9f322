//! Writes to the cluster that a server decides on, other than its status.

use super::prepare;
use crate::{CAUGHT_UP, Context, Error, MANAGER, own};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use metal_api::{ObjectReference, Server, annotation, finalizer};
use metal_core::server::{Change, boot_id};
use metal_runtime::{add_finalizer, patch_annotations, patch_spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Carries out one change.
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub(super) async fn carry_out<C>(
    ctx: &Context<C>,
    server: &Server,
    change: &Change,
) -> Result<(), Error> {
    match change {
        Change::AddFinalizer => {
            let servers = Api::<Server>::all(ctx.client.clone());
            let added = add_finalizer(&servers, server, finalizer::SERVER, MANAGER).await;
            finalizers_written(ctx, server, added)
        }
        Change::ReferToDiscovery => {
            let reference = json!({ "bootConfigurationRef": discovery_of(ctx, server) });
            patch(ctx, server, &reference).await
        }
        Change::PrepareDiscovery { attempt } => prepare_discovery(ctx, server, *attempt).await,
        Change::DropConfiguration => drop_configuration(ctx, server).await,
        Change::AdoptClaim { uid } => {
            patch(ctx, server, &json!({ "serverClaimRef": { "uid": uid } })).await
        }
        Change::SetSystemUuid { uuid } => patch(ctx, server, &json!({ "systemUUID": uuid })).await,
        Change::SetSystemUri { uri } => patch(ctx, server, &json!({ "systemURI": uri })).await,
        Change::ReleaseClaim => patch(ctx, server, &json!({ "serverClaimRef": null })).await,
        Change::DropOperation => {
            let servers = Api::<Server>::all(ctx.client.clone());
            let changes = BTreeMap::from([(annotation::OPERATION, None)]);
            let patched = patch_annotations(&servers, server, &changes, MANAGER).await;
            patched.map(|_| overwritten(ctx, server)).map_err(Error::write("Server"))
        }
    }
}

/// Prepares a boot once: a cache that does not show it yet, when something else wakes the next
/// pass, would change the keys of a boot that has begun.
async fn prepare_discovery<C>(
    ctx: &Context<C>,
    server: &Server,
    attempt: u32,
) -> Result<(), Error> {
    let (name, boot) = (server.name_any(), boot_id(server, attempt));
    let prepared = ctx.memories.of(&name).prepared;
    if prepared.is_some_and(|(of, at)| of == boot && Timestamp::now() < at + CAUGHT_UP) {
        return Ok(());
    }
    prepare::discovery(ctx, server, attempt).await?;
    ctx.memories.edit(&name, |memory| memory.prepared = Some((boot, Timestamp::now())));
    Ok(())
}

/// Lets a server go that is being deleted; its secrets and its inventory go with it.
///
/// # Errors
///
/// Those of the API server.
pub(super) async fn remove_finalizer<C>(ctx: &Context<C>, server: &Server) -> Result<(), Error> {
    let servers = Api::<Server>::all(ctx.client.clone());
    let removed =
        metal_runtime::remove_finalizer(&servers, server, finalizer::SERVER, MANAGER).await;
    finalizers_written(ctx, server, removed)
}

fn finalizers_written<C>(
    ctx: &Context<C>,
    server: &Server,
    written: Result<bool, kube::Error>,
) -> Result<(), Error> {
    if written.map_err(Error::write("Server"))? {
        overwritten(ctx, server);
    }
    Ok(())
}

/// Deletes the boot configuration if it is the discovery's, then clears the reference: a reference
/// to nothing is cleared by the next pass, a configuration without reference would stay.
async fn drop_configuration<C>(ctx: &Context<C>, server: &Server) -> Result<(), Error> {
    let reference = server.spec.boot_configuration_ref.as_ref();
    if reference == Some(&discovery_of(ctx, server)) {
        let key = (ctx.settings.namespace.as_str(), server.name_any());
        own::delete_configuration(ctx, (key.0, &key.1), server).await?;
    }
    patch(ctx, server, &json!({ "bootConfigurationRef": null })).await
}

fn discovery_of<C>(ctx: &Context<C>, server: &Server) -> ObjectReference {
    ObjectReference { namespace: ctx.settings.namespace.clone(), name: server.name_any() }
}

async fn patch<C>(ctx: &Context<C>, server: &Server, spec: &Value) -> Result<(), Error> {
    let servers = Api::<Server>::all(ctx.client.clone());
    let patched = patch_spec(&servers, server, spec, MANAGER).await;
    patched.map(|_| overwritten(ctx, server)).map_err(Error::write("Server"))
}

fn overwritten<C>(ctx: &Context<C>, server: &Server) {
    ctx.memories.edit(&server.name_any(), |memory| {
        memory.overwritten = server.resource_version();
    });
}
