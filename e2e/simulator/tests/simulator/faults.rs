//! Injected faults, and who may inject them.

use crate::client::{Client, http_client, until};
use metal_simulator::{Action, Config, Fault, Power, Simulator};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const SYSTEM: &str = "/redfish/v1/Systems/1";

#[tokio::test]
async fn a_bmc_may_answer_with_a_status_and_recover() {
    let (simulator, client) = start().await;
    simulator.fault(Fault::new(SYSTEM, Action::Status(503)).times(2)).unwrap();
    for expected in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE] {
        assert_eq!(client.status(Method::GET, SYSTEM, None).await, expected);
    }
    assert_eq!(client.status(Method::GET, SYSTEM, None).await, StatusCode::OK);
}

#[tokio::test]
async fn a_bmc_may_send_garbage_half_an_answer_or_nothing() {
    let (simulator, client) = start().await;
    simulator.fault(Fault::new(SYSTEM, Action::Garbage).times(1)).unwrap();
    simulator.fault(Fault::new(SYSTEM, Action::Truncate).times(1)).unwrap();
    simulator.fault(Fault::new(SYSTEM, Action::Drop).times(1)).unwrap();
    let garbage = client.send(Method::GET, SYSTEM, None).await;
    assert_eq!(garbage.status(), StatusCode::OK);
    assert!(garbage.json::<Value>().await.unwrap_err().is_decode());
    let half = client.send(Method::GET, SYSTEM, None).await;
    assert_eq!(half.status(), StatusCode::OK);
    assert!(half.bytes().await.is_err());
    assert!(client.try_send(Method::GET, SYSTEM, None).await.is_err());
    assert_eq!(client.get(SYSTEM).await["Id"], json!("1"));
}

#[tokio::test]
async fn a_bmc_may_take_a_request_and_never_answer() {
    let (simulator, client) = start().await;
    simulator.fault(Fault::new(SYSTEM, Action::Hang)).unwrap();
    let hanging = client.try_send(Method::GET, SYSTEM, None);
    tokio::pin!(hanging);
    tokio::select! {
        answer = &mut hanging => panic!("{answer:?}"),
        () = until(|| simulator.machine(0).unwrap().counters.requests == 1) => {}
    }
    assert_eq!(client.get("/redfish/v1/Systems").await["Members@odata.count"], json!(1));
    simulator.stop().await;
    assert!(hanging.await.is_err());
}

#[tokio::test]
async fn a_bmc_may_leave_out_what_it_should_say() {
    let (simulator, client) = start().await;
    let action = Action::Fields {
        remove: vec!["/UUID".to_owned()],
        set: BTreeMap::from([("/PowerState".to_owned(), json!(17))]),
    };
    simulator.fault(Fault::new(SYSTEM, action)).unwrap();
    let system = client.get(SYSTEM).await;
    assert_eq!((system.get("UUID"), &system["PowerState"]), (None, &json!(17)));
    simulator.clear_faults(None);
    assert_ne!(client.get(SYSTEM).await.get("UUID"), None);
}

#[tokio::test]
async fn a_fault_of_a_member_hits_who_asks_for_the_only_member_of_its_collection() {
    let (simulator, client) = start().await;
    let action = Action::Fields { remove: vec!["/UUID".to_owned()], set: BTreeMap::new() };
    simulator.fault(Fault::new(format!("{SYSTEM}$"), action).times(1)).unwrap();
    let only = "/redfish/v1/Systems?only";
    let system = client.get(only).await;
    assert_eq!((&system["@odata.id"], system.get("UUID")), (&json!(SYSTEM), None));
    assert_ne!(client.get(only).await.get("UUID"), None);
    simulator.fault(Fault::new(format!("{SYSTEM}$"), Action::Status(503)).times(1)).unwrap();
    assert_eq!(client.status(Method::GET, only, None).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.status(Method::GET, only, None).await, StatusCode::OK);
}

#[tokio::test]
async fn faults_come_and_go_over_the_control_api() {
    let (simulator, client) = start().await;
    let control = format!("http://{}", simulator.control());
    let http = http_client();
    let post = async |path: &str, body: Value| {
        let response = http.post(format!("{control}{path}")).json(&body).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let fault = json!({ "path": "/redfish/v1/Systems", "action": { "status": 500 } });
    let (status, id) = post("/machines/0/faults", fault.clone()).await;
    assert_eq!((status, id.as_str()), (StatusCode::CREATED, r#"{"id":1}"#));
    let broken = client.status(Method::GET, SYSTEM, None).await;
    assert_eq!(broken, StatusCode::INTERNAL_SERVER_ERROR);
    let listed: Value =
        http.get(format!("{control}/faults")).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed[0]["machines"], json!([0]));
    http.delete(format!("{control}/faults/1")).send().await.unwrap();
    assert_eq!(client.status(Method::GET, SYSTEM, None).await, StatusCode::OK);
    assert_eq!(post("/machines/9/faults", fault).await.0, StatusCode::NOT_FOUND);
    let malformed = json!({ "path": "(", "action": "hang" });
    assert_eq!(post("/faults", malformed).await.0, StatusCode::BAD_REQUEST);
    let unknown = json!({ "action": "explode" });
    assert_eq!(post("/faults", unknown).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn buttons_and_cables_work_over_the_control_api() {
    let (simulator, client) = start().await;
    let control = format!("http://{}", simulator.control());
    let http = http_client();
    let post = async |path: &str, body: Value| {
        http.post(format!("{control}{path}")).json(&body).send().await.unwrap().status()
    };
    let button = json!({ "ResetType": "PushPowerButton" });
    assert_eq!(post("/machines/0/reset", button).await, StatusCode::NO_CONTENT);
    until(|| simulator.machine(0).unwrap().power == Power::On).await;
    assert_eq!(post("/machines/0/unplug", Value::Null).await, StatusCode::NO_CONTENT);
    assert!(client.try_send(Method::GET, SYSTEM, None).await.is_err());
    assert_eq!(post("/machines/0/plug", Value::Null).await, StatusCode::NO_CONTENT);
    let get = async |path: &str| -> Value {
        http.get(format!("{control}{path}")).send().await.unwrap().json().await.unwrap()
    };
    let machine = get("/machines/0").await;
    assert_eq!(machine["power"], json!("Off"));
    assert_eq!(machine["counters"]["resets"], json!({ "PushPowerButton": 1 }));
    assert_eq!(machine["journal"].as_array().unwrap().last().unwrap()["event"], json!("plugged"));
    assert_eq!(get("/machines").await[0]["uuid"], machine["uuid"]);
    assert_eq!(get("/summary").await["hosts"], json!({ "off": 1 }));
}

async fn start() -> (Simulator, Client) {
    let mut config = Config::default();
    config.timing.power_on = Duration::ZERO;
    let simulator = Simulator::start(config).await.unwrap();
    let client = Client::of(&simulator, 0);
    (simulator, client)
}
