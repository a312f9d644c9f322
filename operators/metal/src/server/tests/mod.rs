//! Which requests a pass sends, and when it sends none.

mod certificates;
mod claims;
mod connections;
mod slow;

pub(crate) use metal_runtime::testing::list;

use super::*;
use crate::{DiscoveryBoot, bmc_users::BmcUsers, macdb::MacPrefixes, memory::Memories, view::View};
use futures::stream;
use kube::{
    Api, Client,
    api::ObjectMeta,
    core::DeserializeGuard,
    runtime::{
        events::{Recorder, Reporter as Source},
        watcher::Event,
    },
};
use metal_api::{
    BmcAccess, BmcSecret, BmcSecretSpec, BootState, LocalObjectReference, ObjectReference,
    ServerBootConfiguration, ServerBootConfigurationSpec, ServerBootConfigurationStatus,
    ServerClaim, ServerClaimSpec, ServerSpec, annotation, finalizer,
};
use metal_bmc::fake::{FakeBmc, Fault};
use metal_core::{
    bmc::Verification,
    capability::Key,
    redfish::{BootSource, Credentials, PowerState, Scheme, SystemReading},
};
use metal_ignition::discovery::{DEFAULT_TEMPLATE, IgnitionTemplate};
use metal_runtime::{
    controller::Pass, index::Index, report::Reporter, testing::ApiServer, work::Work,
};
use serde_json::Value;
use std::{fmt::Debug, hash::Hash};
use tokio::sync::{Semaphore, mpsc::channel};

#[tokio::test]
async fn new_server_is_recorded_and_its_machine_left_alone() {
    let scene = Scene::new(server(), None).await;
    assert_eq!(scene.pass().await.unwrap(), Next::Again);
    let [(request, body)] = scene.sent().try_into().unwrap();
    assert!(request.starts_with("PATCH /apis/metal.ironcore.dev/v1alpha1/servers/server-a/status"));
    assert_eq!(body["status"]["state"], "Discovery");
    assert_eq!(body["metadata"]["resourceVersion"], "7");
    assert_eq!(scene.bmc.steps(), []);
}

#[tokio::test]
async fn recorded_server_gets_one_step_and_no_request() {
    let scene = Scene::recorded().await;
    assert_eq!(scene.pass().await.unwrap(), Next::Again);
    assert_eq!(scene.sent(), []);
    let steps: Vec<_> = scene.bmc.steps().into_iter().map(|(_, step)| step).collect();
    assert!(matches!(steps.as_slice(), [Step::BootOnce { source: BootSource::Pxe, .. }]));
}

#[tokio::test]
async fn what_was_written_is_decided_on_at_once_however_late_the_watch_shows_it() {
    let scene = Scene::new(server(), None).await;
    scene.pass().await.unwrap();
    let stale = scene.ctx.view.servers.named(None, "server-a").unwrap();
    assert_eq!(stale.status.as_ref().unwrap().state, Some(ServerState::Discovery));
    // The watch is behind: it still shows the previous state.
    show(&scene.ctx.view.servers, server()).await;
    scene.pass().await.unwrap();
    let requests: Vec<_> = scene.sent().into_iter().map(|(request, _)| request).collect();
    assert_eq!(requests.len(), 4, "a status, two Secrets and a configuration: {requests:?}");
    show(&scene.ctx.view.servers, server()).await;
    scene.pass().await.unwrap();
    assert_eq!(scene.sent().len(), 4, "{:?}", scene.sent());
}

#[tokio::test]
async fn a_later_write_of_somebody_else_is_decided_on_and_not_what_we_wrote() {
    let scene = Scene::new(server(), None).await;
    scene.pass().await.unwrap();
    let mut theirs = scene.server.object::<Server>(None, "server-a").unwrap();
    theirs.metadata.resource_version = Some("99".to_owned());
    theirs.status = None;
    scene.server.put(&theirs);
    show(&scene.ctx.view.servers, theirs).await;
    scene.pass().await.unwrap();
    let (request, body) = scene.sent().remove(1);
    assert!(request.ends_with("/servers/server-a/status"), "{request}");
    assert_eq!(body["metadata"]["resourceVersion"], "99");
}

#[tokio::test]
async fn discovery_is_prepared_once_however_late_the_watch_shows_it() {
    let scene = Scene::recorded_with(None).await;
    assert_eq!(scene.pass().await.unwrap(), Next::Again);
    for _ in 0..2 {
        assert!(matches!(scene.pass().await.unwrap(), Next::Rested(_)));
        let requests: Vec<_> = scene.sent().into_iter().map(|(request, _)| request).collect();
        assert_eq!(requests.len(), 3, "two Secrets and a configuration: {requests:?}");
    }
}

#[tokio::test]
async fn step_that_fails_is_an_error_and_is_read_back_before_anything_else() {
    let scene = Scene::recorded().await;
    scene.bmc.set_fault(Some(Fault::Jammed));
    let error = scene.pass().await.unwrap_err();
    assert!(matches!(error, Error::Bmc(_)), "{error:?}");
    let memory = scene.ctx.memories.of("server-a");
    assert_eq!(memory.reading, None);
    let failed = memory.last_step(Now::read()).unwrap().failed.unwrap();
    let Error::Bmc(error) = error else { panic!("{error:?}") };
    assert_eq!(failed, report::Chain(&error).to_string());
}

#[tokio::test]
async fn step_of_a_process_that_lost_its_lease_is_not_sent_and_does_not_count() {
    let mut scene = Scene::recorded().await;
    let leases = Api::default_namespaced(ApiServer::default().client("default"));
    let candidate = metal_runtime::election::lease::Candidate::new(leases, "lease", "me");
    Arc::get_mut(&mut scene.ctx).unwrap().leadership = candidate.leadership();
    let error = scene.pass().await.unwrap_err();
    assert!(matches!(error, Error::Withdrawn(BmcError::Withdrawn(_))), "{error:?}");
    assert_eq!(scene.bmc.steps(), []);
    let memory = scene.ctx.memories.of("server-a");
    assert!(memory.last_step(Now::read()).is_none() && memory.reading.is_none());
}

#[tokio::test]
async fn a_system_that_new_firmware_has_renamed_is_found_by_its_uuid() {
    for uri in ["/redfish/v1/Systems/before", ""] {
        let mut server = server();
        server.spec.system_uri = Some(uri.to_owned());
        let scene = Scene::new(server, None).await;
        for _ in 0..2 {
            scene.pass().await.unwrap();
        }
        let (request, body) = scene.sent().remove(1);
        assert!(request.ends_with("/servers/server-a"), "{request}");
        assert_eq!(body["spec"]["systemURI"], "/redfish/v1/Systems/1");
    }
}

#[tokio::test]
async fn refused_credentials_are_recorded_and_not_tried_again() {
    let scene = Scene::new(server(), None).await;
    let (username, password) = ("other".to_owned(), "secret".to_owned());
    scene.bmc.accept_only(Credentials { username, password });
    scene.pass().await.unwrap();
    let (_, body) = scene.sent().remove(0);
    let conditions = body["status"]["conditions"].as_array().unwrap().clone();
    assert!(conditions.iter().any(|c| c["reason"] == "Unauthorized"), "{conditions:?}");
    let calls = scene.bmc.calls();
    scene.pass().await.unwrap();
    assert_eq!(scene.bmc.calls(), calls, "asked again with the same credentials");
}

#[tokio::test]
async fn a_deleted_server_serves_its_claim_and_says_what_holds_it() {
    let mut server = server();
    server.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    server.spec.server_claim_ref = Some(metal_api::ClaimReference {
        namespace: "tenant".to_owned(),
        name: "claim".to_owned(),
        uid: None,
    });
    let scene = Scene::new(server, None).await;
    let mut claim = ServerClaim::new("claim", ServerClaimSpec::default());
    claim.metadata.namespace = Some("tenant".to_owned());
    list(&scene.ctx.view.claims, vec![claim]).await;
    scene.pass().await.unwrap();
    let (request, body) = scene.sent().remove(0);
    assert!(request.starts_with("PATCH") && request.contains("/status"), "{request}");
    assert_eq!(body["status"]["state"], "Reserved");
    let conditions = body["status"]["conditions"].as_array().unwrap();
    let held = conditions.iter().find(|c| c["type"] == "Reconciled").unwrap();
    assert_eq!((&held["status"], &held["reason"]), (&"False".into(), &"Claimed".into()));
    assert!(held["message"].as_str().unwrap().contains("delete the claim first"), "{held}");
}

struct Scene {
    ctx: Arc<Context<FakeBmc>>,
    work: Arc<Work<String>>,
    bmc: FakeBmc,
    server: ApiServer,
}

impl Scene {
    /// A cluster with this server, its credentials, and its boot configuration.
    async fn new(server: Server, configuration: Option<ServerBootConfiguration>) -> Self {
        let uuid = server.spec.effective_uuid();
        let view = Arc::new(View::default());
        list(&view.endpoints, vec![]).await;
        list(&view.bmcs, vec![]).await;
        list(&view.claims, vec![]).await;
        list(&view.inventories, vec![]).await;
        list(&view.machines, vec![]).await;
        list(&view.secrets, vec![secret()]).await;
        let api = ApiServer::default();
        api.put(&server);
        if let Some(configuration) = &configuration {
            api.put(configuration);
        }
        list(&view.configurations, configuration).await;
        list(&view.servers, vec![server]).await;
        let bmc = FakeBmc::new(SystemReading {
            uri: "/redfish/v1/Systems/1".to_owned(),
            uuid,
            power: PowerState::Off,
            ..SystemReading::default()
        });
        let client = api.client("default");
        let recorder = Recorder::new(client.clone(), Source::from("test"));
        let reporter = Reporter {
            controller: "server",
            recorder: recorder.clone(),
            passes: prometheus_client::metrics::family::Family::default(),
        };
        let ctx = context(client, view, recorder, bmc.clone());
        Self { ctx: Arc::new(ctx), work: Arc::new(Work::new(reporter)), bmc, server: api }
    }

    /// A server in `Discovery` whose boot configuration is ready.
    async fn recorded() -> Self {
        Self::recorded_with(Some(ready())).await
    }

    /// A server in `Discovery` with this boot configuration.
    async fn recorded_with(configuration: Option<ServerBootConfiguration>) -> Self {
        let first = Self::new(server(), None).await;
        first.pass().await.unwrap();
        let mut recorded = server();
        let (_, body) = first.sent().remove(0);
        recorded.status = Some(serde_json::from_value(body["status"].clone()).unwrap());
        Self::new(recorded, configuration).await
    }

    async fn pass(&self) -> Result<Next, Error> {
        Servers(Arc::clone(&self.ctx)).pass(&self.work, "server-a".to_owned()).await
    }

    /// A pass with its deadline.
    async fn turn(&self) {
        self.work.turn(&Servers(Arc::clone(&self.ctx)), "server-a".to_owned()).await;
    }

    /// The writes so far, except events.
    fn sent(&self) -> Vec<(String, Value)> {
        let written = self.server.written().into_iter().filter(|sent| !sent.is_event());
        written.map(|sent| (sent.request, sent.body)).collect()
    }
}

/// What passes may use, with a view and a client.
pub(crate) fn context(
    client: Client,
    view: Arc<View>,
    recorder: Recorder,
    bmcs: FakeBmc,
) -> Context<FakeBmc> {
    let args = ["metal-operator", "--probe-image=p", "--probe-os-image=o"];
    let args =
        metal_runtime::args::try_parse::<crate::args::Args>(&[], args.map(Into::into), |_| false);
    Context {
        client,
        view,
        recorder,
        bmcs,
        users: BmcUsers::default(),
        memories: Memories::default(),
        settings: args.unwrap().args.settings(),
        default_scheme: Scheme::Http,
        verification: Verification::Pinned,
        holds_new: false,
        unanswered: Semaphore::new(1),
        mac_prefixes: Arc::new(MacPrefixes::default()),
        discovery: DiscoveryBoot {
            os_image: "registry.example/os:1".to_owned(),
            probe_image: "registry.example/probe:1".to_owned(),
            registry_url: "http://192.0.2.1:10000".to_owned(),
            template: IgnitionTemplate::parse(DEFAULT_TEMPLATE).unwrap(),
            key: Key::new(&[7; 32]).unwrap().into(),
        },
        media: None,
        unreadable: channel(1).0,
        leadership: metal_runtime::election::leadership::Leadership::default(),
    }
}

/// The same with an empty view, and BMCs that nobody asks.
pub(crate) fn context_at(api: &ApiServer) -> Context<FakeBmc> {
    let client = api.client("default");
    let recorder = Recorder::new(client.clone(), Source::from("test"));
    context(client, Arc::default(), recorder, FakeBmc::new(SystemReading::default()))
}

/// The watch shows this object.
async fn show<K, Key>(index: &Index<K, Key>, object: K)
where
    K: kube::Resource<DynamicType = ()> + Debug,
    Key: Eq + Hash,
{
    let event = Event::Apply(DeserializeGuard(Ok(object)));
    index.follow(stream::iter([Ok(event)])).await.unwrap_err();
}

fn server() -> Server {
    let secret = LocalObjectReference { name: "secret-a".to_owned() };
    let spec = ServerSpec {
        system_uuid: Some("38947555-7742-3448-3784-823347823834".to_owned()),
        system_uri: Some("/redfish/v1/Systems/1".to_owned()),
        boot_configuration_ref: Some(ObjectReference {
            namespace: "default".to_owned(),
            name: "server-a".to_owned(),
        }),
        bmc: Some(BmcAccess {
            protocol: serde_json::from_str(r#"{"name":"Redfish","port":8000}"#).unwrap(),
            address: "192.0.2.9".to_owned(),
            bmc_secret_ref: secret,
        }),
        ..ServerSpec::default()
    };
    let mut server = Server::new("server-a", spec);
    server.metadata.uid = Some("uid-1".to_owned());
    server.metadata.resource_version = Some("7".to_owned());
    server.metadata.finalizers = Some(vec![finalizer::SERVER.to_owned()]);
    server
}

fn secret() -> BmcSecret {
    let data = [("username", "foo"), ("password", "bar")];
    let string_data = data.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    BmcSecret::new(
        "secret-a",
        BmcSecretSpec { string_data: Some(string_data), ..Default::default() },
    )
}

/// The discovery's boot configuration at the first attempt.
fn ready() -> ServerBootConfiguration {
    let attempt = (annotation::DISCOVERY_ATTEMPT.to_owned(), "1".to_owned());
    ServerBootConfiguration {
        metadata: ObjectMeta {
            name: Some("server-a".to_owned()),
            namespace: Some("default".to_owned()),
            annotations: Some([attempt].into()),
            ..ObjectMeta::default()
        },
        spec: ServerBootConfigurationSpec::default(),
        status: Some(ServerBootConfigurationStatus {
            state: Some(BootState::Ready),
            ..ServerBootConfigurationStatus::default()
        }),
    }
}
