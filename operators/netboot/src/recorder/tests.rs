use super::{sightings::MOST, *};
use futures::stream;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use kube::{
    client::Body,
    core::DeserializeGuard,
    runtime::{
        events::{Recorder as Events, Reporter as Source},
        watcher::Event,
    },
};
use metal_api::{Bmc, BmcSpec, EndpointSpec, InlineAccess, annotation};
use metal_runtime::health::Readiness;
use prometheus_client::metrics::family::Family;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    ops::Deref,
    sync::Mutex,
};
use tokio::net::TcpListener;

const MAC: MacAddr = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]);
const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 5));
const PATH: &str = "/apis/metal.ironcore.dev/v1alpha1/endpoints";

const DATABASE: &str = "
macPrefixes:
- macPrefix: aabbcc
  protocol: Redfish
  port: 443
  type: bmc
  defaultCredentials: [{ username: a, password: b }]
";

/// What an API server was asked, and what it answers to writes of Endpoints.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    asked: Vec<(String, Value)>,
    fails: Option<StatusCode>,
}

impl Api {
    fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let uri = head.uri.to_string();
                let (uri, _) = uri.split_once('?').unwrap_or((&uri, ""));
                let mut state = api.0.lock().unwrap();
                let (code, answer) = match state.fails {
                    Some(code) if uri.starts_with(PATH) => (code, failure(code)),
                    _ if uri.ends_with("/bmcs") => (StatusCode::OK, body.clone()),
                    _ => (StatusCode::OK, json!({"metadata": {}, "spec": {}, "eventTime": null})),
                };
                state.asked.push((format!("{} {uri}", head.method), body));
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn fail(&self, code: Option<StatusCode>) {
        self.0.lock().unwrap().fails = code;
    }

    /// What it was asked since the last call.
    fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

fn failure(code: StatusCode) -> Value {
    let reason = if code == StatusCode::CONFLICT { "AlreadyExists" } else { "InternalError" };
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "no", "reason": reason, "code": code.as_u16(),
    })
}

/// A recorder, and what drives it.
struct Tested {
    recorder: Arc<Recorder>,
    work: Work<MacAddr>,
}

impl Deref for Tested {
    type Target = Recorder;

    fn deref(&self) -> &Recorder {
        &self.recorder
    }
}

impl Tested {
    /// One turn of a BMC; when it is due again.
    async fn pass(&self, mac: MacAddr) -> Option<Duration> {
        self.work.turn(&Recording(Arc::clone(&self.recorder)), mac).await
    }
}

fn recorder(api: &Api) -> Tested {
    recorder_with(api, "")
}

fn recorder_with(api: &Api, more: &str) -> Tested {
    recorder_of(api, more, DATABASE)
}

fn recorder_of(api: &Api, more: &str, database: &str) -> Tested {
    let client = api.client();
    let config = Config::parse(&format!("interfaces: [eth1]\nsubnets: []\n{more}")).unwrap();
    let source = Source { controller: MANAGER.to_owned(), instance: None };
    let recorder = Arc::new(Recorder {
        endpoints: Arc::new(endpoints()),
        bmcs: Arc::new(bmcs()),
        database: watch::Sender::new(Arc::new(MacDb::parse(database).unwrap())).subscribe(),
        sightings: Sightings::default(),
        config: watch::Sender::new(Arc::new(config)).subscribe(),
        reporter: Reporter {
            controller: "endpoint",
            recorder: Events::new(client.clone(), source),
            passes: Family::default(),
        },
        listed: Readiness::default().note("endpoints", "the API server"),
        crowd: NewBmcs::default(),
        client,
    });
    Tested { work: recorder.work(), recorder }
}

fn seen(mac: MacAddr, address: IpAddr) -> Sighting {
    Sighting { mac, address, until: Timestamp::MAX, elsewhere: None }
}

fn endpoint(name: &str, mac: &str, ip: &str) -> Endpoint {
    let spec = EndpointSpec { mac_address: Some(mac.to_owned()), ip: Some(ip.to_owned()) };
    let mut endpoint = Endpoint::new(name, spec);
    endpoint.metadata.resource_version = Some("7".to_owned());
    endpoint
}

/// The API server has these Endpoints.
async fn list(recorder: &Recorder, endpoints: Vec<Endpoint>) {
    let endpoints = endpoints.into_iter().map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
    let events = [Event::Init].into_iter().chain(endpoints).chain([Event::InitDone]);
    recorder.endpoints.follow(stream::iter(events.map(Ok))).await.unwrap_err();
}

#[tokio::test]
async fn a_bmc_becomes_an_endpoint() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert_eq!(recorder.pass(MAC).await, None);
    let document = json!({
        "apiVersion": "metal.ironcore.dev/v1alpha1", "kind": "Endpoint",
        "metadata": {
            "name": "compute-aabbcc000001",
            "labels": {"app.kubernetes.io/managed-by": "netboot"},
        },
        "spec": {"macAddress": "aa:bb:cc:00:00:01", "ip": "10.77.0.5"},
    });
    assert_eq!(api.asked(), [(format!("POST {PATH}"), document)]);
    assert_eq!(recorder.sightings.len(), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_right_costs_no_request() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![endpoint("mine", "AABBCC000001", "10.77.0.5")]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert_eq!(recorder.pass(MAC).await, None);
    assert_eq!(api.asked(), []);
    assert_eq!(recorder.sightings.len(), 0);
}

#[tokio::test]
async fn an_endpoint_is_known_by_its_mac_address_however_that_is_written() {
    let notations = ["aabbcc000001", "AA-BB-CC-00-00-01", "aabb.cc00.0001", "aa:bb:cc:00:00:01"];
    for (text, known) in notations.map(|it| (it, 1)).into_iter().chain([("aabb:cc00:0001", 0)]) {
        let recorder = recorder(&Api::default());
        list(&recorder, vec![endpoint("a", text, "10.77.0.5")]).await;
        assert_eq!(recorder.endpoints.get(&MAC).len(), known, "{text}");
    }
}

#[tokio::test]
async fn an_endpoint_that_somebody_else_made_gets_the_address_and_nothing_else() {
    let (api, recorder, bmc) = at_loopback("").await;
    drop(bmc);
    recorder.sightings.saw(seen(MAC, IP));
    assert_eq!(recorder.pass(MAC).await, None);
    let document = json!({"metadata": {"resourceVersion": "7"}, "spec": {"ip": "10.77.0.5"}});
    assert_eq!(api.asked(), [(format!("PATCH {PATH}/mine"), document)]);
}

/// An Endpoint at an address of loopback, where only a BMC that is there takes connections.
async fn at_loopback(more: &str) -> (Api, Tested, TcpListener) {
    let bmc = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api::default();
    let port = bmc.local_addr().unwrap().port();
    let recorder = recorder_of(&api, more, &DATABASE.replace("443", &port.to_string()));
    list(&recorder, vec![endpoint("mine", "aa:bb:cc:00:00:01", "127.0.0.1")]).await;
    (api, recorder, bmc)
}

#[tokio::test]
async fn a_bmc_that_still_answers_where_it_was_is_a_conflict_on_its_endpoint_and_does_not_move() {
    let (api, recorder, bmc) = at_loopback("").await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some());
    let asked = api.asked();
    let [(note, document), (event, told)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*note, format!("PATCH {PATH}/mine"));
    let text = document["metadata"]["annotations"][annotation::ADDRESS_CONFLICT].as_str().unwrap();
    assert!(text.contains("10.77.0.5") && text.contains("still answers at 127.0.0.1"), "{text}");
    assert!(event.starts_with("POST /apis/events.k8s.io/"), "{event}");
    assert_eq!((&told["reason"], told["note"].as_str()), (&json!("AddressConflict"), Some(text)));

    // It is told once, until it is over.
    let mut told = endpoint("mine", "aa:bb:cc:00:00:01", "127.0.0.1");
    told.metadata.annotations =
        Some([(annotation::ADDRESS_CONFLICT.to_owned(), text.to_owned())].into());
    list(&recorder, vec![told]).await;
    assert!(recorder.pass(MAC).await.is_some());
    assert!(api.asked().iter().all(|(request, _)| !request.starts_with("PATCH /apis/metal")));

    drop(bmc);
    assert_eq!(recorder.pass(MAC).await, None);
    let asked = api.asked();
    assert_eq!(asked[0].1["spec"], json!({"ip": "10.77.0.5"}));
    assert_eq!(asked[1].1["metadata"]["annotations"], json!({annotation::ADDRESS_CONFLICT: null}));
}

#[tokio::test]
async fn a_bmc_whose_lease_elsewhere_runs_does_not_move_and_a_conflict_ends_where_it_is_known() {
    let (api, recorder, bmc) = at_loopback("").await;
    drop(bmc);
    let there = Ipv4Addr::LOCALHOST.into();
    let elsewhere = Some((there, Timestamp::MAX));
    recorder.sightings.saw(Sighting { elsewhere, ..seen(MAC, IP) });
    assert!(recorder.pass(MAC).await.is_some());
    let document = api.asked().swap_remove(0).1;
    assert_eq!(document.get("spec"), None);
    let text = &document["metadata"]["annotations"][annotation::ADDRESS_CONFLICT];
    assert!(text.as_str().unwrap().contains("lease of 127.0.0.1 still runs"), "{text}");

    let mut told = endpoint("mine", "aa:bb:cc:00:00:01", "127.0.0.1");
    let text = text.as_str().unwrap().to_owned();
    told.metadata.annotations = Some([(annotation::ADDRESS_CONFLICT.to_owned(), text)].into());
    list(&recorder, vec![told]).await;
    recorder.sightings.saw(seen(MAC, there));
    assert_eq!(recorder.pass(MAC).await, None);
    let document = api.asked().swap_remove(0).1;
    assert_eq!(document["metadata"]["annotations"], json!({annotation::ADDRESS_CONFLICT: null}));
}

#[tokio::test]
async fn of_two_with_one_mac_address_both_are_told_and_none_is_touched() {
    let api = Api::default();
    let recorder = recorder(&api);
    let twin = |name| endpoint(name, "aa:bb:cc:00:00:01", "10.77.0.9");
    list(&recorder, vec![twin("a"), twin("b")]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await > Some(Duration::from_mins(30)));
    let asked = api.asked();
    let regarding: Vec<_> = asked.iter().map(|(_, event)| &event["regarding"]["name"]).collect();
    assert_eq!(regarding, ["a", "b"]);
    for (request, event) in &asked {
        assert!(request.starts_with("POST /apis/events.k8s.io/"), "{request}");
        assert_eq!(event["reason"], "Ambiguous");
        let note = "endpoints a, b have the MAC address aa:bb:cc:00:00:01; delete all but one";
        assert_eq!(event["note"], note);
    }
    assert_eq!(recorder.sightings.len(), 1, "it is recorded once one of them is gone");
    let gone = twin("b");
    recorder.wake(&Change::Removed(&Arc::new(gone)));
    assert_eq!(recorder.sightings.0.queue.len(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_is_told() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![endpoint("compute-aabbcc000001", "02:00:00:00:00:01", "10.77.0.9")]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some());
    let (_, event) = api.asked().pop().unwrap();
    assert_eq!(event["reason"], "NameTaken");
}

#[tokio::test]
async fn nothing_is_written_before_the_endpoints_are_known() {
    let api = Api::default();
    let recorder = recorder(&api);
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some());
    assert_eq!((api.asked(), recorder.sightings.len()), (vec![], 1));
}

#[tokio::test]
async fn what_the_api_server_does_not_take_is_tried_again_ever_more_slowly() {
    for code in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::CONFLICT] {
        let api = Api::default();
        let recorder = recorder(&api);
        list(&recorder, vec![]).await;
        recorder.sightings.saw(seen(MAC, IP));
        api.fail(Some(code));
        let waits = [recorder.pass(MAC).await, recorder.pass(MAC).await, recorder.pass(MAC).await];
        assert!(waits.is_sorted() && waits[0].is_some(), "{waits:?}");
        assert_eq!(recorder.sightings.len(), 1);
        api.fail(None);
        assert_eq!(recorder.pass(MAC).await, None);
        assert_eq!(recorder.sightings.len(), 0);
    }
}

/// The API server has these BMC objects.
async fn list_bmcs(recorder: &Recorder, bmcs: Vec<Bmc>) {
    let bmcs = bmcs.into_iter().map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
    let events = [Event::Init].into_iter().chain(bmcs).chain([Event::InitDone]);
    recorder.bmcs.follow(stream::iter(events.map(Ok))).await.unwrap_err();
}

#[tokio::test]
async fn in_mode_bmc_it_becomes_credentials_and_an_object_with_its_address() {
    let api = Api::default();
    let recorder = recorder_with(&api, "endpoints: { mode: bmc }\n");
    list(&recorder, vec![]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some(), "the BMC objects are not known yet");
    list_bmcs(&recorder, vec![]).await;
    assert_eq!(recorder.pass(MAC).await, None);
    let asked = api.asked();
    let paths: Vec<_> = asked.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["bmcsecrets", "bmcs"]);
    let access = json!({"macAddress": "aa:bb:cc:00:00:01", "ip": "10.77.0.5"});
    assert_eq!(asked[1].1["spec"]["access"], access);
    assert_eq!(asked[1].1["metadata"]["name"], "compute-aabbcc000001");
    assert_eq!(recorder.sightings.len(), 0);
}

#[tokio::test]
async fn a_bmc_object_at_another_address_is_told_and_made_anew_once_it_is_gone() {
    let api = Api::default();
    let recorder = recorder_with(&api, "endpoints: { mode: bmc }\n");
    let (mac_address, ip) = (Some(MAC.to_string()), Some("10.77.0.9".to_owned()));
    let access = Some(InlineAccess { mac_address, ip });
    let bmc = Bmc::new("mine", BmcSpec { access, ..BmcSpec::default() });
    list_bmcs(&recorder, vec![bmc.clone()]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await > Some(Duration::from_mins(30)));
    let (_, event) = api.asked().pop().unwrap();
    assert_eq!((&event["reason"], &event["regarding"]["name"]), (&json!("Moved"), &json!("mine")));
    recorder.wake_by_bmc(&Change::Removed(&Arc::new(bmc)));
    assert_eq!(recorder.sightings.0.queue.len(), 1);
}

#[test]
fn the_last_address_counts_and_the_queue_is_bounded() {
    let sightings = Sightings::default();
    let before = seen(MAC, [10_u8, 77, 0, 9].into());
    sightings.saw(before);
    sightings.saw(seen(MAC, IP));
    assert_eq!(sightings.wanted().get(&MAC), Some(&seen(MAC, IP)));
    sightings.recorded(&before);
    assert_eq!(sightings.len(), 1, "what was recorded is not what is wanted now");

    for number in 0..=u32::try_from(MOST).unwrap() {
        let [a, b, c, d] = number.to_be_bytes();
        sightings.saw(seen(MacAddr([2, 0, a, b, c, d]), IP));
    }
    assert_eq!((sightings.len(), sightings.0.dropped.get()), (MOST, 2));
    assert_eq!(sightings.0.waiting.get(), i64::try_from(MOST).unwrap());
}

#[tokio::test]
async fn a_crowd_of_new_bmcs_is_let_in_bit_by_bit_and_those_that_are_known_need_not_wait() {
    for (more, most) in [
        ("endpoints: { newPerMinute: 5 }\n", 5),
        ("endpoints: { newPerMinute: 50, maxUnanswered: 7 }\n", 7),
    ] {
        let api = Api::default();
        let recorder = recorder_with(&api, more);
        list(&recorder, vec![endpoint("mine", "02:00:00:00:00:01", "fd77::9")]).await;
        let crowd = (0..40).map(|last| MacAddr([0xaa, 0xbb, 0xcc, 0, 1, last]));
        for mac in crowd {
            recorder.sightings.saw(seen(mac, IP));
            recorder.pass(mac).await;
        }
        let posts =
            api.asked().into_iter().filter(|(asked, _)| asked.starts_with("POST /apis/metal"));
        assert_eq!(posts.count(), most, "{more}");
        assert_eq!(recorder.sightings.len(), 40 - most, "the others wait");
        let known = MacAddr([2, 0, 0, 0, 0, 1]);
        recorder.sightings.saw(seen(known, "fd77::9".parse().unwrap()));
        assert_eq!(recorder.pass(known).await, None);
    }
}

#[tokio::test]
async fn who_waits_is_forgotten_when_its_lease_ends() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![]).await;
    recorder.sightings.saw(Sighting { until: Timestamp::UNIX_EPOCH, ..seen(MAC, IP) });
    assert_eq!(recorder.pass(MAC).await, None);
    assert_eq!(recorder.sightings.len(), 0);
    assert_eq!(api.asked(), []);
}

#[tokio::test]
async fn what_never_answered_is_removed_a_day_after_its_lease_and_nothing_else_is() {
    const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
    let api = Api::default();
    let recorder = recorder(&api);
    let end = Timestamp::now();
    let ours = |name: &str, last: u8| {
        let mac = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, last]);
        recorder.sightings.ends_at(mac, end);
        let mut endpoint = endpoint(name, &mac.to_string(), "10.77.0.9");
        let label = (annotation::MANAGED_BY.to_owned(), MANAGER.to_owned());
        endpoint.metadata.labels = Some([label].into());
        endpoint
    };
    let (silent, answered) = (ours("silent", 1), ours("answered", 2));
    let mut by_hand = ours("by-hand", 3);
    by_hand.metadata.labels = None;
    let renewed = ours("renewed", 4);
    recorder.sightings.ends_at(MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 4]), end + DAY);
    list(&recorder, vec![silent, answered, by_hand, renewed]).await;
    let of = |name: &str, ip: Option<&str>| {
        let endpoint_ref = Some(metal_api::LocalObjectReference { name: name.to_owned() });
        let mut bmc = Bmc::new(name, BmcSpec { endpoint_ref, ..BmcSpec::default() });
        let ip = ip.map(str::to_owned);
        bmc.status = Some(metal_api::BmcStatus { ip, ..metal_api::BmcStatus::default() });
        bmc
    };
    recorder.collect(end + DAY).await;
    assert_eq!(api.asked(), [], "nobody knows yet who has answered");
    list_bmcs(&recorder, vec![of("silent", None), of("answered", Some("10.77.0.9"))]).await;
    recorder.collect(end + DAY - jiff::SignedDuration::from_secs(1)).await;
    assert_eq!(api.asked(), []);
    recorder.collect(end + DAY).await;
    let asked = api.asked();
    let [(request, options)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*request, format!("DELETE {PATH}/silent"));
    assert_eq!(options["preconditions"]["resourceVersion"], "7");
}
