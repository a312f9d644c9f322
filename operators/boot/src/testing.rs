//! A cluster for tests: an API server that remembers what it was asked, and a view that is filled
//! by hand.

#[allow(dead_code, reason = "shared with the tests of metal-image")]
#[path = "../../image/tests/support/mod.rs"]
pub(crate) mod registry;

use crate::{
    args::{Addresses, ByUuid, OutsideWindow, Urls},
    context::Context,
    fetch_limit::FetchLimit,
    fetches::Fetches,
    http::{AppState, DefaultUki, RefusalLog},
    live::Live,
    secrets::Secrets,
    unseen::Unseen,
    view::View,
};
use futures::stream;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::{
    Client, Resource,
    client::Body,
    core::DeserializeGuard,
    runtime::{
        events::{Recorder, Reporter},
        watcher::Event,
    },
};
use metal_api::{
    BootState, BootWindow, DhcpLease, DhcpLeaseSpec, DhcpLeaseState, HttpBootConfig,
    HttpBootConfigSpec, IpxeBootConfig, IpxeBootConfigSpec, LocalObjectReference, ObjectReference,
    Server, ServerBootConfiguration, ServerBootConfigurationSpec, ServerBootConfigurationStatus,
    ServerSpec, ServerStatus,
};
use metal_core::{boot::configuration::Modes, capability::Key};
use metal_image::{AllowList, Registries, Resolver, Store};
use metal_runtime::index::Index;
use prometheus_client::metrics::family::Family;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// An ignition that asks for nothing.
pub(crate) const IGNITION: &str = r#"{"ignition":{"version":"3.4.0"}}"#;
pub(crate) const UUID: &str = "0b3e2f6c-1111-2222-3333-444455556666";
pub(crate) const NAMESPACE: &str = "tenant";

/// One request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    /// Method and path, without the query.
    pub(crate) request: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// An API server that has Secrets, allows nobody to list them, and takes everything else as it comes.
#[derive(Clone, Default)]
pub(crate) struct Cluster(Arc<State>);

#[derive(Default)]
struct State {
    secrets: Mutex<BTreeMap<String, Value>>,
    sent: Mutex<Vec<Sent>>,
    is_down: Mutex<bool>,
    is_empty: Mutex<bool>,
}

impl Cluster {
    /// Puts a Secret into [`NAMESPACE`].
    pub(crate) fn put_secret(&self, name: &str, entries: &[(&str, &str)]) {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), json!(base64(value)));
        let data: serde_json::Map<_, _> = entries.iter().map(entry).collect();
        let secret = json!({"metadata": {"name": name, "namespace": NAMESPACE}, "data": data});
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}");
        self.0.secrets.lock().unwrap().insert(path, secret);
    }

    /// From now on every request fails.
    pub(crate) fn go_down(&self) {
        *self.0.is_down.lock().unwrap() = true;
    }

    /// From now on requests are answered again.
    pub(crate) fn come_back(&self) {
        *self.0.is_down.lock().unwrap() = false;
    }

    /// From now on no object is there to be written to.
    pub(crate) fn lose_all(&self) {
        *self.0.is_empty.lock().unwrap() = true;
    }

    /// What was sent, without what only reads.
    pub(crate) fn written(&self) -> Vec<Sent> {
        let sent = self.0.sent.lock().unwrap();
        sent.iter().filter(|sent| !sent.request.starts_with("GET ")).cloned().collect()
    }

    /// As [`Cluster::written`], without bodies; and forgets it.
    pub(crate) fn take(&self) -> Vec<String> {
        let written = self.written().into_iter().map(|sent| sent.request).collect();
        self.0.sent.lock().unwrap().clear();
        written
    }

    pub(crate) fn reads(&self) -> usize {
        let sent = self.0.sent.lock().unwrap();
        sent.iter().filter(|sent| sent.request.starts_with("GET ")).count()
    }

    pub(crate) fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { Ok::<_, Infallible>(cluster.answer(request).await) }
        });
        Client::new(service, NAMESPACE)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let request = format!("{} {path}", head.method);
        let sent = Sent { request, query: query.to_owned(), body: body.clone() };
        self.0.sent.lock().unwrap().push(sent);
        if *self.0.is_down.lock().unwrap() {
            return reply(StatusCode::INTERNAL_SERVER_ERROR, &failure(500, "InternalError"));
        }
        if head.method == "GET" {
            return match self.0.secrets.lock().unwrap().get(path) {
                Some(secret) => reply(StatusCode::OK, secret),
                None => reply(StatusCode::NOT_FOUND, &failure(404, "NotFound")),
            };
        }
        if *self.0.is_empty.lock().unwrap() {
            return reply(StatusCode::NOT_FOUND, &failure(404, "NotFound"));
        }
        if head.method == "DELETE" {
            return reply(StatusCode::OK, &json!({"kind": "Status", "status": "Success"}));
        }
        reply(StatusCode::OK, &completed(body))
    }
}

/// The written object with the fields that its kind needs.
fn completed(mut object: Value) -> Value {
    let specs = json!({
        "ServerBootConfiguration": {"serverRef": {"name": ""}},
        "IPXEBootConfig": {"kernelURL": "", "initrdURL": ""},
        "HTTPBootConfig": {},
    });
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if object.get("spec").is_none() && specs.get(&kind).is_some() {
        object["spec"] = specs[&kind].clone();
    }
    object
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": ""})
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let body = Body::from(body.to_string().into_bytes());
    Response::builder().status(status).body(body).unwrap()
}

fn base64(text: &str) -> String {
    let bytes = k8s_openapi::ByteString(text.as_bytes().to_vec());
    serde_json::to_value(bytes).unwrap().as_str().unwrap().to_owned()
}

/// Fills an index with a list.
pub(crate) async fn list<K, Key>(index: &Index<K, Key>, objects: Vec<K>)
where
    K: Resource<DynamicType = ()>,
    Key: Eq + Hash,
{
    let mut events = vec![Event::Init];
    events.extend(objects.into_iter().map(|object| Event::InitApply(DeserializeGuard(Ok(object)))));
    events.push(Event::InitDone);
    assert!(index.follow(stream::iter(events.into_iter().map(Ok))).await.is_err());
}

/// What is in a view.
#[derive(Clone, Default)]
pub(crate) struct Objects {
    pub(crate) ipxe: Vec<IpxeBootConfig>,
    pub(crate) http: Vec<HttpBootConfig>,
    pub(crate) servers: Vec<Server>,
    pub(crate) configurations: Vec<ServerBootConfiguration>,
    pub(crate) leases: Vec<DhcpLease>,
}

impl Objects {
    /// A server that is to boot `claim`, which is ready for iPXE.
    pub(crate) fn ready_for_ipxe() -> Self {
        Self {
            ipxe: vec![ipxe("claim")],
            servers: vec![server("server", UUID, "claim")],
            configurations: vec![configuration("claim", Some(BootState::Ready))],
            ..Self::default()
        }
    }

    /// A server that is to boot `claim`, which is ready for UEFI HTTP boot.
    pub(crate) fn ready_for_http() -> Self {
        Self { ipxe: vec![], http: vec![http_config("claim")], ..Self::ready_for_ipxe() }
    }

    pub(crate) async fn fill(self, view: &View) {
        list(&view.ipxe, self.ipxe).await;
        list(&view.http, self.http).await;
        list(&view.servers, self.servers).await;
        list(&view.configurations, self.configurations).await;
        lease_all(view, self.leases).await;
    }
}

/// From now on there are these leases and no others.
pub(crate) async fn lease_all(view: &View, leases: Vec<DhcpLease>) {
    let mut events = vec![Event::Init];
    events.extend(leases.into_iter().map(|lease| Event::InitApply(DeserializeGuard(Ok(lease)))));
    events.push(Event::InitDone);
    view.leases.apply(stream::iter(events.into_iter().map(Ok))).await;
}

/// What netboot writes of an address that it gave to a client.
pub(crate) fn lease(ip: &str, client: &str) -> DhcpLease {
    let spec = DhcpLeaseSpec {
        ip: ip.to_owned(),
        client: client.to_owned(),
        hostname: None,
        state: DhcpLeaseState::Bound,
        held_until: Time(Timestamp::now() + Duration::from_hours(1)),
    };
    DhcpLease::new(&DhcpLease::name_of(ip.parse().unwrap()), spec)
}

/// A server in the boot window of the configuration that it boots.
pub(crate) fn server(name: &str, uuid: &str, boots: &str) -> Server {
    let spec = ServerSpec {
        system_uuid: Some(uuid.to_owned()),
        boot_configuration_ref: Some(ObjectReference::new(NAMESPACE, boots)),
        ..ServerSpec::default()
    };
    let mut server = Server::new(name, spec);
    server.metadata.uid = Some(format!("{name}-uid"));
    let window = BootWindow {
        boot_configuration_ref: ObjectReference::new(NAMESPACE, boots),
        boot_configuration_uid: Some(format!("{boots}-uid")),
        opened: Time(Timestamp::now()),
        closes: Time(Timestamp::now() + Duration::from_mins(10)),
    };
    server.status = Some(ServerStatus { boot_window: Some(window), ..ServerStatus::default() });
    server
}

pub(crate) fn configuration(name: &str, state: Option<BootState>) -> ServerBootConfiguration {
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference::new("server"),
        image: Some("ghcr.io/a/b:1".to_owned()),
        ignition_secret_ref: Some(LocalObjectReference::new("ignition")),
    };
    let mut configuration = ServerBootConfiguration::new(name, spec);
    let meta = &mut configuration.metadata;
    meta.namespace = Some(NAMESPACE.to_owned());
    meta.uid = Some(format!("{name}-uid"));
    meta.generation = Some(1);
    meta.resource_version = Some("7".to_owned());
    configuration.status =
        Some(ServerBootConfigurationStatus { state, ..ServerBootConfigurationStatus::default() });
    configuration
}

/// An IPXEBootConfig of the configuration with the same name.
pub(crate) fn ipxe(name: &str) -> IpxeBootConfig {
    let spec = IpxeBootConfigSpec {
        system_uuid: Some(UUID.to_owned()),
        kernel_url: "http://boot:8082/kernel".to_owned(),
        initrd_url: "http://boot:8082/initrd".to_owned(),
        ignition_secret_ref: Some(LocalObjectReference::new("ignition")),
        ..IpxeBootConfigSpec::default()
    };
    owned(IpxeBootConfig::new(name, spec))
}

/// An HTTPBootConfig of the configuration with the same name.
pub(crate) fn http_config(name: &str) -> HttpBootConfig {
    let spec = HttpBootConfigSpec {
        system_uuid: Some(UUID.to_owned()),
        network_identifiers: vec!["10.1.1.1".to_owned(), "02:00:00:aa:00:01".to_owned()],
        uki_url: Some("http://boot:8083/httpboot/uki.efi".to_owned()),
        ignition_secret_ref: Some(LocalObjectReference::new("ignition")),
    };
    owned(HttpBootConfig::new(name, spec))
}

fn owned<K: Resource<DynamicType = ()>>(mut object: K) -> K {
    let meta = object.meta_mut();
    let name = meta.name.clone().unwrap_or_default();
    meta.namespace = Some(NAMESPACE.to_owned());
    meta.uid = Some(format!("{name}-config-uid"));
    meta.resource_version = Some("7".to_owned());
    meta.generation = Some(1);
    meta.owner_references = Some(vec![OwnerReference {
        api_version: ServerBootConfiguration::api_version(&()).into_owned(),
        kind: ServerBootConfiguration::kind(&()).into_owned(),
        uid: format!("{name}-uid"),
        name,
        controller: Some(true),
        block_owner_deletion: Some(true),
    }]);
    object
}

/// Images from these registries.
pub(crate) fn resolver(allowed: &[&str]) -> Arc<Resolver> {
    let registries = Registries::new(&metal_image::registry::Config::default()).unwrap();
    let allowed = AllowList::new(allowed.iter().copied()).unwrap();
    Arc::new(Resolver::new(Arc::new(registries), allowed))
}

pub(crate) fn key() -> Key {
    Key::new(&[7; Key::MIN]).unwrap()
}

pub(crate) fn urls() -> Urls {
    Urls {
        service: Some("http://boot:8082".to_owned()),
        images: Some("http://boot:8083/httpboot".to_owned()),
    }
}

/// What passes of a test may use.
pub(crate) fn context(cluster: &Cluster, images: Arc<Resolver>) -> Arc<Context> {
    let client = cluster.client();
    let source = Reporter { controller: "boot-operator".to_owned(), instance: None };
    Arc::new(Context {
        client: client.clone(),
        view: Arc::new(View::default()),
        recorder: Recorder::new(client.clone(), source),
        secrets: Arc::new(Secrets::new(client)),
        images,
        fetches: Arc::new(Fetches::default()),
        unseen: Unseen::default(),
        architecture: "amd64".to_owned(),
        modes: Modes { pxe: true, http: true },
        addresses: Addresses::Leased,
        urls: urls(),
        key: key().into(),
    })
}

/// A store of layers, once nobody else has its directory open: downloads end in their own time.
pub(crate) async fn store(dir: &std::path::Path) -> Store {
    let registries = Registries::new(&metal_image::registry::Config::default()).unwrap();
    let (registries, mut opened) = (Arc::new(registries), None);
    for _ in 0..500 {
        let shutdown = CancellationToken::new();
        let store = Store::open_dir(dir, 100 << 20, Arc::clone(&registries), shutdown).await;
        opened = Some(store);
        if opened.as_ref().is_some_and(Result::is_ok) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    opened.unwrap().unwrap()
}

/// A service whose layers are in a directory that lives as long as the guard.
pub(crate) async fn state(
    cluster: &Cluster,
    images: Arc<Resolver>,
) -> (AppState, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let state = AppState {
        view: Arc::new(View::default()),
        secrets: Arc::new(Secrets::new(cluster.client())),
        images,
        store,
        live: Arc::new(Live::default()),
        fetches: Arc::new(Fetches::default()),
        fetch_limit: FetchLimit::new(20, Duration::from_mins(30)),
        key: key().into(),
        window: Duration::from_mins(30),
        by_uuid: ByUuid::Never,
        outside: OutsideWindow::Refuse,
        addresses: Addresses::Leased,
        patience: Duration::ZERO,
        told: RefusalLog::default(),
        windows: crate::windows::Windows::default(),
        urls: urls(),
        default_uki: DefaultUki::None,
        architecture: "amd64".to_owned(),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        answers: Family::default(),
    };
    (state, dir)
}
