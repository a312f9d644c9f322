//! BMCs that send more than they may.

use crate::{
    bmc::{FakeRedfish, Fault, chain, credentials, patient},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Config, Connect, Error, Fleet, Limits};
use serde_json::json;
use std::time::Duration;

const SYSTEMS: &str = "/redfish/v1/Systems";

/// A page of a collection of this length, with a link to the next.
fn page(number: usize, bytes: usize) -> String {
    let next = format!("/redfish/v1/Systems?page={}", number + 1);
    let long = "x".repeat(bytes);
    json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.nextLink": next, "Oem": long})
        .to_string()
}

#[tokio::test]
async fn pages_that_are_long_together_end_the_call_and_say_that_it_misbehaves() {
    let server = FakeRedfish::machine().await;
    server.fault("/redfish/v1/Systems", Fault::Answer(200, page(0, 1_800_000)));
    for number in 1..64 {
        let path = format!("/redfish/v1/Systems?page={number}");
        server.fault(&path, Fault::Answer(200, page(number, 1_800_000)));
    }
    let bmc = server.bmc();
    let error = bmc.systems().await.unwrap_err();
    assert!(matches!(error, Error::Misbehaving { .. }), "{error}");
    assert!(error.to_string().contains("get /redfish/v1/Systems?page=4"), "{error}");
    assert_eq!(chain(&error), "the responses of one operation are longer than 8388608 bytes");
    assert!(server.log().len() <= 8, "{:?}", server.log());
}

#[tokio::test]
async fn documents_that_take_much_memory_are_not_made() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    let many =
        |entry: &str| format!("{{\"Members\": [{entry}{}]}}", format!(",{entry}").repeat(500_000));
    for body in [many("{}"), many("0"), many("{\"a\":1}"), many("{\"@odata.id\":\"/a\"}")] {
        if body.len() > 4 << 20 {
            continue;
        }
        server.fault("/redfish/v1/Systems", Fault::Answer(200, body));
        let error = bmc.systems().await.unwrap_err();
        assert!(matches!(error, Error::Misbehaving { .. }), "{error}");
        assert_eq!(chain(&error), "parsing the response needs more than 16777216 bytes of memory");
    }
}

#[tokio::test]
async fn a_compressed_body_is_bounded_by_what_it_becomes() {
    let server = FakeRedfish::machine().await;
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 8 << 20], 6);
    assert!(bomb.len() < 100_000);
    let header = vec![("content-encoding", "deflate".to_owned())];
    server.fault(SYSTEM, Fault::Raw(200, header, bomb));
    let error = server.bmc().system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Misbehaving { .. }), "{error}");
    assert_eq!(chain(&error), "the response is longer than 4194304 bytes");
}

#[tokio::test]
async fn a_flood_of_headers_is_no_answer() {
    let server = FakeRedfish::machine().await;
    let headers = (0..60).map(|_| ("x-flood", "x".repeat(4000))).collect();
    server.fault(SYSTEM, Fault::Raw(200, headers, b"{}".to_vec()));
    let error = server.bmc().system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_bmc_that_sends_too_much_over_time_is_not_asked_for_a_while_and_no_other_suffers() {
    let (hostile, honest) = (FakeRedfish::machine().await, FakeRedfish::machine().await);
    let limits = Limits { bmc_bytes: 1 << 20, ..patient() };
    let fleet = Fleet::new(Config { limits, ..Config::default() });
    let bmc = fleet.connect(&hostile.target(), &credentials());
    hostile.edit(SYSTEM, |system| system["Oem"] = json!("x".repeat(100_000)));
    let mut calls = 0;
    let error = loop {
        calls += 1;
        match bmc.system(SYSTEM).await {
            Ok(_) => assert!(calls < 12),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Misbehaving { .. }), "{error}");
    let asked = hostile.log().len();
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Misbehaving { .. }), "{error}");
    assert_eq!(hostile.log().len(), asked);
    fleet.connect(&honest.target(), &credentials()).systems().await.unwrap();
}

#[tokio::test]
async fn a_long_answer_that_drips_misbehaves() {
    let server = FakeRedfish::machine().await;
    let short = Duration::from_secs(2);
    let (_fleet, bmc) = server.fleet(Limits { body: short, ..patient() });
    bmc.systems().await.unwrap();
    server.fault(SYSTEM, Fault::Drip(200_000));
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Misbehaving { .. }), "{error}");
}

#[tokio::test]
async fn fifty_bmcs_with_long_answers_leave_a_place_for_an_honest_one() {
    let fleet = Fleet::new(Config { limits: patient(), ..Config::default() });
    let mut hostile = vec![];
    for _ in 0..50 {
        let server = FakeRedfish::machine().await;
        server.fault(SYSTEMS, Fault::Drip(1_800_000));
        hostile.push(server);
    }
    let honest = FakeRedfish::machine().await;
    let bmcs: Vec<_> =
        hostile.iter().map(|it| fleet.connect(&it.target(), &credentials())).collect();
    let attacks = futures::future::join_all(bmcs.iter().map(Bmc::systems));
    let bmc = fleet.connect(&honest.target(), &credentials());
    let is_asked = |it: &FakeRedfish| it.log().contains(&format!("GET {SYSTEMS}"));
    let beside = async {
        while !hostile.iter().all(is_asked) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bmc.systems().await.unwrap();
        bmc.inventory(SYSTEM).await.unwrap();
    };
    // Those that have a place keep it until the time for a body is over.
    tokio::select! {
        _ = attacks => panic!("an honest one waits for all of them"),
        () = beside => {}
    }
}

#[tokio::test]
async fn parts_beyond_any_machine_are_named_and_left_out() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let members = |from: usize| -> Vec<_> {
        (from..from + 700)
            .map(|index| {
                json!({"@odata.id": format!("/p/{index}"), "@odata.type": "#Processor.v1_0_0.Processor",
                    "Id": "x", "Name": "x", "Model": "x"})
            })
            .collect()
    };
    let first = format!("{SYSTEM}/Processors?$expand=.");
    server.edit(&first, |page| {
        *page = json!({"Members": members(0), "Members@odata.nextLink": "/next"});
    });
    server.edit("/next", |page| *page = json!({"Members": members(700)}));
    let inventory = server.bmc().inventory(SYSTEM).await.unwrap();
    assert_eq!(inventory.processors.len(), 1024);
    assert!(inventory.missing[0].ends_with("too many members"), "{:?}", inventory.missing);
}
