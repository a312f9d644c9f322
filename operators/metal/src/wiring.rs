//! Watches every kind; `wakes` determines what is woken by which change.

use crate::{
    Context, Unreadable, claim, foreign_cleanup, metalman_machines, notices,
    view::View,
    wakes::{self, WakeTarget, Wakes},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt, runtime::events::Recorder};
use metal_core::foreign_cleanup::Kind;
use metal_runtime::{
    index::{Change, Ended, GONE, Index},
    metrics::Registry,
    report::Reporters,
    wiring::{self, Row},
    work::Work,
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, sync::Arc};

/// The queues of the controllers.
#[derive(Clone)]
pub(crate) struct Queues {
    /// Endpoints, by name.
    pub(crate) endpoints: Arc<Work<String>>,
    /// BMCs, by name.
    pub(crate) bmcs: Arc<Work<String>>,
    /// Servers, by name.
    pub(crate) servers: Arc<Work<String>>,
    /// Claims, by namespace and name.
    pub(crate) claims: Arc<Work<claim::Key>>,
    /// Objects that may carry something of another version.
    pub(crate) foreign_cleanup: Arc<Work<foreign_cleanup::Key>>,
    /// Objects with fields that may have no effect.
    pub(crate) notices: Arc<Work<notices::Key>>,
}

impl Queues {
    /// Empty queues, whose passes are reported here.
    pub(crate) fn new(recorder: &Recorder, metrics: &mut Registry) -> Self {
        let reporters = Reporters::new(recorder.clone(), metrics);
        Self {
            endpoints: Arc::new(Work::new(reporters.of("endpoint"))),
            bmcs: Arc::new(Work::new(reporters.of("bmc"))),
            servers: Arc::new(Work::new(reporters.of("server"))),
            claims: Arc::new(Work::new(reporters.of("serverclaim"))),
            foreign_cleanup: Arc::new(Work::new(reporters.of("inherited")).forgiving()),
            notices: Arc::new(Work::new(reporters.of("notices")).forgiving()),
        }
    }
}

impl wiring::Queues for Queues {
    type WakeTarget = WakeTarget;

    fn wake(&self, woken: WakeTarget) {
        match woken {
            WakeTarget::Endpoint(name) => self.endpoints.queue.add(name),
            WakeTarget::Bmc(name) => self.bmcs.queue.add(name),
            WakeTarget::Server(name) => self.servers.queue.add(name),
            WakeTarget::Claim(namespace, name) => self.claims.queue.add((namespace, name)),
        }
    }
}

/// Watches every kind, and wakes what depends on a change.
///
/// # Errors
///
/// When a watch ends, which none ever should.
pub(crate) async fn watch<C: Send + Sync>(ctx: &Context<C>, queues: &Queues) -> Result<(), Ended> {
    let (client, view) = (&ctx.client, &*ctx.view);
    let endpoints = row(ctx, &view.endpoints, wakes::endpoint)
        .heard_by(|it| foreign_cleanup(queues, Kind::Endpoint, it))
        .heard_by(|it| notice(queues, it, |it| notices::Key::Endpoint(it.name_any())));
    let bmcs = row(ctx, &view.bmcs, wakes::bmc)
        .heard_by(|it| foreign_cleanup(queues, Kind::Bmc, it))
        .heard_by(|it| notice(queues, it, |it| notices::Key::Bmc(it.name_any())));
    let secrets = row(ctx, &view.secrets, wakes::secret)
        .heard_by(|it| foreign_cleanup(queues, Kind::BmcSecret, it));
    let servers = row(ctx, &view.servers, wakes::server)
        .heard_by(|it| notice(queues, it, |it| notices::Key::Server(it.name_any())));
    let configurations = row(ctx, &view.configurations, wakes::configuration);
    let claims = row(ctx, &view.claims, wakes::claim).heard_by(|it| {
        notice(queues, it, |it| {
            notices::Key::Claim(it.namespace().unwrap_or_default(), it.name_any())
        });
    });
    let inventories = row(ctx, &view.inventories, |_, change| wakes::inventory(change));
    tokio::try_join!(
        endpoints.follow(client, view, queues),
        bmcs.follow(client, view, queues),
        secrets.follow(client, view, queues),
        servers.follow(client, view, queues),
        configurations.follow(client, view, queues),
        claims.follow(client, view, queues),
        inventories.follow(client, view, queues),
        metalman_machines::follow(client, &view.machines, |change| {
            for woken in wakes::machine(view, &change) {
                wiring::Queues::wake(queues, woken);
            }
        }),
    )
    .map(drop)
}

/// A row for a kind without further consequences.
fn row<'a, C, K, Key>(
    ctx: &'a Context<C>,
    index: &'a Index<K, Key>,
    wakes: fn(&View, &Change<'_, K>) -> Wakes,
) -> Row<'a, View, K, Key, WakeTarget>
where
    C: Send + Sync,
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    Row::new(index, wakes).heard_by(|change| unreadable(ctx, change))
}

/// The object may carry something of another version.
fn foreign_cleanup<K: Resource>(queues: &Queues, kind: Kind, change: &Change<'_, K>) {
    foreign_cleanup::offer_changed(&queues.foreign_cleanup, kind, change);
}

/// The object may have fields without effect: any change except of the status is checked.
fn notice<K: Resource>(queues: &Queues, change: &Change<'_, K>, key: fn(&K) -> notices::Key) {
    if let (true, Change::Applied { new: it, .. } | Change::Removed(it)) =
        (change.is_beyond_status(), change)
    {
        queues.notices.queue.add(key(it));
    }
}

/// Passes on an object that cannot be parsed, to be reported.
fn unreadable<C, K: Resource<DynamicType = ()>>(ctx: &Context<C>, change: &Change<'_, K>) {
    let Change::Unreadable { meta, error, .. } = change else { return };
    if *error == GONE || meta.deletion_timestamp.is_some() {
        return;
    }
    let object = ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        ..ObjectReference::default()
    };
    // If there are too many, the log still has it.
    ctx.unreadable.try_send(Unreadable { object, error: (*error).to_owned() }).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics, server::tests::context_at};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
    use metal_api::{Server, ServerSpec, ServerStatus};
    use metal_runtime::testing::ApiServer;
    use tokio::sync::mpsc::channel;

    #[tokio::test]
    async fn what_is_woken_is_queued_for_its_own_controller() {
        let queues = queues();
        let waiting = || {
            let Queues { endpoints, bmcs, servers, claims, foreign_cleanup, notices } = &queues;
            let objects = [endpoints.queue.len(), bmcs.queue.len(), servers.queue.len()];
            let other = foreign_cleanup.queue.len() + notices.queue.len();
            (objects, claims.queue.len(), other)
        };
        let all = [
            (WakeTarget::Endpoint("a".to_owned()), ([1, 0, 0], 0, 0)),
            (WakeTarget::Bmc("a".to_owned()), ([1, 1, 0], 0, 0)),
            (WakeTarget::Server("a".to_owned()), ([1, 1, 1], 0, 0)),
            (WakeTarget::Claim("tenant".to_owned(), "a".to_owned()), ([1, 1, 1], 1, 0)),
            (WakeTarget::Server("a".to_owned()), ([1, 1, 1], 1, 0)),
        ];
        for (woken, expected) in all {
            wiring::Queues::wake(&queues, woken.clone());
            assert_eq!(waiting(), expected, "{woken:?}");
        }
    }

    #[tokio::test]
    async fn fields_without_effect_are_looked_for_unless_only_the_status_has_changed() {
        let old = Arc::new(Server::new("a", ServerSpec::default()));
        let reported = Server { status: Some(ServerStatus::default()), ..Server::clone(&old) };
        let mut edited = Server::clone(&old);
        edited.metadata.generation = Some(2);
        let (reported, edited) = (Arc::new(reported), Arc::new(edited));
        let changes = [
            (Change::Applied { old: None, new: &old }, 1),
            (Change::Applied { old: Some(&old), new: &reported }, 0),
            (Change::Applied { old: Some(&old), new: &edited }, 1),
            // What was reported about it is forgotten.
            (Change::Removed(&old), 1),
        ];
        for (change, expected) in changes {
            let queues = queues();
            notice(&queues, &change, |it| notices::Key::Server(it.name_any()));
            assert_eq!(queues.notices.queue.len(), expected, "{change:?}");
        }
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_parsed_is_reported_unless_it_is_going() {
        let mut ctx = context_at(&ApiServer::default());
        let (sender, mut reported) = channel(1);
        ctx.unreadable = sender;
        let meta = ObjectMeta {
            name: Some("a".to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        };
        let mut going = meta.clone();
        going.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        for (meta, error) in [(&meta, GONE), (&going, "spec.power"), (&meta, "spec.power")] {
            unreadable::<_, Server>(&ctx, &Change::Unreadable { meta, error, old: None });
        }
        let Unreadable { object, error } = reported.try_recv().unwrap();
        assert_eq!((object.kind.as_deref(), object.name), (Some("Server"), meta.name));
        assert_eq!((object.uid, error.as_str()), (meta.uid, "spec.power"));
        assert!(reported.try_recv().is_err(), "only once");
    }

    /// Must be called in a runtime, which the client needs.
    fn queues() -> Queues {
        let ctx = context_at(&ApiServer::default());
        Queues::new(&ctx.recorder, &mut metrics::registry())
    }
}
