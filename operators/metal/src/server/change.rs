//! Writes to the cluster that a server decides on, except its status.

use super::prepare;
use crate::{Context, Error, own};
use kube::ResourceExt;
use metal_api::{ObjectReference, Server, annotation, finalizer};
use metal_core::server::Change;
use metal_runtime::Written;
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
) -> Result<Written, Error> {
    let servers = ctx.writer(&ctx.view.servers);
    match change {
        Change::AddFinalizer => {
            let added = servers.add_finalizer(server, finalizer::SERVER).await;
            added.map_err(Error::write("Server"))
        }
        Change::RemoveFinalizer => {
            let removed = servers.remove_finalizer(server, finalizer::SERVER).await;
            removed.map(|_| Written::Gone).map_err(Error::write("Server"))
        }
        Change::ReferToDiscovery => {
            let reference = json!({ "bootConfigurationRef": discovery_of(ctx, server) });
            patch(ctx, server, &reference).await
        }
        Change::PrepareDiscovery { attempt } => prepare::discovery(ctx, server, *attempt).await,
        Change::DropConfiguration => drop_configuration(ctx, server).await,
        Change::AdoptClaim { uid } => {
            patch(ctx, server, &json!({ "serverClaimRef": { "uid": uid } })).await
        }
        Change::SetSystemUuid { uuid } => patch(ctx, server, &json!({ "systemUUID": uuid })).await,
        Change::SetSystemUri { uri } => patch(ctx, server, &json!({ "systemURI": uri })).await,
        Change::Note(note) => crate::bmc::note(ctx, ctx.secret_of_server(server), note).await,
        Change::ReleaseClaim => patch(ctx, server, &json!({ "serverClaimRef": null })).await,
        Change::DropOperation => {
            let changes = BTreeMap::from([(annotation::OPERATION, None)]);
            let patched = servers.patch_annotations(server, &changes).await;
            patched.map_err(Error::write("Server"))
        }
    }
}

/// Deletes the boot configuration if it is the discovery's, then clears the reference. In this
/// order, because the next pass clears a reference to nothing, but a boot configuration without a
/// reference would stay.
async fn drop_configuration<C>(ctx: &Context<C>, server: &Server) -> Result<Written, Error> {
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

async fn patch<C>(ctx: &Context<C>, server: &Server, spec: &Value) -> Result<Written, Error> {
    let patched = ctx.writer(&ctx.view.servers).patch_spec(server, spec).await;
    patched.map_err(Error::write("Server"))
}
