//! What a process serves that was started during an outage of the API server.

use super::{
    window::{UKI, linked, lost, offering, window},
    *,
};
use crate::{
    served::Serving,
    stored_boots::{Folder, Keeper, Metrics, Restore, Written, start_of_machine},
    testing::{UUID, key, lease, list, registry::TestRegistry},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{core::DeserializeGuard, runtime::watcher::Event};
use metal_core::boot::{address::LeasedAddress, url};
use metal_runtime::{health::Readiness, queue::Queue};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use tokio::{task::JoinHandle, time::sleep};

const IGNITION: &str = r#"{"ignition":{"version":"3.4.0"},"password":"hunter2"}"#;
/// The machine, as identified by its DHCP server.
const FOR_IT: [(&str, &str); 1] = [("x-forwarded-for", "10.1.1.1")];

#[tokio::test]
async fn a_machine_in_its_window_boots_from_a_process_that_never_reached_the_api_server() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = keeping(&registry, folder.path(), |_| {}).await;
    let (router, _cluster, cache) = first.router();
    let answer = ask(&router, Method::GET, "/httpboot", &FOR_IT, "10.0.0.1").await;
    assert_eq!(get(&router, &uki_of(&answer)).await.body.as_bytes(), UKI);
    // From now on neither of them is available.
    let address = registry.address.clone();
    drop((router, registry));

    let mut second = Process::started(folder.path(), Some(key()), Some(cache)).await;
    second.serves(Some(Serving::Boots(1))).await;
    let readiness = Readiness::default();
    second.server.state.view.register(&readiness, Timestamp::UNIX_EPOCH);
    let told = "[ ] api-server: serving stored boots (1); API server not reached since 1970";
    assert!(readiness.is_ready() && readiness.report().contains(told), "{}", readiness.report());
    second.server.state.images = resolver(&[address.as_str()]);
    second.server.state.default_uki = DefaultUki::Url("http://default".to_owned());
    let (router, _cluster, _dir) = second.server.router();
    let script = get(&router, &format!("/ipxe/{UUID}")).await;
    assert_eq!(script.status, 200, "{}", script.body);
    let (_, rest) = script.body.split_once("/ignition/t/").unwrap();
    let token = rest.split('/').next().unwrap();
    let path = format!("/ignition/t/{token}/{UUID}");
    let ignition = get(&router, &path).await;
    assert_eq!((ignition.status, ignition.body.as_str()), (200, IGNITION));
    let link = ask(&router, Method::GET, "/httpboot", &FOR_IT, "10.0.0.1").await;
    let uki = get(&router, &uki_of(&link)).await;
    assert_eq!((uki.status, uki.body.as_bytes()), (200, UKI));

    // Nothing is known about others, which does not mean that there is nothing.
    for path in ["/ipxe/11111111-1111-2222-3333-444455556666", "/httpboot", "/httpboot/t/x/a@b"] {
        let got = get(&router, path).await;
        assert_eq!((got.status, got.header("retry-after")), (503, Some("5")), "{path}");
    }
    assert_eq!(get(&router, &format!("/ignition/{UUID}")).await.status, 403, "without its token");
}

#[tokio::test]
async fn what_was_kept_is_served_at_the_address_of_the_machine_only() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut objects = linked(&registry).await;
    let interface = metal_api::NetworkInterface {
        mac_address: "02:00:00:aa:00:01".to_owned(),
        ..metal_api::NetworkInterface::default()
    };
    objects.servers[0].status.as_mut().unwrap().network_interfaces = vec![interface];
    let first = offering(&registry, objects).await;
    first.cluster.put_secret("ignition", &[("ignition", IGNITION)]);
    let mac = "02:00:00:aa:00:01".parse().unwrap();
    let here = DeserializeGuard(Ok(lease("10.1.1.1", "02:00:00:aa:00:01")));
    first.state.view.leases.apply(futures::stream::iter([Ok(Event::Apply(here))])).await;
    let again = keeper(&first.state, folder.path()).pass("server".to_owned()).await;
    assert!(again.is_some_and(|again| again < Duration::from_mins(1)), "its lease may change");

    let second = Process::started(folder.path(), Some(key()), None).await;
    second.serves(Some(Serving::Boots(1))).await;
    let view = Arc::clone(&second.server.state.view);
    let (router, _cluster, _dir) = second.server.router();
    let path = format!("/ipxe/{UUID}");
    let from = async |address| ask(&router, Method::GET, &path, &[], address).await.status;
    assert_eq!((from("10.1.1.1").await, from("10.1.1.2").await), (200, 403));
    // From then on, what the API server has counts.
    view.leases.apply(futures::stream::iter([Ok(Event::Init), Ok(Event::InitDone)])).await;
    let until = Timestamp::now() + Duration::from_mins(30);
    view.leases.presume([LeasedAddress { mac, address: [10, 1, 1, 1].into(), until }]);
    assert!(view.leases.of(mac, Timestamp::now()).is_empty());
}

#[tokio::test]
async fn without_the_key_only_images_are_served_and_nothing_secret_is_on_the_disk() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    drop(keeping(&registry, folder.path(), |_| {}).await);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&folder.path().join("boots")), 0o700);
    for file in files(folder.path()) {
        assert_eq!(mode(&file), 0o600);
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["hunter2", "aHVudGVyM", "password", UUID, "/ignition/"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }

    let mut second = Process::started(folder.path(), None, None).await;
    second.serves(Some(Serving::Images(1))).await;
    let readiness = Readiness::default();
    second.server.state.view.register(&readiness, Timestamp::now());
    assert!(
        readiness.report().contains("serving images only: stored boots need --ignition-key-file")
    );
    second.server.state.images = resolver(&[registry.address.as_str()]);
    let (router, _cluster, _dir) = second.server.router();
    let digest = registry.push_blob("os", UKI).await.to_string();
    let image = url::layer("", &registry.image("os"), &digest, "1");
    let got = get(&router, &image).await;
    assert_eq!((got.status, got.body.as_bytes()), (200, UKI));
    for path in [format!("/ipxe/{UUID}"), format!("/ignition/t/x/{UUID}"), "/httpboot".to_owned()] {
        assert_eq!(
            ask(&router, Method::GET, &path, &FOR_IT, "10.0.0.1").await.status,
            503,
            "{path}"
        );
    }
    let other = registry.push_blob("os", b"of nobody").await.to_string();
    let other = url::layer("", &registry.image("os"), &other, "1");
    assert_eq!(get(&router, &other).await.status, 503, "that no boot needs");
}

#[tokio::test]
async fn a_boot_that_was_seen_to_end_is_not_served_again() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = keeping(&registry, folder.path(), |_| {}).await;
    let keeper = keeper(&first.state, folder.path());
    let mut objects = linked(&registry).await;
    lost(&mut objects.servers[0]);
    list(&first.state.view.servers, objects.servers).await;
    assert_eq!(keeper.pass("server".to_owned()).await, None);
    assert_eq!(files(folder.path()).len(), 0);
    let second = Process::started(folder.path(), Some(key()), None).await;
    second.serves(None).await;
    let readiness = Readiness::default();
    second.server.state.view.register(&readiness, Timestamp::now());
    assert!(!readiness.is_ready(), "{}", readiness.report());
    assert!(readiness.report().contains("nothing to serve; API server not reached since"));
    let (router, _cluster, _dir) = second.server.router();
    assert_eq!(get(&router, &format!("/ipxe/{UUID}")).await.status, 503);
}

#[tokio::test]
async fn what_is_listed_replaces_what_was_kept() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    drop(keeping(&registry, folder.path(), |_| {}).await);
    let second = Process::started(folder.path(), Some(key()), None).await;
    second.serves(Some(Serving::Boots(1))).await;
    let view = Arc::clone(&second.server.state.view);
    let (router, _cluster, _dir) = second.server.router();
    let path = format!("/ipxe/{UUID}");
    assert_eq!(get(&router, &path).await.status, 200);
    // The first of the lists shows that the boot is over.
    let mut objects = linked(&registry).await;
    lost(&mut objects.servers[0]);
    list(&view.servers, objects.servers.clone()).await;
    assert_eq!(get(&router, &path).await.status, 403);
    Objects { servers: objects.servers, ..Objects::default() }.fill(&view).await;
    eventually(|| view.served.get().is_none() && files(folder.path()).is_empty()).await;
    assert_eq!(get(&router, &path).await.status, 404);
}

#[tokio::test]
async fn a_start_that_is_answered_in_time_serves_nothing_that_was_kept() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    drop(keeping(&registry, folder.path(), |_| {}).await);
    let server = TestServer::starting().await;
    Objects::default().fill(&server.state.view).await;
    let _task = restore(&server.state, folder.path());
    eventually(|| files(folder.path()).is_empty()).await;
    assert_eq!(server.state.view.served.get(), None);
    let (router, _cluster, _dir) = server.router();
    assert_eq!(get(&router, &format!("/ipxe/{UUID}")).await.status, 404);
}

#[tokio::test]
async fn what_was_kept_ends_with_its_window_while_it_is_served() {
    let registry = TestRegistry::start().await;
    let folder = tempfile::tempdir().unwrap();
    // Until then, another process has to serve it, also on a loaded machine.
    let soon = Timestamp::now() + Duration::from_secs(15);
    let first = keeping(&registry, folder.path(), |objects| {
        window(&mut objects.servers[0]).closes = Time(soon);
    });
    drop(first.await);
    let second = Process::started(folder.path(), Some(key()), None).await;
    second.serves(Some(Serving::Boots(1))).await;
    second.serves(None).await;
    let (router, _cluster, _dir) = second.server.router();
    assert_eq!(get(&router, &format!("/ipxe/{UUID}")).await.status, 503);
}

/// A process that knows a boot in its window, and has stored it.
async fn keeping(
    registry: &TestRegistry,
    folder: &Path,
    change: impl FnOnce(&mut Objects),
) -> TestServer {
    let mut objects = linked(registry).await;
    change(&mut objects);
    let server = offering(registry, objects).await;
    server.cluster.put_secret("ignition", &[("ignition", IGNITION)]);
    let keeper = keeper(&server.state, folder);
    assert!(keeper.pass("server".to_owned()).await.is_some());
    assert_eq!(files(folder).len(), 1);
    server
}

fn keeper(state: &AppState, folder: &Path) -> Arc<Keeper> {
    Arc::new(Keeper {
        view: Arc::clone(&state.view),
        secrets: Arc::clone(&state.secrets),
        key: state.key.clone(),
        folder: Folder::open(&folder.join("boots")).unwrap(),
        start: start_of_machine().unwrap(),
        queue: Queue::default(),
        metrics: Metrics::default(),
        written: Written::default(),
    })
}

fn restore(state: &AppState, folder: &Path) -> Task {
    let (keeper, blob_refs) = (keeper(state, folder), Arc::clone(&state.blob_refs));
    Task(tokio::spawn(Restore { keeper, blob_refs, is_silent: Deferred::from(()) }.run()))
}

/// Ends with the test.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A process that was started during an outage of the API server.
struct Process {
    server: TestServer,
    _task: Task,
}

impl Process {
    async fn started(folder: &Path, key: Option<Key>, cache: Option<tempfile::TempDir>) -> Self {
        let mut server = TestServer::starting().await;
        server.cluster.go_down();
        server.state.key = key.map(Deferred::from).unwrap_or_default();
        if let Some(cache) = cache {
            server.state.store = crate::testing::store(cache.path()).await;
            server.dir = cache;
        }
        let task = restore(&server.state, folder);
        Self { server, _task: task }
    }

    async fn serves(&self, serving: Option<Serving>) {
        eventually(|| self.server.state.view.served.get() == serving).await;
    }
}

async fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(holds());
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder.join("boots")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Path of the UKI in a response to a DHCP server.
fn uki_of(got: &TestResponse) -> String {
    let answer: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    answer["UKIURL"].as_str().unwrap().strip_prefix("http://boot:8083").unwrap().to_owned()
}
