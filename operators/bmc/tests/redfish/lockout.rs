//! Wrong passwords lock accounts; a session's expiry is reported in many ways.

use crate::{
    bmc::{FakeRedfish, Fault, chain, credentials, patient},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Connect, Error, Limits};
use metal_core::redfish::{Credentials, IndicatorLed, Step};
use std::time::Duration;

const SESSIONS: &str = "POST /redfish/v1/SessionService/Sessions";

/// How many times a password was sent: in logins, and by Basic authentication.
fn tries(server: &FakeRedfish) -> usize {
    let logins = server.log().iter().filter(|line| *line == SESSIONS).count();
    logins + server.header("authorization").into_iter().flatten().count()
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_whatever_the_bmc_answers() {
    for (status, words) in [
        (400, "Invalid username or password"),
        (400, ""),
        (401, ""),
        (403, "LoginFailed"),
        (406, "who?"),
        (423, "Base.1.8.AccountLocked"),
        (429, "slow down"),
        (500, "PAM says no"),
        (503, ""),
    ] {
        let server = FakeRedfish::machine().await;
        server.answer_logins(status, words);
        server.refuse_basic();
        let sessions_full = Duration::from_mins(30);
        let (fleet, _) = server.fleet(Limits { sessions_full, ..patient() });
        let bmc = fleet.connect(&server.target(), &credentials());
        for _ in 0..5 {
            let error = bmc.systems().await.unwrap_err();
            let is_final = matches!(error, Error::Unauthorized | Error::SessionsFull(_));
            assert!(is_final, "HTTP {status} {words}: {error}");
        }
        assert!(tries(&server) <= 2, "HTTP {status} {words}: {:?}", server.log());
    }
}

#[tokio::test]
async fn a_service_of_sessions_that_is_out_of_order_costs_no_request_with_basic_authentication() {
    for status in [400, 406, 429, 500] {
        let server = FakeRedfish::machine().await;
        server.answer_logins(status, "out of order");
        let bmc = server.bmc();
        for _ in 0..3 {
            bmc.systems().await.unwrap();
        }
        let logins = server.log().iter().filter(|line| *line == SESSIONS).count();
        assert_eq!(logins, 1, "HTTP {status}");
    }
}

#[tokio::test]
async fn a_busy_bmc_without_basic_authentication_refuses_no_password() {
    for (busy, off) in [(429, 401), (502, 401), (503, 401), (504, 401), (503, 403)] {
        let server = FakeRedfish::machine().await;
        server.answer_logins(busy, "");
        server.refuse_basic();
        server.answer_without_session(Fault::Answer(503, String::new()));
        let sessions_full = Duration::from_millis(50);
        let (fleet, bmc) = server.fleet(Limits { sessions_full, ..patient() });
        let error = bmc.systems().await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "HTTP {busy}: {error}");
        // It has answered, and shows only now that Basic authentication is off.
        server.answer_without_session(Fault::Answer(off, String::new()));
        let error = bmc.systems().await.unwrap_err();
        assert!(matches!(error, Error::SessionsFull(_)), "HTTP {busy}, {off}: {error}");
        server.allow_logins();
        let again = async {
            while bmc.systems().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), again).await.unwrap();
        assert_eq!(fleet.counters().refused(), 0, "HTTP {busy}, {off}");
    }
}

#[tokio::test]
async fn a_refused_basic_authentication_without_a_refused_login_is_in_doubt_once() {
    let server = FakeRedfish::machine().await;
    server.answer_logins(404, "");
    server.refuse_basic();
    let second_try = Duration::from_millis(50);
    let (fleet, bmc) = server.fleet(Limits { second_try, ..patient() });
    assert!(matches!(bmc.systems().await, Err(Error::SessionsFull(_))));
    is_wrong_in_the_end(&bmc).await;
    assert_eq!((tries(&server), fleet.counters().refused()), (4, 1), "{:?}", server.log());
}

#[tokio::test]
async fn credentials_that_have_worked_are_tried_again_soon_by_session_only() {
    let server = FakeRedfish::machine().await;
    let second_try = Duration::from_millis(50);
    let (_fleet, bmc) = server.fleet(Limits { second_try, ..patient() });
    bmc.systems().await.unwrap();
    let before = tries(&server);
    server.expire();
    server.answer_logins(401, "");
    server.refuse_basic();
    let error = bmc.systems().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "the BMC may be starting: {error}");
    assert!(chain(&error).contains("accepted before"), "{}", chain(&error));
    is_wrong_in_the_end(&bmc).await;
    assert_eq!(tries(&server) - before, 3, "{:?}", server.log());
}

#[tokio::test]
async fn a_password_that_becomes_known_before_the_bmc_has_it_is_tried_again_soon_by_session_only() {
    let server = FakeRedfish::machine().await;
    let second_try = Duration::from_millis(50);
    let (fleet, old) = server.fleet(Limits { second_try, ..patient() });
    old.systems().await.unwrap();
    let before = tries(&server);
    let new = Credentials { password: "not yet".to_owned(), ..credentials() };
    let bmc = fleet.connect(&server.target(), &new);
    server.answer_logins(401, "");
    let error = bmc.systems().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(chain(&error).contains("may not have it yet"), "{}", chain(&error));
    is_wrong_in_the_end(&bmc).await;
    assert_eq!(tries(&server) - before, 3, "{:?}", server.log());
}

#[tokio::test]
async fn a_bmc_that_starts_takes_its_credentials_at_the_second_try() {
    let server = FakeRedfish::machine().await;
    let second_try = Duration::from_millis(50);
    let (fleet, bmc) = server.fleet(Limits { second_try, ..patient() });
    bmc.systems().await.unwrap();
    server.expire();
    server.answer_logins(401, "");
    assert!(matches!(bmc.systems().await, Err(Error::Unreachable(_))));
    server.allow_logins();
    let again = async {
        while bmc.systems().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.unwrap();
    assert_eq!(fleet.counters().refused(), 1);
}

#[tokio::test]
async fn a_bmc_that_starts_says_later_where_its_sessions_are() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["SessionService"] = serde_json::Value::Null;
        root["Links"] = serde_json::json!({});
    });
    server.refuse_basic();
    let second_try = Duration::from_millis(50);
    let (_fleet, bmc) = server.fleet(Limits { second_try, ..patient() });
    assert!(matches!(bmc.systems().await, Err(Error::SessionsFull(_))));
    let whole = crate::documents::documents()["/redfish/v1/"].clone();
    server.edit("/redfish/v1/", |root| *root = whole);
    let again = async {
        while bmc.systems().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.unwrap();
    assert_eq!(server.logins(), 1);
}

#[tokio::test]
async fn credentials_that_another_process_was_refused_with_are_held_back() {
    let server = FakeRedfish::machine().await;
    let (fleet, _) = server.fleet(patient());
    let wrong = Credentials { password: "wrong".to_owned(), ..credentials() };
    fleet.hold_back(&server.target(), &wrong, Duration::from_mins(7));
    for _ in 0..3 {
        let bmc = fleet.connect(&server.target(), &wrong);
        assert!(matches!(bmc.systems().await, Err(Error::Unauthorized)));
    }
    assert_eq!(server.log(), [] as [String; 0], "nothing was sent");
    fleet.connect(&server.target(), &credentials()).systems().await.unwrap();
    // What this process has found out itself takes precedence.
    fleet.hold_back(&server.target(), &credentials(), Duration::from_mins(7));
    fleet.connect(&server.target(), &credentials()).systems().await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_over_is_replaced_however_the_bmc_says_so() {
    let page = "<!DOCTYPE html><title>Login</title>".to_owned();
    let login = vec![("location", "/login.html".to_owned())];
    let html = vec![("content-type", "text/html; charset=utf-8".to_owned())];
    let error = |id: &str| crate::bmc::refusal(id, &[]).to_string();
    let critical = serde_json::json!({"error": {"@Message.ExtendedInfo": [
        {"MessageId": "Base.1.8.NoValidSession", "Severity": "Critical"}]}});
    for over in [
        Fault::Answer(401, String::new()),
        Fault::Answer(403, String::new()),
        Fault::Answer(400, error("NoValidSession")),
        Fault::Answer(404, error("SessionTimeout")),
        Fault::Answer(500, "Your session has expired".to_owned()),
        Fault::Answer(440, String::new()),
        Fault::Answer(200, critical.to_string()),
        Fault::Raw(302, login, vec![]),
        Fault::Raw(200, html, page.clone().into_bytes()),
        Fault::Answer(200, page),
    ] {
        let server = FakeRedfish::machine().await;
        let bmc = server.bmc();
        bmc.systems().await.unwrap();
        server.expire();
        server.answer_without_session(over.clone());
        assert_eq!(bmc.systems().await.unwrap().len(), 1, "{over:?}");
        assert_eq!((server.logins(), server.sessions()), (2, 1), "{over:?}");
    }
}

#[tokio::test]
async fn a_resource_that_refuses_every_session_costs_one_login() {
    for refusal in [Fault::Answer(403, String::new()), Fault::Redirect("/login".to_owned())] {
        let server = FakeRedfish::machine().await;
        let bmc = server.bmc();
        bmc.systems().await.unwrap();
        server.fault(SYSTEM, refusal.clone());
        for _ in 0..5 {
            let error = bmc.system(SYSTEM).await.unwrap_err();
            assert!(matches!(error, Error::Failed { .. }), "{refusal:?}: {error}");
            bmc.manager(None).await.unwrap();
        }
        assert_eq!(server.logins(), 2, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_resource_that_has_answered_since_renews_its_session() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.system(SYSTEM).await.unwrap();
    // As a BMC that starts: its sessions are there before what they may read is.
    server.fault(SYSTEM, Fault::Answer(401, String::new()));
    bmc.system(SYSTEM).await.unwrap_err();
    assert_eq!(server.logins(), 2);
    server.repair();
    bmc.system(SYSTEM).await.unwrap();
    server.expire();
    bmc.system(SYSTEM).await.unwrap();
    assert_eq!(server.logins(), 3);
}

#[tokio::test]
async fn a_session_that_is_over_before_it_has_worked_is_replaced_after_a_while() {
    let server = FakeRedfish::machine().await;
    let second_try = Duration::from_millis(50);
    let (_fleet, bmc) = server.fleet(Limits { second_try, ..patient() });
    bmc.system(SYSTEM).await.unwrap();
    server.fault(SYSTEM, Fault::Answer(401, String::new()));
    bmc.system(SYSTEM).await.unwrap_err();
    server.repair();
    server.expire();
    let again = async {
        while bmc.system(SYSTEM).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.unwrap();
    assert_eq!(server.logins(), 3);
}

#[tokio::test]
async fn a_refused_write_costs_no_read_its_session() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.system(SYSTEM).await.unwrap();
    server.judge(|_, _, _, _| Some((403, serde_json::json!({}))));
    bmc.perform(SYSTEM, &Step::IndicatorLed(IndicatorLed::Lit)).await.unwrap_err();
    let before = server.logins();
    server.expire();
    bmc.system(SYSTEM).await.unwrap();
    assert_eq!(server.logins(), before + 1);
}

/// Waits until the BMC is said to refuse the credentials.
async fn is_wrong_in_the_end(bmc: &impl Bmc) {
    let wrong = async {
        while !matches!(bmc.systems().await, Err(Error::Unauthorized)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wrong).await.unwrap();
}
