//! A recorder with a simulated API server.

use crate::recorder::*;
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
use metal_api::EndpointSpec;
use metal_runtime::health::Readiness;
use prometheus_client::metrics::family::Family;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    ops::Deref,
    sync::Mutex,
};

pub(super) const MAC: MacAddr = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]);
pub(super) const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 5));
pub(super) const PATH: &str = "/apis/metal.ironcore.dev/v1alpha1/endpoints";

pub(super) const DATABASE: &str = "
macPrefixes:
- macPrefix: aabbcc
  protocol: Redfish
  port: 443
  type: bmc
  defaultCredentials: [{ username: a, password: b }]
";

/// The requests to an API server, and its answer to writes of Endpoints.
#[derive(Clone, Default)]
pub(super) struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The managed fields of every object.
    managed: Value,
    /// The annotations of every object.
    annotations: Value,
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
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let uri = head.uri.to_string();
                let (uri, _) = uri.split_once('?').unwrap_or((&uri, ""));
                let mut state = api.0.lock().unwrap();
                let (code, answer) = match state.fails {
                    Some(code) if uri.starts_with(PATH) => (code, failure(code)),
                    _ if uri.ends_with("/bmcs") => (StatusCode::OK, body.clone()),
                    _ => {
                        let metadata = json!({
                            "managedFields": state.managed, "annotations": state.annotations,
                        });
                        let answer = json!({"metadata": metadata, "spec": {}, "eventTime": null});
                        (StatusCode::OK, answer)
                    }
                };
                state.asked.push((format!("{} {uri}", head.method), body));
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    pub(super) fn fail(&self, code: Option<StatusCode>) {
        self.0.lock().unwrap().fails = code;
    }

    /// From now on this field manager has set `spec.ip` of every object.
    pub(super) fn managed_by(&self, manager: &str) {
        let fields = json!({"f:spec": {"f:ip": {}}});
        let entry = json!({"manager": manager, "fieldsType": "FieldsV1", "fieldsV1": fields});
        self.0.lock().unwrap().managed = json!([entry]);
    }

    /// From now on every object has these annotations.
    pub(super) fn annotate(&self, annotations: Value) {
        self.0.lock().unwrap().annotations = annotations;
    }

    /// The requests since the last call.
    pub(super) fn asked(&self) -> Vec<(String, Value)> {
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

/// A recorder with what drives it.
pub(super) struct Tested {
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
    /// One turn of a BMC; returns when it is due again.
    pub(super) async fn pass(&self, mac: MacAddr) -> Option<Duration> {
        self.work.turn(&Recording(Arc::clone(&self.recorder)), mac).await
    }
}

pub(super) fn recorder(api: &Api) -> Tested {
    recorder_with(api, "")
}

pub(super) fn recorder_with(api: &Api, more: &str) -> Tested {
    recorder_of(api, more, DATABASE)
}

pub(super) fn recorder_of(api: &Api, more: &str, database: &str) -> Tested {
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
        new_bmcs: NewBmcs::default(),
        client,
    });
    Tested { work: recorder.work(), recorder }
}

pub(super) fn seen(mac: MacAddr, address: IpAddr) -> Sighting {
    Sighting { mac, address, until: Timestamp::MAX, elsewhere: None, is_recalled: false }
}

pub(super) fn endpoint(name: &str, mac: &str, ip: &str) -> Endpoint {
    let spec = EndpointSpec { mac_address: Some(mac.to_owned()), ip: Some(ip.to_owned()) };
    let mut endpoint = Endpoint::new(name, spec);
    endpoint.metadata.resource_version = Some("7".to_owned());
    endpoint
}

/// The API server has these Endpoints.
pub(super) async fn list(recorder: &Recorder, endpoints: Vec<Endpoint>) {
    let endpoints = endpoints.into_iter().map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
    let events = [Event::Init].into_iter().chain(endpoints).chain([Event::InitDone]);
    recorder.endpoints.follow(stream::iter(events.map(Ok))).await.unwrap_err();
}

/// The API server has these BMC objects.
pub(super) async fn list_bmcs(recorder: &Recorder, bmcs: Vec<Bmc>) {
    let bmcs = bmcs.into_iter().map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
    let events = [Event::Init].into_iter().chain(bmcs).chain([Event::InitDone]);
    recorder.bmcs.follow(stream::iter(events.map(Ok))).await.unwrap_err();
}
