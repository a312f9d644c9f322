use super::*;
use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeStatus, Secret, ServiceAccount};
use kube::{
    core::DeserializeGuard,
    runtime::{
        events::{Recorder, Reporter as Source},
        watcher::Event,
    },
};
use metal_api::{Machine, MachineLease, MachinePxe, MachineSpec, MachineStatus, MachineTpmStatus};
use metal_attest::{
    Response as Attestation,
    testing::{self, machines},
};
use metal_runtime::{
    listener::{Local, Peer},
    testing::{ApiServer, Sent},
};
use serde_json::json;
use tower::ServiceExt;

mod behind;
mod boot;
mod certificate;
mod event_log;
mod files;
mod install;

const NAMESPACE: &str = "joining";
const TOKEN: &str = "token of /api/v1/namespaces/joining/serviceaccounts/node-01";

#[tokio::test]
async fn a_new_machine_gets_a_token_after_its_key_was_recorded() {
    for client in machines() {
        let (server, ctx) = cluster([machine("node-01", 1)]).await;
        let (status, body) = ask(&ctx, 1, client.body()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let answer: Attestation = serde_json::from_str(&body).unwrap();
        assert_eq!(client.open(&answer).unwrap(), TOKEN.as_bytes());
        assert_eq!(answer.cluster_ca.as_deref(), Some("CA"));
        let recorded: Machine = server.object(None, "node-01").unwrap();
        let tpm = recorded.status.unwrap().tpm.unwrap();
        assert_eq!(tpm.ek_public_key.as_deref(), Some(client.status_ek_public_key_pem.as_str()));
        let written = writes(&server);
        let accounts = format!("POST /api/v1/namespaces/{NAMESPACE}/serviceaccounts");
        let status = "PATCH /apis/unbounded-cloud.io/v1alpha3/machines/node-01/status";
        let secrets = format!("POST /api/v1/namespaces/{NAMESPACE}/secrets");
        let token = format!("{accounts}/node-01/token");
        assert_eq!(written, [status, &accounts, &secrets, &token]);
        let account: ServiceAccount = server.object(Some(NAMESPACE), "node-01").unwrap();
        assert_eq!(account.metadata.owner_references.unwrap()[0].uid, "uid-of-node-01");
        assert_eq!(account.automount_service_account_token, Some(false));
        let asked = server.written().pop().unwrap().body;
        assert_eq!(asked["spec"]["expirationSeconds"], 600);
        // Once more costs what ends the token before, and makes the next one.
        let bound_to = || {
            let secret: Secret = server.object(Some(NAMESPACE), "node-01").unwrap();
            assert_eq!(secret.metadata.owner_references.unwrap()[0].uid, "uid-of-node-01");
            let asked = server.written().pop().unwrap().body;
            assert_eq!(asked["spec"]["boundObjectRef"]["uid"], json!(secret.metadata.uid));
            secret.metadata.uid
        };
        let before = bound_to();
        server.forget();
        assert_eq!(ask(&ctx, 1, client.body()).await.0, StatusCode::OK);
        let deleted = format!("DELETE /api/v1/namespaces/{NAMESPACE}/secrets/node-01");
        assert_eq!(writes(&server), [&secrets, &deleted, &secrets, &token].map(String::as_str));
        assert_ne!(bound_to(), before, "the Secret of the token before is gone");
    }
}

#[tokio::test]
async fn another_tpm_gets_nothing_and_the_machine_says_so_once() {
    let (server, ctx) = cluster([pinned("node-01", 1, &rsa().status_ek_public_key_pem)]).await;
    for _ in 0..3 {
        let (status, body) = ask(&ctx, 1, ecc().body()).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::FORBIDDEN, "the endorsement key is not the pinned one\n",)
        );
    }
    assert_eq!(writes(&server).len(), 1, "{:?}", writes(&server));
    let recorded: Machine = server.object(None, "node-01").unwrap();
    let told = recorded.status.unwrap().conditions;
    let told = told.iter().find(|it| it.type_ == "TPMVerified").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "KeyDiffers"));
    let events: Vec<_> = server.written().into_iter().filter(Sent::is_event).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].body["type"].as_str(), events[0].body["reason"].as_str()),
        (Some("Warning"), Some("KeyDiffers"),)
    );
    assert!(events[0].body["note"].as_str().unwrap().starts_with("10.0.0.1 presented"));
    // The right one is still taken.
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_tpm_joins_as_one_machine_and_not_as_a_second_whose_address_it_has() {
    let (server, ctx) = cluster([machine("node-01", 1), machine("node-02", 2)]).await;
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::OK);
    server.forget();
    let (status, body) = ask(&ctx, 2, rsa().body()).await;
    let told = "the endorsement key is that of another Machine, so a person has to accept it\n";
    assert_eq!((status, body.as_str()), (StatusCode::FORBIDDEN, told));
    let events: Vec<_> = server.written().into_iter().filter(Sent::is_event).collect();
    let note = events[0].body["note"].as_str().unwrap();
    assert!(note.ends_with("which is pinned for the Machine node-01"), "{note}");
    assert!(!writes(&server).iter().any(|it| it.ends_with("/token")), "{:?}", writes(&server));
    // Its own one is still the first, and the other goes on.
    assert_eq!(ask(&ctx, 2, ecc().body()).await.0, StatusCode::OK);
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_tpm_of_a_machine_of_another_site_is_not_the_first_one_of_ours() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    // Without the line feed at its end, as a person may have written it.
    let other = pinned("node-77", 77, rsa().status_ek_public_key_pem.trim_end());
    let event = Ok(Event::Apply(DeserializeGuard(Ok(other))));
    ctx.view.everywhere.follow(futures::stream::iter([event])).await.unwrap_err();
    let (status, body) = ask(&ctx, 1, rsa().body()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert!(!writes(&server).iter().any(|it| it.ends_with("/token")), "{:?}", writes(&server));
    let told: Machine = server.object(None, "node-01").unwrap();
    let told = told.status.unwrap().conditions;
    let told = told.iter().find(|it| it.type_ == "TPMVerified").unwrap();
    assert!(told.reason == "KeyOfAnother" && told.message.contains("(node-77)"), "{told:?}");
    assert_eq!(ask(&ctx, 1, ecc().body()).await.0, StatusCode::OK, "its own one");
}

#[tokio::test]
async fn who_asks_is_known_by_its_address_and_by_no_header() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let request = Request::post("/attest").header(header, "10.0.0.1");
        let (status, body) = send(&ctx, 9, request, rsa().body()).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::NOT_FOUND, "no Machine has this address\n")
        );
    }
    assert_eq!(writes(&server), [""; 0]);
}

#[tokio::test]
async fn a_trusted_proxy_asks_for_the_machine_behind_it_and_nobody_else_does() {
    let (_, ctx) = cluster([machine("node-01", 1), machine("node-02", 2)]).await;
    let trusted_proxies = vec!["10.0.0.9/32".parse().unwrap()];
    let ctx = Arc::new(Context { trusted_proxies, ..Arc::into_inner(ctx).unwrap() });
    let cases = [
        (9, "10.0.0.1", StatusCode::OK),
        // What a client says itself stands before what the proxy has seen.
        (9, "10.0.0.1, 192.0.2.7", StatusCode::NOT_FOUND),
        (9, "192.0.2.7, 10.0.0.1", StatusCode::OK),
        (9, "unknown", StatusCode::NOT_FOUND),
        (8, "10.0.0.1", StatusCode::NOT_FOUND),
    ];
    for (from, header, expected) in cases {
        let request = Request::post("/attest").header("x-forwarded-for", header);
        assert_eq!(send(&ctx, from, request, rsa().body()).await.0, expected, "{from} {header}");
        let request = Request::get("/c/token/cloud-init/user-data");
        let request = request.header("x-forwarded-for", header);
        let (status, _) = send(&ctx, from, request, String::new()).await;
        let is_known = status != StatusCode::NOT_FOUND;
        assert_eq!(is_known, expected == StatusCode::OK, "{from} {header} {status}");
    }
    // The key was pinned for the machine behind the proxy; a machine cannot ask for another one.
    let request = Request::post("/attest").header("x-forwarded-for", "10.0.0.1");
    assert_eq!(
        send(&ctx, 2, request, ecc().body()).await.0,
        StatusCode::OK,
        "it is node-02 itself"
    );
}

#[tokio::test]
async fn of_two_machines_with_one_address_neither_is_attested() {
    let mut same_mac = machine("node-02", 2);
    same_mac.spec.pxe.as_mut().unwrap().dhcp_leases[0].mac = "02:00:00:00:00:01".to_owned();
    for twin in [machine("node-02", 1), same_mac] {
        let (server, ctx) = cluster([machine("node-01", 1), twin]).await;
        assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::CONFLICT);
        assert_eq!(writes(&server), [""; 0]);
    }
}

#[tokio::test]
async fn a_machine_named_like_a_node_of_another_gets_no_token_and_pins_no_key() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    for (ip, expected) in [("10.0.0.7", StatusCode::CONFLICT), ("10.0.0.1", StatusCode::OK)] {
        let address = NodeAddress { type_: "InternalIP".to_owned(), address: ip.to_owned() };
        let status = NodeStatus { addresses: Some(vec![address]), ..NodeStatus::default() };
        let mut node = Node { status: Some(status), ..Node::default() };
        node.metadata.name = Some("node-01".to_owned());
        let node = Ok(Event::Apply(DeserializeGuard(Ok(node))));
        ctx.view.nodes.follow(futures::stream::iter([node])).await.unwrap_err();
        assert_eq!(ask(&ctx, 1, rsa().body()).await.0, expected, "{ip}");
        assert_eq!(writes(&server).is_empty(), expected != StatusCode::OK, "{ip}");
    }
}

#[tokio::test]
async fn keys_in_turn_cost_a_machine_a_few_writes_and_no_more() {
    let (server, ctx) = cluster([machine("node-01", 1), machine("node-02", 2)]).await;
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::OK);
    for _ in 0..50 {
        assert_eq!(ask(&ctx, 1, ecc().body()).await.0, StatusCode::FORBIDDEN);
        let status = ask(&ctx, 1, rsa().body()).await.0;
        assert_eq!(status, StatusCode::OK, "whoever has its address does not keep it out");
    }
    let events = server.written().into_iter().filter(Sent::is_event).count();
    let verdicts = writes(&server).iter().filter(|it| it.ends_with("/status")).count();
    assert!(verdicts <= 12 && events <= 12, "{verdicts} {events}");
    for _ in 0..100 {
        ask(&ctx, 2, ecc().body()).await;
    }
    let of_two = |it: &&String| it.ends_with("/node-02/token");
    assert_eq!(writes(&server).iter().filter(of_two).count(), 60);
    assert_eq!(ask(&ctx, 2, ecc().body()).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn before_everything_is_listed_a_machine_is_asked_to_come_again() {
    let server = ApiServer::default();
    let ctx = Arc::new(context(&server));
    let request = Request::post("/attest").body(Body::from(rsa().body())).unwrap();
    let response = answered(&ctx, 1, request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
}

#[tokio::test]
async fn a_verdict_on_an_old_status_is_taken_again_on_the_new_one() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    // Meanwhile another replica has pinned the key of another machine.
    let mut later = pinned("node-01", 1, &ecc().status_ek_public_key_pem);
    later.metadata.resource_version = Some("99".to_owned());
    server.put(&later);
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::FORBIDDEN);
    let kept: Machine = server.object(None, "node-01").unwrap();
    let pem = kept.status.unwrap().tpm.unwrap().ek_public_key;
    assert_eq!(pem, Some(ecc().status_ek_public_key_pem));
    // And where the Machine has another address by now, nobody is there.
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    let mut later = machine("node-01", 2);
    later.metadata.resource_version = Some("99".to_owned());
    server.put(&later);
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_service_account_of_somebody_else_gives_no_token() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    let mut account = ServiceAccount::default();
    account.metadata.name = Some("node-01".to_owned());
    account.metadata.namespace = Some(NAMESPACE.to_owned());
    server.put(&account);
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!writes(&server).iter().any(|it| it.ends_with("/token")), "{:?}", writes(&server));
}

#[tokio::test]
async fn what_is_no_request_changes_nothing() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    let good = rsa();
    let junk_srk = serde_json::json!({ "ekPub": good.ek_pub, "srkPub": "AAAA" }).to_string();
    for body in [String::new(), "{}".to_owned(), junk_srk] {
        assert_eq!(ask(&ctx, 1, body).await.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(writes(&server), [""; 0], "a good EK with a junk SRK is not pinned");
    let request = Request::get("/attest").body(Body::empty()).unwrap();
    assert_eq!(answered(&ctx, 1, request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let request = Request::get("/healthz").body(Body::empty()).unwrap();
    assert_eq!(answered(&ctx, 9, request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_given_away_that_could_not_be_recorded() {
    let (server, ctx) = cluster([machine("node-01", 1)]).await;
    server.fail(Some(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!writes(&server).iter().any(|it| it.ends_with("/token")), "{:?}", writes(&server));
}

/// What it was asked to change, but for events.
fn writes(server: &ApiServer) -> Vec<String> {
    let written = server.written().into_iter().filter(|sent| !sent.is_event());
    written.map(|sent| sent.request).collect()
}

async fn ask(ctx: &Arc<Context>, from: u8, body: String) -> (StatusCode, String) {
    send(ctx, from, Request::post("/attest"), body).await
}

async fn send(
    ctx: &Arc<Context>,
    from: u8,
    request: axum::http::request::Builder,
    body: String,
) -> (StatusCode, String) {
    let response = answered(ctx, from, request.body(Body::from(body)).unwrap()).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn answered(ctx: &Arc<Context>, from: u8, mut request: Request<Body>) -> Response {
    request.extensions_mut().insert(Peer(([10, 0, 0, from], 4711).into()));
    router(Arc::clone(ctx)).oneshot(request).await.unwrap()
}

/// An API server with these Machines, and a context that has listed them.
async fn cluster(machines: impl IntoIterator<Item = Machine>) -> (ApiServer, Arc<Context>) {
    let machines: Vec<_> = machines.into_iter().collect();
    let server = ApiServer::default();
    let ctx = Arc::new(context(&server));
    for machine in &machines {
        server.put(machine);
    }
    crate::fixture::list(&ctx, &machines).await;
    let nodes = [Event::<DeserializeGuard<Node>>::Init, Event::InitDone].map(Ok);
    ctx.view.nodes.follow(futures::stream::iter(nodes)).await.unwrap_err();
    (server, ctx)
}

fn context(server: &ApiServer) -> Context {
    let client = server.client("default");
    let recorder = Recorder::new(client.clone(), Source::from("metalman"));
    Context::new(client, recorder, NAMESPACE, Some("CA".to_owned()))
}

fn pinned(name: &str, number: u8, pem: &str) -> Machine {
    let mut machine = machine(name, number);
    let ek_public_key = Some(pem.to_owned());
    let tpm = Some(MachineTpmStatus { ek_public_key, ..MachineTpmStatus::default() });
    machine.status = Some(MachineStatus { tpm, ..MachineStatus::default() });
    machine
}

fn machine(name: &str, number: u8) -> Machine {
    let lease = MachineLease {
        ipv4: format!("10.0.0.{number}"),
        mac: format!("02:00:00:00:00:{number:02x}"),
        ..MachineLease::default()
    };
    let pxe = MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() };
    let mut machine = Machine::new(name, MachineSpec { pxe: Some(pxe), ..MachineSpec::default() });
    machine.metadata.uid = Some(format!("uid-of-{name}"));
    machine.metadata.resource_version = Some("3".to_owned());
    machine
}

fn rsa() -> testing::Machine {
    machines().swap_remove(0)
}

fn ecc() -> testing::Machine {
    machines().swap_remove(1)
}
