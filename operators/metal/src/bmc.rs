//! Controller of [`Bmc`]: shows the manager in the status, and makes a Server from each system.

use crate::{
    Context, Error,
    bmc_readings::Readings,
    bmc_servers::{servers, unreadable},
    bmc_target::{target, unreachable},
    bmc_users::BmcUser,
    failure,
    memory::{Memories, Now},
    view::{BmcKey, uuid_keys},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, ResourceExt};
use metal_api::{Bmc, BmcStatus, Endpoint, Server};
use metal_base::Never;
use metal_bmc::{Bmc as _, Connect};
use metal_core::{
    bmc::{Answers, BmcReading, Change, Decision, FoundSystem, Observation, decide},
    failure::Failure,
    redfish::ManagerReading,
    server,
    unanswered::has_answered,
};
use metal_runtime::{
    MetadataChange, OkIf, Written,
    controller::{Controller, TooManyTurns},
    index::Index,
    report::{self, Chain},
    work::Next,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// When to come back if too many BMCs that have never answered are being read.
const CROWDED: Duration = Duration::from_secs(2);
/// When to come back to owners that we are not allowed to change.
const NOT_ALLOWED: Duration = Duration::from_mins(10);

/// The controller.
pub(crate) struct Bmcs<C> {
    ctx: Arc<Context<C>>,
    readings: Readings,
}

impl<C> Bmcs<C> {
    /// The controller, without any readings.
    pub(crate) fn new(ctx: Arc<Context<C>>) -> Self {
        Self { ctx, readings: Readings::default() }
    }
}

/// What was read in this pass.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    looked: bool,
}

impl<C: Connect> Controller for Bmcs<C> {
    type Object = Bmc;
    type Key = String;
    type IndexKey = BmcKey;
    type Facts = Facts;
    type Status = BmcStatus;
    type Change = Change;
    type Need = ();
    type Step = Never;
    type Error = Error;

    /// With a slow BMC, a pass reads the systems, and then the manager.
    const DEADLINE: Duration = Duration::from_mins(6);

    fn index(&self) -> &Index<Bmc, BmcKey> {
        &self.ctx.view.bmcs
    }

    fn is_ready(&self) -> bool {
        self.ctx.view.is_ready()
    }

    async fn gone(&self, name: &String) -> Result<Next, Error> {
        if let Some(destination) = self.readings.forget(name) {
            self.ctx.memories.forget_found(&destination);
        }
        self.ctx.leave(&BmcUser::Bmc(name.clone())).await;
        Ok(Next::Wait)
    }

    async fn observe(&self, _: &Arc<Bmc>) -> Result<Facts, Error> {
        Ok(Facts::default())
    }

    fn decide(&self, bmc: &Arc<Bmc>, _: &Facts, failed: Option<&report::Failure>) -> Decision {
        judge(&self.ctx, &self.readings, bmc, failure(failed).as_ref())
    }

    async fn look(&self, bmc: &Bmc, (): (), facts: &mut Facts) -> Result<Option<Next>, Error> {
        if facts.looked {
            return Err(TooManyTurns.into());
        }
        facts.looked = true;
        // A BMC that does not exist costs a timeout, which must not delay the others.
        let turn = (!has_answered(bmc)).then(|| self.ctx.unanswered.try_acquire());
        let Ok(_turn) = turn.transpose() else { return Ok(Some(Next::After(CROWDED))) };
        look(&self.ctx, &self.readings, bmc).await;
        Ok(None)
    }

    async fn record(&self, bmc: &Bmc, status: &BmcStatus) -> Result<Next, Error> {
        let recorded = self.ctx.writer(self.index()).record_status(bmc, status).await;
        Ok(recorded.map_err(Error::Record)?.into())
    }

    async fn change(&self, bmc: &Bmc, change: Change) -> Result<Next, Error> {
        let ctx = &*self.ctx;
        let written = match change {
            Change::Note(note) => ctx.note(ctx.secret_of(bmc), &note).await?,
            Change::Settle(key) => {
                let annotations = [(key, None)].into();
                let settled = ctx.writer(self.index()).patch_annotations(bmc, &annotations).await;
                settled.map_err(Error::write("BMC"))?
            }
            Change::Collect { credentials } => collect(ctx, bmc, credentials).await?,
            Change::Create(servers) => create(ctx, servers).await?,
            Change::Update { server, system_uri, labels } => {
                update(ctx, &server, &system_uri, &labels).await?
            }
            Change::Own { server, owners } => return own(ctx, &server, &owners).await,
        };
        Ok(written.into())
    }
}

fn judge<C>(
    ctx: &Context<C>,
    readings: &Readings,
    bmc: &Bmc,
    failure: Option<&Failure>,
) -> Decision {
    let name = bmc.name_any();
    let destination = ctx.destination_of_bmc(bmc);
    let reading = destination.as_ref().ok().and_then(|it| readings.of(&name, it));
    let said = reading.as_ref().and_then(|reading| reading.result.as_ref().ok());
    let uuids = said.into_iter().flat_map(|said| &said.systems).filter_map(|it| it.uuid);
    let keys = uuids.flat_map(uuid_keys).collect::<BTreeSet<_>>();
    let same_uuid: Vec<_> = keys.iter().flat_map(|key| ctx.view.servers.get(key)).collect();
    let now = Now::read();
    decide(&Observation {
        bmc,
        destination,
        verification: ctx.verification,
        secret: ctx.secret_of(bmc).as_deref(),
        database: ctx.mac_prefixes.current().as_deref(),
        mac_address: mac_address(ctx, bmc),
        reading: reading.as_deref(),
        servers: &servers(ctx, &name, said.map_or(0, |said| said.systems.len())),
        same_uuid: &same_uuid,
        unreadable: &unreadable(ctx, &name),
        namespace: &ctx.settings.namespace,
        holds_new: ctx.holds_new,
        failure,
        started: ctx.memories.since(now),
        now: now.wall,
    })
}

fn mac_address<C>(ctx: &Context<C>, bmc: &Bmc) -> Option<String> {
    let inline = bmc.spec.access.as_ref().and_then(|access| access.mac_address.clone());
    inline.or_else(|| {
        let endpoint = bmc.spec.endpoint_ref.as_ref()?;
        ctx.view.endpoints.named(None, &endpoint.name)?.spec.mac_address.clone()
    })
}

/// Reads manager and systems. The readings of systems are also kept for their servers.
async fn look<C: Connect>(ctx: &Context<C>, readings: &Readings, bmc: &Bmc) {
    let Ok(destination) = ctx.destination_of_bmc(bmc) else { return };
    let connection = ctx.connect_bmc(bmc, &destination);
    let uuid = bmc.spec.bmc_uuid.as_deref().filter(|uuid| !uuid.is_empty());
    let (at, mut answered) = (Timestamp::now(), Timestamp::now());
    let reading = async {
        let mut remarks = vec![];
        let systems = connection.systems_with(&mut remarks).await?;
        answered = Timestamp::now();
        let manager = match connection.manager(uuid).await {
            // The systems are still read, and if there is no manager, none is missing.
            Err(error) if error.concerns_one_resource() => {
                remarks.push(Chain(&error).to_string());
                ManagerReading::default()
            }
            manager => manager?,
        };
        let certificate = ctx.bmcs.pin(&target(&destination)).map(|pin| pin.to_string());
        let found = systems.iter().map(FoundSystem::from).collect();
        Ok((Answers { manager, systems: found, certificate, remarks }, systems))
    };
    let result = reading.await.map_err(unreachable);
    ctx.memories.forget_found(&destination);
    let result = result.map(|(said, systems)| {
        let took = answered.duration_since(at);
        for system in systems {
            let reading = server::Reading { at, took, result: Ok(system) };
            Memories::found(&ctx.memories, &destination, reading);
        }
        said
    });
    let (name, last) = (bmc.name_any(), readings.of(&bmc.name_any(), &destination));
    let took = Timestamp::now().duration_since(at);
    let reading = BmcReading::new(at, took, result, last.as_deref());
    let before = readings.keep(&name, &destination, reading);
    if let Some(before) = before.filter(|before| *before != destination) {
        ctx.memories.forget_found(&before);
    }
}

/// Removes what was made for a BMC that never answered: the credentials first, since nothing leads
/// to them once the BMC is gone. An Endpoint that the watch does not show yet keeps everything.
async fn collect<C>(ctx: &Context<C>, bmc: &Bmc, credentials: bool) -> Result<Written, Error> {
    if let Some(reference) = &bmc.spec.endpoint_ref {
        let endpoints = Api::<Endpoint>::all(ctx.client.clone());
        let found = endpoints.get_metadata(&reference.name).await.ok_if_not_found();
        if found.map_err(Error::read("Endpoint"))?.is_some() {
            return Ok(Written::Unseen);
        }
    }
    if let Some(secret) = ctx.secret_of(bmc).filter(|_| credentials) {
        let deleted = ctx.writer(&ctx.view.secrets).delete_seen(&secret.metadata).await;
        deleted.map_err(Error::write("BMCSecret"))?;
    }
    tracing::info!(
        bmc = bmc.name_any(),
        "removed a BMC that never responded, because its Endpoint was deleted"
    );
    let deleted = ctx.writer(&ctx.view.bmcs).delete_seen(&bmc.metadata).await;
    deleted.map_err(Error::write("BMC"))
}

/// Creates servers. One that the API server refuses does not affect the others.
async fn create<C>(ctx: &Context<C>, servers: Vec<Server>) -> Result<Written, Error> {
    let (writer, mut all, mut refused) = (ctx.writer(&ctx.view.servers), Written::Unseen, None);
    for server in servers {
        match writer.create(&server).await {
            Ok(Written::Seen) => all = Written::Seen,
            Ok(Written::Unseen | Written::Gone) => {}
            Err(error @ kube::Error::Api(_)) => refused = refused.or(Some(error)),
            Err(error) => return Err(Error::write("Server")(error)),
        }
    }
    refused.map_or(Ok(all), |error| Err(Error::write("Server")(error)))
}

/// If an admission plugin allows only those to change owners who may delete, a person has to do it.
async fn own<C>(
    ctx: &Context<C>,
    server: &Server,
    owners: &[OwnerReference],
) -> Result<Next, Error> {
    let change = MetadataChange { owner_references: Some(owners), ..MetadataChange::default() };
    match ctx.writer(&ctx.view.servers).patch_metadata(&server.metadata, &change).await {
        Ok(written) => {
            tracing::info!(server = server.name_any(), "owner reference corrected");
            Ok(written.into())
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            let name = server.name_any();
            tracing::warn!(
                server = name,
                why = status.message,
                "could not correct the owner reference"
            );
            Ok(Next::After(NOT_ALLOWED))
        }
        Err(source) => Err(Error::Write { what: "Server", source }),
    }
}

/// What a BMC reports about one of its systems.
#[derive(Debug, Serialize)]
struct System<'a> {
    #[serde(rename = "systemURI")]
    system_uri: &'a str,
}

async fn update<C>(
    ctx: &Context<C>,
    server: &Server,
    system_uri: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Written, Error> {
    let labels = labels.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
    let change = MetadataChange { labels, ..MetadataChange::default() };
    let servers = ctx.writer(&ctx.view.servers);
    let patched = servers.patch(server, &change, &System { system_uri }).await;
    patched.map_err(Error::write("Server"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::{context_at, list};
    use ::http::StatusCode;
    use metal_api::{
        BmcSecret, BmcSecretSpec, BmcSpec, EndpointSpec, LocalObjectReference, ServerSpec,
    };
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn a_server_that_the_api_server_refuses_does_not_cost_the_others() {
        let api = ApiServer::default();
        api.fail(Some(StatusCode::UNPROCESSABLE_ENTITY));
        let ctx = context_at(&api);
        let servers = ["a", "b"].map(|name| Server::new(name, ServerSpec::default()));
        let refused = create(&ctx, servers.into()).await;
        assert!(matches!(refused, Err(Error::Write { what: "Server", .. })), "{refused:?}");
        assert_eq!(api.written().len(), 2);
    }

    #[tokio::test]
    async fn a_bmc_that_never_answered_goes_after_its_endpoint_and_its_credentials() {
        let api = ApiServer::default();
        let ctx = context_at(&api);
        let mut bmc = Bmc::new("a", BmcSpec::default());
        bmc.spec.endpoint_ref = Some(LocalObjectReference { name: "a".to_owned() });
        bmc.spec.bmc_secret_ref.name = "a".to_owned();
        let secret = BmcSecret::new("a", BmcSecretSpec::default());
        api.put(&bmc);
        api.put(&secret);
        api.put(&Endpoint::new("a", EndpointSpec::default()));
        list(&ctx.view.secrets, [secret]).await;
        assert_eq!(collect(&ctx, &bmc, true).await.unwrap(), Written::Unseen);
        assert_eq!(api.written(), [], "the watch may be behind");
        api.remove::<Endpoint>(None, "a");
        collect(&ctx, &bmc, true).await.unwrap();
        let deleted: Vec<_> = api.written().into_iter().map(|sent| sent.request).collect();
        let kinds = ["bmcsecrets", "bmcs"];
        assert_eq!(
            deleted,
            kinds.map(|it| format!("DELETE /apis/metal.ironcore.dev/v1alpha1/{it}/a"))
        );
    }
}
