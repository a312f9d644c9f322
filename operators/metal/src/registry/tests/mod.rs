//! Requests of agents, against a registry whose API server stores what it is sent.

mod bodies;

use super::*;
use crate::server::tests::list;
use ::http::{Method, Request, StatusCode};
use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use metal_api::{
    BootWindow, Discovery, LocalObjectReference, ObjectReference, ServerBootConfiguration,
    ServerBootConfigurationSpec, ServerSpec, ServerStatus,
};
use metal_base::Locked;
use metal_core::capability::Token;
use metal_runtime::{Deferred, LogLimit, listener::Peer, testing::ApiServer};
use serde_json::{Value, json};
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Mutex, task::Poll};
use tower::ServiceExt;

const BOOT_KEY: [u8; 32] = [9; 32];
const BOOT: &str = "b1946ac9-2492-4d23-8a1f-5f1a3c0e7d11";
const UUID: &str = "38947555-7742-3448-3784-823347823834";

#[tokio::test]
async fn report_with_the_token_of_its_boot_is_kept_whole_and_once() {
    let scene = Scene::new(ServerState::Discovery).await;
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    let body = report(&UUID.to_uppercase());
    assert_eq!(scene.post(&path, &body).await.0, StatusCode::CREATED);
    let kept = scene.sent();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["metadata"]["name"], "server-a");
    assert_eq!(kept[0]["spec"]["bootConfigurationUID"], "uid-1.1");
    assert_eq!(kept[0]["spec"]["report"]["vendorExtension"], json!({ "kept": true }));

    assert_eq!(scene.post(&path, &body).await.0, StatusCode::CREATED);
    assert_eq!(scene.sent().len(), 1, "a report that says nothing new is written again");
}

#[tokio::test]
async fn report_without_token_is_refused_unless_that_is_switched_on() {
    let mut scene = Scene::new(ServerState::Discovery).await;
    let (code, text) = scene.post("/register", &report(UUID)).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED);
    assert!(text.contains("--registry-allow-tokenless"), "{text}");
    scene.tokenless = true;
    assert_eq!(scene.post("/register", &report(UUID)).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn who_has_no_token_speaks_for_a_server_in_its_boot_window_only() {
    let now = Timestamp::now();
    let boot_state = json!({ "systemUUID": UUID, "booted": true }).to_string();
    for (closes, code) in [
        (None, StatusCode::CONFLICT),
        (Some(now - SignedDuration::from_secs(1)), StatusCode::CONFLICT),
        // It has no boot configuration here.
        (Some(now + SignedDuration::from_mins(5)), StatusCode::NOT_FOUND),
    ] {
        let mut scene = Scene::new(ServerState::Discovery).await;
        scene.tokenless = true;
        scene.open_window(closes).await;
        let (got, text) = scene.post("/bootstate", &boot_state).await;
        assert_eq!(got, code, "{text}");
        if code == StatusCode::CONFLICT {
            let (got, text) = scene.send(Method::GET, &format!("/systems/{UUID}"), "").await;
            assert_eq!((got, text.contains("boot window")), (code, true), "{text}");
        }
        assert_eq!(scene.sent().len(), 0);
    }
}

#[tokio::test]
async fn foreign_replayed_forged_and_late_reports_are_refused() {
    let scene = Scene::new(ServerState::Discovery).await;
    let token = scene.token("server-a", "uid-1.1");
    let path = format!("/t/{}/register", token.as_str());
    let foreign = report("00000000-0000-4000-8000-000000000001");
    assert_eq!(scene.post(&path, &foreign).await.0, StatusCode::FORBIDDEN);

    let earlier = format!("/t/{}/register", scene.token("server-a", "uid-1.0").as_str());
    assert_eq!(scene.post(&earlier, &report(UUID)).await.0, StatusCode::CONFLICT);

    let mut forged = token.as_str().to_owned();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let forged = format!("/t/{forged}/register");
    assert_eq!(scene.post(&forged, &report(UUID)).await.0, StatusCode::FORBIDDEN);

    let late = Scene::new(ServerState::Available).await;
    let (code, text) = late.post(&path, &report(UUID)).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert!(text.contains("server server-a is in the state Available"), "{text}");
    assert_eq!((scene.sent().len(), late.sent().len()), (0, 0));
}

#[tokio::test]
async fn the_token_of_a_boot_that_is_over_opens_nothing() {
    let scene = Scene::new(ServerState::Discovery).await;
    let over = Scene::new(ServerState::Available).await;
    let (token, earlier) = (scene.token("server-a", "uid-1.1"), scene.token("server-a", "uid-1.0"));
    let booted = json!({ "systemUUID": UUID, "booted": true }).to_string();
    for (scene, token) in [(&over, &token), (&scene, &earlier)] {
        let path = |rest: &str| format!("/t/{}/{rest}", token.as_str());
        let read = path(&format!("systems/{UUID}"));
        assert_eq!(scene.send(Method::GET, &read, "").await.0, StatusCode::CONFLICT);
        assert_eq!(scene.post(&path("bootstate"), &booted).await.0, StatusCode::CONFLICT);
        let delete = path(&format!("delete/{UUID}"));
        assert_eq!(scene.send(Method::DELETE, &delete, "").await.0, StatusCode::CONFLICT);
        assert_eq!(scene.sent().len(), 0);
    }
}

#[tokio::test]
async fn a_tenants_system_says_that_it_is_up_with_the_token_of_its_boot_and_no_other() {
    let scene = Box::pin(Scene::booting()).await;
    let booted = json!({ "systemUUID": UUID, "booted": true }).to_string();
    let key = Key::new(&BOOT_KEY).unwrap();
    let token = |key: &Key, purpose, server: &str, boot: &str, minutes| {
        let expires = Timestamp::now() + SignedDuration::from_mins(minutes);
        let (server, boot) = (server.to_owned(), boot.to_owned());
        let claims = Claims { purpose, server, boot, expires };
        match purpose {
            Purpose::Uki => capability::issue_short(key, &claims).unwrap(),
            _ => capability::issue(key, &claims).unwrap(),
        }
    };
    let refused = [
        (token(&scene.key, Purpose::Ignition, "server-a", BOOT, 5), StatusCode::FORBIDDEN),
        (token(&key, Purpose::Medium, "server-a", BOOT, 5), StatusCode::FORBIDDEN),
        (token(&key, Purpose::Ignition, "server-a", BOOT, -5), StatusCode::FORBIDDEN),
        (token(&key, Purpose::Ignition, "server-b", BOOT, 5), StatusCode::FORBIDDEN),
        (token(&key, Purpose::Ignition, "server-a", "another", 5), StatusCode::CONFLICT),
    ];
    for (token, code) in refused {
        let path = format!("/t/{}/bootstate", token.as_str());
        let answered = scene.post(&path, &booted).await;
        assert_eq!(answered.0, code, "{}", answered.1);
    }
    let foreign = json!({ "systemUUID": "00000000-0000-4000-8000-000000000001", "booted": true });
    let good = token(&key, Purpose::Ignition, "server-a", BOOT, 5);
    let path = |rest: &str| format!("/t/{}/{rest}", good.as_str());
    let answered = scene.post(&path("bootstate"), &foreign.to_string()).await;
    assert_eq!(answered.0, StatusCode::FORBIDDEN);
    // It is valid for nothing else.
    assert_eq!(scene.post(&path("register"), &report(UUID)).await.0, StatusCode::FORBIDDEN);
    let read = path(&format!("systems/{UUID}"));
    assert_eq!(scene.send(Method::GET, &read, "").await.0, StatusCode::FORBIDDEN);
    assert_eq!(scene.sent().len(), 0);

    assert_eq!(scene.post(&path("bootstate"), &booted).await.0, StatusCode::OK);
    let uki = token(&key, Purpose::Uki, "server-a", BOOT, 5);
    let path = format!("/t/{}/bootstate", uki.as_str());
    assert_eq!(scene.post(&path, &booted).await.0, StatusCode::OK);
    let sent = scene.sent();
    assert_eq!(sent.len(), 2);
    for sent in sent {
        assert_eq!(sent["kind"], "ServerBootConfiguration");
        assert_eq!(sent["metadata"], json!({ "uid": BOOT }), "and no other of its name");
        assert_eq!(sent["status"]["conditions"][0]["type"], "BootStateReceived");
    }
}

#[tokio::test]
async fn a_forged_token_costs_one_look_up() {
    let scene = Scene::booting().await;
    let other = Key::new(&[8; 32]).unwrap();
    let of = |boot: &str| scene.view.configurations.get(&boot.to_owned());
    assert_eq!((of(BOOT).len(), of("server-a").len()), (1, 0), "they are found by their UID");
    let claims = Claims {
        purpose: Purpose::Uki,
        server: "server-a".to_owned(),
        boot: BOOT.to_owned(),
        expires: Timestamp::now() + SignedDuration::from_mins(5),
    };
    let forged = capability::issue_short(&other, &claims).unwrap();
    let path = format!("/t/{}/bootstate", forged.as_str());
    assert_eq!(scene.post(&path, &report(UUID)).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_registry_that_knows_nothing_yet_has_good_tokens_come_again_and_refuses_all_others() {
    let scene = Scene::new(ServerState::Discovery).await;
    let other = Key::new(&[8; 32]).unwrap();
    let good = scene.token("server-a", "uid-1.1").as_str().to_owned();
    let forged = Scene { key: other, ..Scene::new(ServerState::Discovery).await };
    let forged = forged.token("server-a", "uid-1.1").as_str().to_owned();
    let starting = |key: Deferred<Key>, tokenless| {
        router(Arc::new(Registry {
            client: scene.server.client("default"),
            view: Arc::default(),
            key,
            boot_key: BootKey::new("system"),
            tokenless,
            answers: Family::default(),
            told: LogLimit::default(),
            stored: Stored::default(),
            bodies: Bodies::default(),
        }))
    };
    let ask = async |router: axum::Router, path: String| {
        let request = Request::post(path).body(Body::from(report(UUID))).unwrap();
        let response = router.oneshot(request).await.unwrap();
        (response.status().as_u16(), response.headers().contains_key("Retry-After"))
    };
    let key = || Deferred::from(scene.key.clone());
    for what in ["register", "bootstate"] {
        let with = |token: &str| format!("/t/{token}/{what}");
        assert_eq!(ask(starting(key(), false), with(&good)).await, (503, true), "{what}");
        assert_eq!(ask(starting(key(), false), with(&forged)).await, (403, false), "{what}");
        assert_eq!(ask(starting(Deferred::default(), false), with(&good)).await, (503, true));
        assert_eq!(ask(starting(key(), false), format!("/{what}")).await, (401, false));
        assert_eq!(ask(starting(key(), true), format!("/{what}")).await, (503, true));
    }
    assert!(scene.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_is_a_reason_to_try_again_soon() {
    let scene = Scene::new(ServerState::Discovery).await;
    let silent = ApiServer::default();
    silent.fall_silent();
    let registry = Registry {
        client: silent.client("default"),
        view: Arc::clone(&scene.view),
        key: scene.key.clone().into(),
        boot_key: BootKey::new("system"),
        tokenless: false,
        answers: Family::default(),
        told: LogLimit::default(),
        stored: Stored::default(),
        bodies: Bodies::default(),
    };
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    let request = Request::post(path).body(Body::from(report(UUID))).unwrap();
    let response = router(Arc::new(registry)).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["Retry-After"], "5");
}

#[tokio::test]
async fn wrong_method_is_refused() {
    let scene = Scene::new(ServerState::Discovery).await;
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    assert_eq!(scene.send(Method::GET, &path, "").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn servers_that_are_not_listed_yet_are_no_reason_to_refuse_for_good() {
    let mut scene = Scene::new(ServerState::Discovery).await;
    scene.view = Arc::new(View::default());
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    assert_eq!(scene.post(&path, &report(UUID)).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

struct Scene {
    view: Arc<View>,
    key: Key,
    tokenless: bool,
    server: ApiServer,
    stored: Mutex<Option<Arc<Registry>>>,
}

impl Scene {
    /// One server in this state, at its first attempt.
    async fn new(state: ServerState) -> Self {
        let spec = ServerSpec { system_uuid: Some(UUID.to_owned()), ..ServerSpec::default() };
        let mut server = Server::new("server-a", spec);
        server.metadata.uid = Some("uid-1".to_owned());
        let discovery = Discovery { attempts: Some(1), ..Discovery::default() };
        server.status = Some(ServerStatus {
            state: Some(state),
            discovery: Some(discovery),
            ..ServerStatus::default()
        });
        let view = Arc::new(View::default());
        list(&view.servers, vec![server]).await;
        Self {
            view,
            key: Key::new(&[7; 32]).unwrap(),
            tokenless: false,
            server: api_server(),
            stored: Mutex::default(),
        }
    }

    /// From now on, the window of the server closes at this time.
    async fn open_window(&self, closes: Option<Timestamp>) {
        let mut server = (*self.view.servers.named(None, "server-a").unwrap()).clone();
        server.status.as_mut().unwrap().boot_window = closes.map(|closes| BootWindow {
            boot_configuration_ref: ObjectReference::new("default", "server-a"),
            boot_configuration_uid: None,
            opened: Time(closes - SignedDuration::from_mins(30)),
            closes: Time(closes),
        });
        list(&self.view.servers, vec![server]).await;
    }

    /// A server that boots its claim's image.
    async fn booting() -> Self {
        let scene = Self::new(ServerState::Reserved).await;
        let server = scene.view.servers.named(None, "server-a").unwrap();
        let mut server = Server::clone(&server);
        server.spec.boot_configuration_ref = Some(ObjectReference::new("tenant", "claim"));
        let spec = ServerBootConfigurationSpec {
            server_ref: LocalObjectReference::new("server-a"),
            ..ServerBootConfigurationSpec::default()
        };
        let mut configuration = ServerBootConfiguration::new("claim", spec);
        configuration.metadata.namespace = Some("tenant".to_owned());
        configuration.metadata.uid = Some(BOOT.to_owned());
        scene.server.put(&configuration);
        list(&scene.view.configurations, vec![configuration]).await;
        list(&scene.view.servers, vec![server]).await;
        scene
    }

    fn token(&self, server: &str, boot: &str) -> Token {
        let claims = Claims {
            purpose: Purpose::Registration,
            server: server.to_owned(),
            boot: boot.to_owned(),
            expires: Timestamp::now() + SignedDuration::from_mins(5),
        };
        capability::issue(&self.key, &claims).unwrap()
    }

    /// What was written to the API server.
    fn sent(&self) -> Vec<Value> {
        self.server.written().into_iter().map(|sent| sent.body).collect()
    }

    async fn post(&self, path: &str, body: &str) -> (StatusCode, String) {
        self.send(Method::POST, path, body).await
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        self.send_body(method, path, Body::from(body.to_owned())).await
    }

    async fn send_body(&self, method: Method, path: &str, body: Body) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        let response = router(self.registry()).oneshot(request).await.unwrap();
        let code = response.status();
        let text = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (code, String::from_utf8(text.to_vec()).unwrap())
    }

    /// The same registry for all requests of a test, unless its settings have changed.
    fn registry(&self) -> Arc<Registry> {
        let mut stored = self.stored.locked();
        if let Some(registry) = stored.as_ref().filter(|it| it.tokenless == self.tokenless) {
            return Arc::clone(registry);
        }
        let registry = Arc::new(Registry {
            client: self.server.client("default"),
            view: Arc::clone(&self.view),
            key: self.key.clone().into(),
            boot_key: BootKey::new("system"),
            tokenless: self.tokenless,
            answers: Family::default(),
            told: LogLimit::default(),
            stored: Stored::default(),
            bodies: Bodies::default(),
        });
        *stored = Some(Arc::clone(&registry));
        registry
    }
}

/// It has the boot-operator's key.
fn api_server() -> ApiServer {
    let metadata = ObjectMeta {
        name: Some("boot-operator-ignition-key".to_owned()),
        namespace: Some("system".to_owned()),
        ..ObjectMeta::default()
    };
    let data = Some([("key".to_owned(), ByteString(BOOT_KEY.to_vec()))].into());
    let server = ApiServer::default();
    server.put(&Secret { metadata, data, ..Secret::default() });
    server
}

fn report(uuid: &str) -> String {
    let interface = json!({ "name": "eth0", "macAddress": "23:11:8A:00:00:01" });
    let data = json!({ "networkInterfaces": [interface], "vendorExtension": { "kept": true } });
    json!({ "systemUUID": uuid, "data": data }).to_string()
}
