use super::*;
use futures::stream;
use http::{Request, Response, StatusCode};
use kube::{
    client::Body,
    core::DeserializeGuard,
    runtime::{
        events::{Recorder as Events, Reporter as Source},
        watcher::Event,
    },
};
use metal_api::{Bmc, BmcSpec, InlineAccess};
use metal_runtime::health::Readiness;
use prometheus_client::metrics::family::Family;
use serde_json::{Value, json};
use std::{convert::Infallible, net::Ipv4Addr, sync::Mutex};

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

fn recorder(api: &Api) -> Recorder {
    recorder_with(api, "")
}

fn recorder_with(api: &Api, more: &str) -> Recorder {
    let client = api.client();
    let config = Config::parse(&format!("interfaces: [eth1]\nsubnets: []\n{more}")).unwrap();
    let source = Source { controller: MANAGER.to_owned(), instance: None };
    Recorder {
        endpoints: Arc::new(endpoints()),
        bmcs: Arc::new(bmcs()),
        database: watch::Sender::new(Arc::new(MacDb::parse(DATABASE).unwrap())).subscribe(),
        sightings: Sightings::default(),
        config: watch::Sender::new(Arc::new(config)).subscribe(),
        reporter: Reporter {
            controller: "endpoint",
            recorder: Events::new(client.clone(), source),
            passes: Family::default(),
        },
        listed: Readiness::default().note("endpoints", "the API server"),
        failures: Failures::default(),
        client,
    }
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
    recorder.sightings.saw(MAC, IP);
    assert_eq!(recorder.pass(MAC).await, None);
    let document = json!({
        "apiVersion": "metal.ironcore.dev/v1alpha1", "kind": "Endpoint",
        "metadata": {"name": "compute-aabbcc000001"},
        "spec": {"macAddress": "aa:bb:cc:00:00:01", "ip": "10.77.0.5"},
    });
    assert_eq!(api.asked(), [(format!("POST {PATH}"), document)]);
    assert!(recorder.sightings.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_right_costs_no_request() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![endpoint("mine", "AABBCC000001", "10.77.0.5")]).await;
    recorder.sightings.saw(MAC, IP);
    assert_eq!(recorder.pass(MAC).await, None);
    assert_eq!(api.asked(), []);
    assert!(recorder.sightings.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_somebody_else_made_gets_the_address_and_nothing_else() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![endpoint("mine", "AA:BB:CC:00:00:01", "10.77.0.9")]).await;
    recorder.sightings.saw(MAC, IP);
    assert_eq!(recorder.pass(MAC).await, None);
    let document = json!({"metadata": {"resourceVersion": "7"}, "spec": {"ip": "10.77.0.5"}});
    assert_eq!(api.asked(), [(format!("PATCH {PATH}/mine"), document)]);
}

#[tokio::test]
async fn of_two_with_one_mac_address_both_are_told_and_none_is_touched() {
    let api = Api::default();
    let recorder = recorder(&api);
    let twin = |name| endpoint(name, "aa:bb:cc:00:00:01", "10.77.0.9");
    list(&recorder, vec![twin("a"), twin("b")]).await;
    recorder.sightings.saw(MAC, IP);
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
    recorder.sightings.saw(MAC, IP);
    assert!(recorder.pass(MAC).await.is_some());
    let (_, event) = api.asked().pop().unwrap();
    assert_eq!(event["reason"], "NameTaken");
}

#[tokio::test]
async fn nothing_is_written_before_the_endpoints_are_known() {
    let api = Api::default();
    let recorder = recorder(&api);
    recorder.sightings.saw(MAC, IP);
    assert!(recorder.pass(MAC).await.is_some());
    assert_eq!((api.asked(), recorder.sightings.len()), (vec![], 1));
}

#[tokio::test]
async fn what_the_api_server_does_not_take_is_tried_again_ever_more_slowly() {
    for code in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::CONFLICT] {
        let api = Api::default();
        let recorder = recorder(&api);
        list(&recorder, vec![]).await;
        recorder.sightings.saw(MAC, IP);
        api.fail(Some(code));
        let waits = [recorder.pass(MAC).await, recorder.pass(MAC).await, recorder.pass(MAC).await];
        assert!(waits.is_sorted() && waits[0].is_some(), "{waits:?}");
        assert_eq!(recorder.sightings.len(), 1);
        api.fail(None);
        assert_eq!(recorder.pass(MAC).await, None);
        assert!(recorder.sightings.is_empty());
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
    recorder.sightings.saw(MAC, IP);
    assert!(recorder.pass(MAC).await.is_some(), "the BMC objects are not known yet");
    list_bmcs(&recorder, vec![]).await;
    assert_eq!(recorder.pass(MAC).await, None);
    let asked = api.asked();
    let paths: Vec<_> = asked.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["bmcsecrets", "bmcs"]);
    let access = json!({"macAddress": "aa:bb:cc:00:00:01", "ip": "10.77.0.5"});
    assert_eq!(asked[1].1["spec"]["access"], access);
    assert_eq!(asked[1].1["metadata"]["name"], "compute-aabbcc000001");
    assert!(recorder.sightings.is_empty());
}

#[tokio::test]
async fn a_bmc_object_at_another_address_is_told_and_made_anew_once_it_is_gone() {
    let api = Api::default();
    let recorder = recorder_with(&api, "endpoints: { mode: bmc }\n");
    let (mac_address, ip) = (Some(MAC.to_string()), Some("10.77.0.9".to_owned()));
    let access = Some(InlineAccess { mac_address, ip });
    let bmc = Bmc::new("mine", BmcSpec { access, ..BmcSpec::default() });
    list_bmcs(&recorder, vec![bmc.clone()]).await;
    recorder.sightings.saw(MAC, IP);
    assert!(recorder.pass(MAC).await > Some(Duration::from_mins(30)));
    let (_, event) = api.asked().pop().unwrap();
    assert_eq!((&event["reason"], &event["regarding"]["name"]), (&json!("Moved"), &json!("mine")));
    recorder.wake_by_bmc(&Change::Removed(&Arc::new(bmc)));
    assert_eq!(recorder.sightings.0.queue.len(), 1);
}

#[test]
fn the_last_address_counts_and_the_queue_is_bounded() {
    let sightings = Sightings::default();
    sightings.saw(MAC, [10_u8, 77, 0, 9]);
    sightings.saw(MAC, IP);
    assert_eq!(sightings.wanted().get(&MAC), Some(&IP));
    sightings.recorded(MAC, [10, 77, 0, 9].into());
    assert_eq!(sightings.len(), 1, "what was recorded is not what is wanted now");

    for number in 0..=u32::try_from(MOST).unwrap() {
        let [a, b, c, d] = number.to_be_bytes();
        sightings.saw(MacAddr([2, 0, a, b, c, d]), IP);
    }
    assert_eq!((sightings.len(), sightings.0.dropped.get()), (MOST, 2));
    assert_eq!(sightings.0.waiting.get(), i64::try_from(MOST).unwrap());
}
