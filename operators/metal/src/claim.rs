//! Controller of [`ServerClaim`].

use crate::{CAUGHT_UP, Context, Error, MANAGER, failure, view::ServerKey};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::events::EventType,
};
use metal_api::{
    ClaimPhase, LocalObjectReference, Server, ServerBootConfiguration, ServerBootConfigurationSpec,
    ServerClaim, ServerClaimStatus, condition, finalizer,
};
use metal_core::claim::{Decision, Observation, binding, decide};
use metal_runtime::{
    apply, apply_status, patch_spec,
    work::{NOT_LISTED, Next, Work},
};
use serde_json::json;
use std::sync::Arc;

/// Namespace and name of a claim.
pub type Key = (String, String);

/// One pass over one claim.
///
/// # Errors
///
/// Those of the API server.
pub async fn pass<C>(ctx: Arc<Context<C>>, work: Arc<Work<Key>>, key: Key) -> Result<Next, Error> {
    let Some(claim) = ctx.view.claims.named(Some(&key.0), &key.1) else {
        work.failures.succeeded(&key);
        return Ok(Next::Wait);
    };
    if !ctx.view.is_ready() {
        return Ok(Next::After(NOT_LISTED));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        release(&ctx, &claim).await?;
        return Ok(Next::Wait);
    }
    let holders = holders(&ctx, &claim);
    let configuration = ctx.view.configurations.named(Some(&key.0), &key.1);
    let failure = failure(&work, &key);
    let judge = |candidates: &[Arc<Server>]| {
        decide(&Observation {
            claim: &claim,
            holders: &holders,
            candidates,
            configuration: configuration.as_deref(),
            failure: failure.as_ref(),
            now: Timestamp::now(),
        })
    };
    let servers = &ctx.view.servers;
    let decision = match &claim.spec.server_ref {
        Some(server) => judge(&servers.named(None, &server.name).into_iter().collect::<Vec<_>>()),
        None => match judge(&servers.get(&ServerKey::Free)) {
            // Nothing free fits: look at all of them, to say why.
            Decision::Record(_) | Decision::Rest(_) => judge(&servers.get(&ServerKey::Any)),
            decision => decision,
        },
    };
    carry_out(&ctx, &claim, decision).await
}

/// The servers that name this claim, and not one of the same name before it.
fn holders<C>(ctx: &Context<C>, claim: &ServerClaim) -> Vec<Arc<Server>> {
    let namespace = claim.namespace().unwrap_or_default();
    let mut holders = ctx.view.servers.get(&ServerKey::Claim(namespace, claim.name_any()));
    holders.retain(|server| binding(server, claim).holds());
    holders
}

async fn carry_out<C>(
    ctx: &Context<C>,
    claim: &ServerClaim,
    decision: Decision,
) -> Result<Next, Error> {
    match decision {
        Decision::AddFinalizer => {
            let mut finalizers = claim.finalizers().to_vec();
            finalizers.push(finalizer::SERVER_CLAIM.to_owned());
            set_finalizers(ctx, claim, &finalizers).await?;
        }
        Decision::Bind(server) => bind(ctx, claim, &server).await?,
        Decision::ReferTo(name) => {
            let spec = json!({ "serverRef": { "name": name } });
            let patched = patch_spec(&claims(ctx, claim), claim, &spec, MANAGER).await;
            patched.map_err(Error::write("ServerClaim"))?;
        }
        Decision::Configure(server) => configure(ctx, claim, &server).await?,
        Decision::Boot(server) => {
            let reference = json!({
                "namespace": claim.namespace(),
                "name": claim.name_any(),
            });
            let spec = json!({ "bootConfigurationRef": reference });
            let servers = Api::<Server>::all(ctx.client.clone());
            let patched = patch_spec(&servers, &server, &spec, MANAGER).await;
            patched.map_err(Error::write("Server"))?;
        }
        Decision::Record(status) => record(ctx, claim, &status).await?,
        Decision::Rest(time) => return Ok(Next::Rested(time.unsigned_abs())),
    }
    Ok(Next::After(CAUGHT_UP))
}

/// The one write that binds: on the version of the server that was judged.
async fn bind<C>(ctx: &Context<C>, claim: &ServerClaim, server: &Server) -> Result<(), Error> {
    let reference = json!({
        "namespace": claim.namespace(),
        "name": claim.name_any(),
        "uid": claim.uid(),
    });
    let servers = Api::<Server>::all(ctx.client.clone());
    let spec = json!({ "serverClaimRef": reference });
    let patched = patch_spec(&servers, server, &spec, MANAGER).await;
    patched.map_err(Error::write("Server"))?;
    tracing::info!(
        claim = claim.name_any(),
        namespace = claim.namespace(),
        server = server.name_any(),
        "bound"
    );
    Ok(())
}

async fn configure<C>(ctx: &Context<C>, claim: &ServerClaim, server: &str) -> Result<(), Error> {
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference { name: server.to_owned() },
        image: Some(claim.spec.image.clone()),
        ignition_secret_ref: claim.spec.ignition_secret_ref.clone(),
    };
    let mut configuration = ServerBootConfiguration::new(&claim.name_any(), spec);
    configuration.metadata = ObjectMeta {
        name: claim.metadata.name.clone(),
        namespace: claim.metadata.namespace.clone(),
        owner_references: claim.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    let applied = apply(&configurations(ctx, claim), &configuration, MANAGER).await;
    applied.map(drop).map_err(Error::write("ServerBootConfiguration"))
}

async fn record<C>(
    ctx: &Context<C>,
    claim: &ServerClaim,
    status: &ServerClaimStatus,
) -> Result<(), Error> {
    let recorded = apply_status(&claims(ctx, claim), claim, status, MANAGER).await;
    recorded.map_err(Error::Record)?;
    let why = |status: &ServerClaimStatus| {
        let scheduled = status.conditions.iter().find(|c| c.type_ == condition::SCHEDULED)?;
        (scheduled.status == "False").then(|| (scheduled.reason.clone(), scheduled.message.clone()))
    };
    let (old, new) = (claim.status.as_ref().and_then(why), why(status));
    if let Some((reason, message)) = new.filter(|new| Some(new) != old.as_ref()) {
        ctx.announce(claim, EventType::Warning, &reason, message).await;
    }
    let phase = |status: &ServerClaimStatus| status.phase.clone();
    if phase(status) == Some(ClaimPhase::Bound)
        && claim.status.as_ref().and_then(phase) != Some(ClaimPhase::Bound)
    {
        let server = claim.spec.server_ref.as_ref().map_or("", |server| server.name.as_str());
        ctx.announce(claim, EventType::Normal, "Bound", format!("holds server {server}")).await;
    }
    Ok(())
}

/// Deletes the boot configuration and lets the claim go; the server sees that it is gone.
async fn release<C>(ctx: &Context<C>, claim: &ServerClaim) -> Result<(), Error> {
    if !claim.finalizers().iter().any(|name| name == finalizer::SERVER_CLAIM) {
        return Ok(());
    }
    let configurations = configurations(ctx, claim);
    match configurations.delete(&claim.name_any(), &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(source) => return Err(Error::Write { what: "ServerBootConfiguration", source }),
    }
    let mut finalizers = claim.finalizers().to_vec();
    finalizers.retain(|name| name != finalizer::SERVER_CLAIM);
    set_finalizers(ctx, claim, &finalizers).await
}

async fn set_finalizers<C>(
    ctx: &Context<C>,
    claim: &ServerClaim,
    finalizers: &[String],
) -> Result<(), Error> {
    let version = claim.resource_version();
    let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
    let patched = claims(ctx, claim).patch(&claim.name_any(), &params, &Patch::Merge(patch)).await;
    match patched {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::Write { what: "ServerClaim", source }),
    }
}

fn claims<C>(ctx: &Context<C>, claim: &ServerClaim) -> Api<ServerClaim> {
    Api::namespaced(ctx.client.clone(), &claim.namespace().unwrap_or_default())
}

fn configurations<C>(ctx: &Context<C>, claim: &ServerClaim) -> Api<ServerBootConfiguration> {
    Api::namespaced(ctx.client.clone(), &claim.namespace().unwrap_or_default())
}
