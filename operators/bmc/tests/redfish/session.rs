//! How the fleet logs in, and when it does not.

use crate::{
    bmc::{FakeRedfish, Fault, credentials, patient},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Connect, Error};
use metal_core::redfish::Credentials;
use serde_json::json;
use std::time::Duration;

const SESSIONS: &str = "POST /redfish/v1/SessionService/Sessions";

fn logins(server: &FakeRedfish) -> usize {
    server.log().iter().filter(|line| *line == SESSIONS).count()
}

fn wrong() -> Credentials {
    Credentials { password: "wrong".to_owned(), ..credentials() }
}

#[tokio::test]
async fn one_session_serves_every_call() {
    let server = FakeRedfish::machine().await;
    let (fleet, bmc) = server.fleet(patient());
    bmc.systems().await.unwrap();
    fleet.connect(&server.target(), &credentials()).system(SYSTEM).await.unwrap();
    assert_eq!((logins(&server), server.connections()), (1, 1));
    let tokens = server.header("x-auth-token");
    assert_eq!(tokens[..2], [None, None], "the root and the login are asked without a session");
    assert!(tokens[2..].iter().all(|token| token.as_deref() == Some("session-1")), "{tokens:?}");
    assert!(server.header("authorization").iter().all(Option::is_none));
}

#[tokio::test]
async fn calls_at_the_same_time_wait_for_each_other() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    let all = (0..8).map(|_| bmc.system(SYSTEM));
    for system in futures::future::join_all(all).await {
        system.unwrap();
    }
    assert_eq!((logins(&server), server.connections()), (1, 1));
}

#[tokio::test]
async fn forty_servers_of_one_bmc_are_all_read() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    let all = futures::future::join_all((0..40).map(|_| bmc.system(SYSTEM))).await;
    for system in all {
        system.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_expired_session_is_replaced_once() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    server.expire();
    bmc.systems().await.unwrap();
    assert_eq!((logins(&server), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_session_refused_by_one_resource_is_good_for_the_others() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    server.fault(SYSTEM, Fault::Answer(401, String::new()));
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    bmc.manager(None).await.unwrap();
    assert_eq!((logins(&server), server.sessions()), (2, 1), "the first session was ended");
}

#[tokio::test]
async fn wrong_credentials_are_tried_once() {
    let server = FakeRedfish::machine().await;
    let (fleet, _) = server.fleet(patient());
    let bmc = fleet.connect(&server.target(), &wrong());
    for _ in 0..5 {
        assert!(matches!(bmc.systems().await, Err(Error::Unauthorized)));
    }
    assert_eq!((logins(&server), fleet.counters().refused()), (1, 1));
    assert_eq!(fleet.counters().skipped(), 4);
}

#[tokio::test]
async fn changed_credentials_are_tried_at_once_and_the_old_ones_stay_refused() {
    let server = FakeRedfish::machine().await;
    let (fleet, _) = server.fleet(patient());
    let connect = |credentials| fleet.connect(&server.target(), &credentials);
    assert!(matches!(connect(wrong()).systems().await, Err(Error::Unauthorized)));
    connect(credentials()).systems().await.unwrap();
    assert!(matches!(connect(wrong()).systems().await, Err(Error::Unauthorized)));
    connect(credentials()).systems().await.unwrap();
    assert_eq!(fleet.counters().refused(), 1);
    assert_eq!(server.sessions(), 1, "the session that was left over was ended");
}

#[tokio::test]
async fn refused_credentials_are_tried_again_after_the_lockout() {
    let server = FakeRedfish::machine().await;
    let lockout = Duration::from_millis(50);
    let (fleet, _) = server.fleet(metal_bmc::Limits { lockout, ..patient() });
    let bmc = fleet.connect(&server.target(), &wrong());
    assert!(matches!(bmc.systems().await, Err(Error::Unauthorized)));
    let again = async {
        while logins(&server) < 2 {
            assert!(matches!(bmc.systems().await, Err(Error::Unauthorized)));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.unwrap();
}

#[tokio::test]
async fn an_account_without_sessions_is_tried_with_basic_authentication_once() {
    for status in [401, 403] {
        let server = FakeRedfish::machine().await;
        server.answer_logins(status, "");
        let (fleet, bmc) = server.fleet(patient());
        bmc.systems().await.unwrap();
        bmc.systems().await.unwrap();
        assert_eq!(logins(&server), 1, "what works is remembered");
        let basic = server.header("authorization");
        assert!(basic[2..].iter().all(Option::is_some), "{basic:?}");
        assert_eq!(fleet.counters().refused(), 0);
    }
}

#[tokio::test]
async fn a_password_that_has_to_be_changed_is_right_and_that_is_told() {
    let standard = crate::bmc::refusal("PasswordChangeRequired", &[]).to_string();
    let idrac = "the default password is still in use and must be changed".to_owned();
    for (body, told) in [(standard, "not like this"), (idrac, "must be changed")] {
        let refusing: [fn(&FakeRedfish, &str); 3] = [
            |server, body| server.answer_logins(403, body),
            |server, body| server.fault("/redfish/v1/Systems", Fault::Answer(403, body.into())),
            |server, body| {
                server.answer_logins(401, "");
                server.fault("/redfish/v1/Systems", Fault::Answer(403, body.into()));
            },
        ];
        for refuse in refusing {
            let server = FakeRedfish::machine().await;
            refuse(&server, &body);
            let (fleet, bmc) = server.fleet(patient());
            for _ in 0..2 {
                let error = bmc.systems().await.unwrap_err();
                assert!(matches!(error, Error::Failed { .. }), "{error}");
                assert!(crate::bmc::chain(&error).contains(told), "{error}");
            }
            assert_eq!(fleet.counters().refused(), 0);
        }
    }
}

#[tokio::test]
async fn with_basic_authentication_a_resource_that_refuses_costs_itself() {
    let server = FakeRedfish::machine().await;
    server.answer_logins(404, "");
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    server.fault(SYSTEM, Fault::Answer(401, String::new()));
    for _ in 0..2 {
        let error = bmc.system(SYSTEM).await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error}");
        bmc.manager(None).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_follows_a_slash_and_nothing_else() {
    let sessions = "/redfish/v1/SessionService/Sessions";
    for status in [301, 302, 307, 308] {
        let server = FakeRedfish::machine().await;
        let slashed = format!("{sessions}/");
        server.edit("/redfish/v1/", |root| root["Links"]["Sessions"]["@odata.id"] = json!(slashed));
        let to = vec![("location", sessions.to_owned())];
        server.fault(&slashed, Fault::Raw(status, to, vec![]));
        server.bmc().systems().await.unwrap();
        assert_eq!((server.logins(), logins(&server)), (1, 1), "HTTP {status}");
    }
    let port = 1;
    for elsewhere in [
        format!("http://127.0.0.1:{port}{sessions}/"),
        format!("https://127.0.0.1{sessions}/"),
        "http://127.0.0.2/steal".to_owned(),
        "//127.0.0.2/steal".to_owned(),
        "/redfish/v1/elsewhere".to_owned(),
        sessions.to_owned(),
    ] {
        let server = FakeRedfish::machine().await;
        server.fault(sessions, Fault::Raw(308, vec![("location", elsewhere.clone())], vec![]));
        let error = server.bmc().systems().await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{elsewhere}: {error}");
        assert_eq!(server.log().len(), 2, "{elsewhere}: {:?}", server.log());
    }
}

#[tokio::test]
async fn a_resource_is_found_with_or_without_a_slash_at_its_end() {
    let server = FakeRedfish::machine().await;
    let to = vec![("location", "/redfish/v1/Systems/".to_owned())];
    let systems = crate::documents::documents()["/redfish/v1/Systems"].clone();
    server.edit("/redfish/v1/Systems/", |slashed| *slashed = systems);
    server.fault("/redfish/v1/Systems", Fault::Raw(308, to, vec![]));
    assert_eq!(server.bmc().systems().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_status_counts_even_if_the_body_is_broken() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    server.expire();
    // The explanation of the 401 is cut off, once: after that the session is new.
    server.cut_refusals(true);
    bmc.systems().await.unwrap();
    assert_eq!(logins(&server), 2);

    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    server.fault(SYSTEM, Fault::CutAs(404));
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert!(matches!(&error, Error::Failed { .. }), "{error}");
    assert_eq!(crate::bmc::chain(&error), "HTTP 404 Not Found");
}

#[tokio::test]
async fn a_refused_login_counts_even_if_its_body_is_broken() {
    let server = FakeRedfish::machine().await;
    server.fault("/redfish/v1/SessionService/Sessions", Fault::CutAs(401));
    let (fleet, _) = server.fleet(patient());
    let bmc = fleet.connect(&server.target(), &wrong());
    for _ in 0..3 {
        assert!(matches!(bmc.systems().await, Err(Error::Unauthorized)));
    }
    assert_eq!(fleet.counters().refused(), 1);
}

#[tokio::test]
async fn sessions_that_are_all_taken_are_no_wrong_password() {
    let full = |id: &str| crate::bmc::refusal(id, &[]).to_string();
    for (status, body) in [
        (503, String::new()),
        (503, full("SessionLimitExceeded")),
        (400, full("ResourceInUse")),
        (403, full("CreateLimitReachedForResource")),
        (400, "RAC0218: The maximum number of user sessions is reached.".to_owned()),
    ] {
        let server = FakeRedfish::machine().await;
        server.answer_logins(status, &body);
        server.refuse_basic();
        let (fleet, bmc) = server.fleet(patient());
        for _ in 0..3 {
            let error = bmc.systems().await.unwrap_err();
            assert!(matches!(error, Error::SessionsFull(_)), "{status} {body}: {error}");
            assert!(crate::bmc::chain(&error).contains(&status.to_string()), "{error}");
        }
        assert_eq!((logins(&server), fleet.counters().refused()), (1, 0), "{status} {body}");
    }
}

#[tokio::test]
async fn a_session_is_asked_for_again_some_time_after_all_were_taken() {
    let server = FakeRedfish::machine().await;
    server.answer_logins(503, "");
    server.refuse_basic();
    let sessions_full = Duration::from_millis(50);
    let (_fleet, bmc) = server.fleet(metal_bmc::Limits { sessions_full, ..patient() });
    assert!(matches!(bmc.systems().await, Err(Error::SessionsFull(_))));
    server.allow_logins();
    let again = async {
        while bmc.systems().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_answered_with_400_is_one_nevertheless() {
    let server = FakeRedfish::machine().await;
    server.answer_logins(
        400,
        r#"{"error": {"@Message.ExtendedInfo":
        [{"MessageId": "iLO.2.13.UnauthorizedLoginAttempt"}]}}"#,
    );
    let bmc = server.bmc();
    for _ in 0..2 {
        assert!(matches!(bmc.systems().await, Err(Error::Unauthorized)));
    }
    assert_eq!(logins(&server), 1);
}

#[tokio::test]
async fn without_sessions_every_request_carries_the_credentials() {
    for (status, body) in
        [(404, ""), (405, ""), (501, ""), (204, ""), (503, "SessionLimitExceeded")]
    {
        let server = FakeRedfish::machine().await;
        server.answer_logins(status, body);
        let bmc = server.bmc();
        bmc.systems().await.unwrap();
        bmc.systems().await.unwrap();
        assert_eq!(logins(&server), 1, "HTTP {status}");
        let basic = server.header("authorization");
        assert!(basic[2..].iter().all(Option::is_some), "{basic:?}");
    }
}

#[tokio::test]
async fn without_a_session_service_nobody_asks_for_a_session() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["SessionService"] = json!(null);
        root["Links"] = json!({});
    });
    server.bmc().systems().await.unwrap();
    assert_eq!(logins(&server), 0);
}

#[tokio::test]
async fn basic_authentication_is_tried_once_as_well() {
    let server = FakeRedfish::machine().await;
    server.answer_logins(404, "");
    let (fleet, _) = server.fleet(patient());
    let bmc = fleet.connect(&server.target(), &wrong());
    for _ in 0..3 {
        assert!(matches!(bmc.systems().await, Err(Error::SessionsFull(_))));
    }
    let tries = server.header("authorization").into_iter().flatten().count();
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn a_session_that_never_works_gives_way_to_basic_authentication() {
    let server = FakeRedfish::machine().await;
    let answer = r#"{"@odata.id": "/redfish/v1/SessionService/Sessions/7"}"#;
    server.answer_logins(201, answer);
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    assert!(server.header("authorization").last().unwrap().is_some());
}

#[tokio::test]
async fn a_root_that_wants_a_password_gets_one_once() {
    let server = FakeRedfish::machine().await;
    server.fault("/redfish/v1/", Fault::Answer(401, String::new()));
    let bmc = server.bmc();
    for _ in 0..3 {
        assert!(matches!(bmc.systems().await, Err(Error::SessionsFull(_))));
    }
    assert_eq!(
        server.header("authorization"),
        [None, Some("Basic YWRtaW46czNjcmV0LXdvcmQ=".into())]
    );
}

#[tokio::test]
async fn closing_and_forgetting_end_the_session() {
    let server = FakeRedfish::machine().await;
    let (fleet, bmc) = server.fleet(patient());
    bmc.systems().await.unwrap();
    assert_eq!(server.sessions(), 1);
    fleet.forget(&server.target()).await;
    assert_eq!(server.sessions(), 0);
    fleet.connect(&server.target(), &credentials()).systems().await.unwrap();
    assert_eq!(server.sessions(), 1);
    fleet.close(Duration::from_secs(20)).await;
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn nothing_secret_is_in_debug_output() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    assert_eq!(format!("{bmc:?}"), format!("Redfish({:?})", server.target()));
}
