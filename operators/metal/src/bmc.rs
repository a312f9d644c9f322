//! Controller of [`Bmc`]: shows the manager, and makes a Server of each system.

use crate::{
    CAUGHT_UP, Context, Error, MANAGER, failure,
    server::Memories,
    view::{ServerKey, uuid_keys},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{Bmc, BmcSecret, Endpoint, Server, annotation};
use metal_bmc::{Bmc as _, Connect, Error as BmcError, Target};
use metal_core::{
    bmc::{Answers, Decision, Destination, Note, Observation, Reading, decide, server_name},
    redfish::{ManagerReading, Unreachable},
    server::Reading as SystemReadingOf,
    unanswered::has_answered,
};
use metal_runtime::{
    MetadataChange, delete_seen, patch_annotations, patch_metadata, record_status,
    report::Chain,
    work::{NOT_LISTED, Next, Work},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// When to come back where too many that have never answered are looked at.
const CROWDED: Duration = Duration::from_secs(2);
/// When to come back to owners that we may not change.
const NOT_ALLOWED: Duration = Duration::from_mins(10);

/// The last reading of each BMC, and where it came from. All of it may be lost.
#[derive(Debug, Default)]
pub struct Readings(Mutex<HashMap<String, (Destination, Reading)>>);

impl Readings {
    /// The reading of this BMC at this destination.
    fn of(&self, name: &str, destination: &Destination) -> Option<Reading> {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, reading) = readings.get(name)?;
        (from == destination).then(|| reading.clone())
    }

    /// Keeps a reading, and says where the one before it came from.
    fn keep(&self, name: &str, from: &Destination, reading: Reading) -> Option<Destination> {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = readings.insert(name.to_owned(), (from.clone(), reading));
        before.map(|(destination, _)| destination)
    }

    /// Forgets a BMC that is gone, and says where it was.
    fn forget(&self, name: &str) -> Option<Destination> {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readings.remove(name).map(|(destination, _)| destination)
    }
}

/// One pass over one BMC.
///
/// # Errors
///
/// Those of the API server. A BMC that does not answer is no error.
pub async fn pass<C: Connect>(
    ctx: Arc<Context<C>>,
    work: Arc<Work<String>>,
    readings: Arc<Readings>,
    name: String,
) -> Result<Next, Error> {
    let Some(bmc) = ctx.view.bmcs.named(None, &name) else {
        work.failures.succeeded(&name);
        if let Some(destination) = readings.forget(&name) {
            ctx.memories.forget_found(&destination);
            ctx.bmcs.forget(&target(&destination)).await;
        }
        return Ok(Next::Wait);
    };
    if !ctx.view.is_ready() {
        return Ok(Next::After(NOT_LISTED));
    }
    if bmc.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let mut looked = false;
    loop {
        match judge(&ctx, &work, &readings, &bmc) {
            Decision::Look if looked => return Err(Error::TooManyTurns),
            Decision::Look => {
                looked = true;
                // Who is nobody, and costs a timeout, must not keep others waiting.
                let turn = (!has_answered(&bmc)).then(|| ctx.unanswered.try_acquire());
                let Ok(_turn) = turn.transpose() else { return Ok(Next::After(CROWDED)) };
                look(&ctx, &readings, &bmc).await;
            }
            Decision::Record(status) => {
                let api = Api::<Bmc>::all(ctx.client.clone());
                record_status(&api, &bmc, &*status, MANAGER).await.map_err(Error::Record)?;
                return Ok(Next::After(CAUGHT_UP));
            }
            Decision::Note(note) => {
                self::note(&ctx, &bmc, &note).await?;
                return Ok(Next::After(CAUGHT_UP));
            }
            Decision::Settle => {
                let api = Api::<Bmc>::all(ctx.client.clone());
                let annotations = [(annotation::ACCEPT_ADDRESS, None)].into();
                let settled = patch_annotations(&api, &*bmc, &annotations, MANAGER).await;
                settled.map_err(Error::write("BMC"))?;
                return Ok(Next::After(CAUGHT_UP));
            }
            Decision::Collect { credentials } => {
                collect(&ctx, &bmc, credentials).await?;
                return Ok(Next::After(CAUGHT_UP));
            }
            Decision::Create(servers) => {
                for server in servers {
                    create(&ctx, server).await?;
                }
                return Ok(Next::After(CAUGHT_UP));
            }
            Decision::Update { server, system_uri, labels } => {
                update(&ctx, &server, &system_uri, &labels).await?;
                return Ok(Next::After(CAUGHT_UP));
            }
            Decision::Own { server, owners } => return own(&ctx, &server, &owners).await,
            Decision::Rest(time) => return Ok(Next::Rested(time.unsigned_abs())),
        }
    }
}

fn judge<C>(ctx: &Context<C>, work: &Work<String>, readings: &Readings, bmc: &Bmc) -> Decision {
    let name = bmc.name_any();
    let destination = ctx.destination_of_bmc(bmc);
    let reading = destination.as_ref().ok().and_then(|it| readings.of(&name, it));
    let said = reading.as_ref().and_then(|reading| reading.result.as_ref().ok());
    let uuids = said.into_iter().flat_map(|said| &said.systems).filter_map(|it| it.uuid.as_deref());
    let keys = uuids.flat_map(uuid_keys).collect::<BTreeSet<_>>();
    let same_uuid: Vec<_> = keys.iter().flat_map(|key| ctx.view.servers.get(key)).collect();
    let (failure, secret) = (failure(work, &name), ctx.secret_of(bmc));
    let servers = servers(ctx, &name, said.map_or(0, |said| said.systems.len()));
    let database = ctx.mac_prefixes.current();
    decide(&Observation {
        bmc,
        destination,
        secret: secret.as_deref(),
        database: database.as_deref(),
        mac_address: mac_address(ctx, bmc),
        reading: reading.as_ref(),
        servers: &servers,
        same_uuid: &same_uuid,
        unreadable: &unreadable(ctx, &name),
        namespace: &ctx.settings.namespace,
        holds_new: ctx.holds_new,
        failure: failure.as_ref(),
        started: ctx.started,
        now: Timestamp::now(),
    })
}

/// The servers of a BMC with so many systems, and those that have a name which it would give.
fn servers<C>(ctx: &Context<C>, bmc: &str, systems: usize) -> Vec<Arc<Server>> {
    let mut servers = ctx.view.servers.get(&ServerKey::Bmc(bmc.to_owned()));
    let names = (0..servers.len() + systems).map(|index| server_name(bmc, index));
    let others: Vec<_> = names.filter_map(|name| ctx.view.servers.named(None, &name)).collect();
    let is_ours = |server: &Server| server.spec.bmc_ref.as_ref().is_some_and(|it| it.name == bmc);
    servers.extend(others.into_iter().filter(|server| !is_ours(server)));
    servers
}

/// Servers that cannot be read, unless their name says that they are of another BMC.
fn unreadable<C>(ctx: &Context<C>, bmc: &str) -> Vec<String> {
    let is_of_another = |name: &String| {
        let of = name.rsplit_once("-system-").filter(|(_, number)| number.parse::<u32>().is_ok());
        of.is_some_and(|(of, _)| of != bmc && ctx.view.bmcs.named(None, of).is_some())
    };
    let mut names = ctx.view.servers.withdrawn();
    names.retain(|name| !is_of_another(name));
    names.sort();
    names
}

fn mac_address<C>(ctx: &Context<C>, bmc: &Bmc) -> Option<String> {
    let inline = bmc.spec.access.as_ref().and_then(|access| access.mac_address.clone());
    inline.or_else(|| {
        let endpoint = bmc.spec.endpoint_ref.as_ref()?;
        ctx.view.endpoints.named(None, &endpoint.name)?.spec.mac_address.clone()
    })
}

/// Reads manager and systems. What the systems say is kept for the servers as well.
async fn look<C: Connect>(ctx: &Context<C>, readings: &Readings, bmc: &Bmc) {
    let Ok(destination) = ctx.destination_of_bmc(bmc) else { return };
    let to = target(&destination);
    ctx.bmcs.set_pin(&to, ctx.pin_of(bmc));
    ctx.bmcs.set_host_name(&to, bmc.spec.hostname.as_deref());
    ctx.recall_refusal(bmc, &to, &destination);
    let connection = ctx.bmcs.connect(&to, &destination.credentials);
    let uuid = bmc.spec.bmc_uuid.as_deref().filter(|uuid| !uuid.is_empty());
    let (at, mut answered) = (Timestamp::now(), Timestamp::now());
    let reading = async {
        let mut remarks = vec![];
        let systems = connection.systems_with(&mut remarks).await?;
        answered = Timestamp::now();
        let manager = match connection.manager(uuid).await {
            // The systems are not lost with it, and where there is none, none is missing.
            Err(error) if error.is_of_a_part() => {
                remarks.push(Chain(&error).to_string());
                ManagerReading::default()
            }
            manager => manager?,
        };
        let certificate = ctx.bmcs.pin(&to).map(|pin| pin.to_string());
        Ok(Answers { manager, systems, certificate, remarks })
    };
    let result = reading.await.map_err(unreachable);
    ctx.memories.forget_found(&destination);
    if let Ok(said) = &result {
        let took = answered.duration_since(at);
        for system in &said.systems {
            let reading = SystemReadingOf { at, took, result: Ok(system.clone()) };
            Memories::found(&ctx.memories, &destination, reading);
        }
    }
    let (name, last) = (bmc.name_any(), readings.of(&bmc.name_any(), &destination));
    let reading = Reading::new(at, result, last.as_ref());
    let before = readings.keep(&name, &destination, reading);
    if let Some(before) = before.filter(|before| *before != destination) {
        ctx.memories.forget_found(&before);
    }
}

/// Removes what was made for a BMC that never answered: the credentials first, since nothing leads
/// to them once it is gone. An Endpoint that the watch does not show yet keeps all of it.
async fn collect<C>(ctx: &Context<C>, bmc: &Bmc, credentials: bool) -> Result<(), Error> {
    let client = &ctx.client;
    if let Some(reference) = &bmc.spec.endpoint_ref {
        let endpoints = Api::<Endpoint>::all(client.clone());
        let found = endpoints.get_metadata_opt(&reference.name).await;
        if found.map_err(Error::read("Endpoint"))?.is_some() {
            return Ok(());
        }
    }
    if let Some(secret) = ctx.secret_of(bmc).filter(|_| credentials) {
        let secrets = Api::<BmcSecret>::all(client.clone());
        delete_seen(&secrets, &*secret).await.map_err(Error::write("BMCSecret"))?;
    }
    tracing::info!(bmc = bmc.name_any(), "removed: it never answered, and its Endpoint is gone");
    let bmcs = Api::<Bmc>::all(client.clone());
    delete_seen(&bmcs, bmc).await.map_err(Error::write("BMC"))
}

/// Writes beside the credentials which BMC they are of.
async fn note<C>(ctx: &Context<C>, bmc: &Bmc, note: &Note) -> Result<(), Error> {
    let Some(secret) = ctx.secret_of(bmc) else { return Ok(()) };
    let api = Api::<BmcSecret>::all(ctx.client.clone());
    let annotations = note.iter().map(|(key, value)| (*key, value.as_deref())).collect();
    let noted = patch_annotations(&api, &*secret, &annotations, MANAGER).await;
    noted.map(drop).map_err(Error::write("BMCSecret"))
}

/// The way to a BMC.
pub fn target(destination: &Destination) -> Target {
    Target { scheme: destination.scheme, address: destination.address, port: destination.port }
}

/// A BMC that gives no usable answer, as a decision sees it.
pub fn unreachable(error: BmcError) -> Unreachable {
    match error {
        BmcError::Unauthorized => Unreachable::Unauthorized,
        error @ BmcError::SessionsFull(_) => Unreachable::SessionsFull(Chain(&error).to_string()),
        error @ BmcError::Misbehaving { .. } => Unreachable::Misbehaving(Chain(&error).to_string()),
        error @ (BmcError::Unreachable(_) | BmcError::Withdrawn(_) | BmcError::Failed { .. }) => {
            Unreachable::NoAnswer(Chain(&error).to_string())
        }
    }
}

async fn create<C>(ctx: &Context<C>, server: Server) -> Result<(), Error> {
    let servers = Api::<Server>::all(ctx.client.clone());
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match servers.create(&params, &server).await {
        Ok(_) => Ok(()),
        // The cache is behind: the next pass sees it.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(Error::Write { what: "Server", source: error }),
    }
}

/// Where an admission plugin lets only those change owners who may delete, a person has to.
async fn own<C>(
    ctx: &Context<C>,
    server: &Server,
    owners: &[OwnerReference],
) -> Result<Next, Error> {
    let api = Api::<Server>::all(ctx.client.clone());
    let change = MetadataChange { owner_references: Some(owners), ..MetadataChange::default() };
    match patch_metadata(&api, &server.metadata, &change, MANAGER).await {
        Ok(()) => {
            tracing::info!(server = server.name_any(), "owner put right");
            Ok(Next::After(CAUGHT_UP))
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            let name = server.name_any();
            tracing::warn!(server = name, why = status.message, "owner not put right");
            Ok(Next::After(NOT_ALLOWED))
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Next::After(CAUGHT_UP)),
        Err(source) => Err(Error::Write { what: "Server", source }),
    }
}

async fn update<C>(
    ctx: &Context<C>,
    server: &Server,
    system_uri: &str,
    labels: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let patch = json!({
        "metadata": { "labels": labels, "resourceVersion": server.resource_version() },
        "spec": { "systemURI": system_uri },
    });
    let servers = Api::<Server>::all(ctx.client.clone());
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
    let patched = servers.patch(&server.name_any(), &params, &Patch::Merge(patch)).await;
    patched.map(drop).map_err(Error::write("Server"))
}
