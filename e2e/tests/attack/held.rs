//! A stranger's machine that has become a server, and a tenant who wants it.

use crate::{
    boot::{get, http},
    connections::{HONEST, served},
    ports::{self, Target},
    site::Site,
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::unique,
    stack::{PXE_TENANT, until},
};
use kube::{Api, api::PostParams};
use metal_api::{
    ClaimPhase, LocalObjectReference, Power, Server, ServerClaim, ServerClaimSpec, ServerState,
    Taint, Toleration, TolerationOperator,
};
use std::time::Duration;

pub(crate) async fn claim_what_nobody_has_admitted(site: &Site) {
    let outcome = held(site).await;
    site.tell("a claim that tolerates what nobody has admitted", Target::Metal, outcome);
}

async fn held(site: &Site) -> Result<Duration> {
    let machine = site.unused_server().await?;
    let (uuid, server) = (machine.report()?.uuid, machine.server_name());
    let claims = Api::<ServerClaim>::namespaced(
        site.stack.client.clone(),
        &site.stack.cluster.namespace().await?,
    );
    let claim = ServerClaim::new(&unique("tolerant"), tolerant(site, server));
    let name = claims.create(&PostParams::default(), &claim).await?.metadata.name;
    let name = name.context("a claim has a name")?;
    // It was looked at, and refused for that reason.
    let is_told = |claim: &ServerClaim| {
        let mut conditions = claim.status.iter().flat_map(|status| &status.conditions);
        conditions.any(|it| it.message.contains("admitted"))
    };
    let is_bound = |claim: &ServerClaim| {
        claim.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&ClaimPhase::Bound)
    };
    let seen = until(&claims, &name, "judged", |it| is_told(it) || is_bound(it)).await?;
    ensure!(!is_bound(&seen), "the claim has a server that nobody has admitted");
    let servers = Api::<Server>::all(site.stack.client.clone());
    let is_free = |server: &Server| {
        server.spec.server_claim_ref.is_none()
            && server.status.as_ref().and_then(|it| it.state.as_ref())
                == Some(&ServerState::Available)
    };
    ensure!(is_free(&servers.get(&machine.server_name()).await?), "the server is the claim's");
    let (status, _) = get(&http()?, &format!("ipxe/{uuid}"), None).await?;
    ensure!(status.is_client_error(), "a held server has a script: {status}");
    // The taint was all that kept it.
    site.admit(&machine).await?;
    until(&claims, &name, "bound once a person has admitted the server", is_bound).await?;
    machine.boots_tenant().await?;
    served(&ports::registry(), HONEST).await
}

fn tolerant(site: &Site, server: String) -> ServerClaimSpec {
    let key = Taint::NOT_ADMITTED.to_owned();
    let operator = Some(TolerationOperator::Exists);
    ServerClaimSpec {
        power: Power::On,
        server_ref: Some(LocalObjectReference { name: server }),
        image: site.stack.registry.image(PXE_TENANT),
        tolerations: vec![Toleration { key, operator, ..Toleration::default() }],
        ..ServerClaimSpec::default()
    }
}
