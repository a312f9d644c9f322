//! Writes to the cluster that a server decides on, except its status.

use super::prepare;
use crate::{
    Context, Error, owned_objects,
    server_patch::{ServerPatch, patch},
};
use kube::ResourceExt;
use metal_api::{ClaimReference, ObjectReference, Server, annotation, finalizer};
use metal_core::server::Change;
use metal_runtime::Written;
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
            let discovery = discovery_of(ctx, server);
            patch(ctx, server, ServerPatch::BootConfiguration(Some(&discovery))).await
        }
        Change::PrepareDiscovery { attempt } => prepare::discovery(ctx, server, *attempt).await,
        Change::DropConfiguration => drop_configuration(ctx, server).await,
        Change::AdoptClaim { uid } => adopt(ctx, server, uid).await,
        Change::SetSystemUuid { uuid } => patch(ctx, server, ServerPatch::SystemUuid(*uuid)).await,
        Change::SetSystemUri { uri } => patch(ctx, server, ServerPatch::SystemUri(uri)).await,
        Change::Note(note) => ctx.note(ctx.secret_of_server(server), note).await,
        Change::ReleaseClaim => patch(ctx, server, ServerPatch::Claim(None)).await,
        Change::SettleCertificate => drop(ctx, server, annotation::ACCEPT_CERTIFICATE).await,
        Change::DropOperation => drop(ctx, server, annotation::OPERATION).await,
    }
}

/// Removes an annotation that has been followed.
async fn drop<C>(ctx: &Context<C>, server: &Server, key: &str) -> Result<Written, Error> {
    let changes = BTreeMap::from([(key, None)]);
    let patched = ctx.writer(&ctx.view.servers).patch_annotations(server, &changes).await;
    patched.map_err(Error::write("Server"))
}

/// The server's claim has another UID now; its namespace and name are unchanged.
async fn adopt<C>(ctx: &Context<C>, server: &Server, uid: &str) -> Result<Written, Error> {
    let Some(held) = &server.spec.server_claim_ref else { return Ok(Written::Unseen) };
    let claim = ClaimReference { uid: Some(uid.to_owned()), ..held.clone() };
    patch(ctx, server, ServerPatch::Claim(Some(&claim))).await
}

/// Deletes the boot configuration if it is the discovery's, then clears the reference. In this
/// order, because the next pass clears a reference to nothing, but a boot configuration without a
/// reference would stay.
async fn drop_configuration<C>(ctx: &Context<C>, server: &Server) -> Result<Written, Error> {
    let reference = server.spec.boot_configuration_ref.as_ref();
    if reference == Some(&discovery_of(ctx, server)) {
        let key = (ctx.settings.namespace.as_str(), server.name_any());
        owned_objects::delete_configuration(ctx, (key.0, &key.1), server).await?;
    }
    patch(ctx, server, ServerPatch::BootConfiguration(None)).await
}

fn discovery_of<C>(ctx: &Context<C>, server: &Server) -> ObjectReference {
    ObjectReference { namespace: ctx.settings.namespace.clone(), name: server.name_any() }
}
