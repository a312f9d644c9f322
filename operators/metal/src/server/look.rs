//! Obtains the facts that a decision lacks.

use crate::{Context, Error, bmc_target::unreachable};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Resource, ResourceExt};
use metal_api::{NetworkInterface, Server, ServerClaim};
use metal_bmc::{Bmc, Connect, Error as BmcError};
use metal_core::{
    claim::binding,
    identity::has_uuid,
    redfish::SystemReading,
    report::{InventorySummary, ShownInventory},
    server::{ClaimSeen, MediaReading, Need, Reading},
};
use metal_runtime::{OkIf, report::Chain};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many reports are read at a time: one may have megabytes.
static REPORTS: Semaphore = Semaphore::const_new(8);

/// What the API server was asked for in this pass.
#[derive(Default)]
pub(crate) struct Lookups {
    /// The claim.
    pub(super) claim: Lookup<Arc<ServerClaim>>,
    /// The report, and the interfaces in it.
    report: Lookup<(Arc<InventorySummary>, Vec<NetworkInterface>)>,
}

/// Whether the API server was asked for an object.
#[derive(Default)]
pub(super) enum Lookup<T> {
    /// No: the cache is used.
    #[default]
    Cached,
    /// Yes, with this result.
    Live(Option<T>),
}

/// The claim that holds a server.
pub(super) enum HoldingClaim {
    Unclaimed,
    By(Arc<ServerClaim>),
    NotCached,
    Gone,
}

impl HoldingClaim {
    /// As a decision sees it.
    pub(super) fn seen(&self) -> ClaimSeen<'_> {
        match self {
            Self::Unclaimed => ClaimSeen::Unclaimed,
            Self::By(claim) => ClaimSeen::Holds(claim),
            Self::NotCached => ClaimSeen::NotCached,
            Self::Gone => ClaimSeen::Gone,
        }
    }
}

/// The state of the claim in `spec.serverClaimRef`.
pub(super) fn claim_of<C>(
    ctx: &Context<C>,
    server: &Server,
    claim: &Lookup<Arc<ServerClaim>>,
) -> HoldingClaim {
    let Some(reference) = &server.spec.server_claim_ref else { return HoldingClaim::Unclaimed };
    match claim {
        Lookup::Live(Some(claim)) if binding(server, claim).holds() => {
            HoldingClaim::By(Arc::clone(claim))
        }
        Lookup::Live(_) => HoldingClaim::Gone,
        Lookup::Cached => {
            let cached = ctx.view.claims.named(Some(&reference.namespace), &reference.name);
            let holds = |claim: &Arc<ServerClaim>| binding(server, claim).holds();
            cached.filter(holds).map_or(HoldingClaim::NotCached, HoldingClaim::By)
        }
    }
}

/// What the host reported; with its interfaces, if the API server was asked.
pub(super) fn report_of<'a, C>(
    ctx: &Context<C>,
    name: &str,
    lookups: &'a Lookups,
) -> (Option<Arc<InventorySummary>>, Option<&'a [NetworkInterface]>) {
    match &lookups.report {
        Lookup::Cached => (ctx.view.inventories.named(None, name), None),
        Lookup::Live(Some((report, interfaces))) => (Some(Arc::clone(report)), Some(interfaces)),
        Lookup::Live(None) => (None, None),
    }
}

/// Obtains one fact.
///
/// # Errors
///
/// Those of the API server. A BMC that does not answer is a fact, and so is a missing key.
pub(super) async fn look<C: Connect>(
    ctx: &Context<C>,
    server: &Server,
    need: Need,
    lookups: &mut Lookups,
) -> Result<(), Error> {
    match need {
        Need::System => system(ctx, server).await,
        Need::Inventory => inventory(ctx, server).await,
        Need::Media => {
            let no_url = match &ctx.media {
                Some(media) => media.learn(&ctx.client).await.err(),
                None => None,
            };
            drives(ctx, server, no_url.map(|error| Chain(&error).to_string())).await;
        }
        Need::Claim => lookups.claim = Lookup::Live(ask(ctx, server).await?),
        Need::Report => lookups.report = Lookup::Live(report(ctx, server).await?),
    }
    Ok(())
}

async fn ask<C>(ctx: &Context<C>, server: &Server) -> Result<Option<Arc<ServerClaim>>, Error> {
    let Some(reference) = &server.spec.server_claim_ref else { return Ok(None) };
    let claims = Api::<ServerClaim>::namespaced(ctx.client.clone(), &reference.namespace);
    let claim = claims.get(&reference.name).await.ok_if_not_found();
    let is_going = server.metadata.deletion_timestamp.is_some();
    if claim.is_err() && is_going && are_claims_unknown(ctx).await {
        return Ok(None);
    }
    Ok(claim.map_err(Error::read("ServerClaim"))?.map(Arc::new))
}

/// Whether the API server has servers but no claims, because the definition of claims was deleted first: servers
/// that are deleted as well do not wait for them. What answers in its place does not say so.
pub(super) async fn are_claims_unknown<C>(ctx: &Context<C>) -> bool {
    let kinds = ctx.client.list_api_group_resources(&ServerClaim::api_version(&())).await;
    kinds.is_ok_and(|kinds| {
        let has = |plural: &str| kinds.resources.iter().any(|kind| kind.name == plural);
        has(&Server::plural(&())) && !has(&ServerClaim::plural(&()))
    })
}

async fn report<C>(
    ctx: &Context<C>,
    server: &Server,
) -> Result<Option<(Arc<InventorySummary>, Vec<NetworkInterface>)>, Error> {
    let _turn = REPORTS.acquire().await;
    let inventories = Api::<ShownInventory>::all(ctx.client.clone());
    let found = inventories.get(&server.name_any()).await.ok_if_not_found();
    let found = found.map_err(Error::read("ServerInventory"))?;
    let (summary, interfaces) = match found {
        Some(found) => found.read(),
        None => return Ok(None),
    };
    Ok(Some((Arc::new(summary), interfaces)))
}

async fn system<C: Connect>(ctx: &Context<C>, server: &Server) {
    let Ok(destination) = ctx.destination_of(server) else { return };
    let bmc = ctx.connect(server, &destination);
    let at = Timestamp::now();
    let result = match server.spec.known_system_uri() {
        Some(uri) => match bmc.system(uri).await {
            // New firmware may rename it. A BMC object has a controller that follows it.
            Err(error) if error.is_absent() && server.spec.bmc_ref.is_none() => {
                find(&bmc, server).await
            }
            result => result,
        },
        None => find(&bmc, server).await,
    };
    let took = Timestamp::now().duration_since(at);
    let reading = Reading { at, took, result: result.map_err(unreachable) };
    ctx.memories.edit(&server.name_any(), |memory| memory.read(destination, reading));
}

/// Finds the system of a server without a BMC object, by its UUID. Of two with that UUID, neither is
/// known to be it.
async fn find(bmc: &impl Bmc, server: &Server) -> Result<SystemReading, BmcError> {
    let is_it = |system: &SystemReading| system.uuid.is_some_and(|uuid| has_uuid(server, uuid));
    let mut found = bmc.systems().await?.into_iter().filter(is_it);
    let why = match (found.next(), found.next()) {
        (Some(system), None) => return Ok(system),
        (Some(one), Some(other)) => format!(
            "{} and {} have the UUID in spec.systemUUID: set a unique UUID for each in the BIOS, or \
             set spec.systemURI to that of its system",
            one.uri, other.uri
        ),
        (None, _) => "no system of this BMC has the UUID in spec.systemUUID: correct it, or set \
                      spec.systemURI to that of its system"
            .to_owned(),
    };
    Err(BmcError::Failed { action: "find a system".to_owned(), source: why.into() })
}

/// Reads the slots; `no_url` is why no URL can be made for a medium.
async fn drives<C: Connect>(ctx: &Context<C>, server: &Server, no_url: Option<String>) {
    let Ok(destination) = ctx.destination_of(server) else { return };
    let name = server.name_any();
    let memory = ctx.memories.of(&name);
    let system = memory.reading.as_ref().and_then(|(_, reading)| reading.result.as_ref().ok());
    let Some(uri) = system.map(|system| system.uri.clone()) else { return };
    let result = ctx.connect(server, &destination).media(&uri).await;
    let (at, result) = (Timestamp::now(), result.map_err(unreachable));
    let reading = MediaReading { at, result, no_url };
    ctx.memories.edit(&name, |memory| memory.read_media(destination, reading));
}

async fn inventory<C: Connect>(ctx: &Context<C>, server: &Server) {
    let Ok(destination) = ctx.destination_of(server) else { return };
    let name = server.name_any();
    let memory = ctx.memories.of(&name);
    let system = memory.reading.as_ref().and_then(|(_, reading)| reading.result.as_ref().ok());
    let Some(uri) = system.map(|system| system.uri.clone()) else { return };
    let bmc = ctx.connect(server, &destination);
    match bmc.inventory(&uri).await {
        Ok(inventory) => {
            let at = Timestamp::now();
            ctx.memories.edit(&name, |memory| memory.survey(inventory, at));
        }
        Err(error) => {
            let result = Err(unreachable(error));
            let (at, took) = (Timestamp::now(), SignedDuration::ZERO);
            let reading = Reading { at, took, result };
            ctx.memories.edit(&name, |memory| memory.read(destination, reading));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::ServerSpec;
    use metal_bmc::fake::FakeBmc;

    #[tokio::test]
    async fn of_two_systems_with_one_uuid_neither_is_that_of_a_server() {
        const UUID: &str = "38947555-7742-3448-3784-82334782383a";
        let system = |uri: &str| SystemReading {
            uri: uri.to_owned(),
            uuid: UUID.parse().ok(),
            ..SystemReading::default()
        };
        let spec = ServerSpec { system_uuid: Some(UUID.to_owned()), ..ServerSpec::default() };
        let server = Server::new("a", spec);
        let one = FakeBmc::with_systems(vec![system("/1")]);
        assert_eq!(find(&one, &server).await.unwrap().uri, "/1");
        let two = FakeBmc::with_systems(vec![system("/1"), system("/2")]);
        let error = find(&two, &server).await.unwrap_err();
        let told = Chain(&error).to_string();
        assert!(told.contains("/1 and /2 have the UUID in spec.systemUUID"), "{told}");
    }
}
