//! BMCs that do not answer, or not as they should.

use crate::{
    bmc::{FakeRedfish, Fault, chain, credentials, impatient, patient},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Config, Connect, Error, Fleet, Limits, Target};
use metal_core::redfish::{ResetType, Scheme, Step};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpSocket};

/// A port where nobody listens, nor can, while the socket is there.
fn nobody() -> (Target, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let host = IpAddr::from(Ipv4Addr::LOCALHOST).into();
    (Target { scheme: Scheme::Http, host, port }, socket)
}

#[tokio::test]
async fn a_dead_bmc_is_asked_once_and_then_left_alone_with_the_same_text() {
    let fleet = Fleet::new(Config { limits: patient(), ..Config::default() });
    let (target, _socket) = nobody();
    let bmc = fleet.connect(&target, &credentials());
    let first = bmc.systems().await.unwrap_err();
    let second = bmc.systems().await.unwrap_err();
    assert!(matches!(first, Error::Unreachable(_)), "{first}");
    assert!(chain(&first).starts_with("TCP connection failed: "), "{}", chain(&first));
    assert_eq!(chain(&first), chain(&second));
    assert_eq!((fleet.counters().connections(), fleet.counters().skipped()), (1, 1));
}

#[tokio::test]
async fn a_bmc_that_comes_back_is_found_after_its_rest() {
    let (target, socket) = nobody();
    let rest = Duration::from_millis(20);
    let limits = Limits { rest, longest_rest: rest, ..patient() };
    let fleet = Fleet::new(Config { limits, ..Config::default() });
    let bmc = fleet.connect(&target, &credentials());
    bmc.systems().await.unwrap_err();
    let server = FakeRedfish::machine().await;
    let relay = socket.listen(8).unwrap();
    let forward = async {
        let (mut near, _) = relay.accept().await.unwrap();
        let to = (Ipv4Addr::LOCALHOST, server.target().port);
        let mut far = tokio::net::TcpStream::connect(to).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
    };
    let found = async {
        while bmc.systems().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = found => {}
        () = async { forward.await; std::future::pending().await } => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("not found"),
    }
}

#[tokio::test]
async fn a_bmc_that_accepts_and_says_nothing_costs_no_more_than_its_deadline() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = silent.local_addr().unwrap();
    for scheme in [Scheme::Http, Scheme::Https] {
        let target = Target { scheme, host: address.ip().into(), port: address.port() };
        let fleet = Fleet::new(Config { limits: impatient(), ..Config::default() });
        let error = fleet.connect(&target, &credentials()).systems().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
        assert!(chain(&error).ends_with(" 4s"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn resources_that_hang_one_after_the_other_mean_that_nobody_is_there() {
    let server = FakeRedfish::machine().await;
    let (fleet, bmc) = server.fleet(Limits { rest: Duration::from_mins(1), ..impatient() });
    bmc.systems().await.unwrap();
    server.fault(SYSTEM, Fault::HangBeforeHeader);
    for _ in 0..4 {
        assert!(matches!(bmc.system(SYSTEM).await, Err(Error::Unreachable(_))));
    }
    assert_eq!(fleet.counters().skipped(), 1);
}

#[tokio::test]
async fn answers_that_cannot_be_used_are_errors_that_name_the_resource() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    for (fault, reason) in [
        (Fault::Answer(200, "<html>".to_owned()), "the response is not valid JSON: "),
        (Fault::Answer(200, "3".to_owned()), "the response is not a JSON object"),
        (Fault::Answer(200, String::new()), "the response is not valid JSON: "),
        (Fault::Answer(200, "[".repeat(100_000)), "the response is not valid JSON: "),
        (Fault::Answer(404, "<html>".to_owned()), "HTTP 404 Not Found"),
        (Fault::Redirect("http://127.0.0.1:1/steal".to_owned()), "HTTP 302 Found"),
    ] {
        server.fault(SYSTEM, fault.clone());
        let error = bmc.system(SYSTEM).await.unwrap_err();
        assert_eq!(error.to_string(), "BMC failed to get /redfish/v1/Systems/1", "{fault:?}");
        assert!(chain(&error).starts_with(reason), "{fault:?}: {}", chain(&error));
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    server.fault(SYSTEM, Fault::Long(5 << 20));
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert_eq!(chain(&error), "the response is longer than 4194304 bytes");
    server.repair();
    bmc.system(SYSTEM).await.unwrap();
}

#[tokio::test]
async fn a_bmc_whose_service_root_is_busy_is_left_alone_after_the_third_time() {
    let server = FakeRedfish::machine().await;
    let (fleet, bmc) = server.fleet(patient());
    server.fault("/redfish/v1/", Fault::Answer(503, String::new()));
    for _ in 0..3 {
        assert!(matches!(bmc.system(SYSTEM).await, Err(Error::Failed { .. })));
    }
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert_eq!(chain(&error), "HTTP status 503 Service Unavailable");
    assert_eq!(fleet.counters().skipped(), 1);
}

#[tokio::test]
async fn a_part_that_answers_anything_never_costs_the_bmc() {
    for status in [500, 501, 502, 503, 504, 429] {
        let server = FakeRedfish::machine().await;
        let (fleet, bmc) = server.fleet(patient());
        for part in ["Processors", "Storage", "Processors/CPU1", "Processors/CPU2"] {
            let answer = Fault::Answer(status, String::new());
            server.fault(&format!("{SYSTEM}/{part}"), answer);
        }
        for _ in 0..3 {
            let inventory = bmc.inventory(SYSTEM).await.unwrap();
            assert_eq!(inventory.missing.len(), 2, "{:?}", inventory.missing);
            bmc.system(SYSTEM).await.unwrap();
        }
        assert_eq!(fleet.counters().skipped(), 0, "HTTP {status}");
    }
}

#[tokio::test]
async fn parts_that_hang_one_after_the_other_cost_no_more_than_themselves() {
    let server = FakeRedfish::machine().await;
    let (fleet, bmc) = server.fleet(impatient());
    for part in ["Processors/CPU1", "Processors/CPU2", "Storage/1"] {
        server.fault(&format!("{SYSTEM}/{part}"), Fault::HangBeforeHeader);
    }
    let inventory = bmc.inventory(SYSTEM).await.unwrap();
    assert_eq!(inventory.missing.len(), 3, "{:?}", inventory.missing);
    bmc.system(SYSTEM).await.unwrap();
    assert_eq!(fleet.counters().skipped(), 0);
}

#[tokio::test]
async fn whatever_host_a_link_names_it_is_asked_for_at_the_bmc_that_gave_it() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    for host in ["http://127.0.0.2", "https://idrac-1.example:8443", "//127.0.0.2"] {
        bmc.system(&format!("{host}{SYSTEM}")).await.unwrap();
    }
    for link in ["relative", "ftp://127.0.0.1/redfish/v1/Systems/1"] {
        let error = bmc.system(link).await.unwrap_err();
        assert_eq!(error.to_string(), "BMC failed to follow a link", "{link}");
    }
    let target = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
    server.edit(SYSTEM, |system| {
        system["Actions"]["#ComputerSystem.Reset"]["target"] =
            json!(format!("https://idrac-1.example{target}"));
    });
    bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    assert_eq!(server.log().last().unwrap(), &format!("POST {target}"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_to_https_says_what_to_set() {
    let server = FakeRedfish::machine().await;
    server.fault(SYSTEM, Fault::Redirect("https://127.0.0.1/redfish/v1/Systems/1".to_owned()));
    let error = server.bmc().system(SYSTEM).await.unwrap_err();
    assert_eq!(chain(&error), "HTTP 302: it redirects to https; set protocol.scheme to https");
}

#[tokio::test]
async fn a_connection_that_the_bmc_closed_is_replaced_without_a_failure() {
    let server = FakeRedfish::machine().await;
    let (fleet, bmc) = server.fleet(patient());
    bmc.systems().await.unwrap();
    server.fault("/redfish/v1/Managers", Fault::Cut);
    bmc.manager(None).await.unwrap_err();
    bmc.systems().await.unwrap();
    assert!(fleet.counters().connections() > 1);
    assert_eq!(server.logins(), 1, "the session outlives the connection");
}

#[tokio::test]
async fn a_bmc_that_keeps_no_connection_gets_a_new_one_for_each_request() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    server.fault(SYSTEM, Fault::Close);
    for _ in 0..5 {
        bmc.system(SYSTEM).await.unwrap();
    }
    assert_eq!((server.connections(), server.logins()), (5, 1));
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_costs_only_its_connection() {
    let server = FakeRedfish::machine().await;
    let (_fleet, bmc) = server.fleet(patient());
    bmc.systems().await.unwrap();
    server.fault(SYSTEM, Fault::HangBeforeHeader);
    let sent = server.log().len();
    {
        let mut call = std::pin::pin!(bmc.system(SYSTEM));
        while server.log().len() == sent {
            let soon = tokio::time::timeout(Duration::from_millis(1), &mut call).await;
            assert!(soon.is_err());
        }
    }
    server.repair();
    bmc.systems().await.unwrap();
    assert_eq!((server.connections(), server.logins()), (2, 1));
}

#[tokio::test]
async fn beyond_the_kept_connections_each_request_has_its_own() {
    let server = FakeRedfish::machine().await;
    let config = Config { kept_connections: 0, limits: patient(), ..Config::default() };
    let fleet = Fleet::new(config);
    let bmc = fleet.connect(&server.target(), &credentials());
    bmc.system(SYSTEM).await.unwrap();
    assert_eq!((server.connections(), server.logins()), (3, 1));
}

#[tokio::test]
async fn the_whole_fleet_keeps_to_one_rate() {
    // Before the fleet, whose first requests may come at once.
    let start = Instant::now();
    let config = Config { requests_per_second: NonZeroU32::MIN, ..Config::default() };
    let fleet = Fleet::new(config);
    let (target, _socket) = nobody();
    let elsewhere = Target { host: IpAddr::from([127, 0, 0, 2]).into(), ..target.clone() };
    for target in [&target, &elsewhere, &Target { port: 1, ..target.clone() }] {
        fleet.connect(target, &credentials()).systems().await.unwrap_err();
    }
    // The third one waits for its turn, which the clock of a loaded machine makes no earlier.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}
