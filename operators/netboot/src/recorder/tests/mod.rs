use super::*;
use fixture::{
    Api, DATABASE, IP, MAC, PATH, Tested, endpoint, list, recorder, recorder_of, recorder_with,
    seen,
};
use http::StatusCode;
use metal_api::annotation;
use serde_json::json;
use std::net::Ipv4Addr;
use tokio::net::TcpSocket;

mod bmcs;
mod fixture;
mod new_bmcs;

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
    let (api, recorder) = at_nowhere().await;
    recorder.sightings.saw(seen(MAC, IP));
    assert_eq!(recorder.pass(MAC).await, None);
    let document = json!({"metadata": {"resourceVersion": "7"}, "spec": {"ip": "10.77.0.5"}});
    assert_eq!(api.asked(), [(format!("PATCH {PATH}/mine"), document)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_from_before_moves_a_bmc_only_if_netboot_has_set_its_address_itself() {
    let split = "instances: { mode: split, part: 1 }\n";
    for (manager, more, is_moved) in
        [("netboot", "", true), ("kubectl-edit", "", false), ("netboot", split, false)]
    {
        let api = Api::default();
        let recorder = recorder_with(&api, more);
        list(&recorder, vec![endpoint("mine", "aa:bb:cc:00:00:01", NOWHERE)]).await;
        api.managed_by(manager);
        recorder.sightings.saw(Sighting { is_recalled: true, ..seen(MAC, IP) });
        assert_eq!(recorder.pass(MAC).await, None, "{manager}");
        let moved = api.asked().iter().any(|(request, _)| request.starts_with("PATCH"));
        assert_eq!((moved, recorder.sightings.len()), (is_moved, 0), "{manager}");
    }
}

#[tokio::test]
async fn a_bmc_that_refuses_the_connection_is_still_there() {
    let (api, recorder, _bmc) = at_loopback("").await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some());
    let document = api.asked().swap_remove(0).1;
    assert_eq!(document.get("spec"), None, "it does not move");
}

#[tokio::test]
async fn a_bmc_is_asked_at_the_port_of_its_object_and_at_that_of_the_database() {
    let recorder = recorder(&Api::default());
    let other = MacAddr([2, 0, 0, 0, 0, 1]);
    assert_eq!(recorder.ports(other), [443], "none is known");
    list(&recorder, vec![endpoint("mine", "aa:bb:cc:00:00:01", "127.0.0.1")]).await;
    let bmc = |name: &str, port| {
        let endpoint_ref = Some(metal_api::LocalObjectReference { name: name.to_owned() });
        let protocol = metal_api::Protocol { port, ..metal_api::Protocol::default() };
        Bmc::new(name, metal_api::BmcSpec { endpoint_ref, protocol, ..Default::default() })
    };
    fixture::list_bmcs(&recorder, vec![bmc("mine", 8443), bmc("other", 9443)]).await;
    assert_eq!(recorder.ports(MAC), [443, 8443]);
}

/// An address to which there are no connections: Linux knows none to a broadcast address.
const NOWHERE: &str = "255.255.255.255";

/// An Endpoint at an address where nothing is.
async fn at_nowhere() -> (Api, Tested) {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![endpoint("mine", "aa:bb:cc:00:00:01", NOWHERE)]).await;
    (api, recorder)
}

/// An Endpoint at a loopback address, where connections are refused until the socket listens. Nobody else gets its port.
async fn at_loopback(more: &str) -> (Api, Tested, TcpSocket) {
    let bmc = TcpSocket::new_v4().unwrap();
    bmc.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let api = Api::default();
    let port = bmc.local_addr().unwrap().port();
    let recorder = recorder_of(&api, more, &DATABASE.replace("443", &port.to_string()));
    list(&recorder, vec![endpoint("mine", "aa:bb:cc:00:00:01", "127.0.0.1")]).await;
    (api, recorder, bmc)
}

#[tokio::test]
async fn a_bmc_that_still_answers_where_it_was_is_a_conflict_on_its_endpoint_and_does_not_move() {
    let (api, recorder, bmc) = at_loopback("").await;
    let _bmc = bmc.listen(8).unwrap();
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some());
    let asked = api.asked();
    let [(note, document), (event, told)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*note, format!("PATCH {PATH}/mine"));
    let text = document["metadata"]["annotations"][annotation::ADDRESS_CONFLICT].as_str().unwrap();
    assert!(text.contains("10.77.0.5") && text.contains("still responds at 127.0.0.1"), "{text}");
    assert!(event.starts_with("POST /apis/events.k8s.io/"), "{event}");
    assert_eq!((&told["reason"], told["note"].as_str()), (&json!("AddressConflict"), Some(text)));

    // It is reported once, until it is over.
    let mut told = endpoint("mine", "aa:bb:cc:00:00:01", "127.0.0.1");
    told.metadata.annotations =
        Some([(annotation::ADDRESS_CONFLICT.to_owned(), text.to_owned())].into());
    list(&recorder, vec![told.clone()]).await;
    assert!(recorder.pass(MAC).await.is_some());
    assert!(api.asked().iter().all(|(request, _)| !request.starts_with("PATCH /apis/metal")));

    told.spec.ip = Some(NOWHERE.to_owned());
    list(&recorder, vec![told]).await;
    assert_eq!(recorder.pass(MAC).await, None);
    let asked = api.asked();
    assert_eq!(asked[0].1["spec"], json!({"ip": "10.77.0.5"}));
    assert_eq!(asked[1].1["metadata"]["annotations"], json!({annotation::ADDRESS_CONFLICT: null}));
}

#[tokio::test]
async fn a_bmc_whose_lease_elsewhere_runs_does_not_move_and_a_conflict_ends_where_it_is_known() {
    let (api, recorder, _bmc) = at_loopback("").await;
    let there = Ipv4Addr::LOCALHOST.into();
    let elsewhere = Some((there, Timestamp::MAX));
    recorder.sightings.saw(Sighting { elsewhere, ..seen(MAC, IP) });
    assert!(recorder.pass(MAC).await.is_some());
    let document = api.asked().swap_remove(0).1;
    assert_eq!(document.get("spec"), None);
    let text = &document["metadata"]["annotations"][annotation::ADDRESS_CONFLICT];
    assert!(text.as_str().unwrap().contains("lease of 127.0.0.1 has not expired"), "{text}");

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
async fn a_conflict_that_a_person_resolved_is_over_at_the_next_look_at_the_lease() {
    for (more, is_over) in [("", true), ("instances: { mode: split, part: 1 }\n", false)] {
        let api = Api::default();
        let recorder = recorder_with(&api, more);
        let mut resolved = endpoint("mine", "aa:bb:cc:00:00:01", "10.77.0.5");
        let text = (annotation::ADDRESS_CONFLICT.to_owned(), "it was elsewhere".to_owned());
        resolved.metadata.annotations = Some([text].into());
        list(&recorder, vec![resolved]).await;
        recorder.sightings.saw(Sighting { is_recalled: true, ..seen(MAC, IP) });
        assert_eq!(recorder.pass(MAC).await, None, "{more}");
        let over = json!({annotation::ADDRESS_CONFLICT: null});
        let asked = api.asked();
        let noted = asked.iter().any(|(_, it)| it["metadata"]["annotations"] == over);
        assert_eq!((noted, recorder.sightings.len()), (is_over, 0), "{more}");
    }
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
