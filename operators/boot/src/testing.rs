//! A cluster for tests: an API server that records requests, and a view that is filled explicitly.

#[allow(dead_code, reason = "shared with the tests of metal-image")]
#[path = "../../image/tests/support/mod.rs"]
pub(crate) mod registry;

pub(crate) use metal_runtime::testing::list;

use crate::{
    args::{Addresses, ByUuid, OutsideWindow, Urls},
    blob_refs::ReferencedBlobs,
    context::Context,
    fetch_limit::FetchLimit,
    fetches::Fetches,
    http::{AppState, DefaultUki, Delays, Loaders, RefusalLog},
    notices::LastNotices,
    secrets::Secrets,
    view::View,
};
use futures::stream;
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};
use kube::{
    Client, Resource,
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
use metal_runtime::testing::{ApiServer, Sent};
use prometheus_client::metrics::family::Family;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// An ignition that configures nothing.
pub(crate) const IGNITION: &str = r#"{"ignition":{"version":"3.4.0"}}"#;
pub(crate) const UUID: &str = "0b3e2f6c-1111-2222-3333-444455556666";
pub(crate) const NAMESPACE: &str = "tenant";
/// For a registry that asks for a login.
pub(crate) const LOGIN: registry::Login = (
    "somebody",
    "open sesame",
    "somebody:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n",
);
const PULL_SECRET: &str = "kubernetes.io/dockerconfigjson";

/// An API server that does not allow listing Secrets.
#[derive(Clone, Default)]
pub(crate) struct Cluster(ApiServer);

impl Cluster {
    /// Puts a Secret into [`NAMESPACE`].
    pub(crate) fn put_secret(&self, name: &str, entries: &[(&str, &str)]) {
        let entry = |(key, value): &(&str, &str)| {
            ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))
        };
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        };
        let data = Some(entries.iter().map(entry).collect());
        self.0.put(&Secret { metadata, data, ..Secret::default() });
    }

    /// Puts a Secret with a login for a registry into [`NAMESPACE`].
    pub(crate) fn put_login(&self, name: &str, registry: &str, password: &str) {
        let login = serde_json::json!({ "username": LOGIN.0, "password": password });
        let content = serde_json::json!({ "auths": { registry: login } }).to_string();
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        };
        let content = (".dockerconfigjson".to_owned(), ByteString(content.into_bytes()));
        let (data, type_) = (Some([content].into()), Some(PULL_SECRET.to_owned()));
        self.0.put(&Secret { metadata, data, type_, ..Secret::default() });
    }

    /// Stores an object.
    pub(crate) fn put<K: Resource<DynamicType = ()> + Serialize>(&self, object: &K) {
        self.0.put(object);
    }

    /// Somebody deletes an object in [`NAMESPACE`].
    pub(crate) fn lose<K: Resource<DynamicType = ()>>(&self, name: &str) {
        self.0.remove::<K>(Some(NAMESPACE), name);
    }

    /// From now on every request fails.
    pub(crate) fn go_down(&self) {
        self.0.fail(Some(StatusCode::INTERNAL_SERVER_ERROR));
    }

    /// From now on requests are answered again.
    pub(crate) fn come_back(&self) {
        self.0.fail(None);
    }

    /// The requests so far, without reads.
    pub(crate) fn written(&self) -> Vec<Sent> {
        self.0.written()
    }

    /// Like [`Cluster::written`], without bodies; and forgets them.
    pub(crate) fn take(&self) -> Vec<String> {
        let written = self.written().into_iter().map(|sent| sent.request).collect();
        self.0.forget();
        written
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.sent().iter().filter(|sent| sent.is_read()).count()
    }

    pub(crate) fn client(&self) -> Client {
        self.0.client(NAMESPACE)
    }
}

/// The objects in a view.
#[derive(Clone, Default)]
pub(crate) struct Objects {
    pub(crate) ipxe: Vec<IpxeBootConfig>,
    pub(crate) http: Vec<HttpBootConfig>,
    pub(crate) servers: Vec<Server>,
    pub(crate) configurations: Vec<ServerBootConfiguration>,
    pub(crate) leases: Vec<DhcpLease>,
}

impl Objects {
    /// A server that boots `claim`, which is ready for iPXE.
    pub(crate) fn ready_for_ipxe() -> Self {
        Self {
            ipxe: vec![ipxe("claim")],
            servers: vec![server("server", UUID, "claim")],
            configurations: vec![configuration("claim", Some(BootState::Ready))],
            ..Self::default()
        }
    }

    /// A server that boots `claim`, which is ready for UEFI HTTP boot.
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

/// From now on, these are all leases.
pub(crate) async fn lease_all(view: &View, leases: Vec<DhcpLease>) {
    let mut events = vec![Event::Init];
    events.extend(leases.into_iter().map(|lease| Event::InitApply(DeserializeGuard(Ok(lease)))));
    events.push(Event::InitDone);
    view.leases.apply(stream::iter(events.into_iter().map(Ok))).await;
}

/// The object that netboot writes for an address that it gave to a client.
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

/// A server in the boot window of its boot configuration.
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

/// An IPXEBootConfig for the boot configuration of the same name.
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

/// An HTTPBootConfig for the boot configuration of the same name.
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

/// Resolves images from these registries.
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

/// What passes may use in a test.
pub(crate) fn context(cluster: &Cluster, images: Arc<Resolver>) -> Arc<Context> {
    let client = cluster.client();
    let source = Reporter { controller: "boot-operator".to_owned(), instance: None };
    Arc::new(Context {
        client: client.clone(),
        view: Arc::new(View::default()),
        recorder: Recorder::new(client.clone(), source),
        secrets: Arc::new(Secrets::new(client)),
        notices: LastNotices::default(),
        images,
        logins: Arc::default(),
        fetches: Arc::new(Fetches::default()),
        architecture: "amd64".to_owned(),
        modes: Modes { pxe: true, http: true },
        addresses: Addresses::Leased,
        urls: urls(),
        key: key().into(),
    })
}

/// A store of layers, once nobody else has its directory open, as downloads end with some delay.
pub(crate) async fn store(dir: &std::path::Path) -> Store {
    let registries = Registries::new(&metal_image::registry::Config::default()).unwrap();
    let (registries, mut opened) = (Arc::new(registries), None);
    for _ in 0..6000 {
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
        logins: Arc::default(),
        store,
        blob_refs: Arc::new(ReferencedBlobs::default()),
        fetches: Arc::new(Fetches::default()),
        fetch_limit: FetchLimit::new(20, Duration::from_mins(30)),
        key: key().into(),
        window: Duration::from_mins(30),
        by_uuid: ByUuid::Never,
        outside: OutsideWindow::Refuse,
        addresses: Addresses::Leased,
        patience: Duration::ZERO,
        delays: Delays::default(),
        loaders: Loaders::default(),
        told: RefusalLog::default(),
        windows: crate::windows::Windows::default(),
        urls: urls(),
        default_uki: DefaultUki::None,
        architecture: "amd64".to_owned(),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        dhcp_servers: vec!["10.0.0.1/32".parse().unwrap()],
        answers: Family::default(),
    };
    (state, dir)
}
