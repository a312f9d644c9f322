//! Controller of [`ServerClaim`].

use crate::{
    Context, Error, failure, owned_objects,
    server_patch::{ServerPatch, patch},
    view::{ClaimKey, ServerKey},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, ResourceExt, runtime::events::EventType};
use metal_api::{
    ClaimPhase, ClaimReference, LocalObjectReference, ObjectReference, Server,
    ServerBootConfiguration, ServerBootConfigurationSpec, ServerClaim, ServerClaimSpec,
    ServerClaimStatus, condition, finalizer,
};
use metal_base::{Locked, Never};
use metal_core::{
    claim::{Change, Decision, Observation, Withheld, binding, decide, is_told, misses},
    ownership::owned_by,
};
use metal_runtime::{
    OkIf, Writer, Written, controller::Controller, index::Index, report, work::Next,
};
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Namespace and name of a claim.
pub(crate) type Key = (String, String);

/// The only field of a claim's spec that the controller writes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimPatch {
    server_ref: LocalObjectReference,
}

/// How often all servers are looked at to tell a claim why none fits. Each server that becomes free wakes every claim
/// that it would fit, and changes the numbers in what the others are told.
const TOLD: Duration = Duration::from_mins(1);

/// The controller.
pub(crate) struct Claims<C> {
    ctx: Arc<Context<C>>,
    /// When all servers were last looked at for a claim.
    told: Mutex<HashMap<Key, Instant>>,
}

impl<C> Claims<C> {
    /// A controller that has told nobody anything yet.
    pub(crate) fn new(ctx: Arc<Context<C>>) -> Self {
        Self { ctx, told: Mutex::default() }
    }

    /// For how long what a claim was told a moment ago still stands; `None` if it is time to look again.
    fn stays_told(&self, claim: &ServerClaim) -> Option<SignedDuration> {
        let key = (claim.namespace().unwrap_or_default(), claim.name_any());
        let mut told = self.told.locked();
        let left = told.get(&key).and_then(|at| TOLD.checked_sub(at.elapsed()));
        let left = left.filter(|left| !left.is_zero() && is_told(claim));
        if left.is_none() {
            told.insert(key, Instant::now());
        }
        SignedDuration::try_from(left?).ok()
    }
}

impl<C: Send + Sync + 'static> Controller for Claims<C> {
    type Object = ServerClaim;
    type Key = Key;
    type IndexKey = ClaimKey;
    type Facts = ();
    type Status = ServerClaimStatus;
    type Change = Change;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<ServerClaim, ClaimKey> {
        &self.ctx.view.claims
    }

    fn is_ready(&self) -> bool {
        self.ctx.view.is_ready()
    }

    fn ignores(&self, _: &ServerClaim) -> bool {
        false
    }

    async fn gone(&self, key: &Key) -> Result<Next, Error> {
        self.told.locked().remove(key);
        if self.index().is_withdrawn(Some(&key.0), &key.1) {
            release_unread(&self.ctx, key).await?;
        }
        Ok(Next::Wait)
    }

    async fn observe(&self, _: &Arc<ServerClaim>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(
        &self,
        claim: &Arc<ServerClaim>,
        (): &(),
        failed: Option<&report::Failure>,
    ) -> Decision {
        let (view, failure) = (&self.ctx.view, failure(failed));
        let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
        let holders = holders(&self.ctx, claim);
        let configuration = view.configurations.named(Some(&namespace), &name);
        let judge = |mut candidates: Vec<Arc<Server>>| {
            let before = candidates.len();
            candidates.retain(|server| !is_of_another(&self.ctx, server, claim));
            let of_another = (candidates.len() < before).then_some(Withheld::OfAnother);
            decide(&Observation {
                claim,
                holders: &holders,
                candidates: &candidates,
                withheld: of_another.or_else(|| unreadable(&self.ctx, claim)),
                configuration: configuration.as_deref(),
                failure: failure.as_ref(),
                now: Timestamp::now(),
            })
        };
        match &claim.spec.server_ref {
            Some(server) => judge(view.servers.named(None, &server.name).into_iter().collect()),
            None => match judge(view.servers.get(&ServerKey::Free)) {
                // No free server fits: judge all servers, to say why.
                Decision::Record(_) | Decision::Rest(_) => {
                    let may_stay = holders.is_empty() && failure.is_none();
                    let left = may_stay.then(|| self.stays_told(claim)).flatten();
                    left.map_or_else(|| judge(view.servers.all()), Decision::Rest)
                }
                decision => decision,
            },
        }
    }

    async fn record(&self, claim: &ServerClaim, status: &ServerClaimStatus) -> Result<Next, Error> {
        Ok(record(&self.ctx, claim, status).await?.into())
    }

    async fn change(&self, claim: &ServerClaim, change: Change) -> Result<Next, Error> {
        let ctx = &*self.ctx;
        let written = match change {
            Change::AddFinalizer => {
                let added = claims(ctx, claim).add_finalizer(claim, finalizer::SERVER_CLAIM).await;
                added.map_err(Error::write("ServerClaim"))?
            }
            Change::Bind(server) => bind(ctx, claim, &server).await?,
            Change::LetGo(server) => patch(ctx, &server, ServerPatch::Claim(None)).await?,
            Change::ReferTo(name) => {
                let reference = ClaimPatch { server_ref: LocalObjectReference { name } };
                let patched = claims(ctx, claim).patch_spec(claim, &reference).await;
                patched.map_err(Error::write("ServerClaim"))?
            }
            Change::Configure(server) => configure(ctx, claim, &server).await?,
            Change::Boot(server) => {
                let namespace = claim.namespace().unwrap_or_default();
                let reference = ObjectReference { namespace, name: claim.name_any() };
                patch(ctx, &server, ServerPatch::BootConfiguration(Some(&reference))).await?
            }
            Change::Release => {
                release(ctx, claim).await?;
                Written::Gone
            }
        };
        Ok(written.into())
    }
}

/// The servers that refer to this claim, rather than to an earlier one of the same name.
fn holders<C>(ctx: &Context<C>, claim: &ServerClaim) -> Vec<Arc<Server>> {
    let namespace = claim.namespace().unwrap_or_default();
    let mut holders = ctx.view.servers.get(&ServerKey::Claim(namespace, claim.name_any()));
    holders.retain(|server| binding(server, claim).holds());
    holders
}

/// Whether a server without a reference belongs to another claim all the same.
fn is_of_another<C>(ctx: &Context<C>, server: &Server, claim: &ServerClaim) -> bool {
    let named = ctx.view.claims.get(&ClaimKey::Server(server.name_any()));
    named.iter().any(|other| other.metadata.uid != claim.metadata.uid && misses(other, server))
}

/// Whether the server that the claim names is there, but cannot be parsed.
fn unreadable<C>(ctx: &Context<C>, claim: &ServerClaim) -> Option<Withheld> {
    let named = claim.spec.server_ref.as_ref()?;
    ctx.view.servers.is_withdrawn(None, &named.name).then_some(Withheld::Unreadable)
}

/// The one write that binds, to the version of the server that was judged.
async fn bind<C>(ctx: &Context<C>, claim: &ServerClaim, server: &Server) -> Result<Written, Error> {
    let reference = ClaimReference {
        namespace: claim.namespace().unwrap_or_default(),
        name: claim.name_any(),
        uid: claim.uid(),
    };
    let written = patch(ctx, server, ServerPatch::Claim(Some(&reference))).await?;
    tracing::info!(
        claim = claim.name_any(),
        namespace = claim.namespace(),
        server = server.name_any(),
        "bound"
    );
    Ok(written)
}

async fn configure<C>(
    ctx: &Context<C>,
    claim: &ServerClaim,
    server: &str,
) -> Result<Written, Error> {
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference { name: server.to_owned() },
        image: Some(claim.spec.image.clone()),
        ignition_secret_ref: claim.spec.ignition_secret_ref.clone(),
    };
    let mut configuration = ServerBootConfiguration::new(&claim.name_any(), spec);
    configuration.metadata = ObjectMeta {
        name: claim.metadata.name.clone(),
        namespace: claim.metadata.namespace.clone(),
        owner_references: owned_by(claim),
        ..ObjectMeta::default()
    };
    let namespace = claim.namespace().unwrap_or_default();
    let configurations = ctx.writer_in(&ctx.view.configurations, &namespace);
    let applied = configurations.record_spec(&configuration, &[]).await;
    applied.map_err(Error::write("ServerBootConfiguration"))
}

async fn record<C>(
    ctx: &Context<C>,
    claim: &ServerClaim,
    status: &ServerClaimStatus,
) -> Result<Written, Error> {
    let recorded = claims(ctx, claim).record_status(claim, status).await;
    let recorded = recorded.map_err(Error::Record)?;
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
    Ok(recorded)
}

/// Releases a claim that cannot be parsed, or is too large to be kept: its metadata is enough for
/// that, and its owner may not be able to correct it.
async fn release_unread<C>(ctx: &Context<C>, (namespace, name): &Key) -> Result<(), Error> {
    let api = Api::<ServerClaim>::namespaced(ctx.client.clone(), namespace);
    let found = api.get_metadata(name).await.ok_if_not_found();
    match found.map_err(Error::read("ServerClaim"))? {
        Some(found) if found.metadata.deletion_timestamp.is_some() => {
            let mut claim = ServerClaim::new(name, ServerClaimSpec::default());
            claim.metadata = found.metadata;
            release(ctx, &claim).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Deletes the boot configuration and releases the claim; the server observes that it is gone.
async fn release<C>(ctx: &Context<C>, claim: &ServerClaim) -> Result<(), Error> {
    if !claim.finalizers().iter().any(|name| name == finalizer::SERVER_CLAIM) {
        return Ok(());
    }
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    owned_objects::delete_configuration(ctx, (&namespace, &name), claim).await?;
    let removed = claims(ctx, claim).remove_finalizer(claim, finalizer::SERVER_CLAIM).await;
    removed.map(drop).map_err(Error::write("ServerClaim"))
}

fn claims<'a, C>(ctx: &'a Context<C>, claim: &ServerClaim) -> Writer<'a, ServerClaim, ClaimKey> {
    ctx.writer_in(&ctx.view.claims, &claim.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        server::tests::{context, context_at, list},
        view::View,
    };
    use futures::stream;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
    use kube::{
        core::{DeserializeGuard, error_boundary::InvalidObject},
        runtime::{
            events::{Recorder, Reporter as Source},
            watcher::Event,
        },
    };
    use metal_bmc::fake::FakeBmc;
    use metal_core::redfish::SystemReading;
    use metal_runtime::{
        controller::Pass,
        report::Reporter,
        testing::{ApiServer, Sent},
        work::Work,
    };
    use serde_json::json;

    #[tokio::test]
    async fn a_claim_that_cannot_be_read_is_let_go_when_it_is_deleted() {
        assert_eq!(requests(false).await.len(), 1, "it is left alone until then");
        let requests = requests(true).await;
        let claim = "/apis/metal.ironcore.dev/v1alpha1/namespaces/tenant/serverclaims/a";
        let configuration = claim.replace("serverclaims", "serverbootconfigurations");
        let [read, _, delete, patch] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!(read.request, format!("GET {claim}"));
        assert_eq!(delete.request, format!("DELETE {configuration}"));
        assert_eq!(delete.body["preconditions"], json!({ "uid": "c" }));
        assert_eq!(patch.request, format!("PATCH {claim}"));
        let change = json!({ "metadata": { "resourceVersion": "7", "finalizers": ["other"] } });
        assert_eq!(patch.body, change);
    }

    #[tokio::test]
    async fn why_no_server_fits_is_told_once_a_minute_and_not_at_each_change() {
        let ctx = Arc::new(context_at(&ApiServer::default()));
        let claims = Claims::new(Arc::clone(&ctx));
        let mut claim = ServerClaim::new("a", ServerClaimSpec::default());
        claim.metadata.finalizers = Some(vec![finalizer::SERVER_CLAIM.to_owned()]);
        let decide = |claim: &ServerClaim| claims.decide(&Arc::new(claim.clone()), &(), None);
        let server = |name: &str| Server::new(name, metal_api::ServerSpec::default());
        list(&ctx.view.servers, [server("s")]).await;
        let Decision::Record(status) = decide(&claim) else { panic!("it is told nothing") };
        claim.status = Some(*status);
        list(&ctx.view.servers, ["s", "t"].map(server)).await;
        assert!(matches!(decide(&claim), Decision::Rest(left) if left.unsigned_abs() <= TOLD));
        claim.metadata.generation = Some(2);
        assert!(matches!(decide(&claim), Decision::Record(_)), "it was changed");
    }

    /// The requests of a pass over an unreadable claim; the API server has it and its boot
    /// configuration.
    async fn requests(is_deleted: bool) -> Vec<Sent> {
        let meta = ObjectMeta {
            name: Some("a".to_owned()),
            namespace: Some("tenant".to_owned()),
            ..ObjectMeta::default()
        };
        let server = ApiServer::default();
        let mut claim = ServerClaim::new("a", ServerClaimSpec::default());
        let finalizers = ["other", finalizer::SERVER_CLAIM].map(str::to_owned);
        claim.metadata = ObjectMeta {
            resource_version: Some("7".to_owned()),
            uid: Some("u".to_owned()),
            finalizers: Some(finalizers.into()),
            deletion_timestamp: is_deleted.then_some(Time(Timestamp::UNIX_EPOCH)),
            ..meta.clone()
        };
        server.put(&claim);
        let spec = ServerBootConfigurationSpec::default();
        let mut configuration = ServerBootConfiguration::new("a", spec);
        let owner = OwnerReference { uid: "u".to_owned(), ..OwnerReference::default() };
        configuration.metadata = ObjectMeta {
            uid: Some("c".to_owned()),
            owner_references: Some(vec![owner]),
            ..meta.clone()
        };
        server.put(&configuration);
        let view = Arc::new(View::default());
        let broken = InvalidObject { error: "too large".to_owned(), metadata: meta };
        let broken = Event::InitApply(DeserializeGuard(Err(broken)));
        let list = [Event::Init, broken, Event::InitDone].map(Ok);
        view.claims.follow(stream::iter(list)).await.unwrap_err();
        let client = server.client("default");
        let recorder = Recorder::new(client.clone(), Source::from("test"));
        let reporter = Reporter {
            controller: "claim",
            recorder: recorder.clone(),
            passes: prometheus_client::metrics::family::Family::default(),
        };
        let bmcs = FakeBmc::new(SystemReading::default());
        let ctx = Arc::new(context(client, view, recorder, bmcs));
        let key = ("tenant".to_owned(), "a".to_owned());
        Claims::new(ctx).pass(&Work::new(reporter), key).await.unwrap();
        server.sent()
    }
}
