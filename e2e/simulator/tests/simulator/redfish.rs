//! A simulated BMC speaks Redfish as real ones do.

use crate::client::{self, Client};
use metal_simulator::{
    Account, Config, Expand, Graceful, Limits, Power, Profile, Reset, ResetAnswer, Simulator,
    Timing, Transport,
};
use reqwest::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use std::time::Duration;

const SYSTEM: &str = "/redfish/v1/Systems/1";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

#[tokio::test]
async fn machines_are_told_apart_by_the_address_that_was_connected_to() {
    let simulator = start(Config { machines: 300, ..Config::default() }).await;
    for machine in [0, 1, 255, 299] {
        let system = Client::of(&simulator, machine).get(SYSTEM).await;
        assert_eq!(system["UUID"], json!(simulator.machine(machine).unwrap().uuid));
    }
    let nobody = Client::at(&simulator, [127, 1, 2, 1].into());
    assert!(nobody.try_send(Method::GET, "/redfish/v1/", None).await.is_err());
}

#[tokio::test]
async fn only_the_way_in_is_open_to_everybody() {
    let simulator = start(Config::default()).await;
    let stranger = Client::of(&simulator, 0).anonymous();
    for path in ["/redfish", "/redfish/v1/", "/redfish/v1/$metadata", "/redfish/v1/odata"] {
        assert_eq!(stranger.status(Method::GET, path, None).await, StatusCode::OK, "{path}");
    }
    for path in [SYSTEM, SESSIONS, "/redfish/v1/Nothing"] {
        let response = stranger.send(Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(response.headers().contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn a_session_is_opened_used_and_closed() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0).anonymous();
    let opened = client.send(Method::POST, SESSIONS, Some(login("bar"))).await;
    assert_eq!(opened.status(), StatusCode::CREATED);
    let location = opened.headers()["location"].to_str().unwrap().to_owned();
    let token = opened.headers()["x-auth-token"].to_str().unwrap().to_owned();
    assert_eq!(opened.json::<Value>().await.unwrap()["@odata.id"], json!(location));
    let client = client.with_token(&token);
    assert_eq!(client.get(&location).await["UserName"], json!("foo"));
    assert_eq!(client.status(Method::DELETE, &location, None).await, StatusCode::NO_CONTENT);
    assert_eq!(client.status(Method::GET, SYSTEM, None).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn sessions_are_limited_and_basic_authentication_is_not() {
    let limits = Limits { sessions: 1, ..Limits::default() };
    let simulator = start(Config { limits, ..Config::default() }).await;
    let client = Client::of(&simulator, 0);
    let open = || client.status(Method::POST, SESSIONS, Some(login("bar")));
    assert_eq!(open().await, StatusCode::CREATED);
    assert_eq!(open().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.status(Method::GET, SYSTEM, None).await, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let limits = Limits { session_timeout: Duration::ZERO, ..Limits::default() };
    let simulator = start(Config { limits, ..Config::default() }).await;
    let client = Client::of(&simulator, 0).anonymous();
    let opened = client.send(Method::POST, SESSIONS, Some(login("bar"))).await;
    let token = opened.headers()["x-auth-token"].to_str().unwrap().to_owned();
    let client = client.with_token(&token);
    assert_eq!(client.status(Method::GET, SYSTEM, None).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_passwords_lock_the_account() {
    let limits = Limits { lockout_threshold: 3, ..Limits::default() };
    let simulator = start(Config { limits, ..Config::default() }).await;
    let right = Client::of(&simulator, 0);
    let wrong = right.clone().with_account("foo", "wrong");
    assert_eq!(right.status(Method::GET, SYSTEM, None).await, StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(wrong.status(Method::GET, SYSTEM, None).await, StatusCode::UNAUTHORIZED);
    }
    let login = right.status(Method::POST, SESSIONS, Some(login("wrong"))).await;
    assert_eq!(login, StatusCode::UNAUTHORIZED);
    assert_eq!(right.status(Method::GET, SYSTEM, None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(simulator.machine(0).unwrap().counters.refused, 4);
}

#[tokio::test]
async fn a_password_can_be_changed() {
    let simulator = start(Config::default()).await;
    let old = Client::of(&simulator, 0);
    let account = "/redfish/v1/AccountService/Accounts/1";
    let change = json!({ "Password": "longer-than-bar" });
    assert_eq!(old.status(Method::PATCH, account, Some(change)).await, StatusCode::NO_CONTENT);
    assert_eq!(old.status(Method::GET, account, None).await, StatusCode::UNAUTHORIZED);
    let new = old.with_account("foo", "longer-than-bar");
    assert_eq!(new.get(account).await["Password"], Value::Null);
}

#[tokio::test]
async fn a_patch_with_an_old_etag_is_refused_and_changes_nothing() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let before = client.get(SYSTEM).await;
    let tag = before["@odata.etag"].as_str().unwrap();
    let lit = json!({ "IndicatorLED": "Lit" });
    let current = client.patch_if(SYSTEM, tag, lit.clone()).await;
    assert_eq!(current.status(), StatusCode::NO_CONTENT);
    let new_tag = current.headers()["etag"].to_str().unwrap();
    let off = json!({ "IndicatorLED": "Off" });
    let stale = client.patch_if(SYSTEM, tag, off).await;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    let after = client.get(SYSTEM).await;
    assert_eq!(after["IndicatorLED"], json!("Lit"));
    assert_eq!(after["LocationIndicatorActive"], json!(true));
    assert_eq!(after["@odata.etag"], json!(new_tag));
    assert_eq!(client.patch_if(SYSTEM, "*", lit).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_patch_is_taken_whole_or_not_at_all() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let cases = [
        (json!({ "Boot": { "BootSourceOverrideTarget": "Usb" } }), "PropertyValueNotInList"),
        (json!({ "IndicatorLED": "Lit", "SerialNumber": "x" }), "PropertyNotWritable"),
        (json!({ "IndicatorLED": "Lit", "Colour": "x" }), "PropertyUnknown"),
        (json!({ "Boot": "Pxe" }), "PropertyValueTypeError"),
        (json!({}), "NoOperation"),
        (json!([]), "MalformedJSON"),
    ];
    for (patch, message) in cases {
        let response = client.send(Method::PATCH, SYSTEM, Some(patch.clone())).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{patch}");
        assert_eq!(client::message(response).await, message, "{patch}");
    }
    assert_eq!(client.get(SYSTEM).await["IndicatorLED"], json!("Off"));
}

#[tokio::test]
async fn an_action_names_what_it_allows_and_refuses_the_rest() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let action = client.get(SYSTEM).await["Actions"]["#ComputerSystem.Reset"].clone();
    let target = action["target"].as_str().unwrap();
    let allowed = action["ResetType@Redfish.AllowableValues"].as_array().unwrap().clone();
    assert!(allowed.contains(&json!("GracefulShutdown")));
    let cases = [
        (json!({ "ResetType": "Bogus" }), "ActionParameterValueNotInList"),
        (json!({ "ResetType": 1 }), "ActionParameterValueNotInList"),
        (json!({}), "ActionParameterMissing"),
        (json!({ "ResetType": "On", "Delay": 1 }), "ActionParameterUnknown"),
    ];
    for (body, message) in cases {
        let response = client.send(Method::POST, target, Some(body)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(client::message(response).await, message);
    }
    assert_eq!(client.status(Method::GET, target, None).await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(simulator.machine(0).unwrap().counters.resets.total(), 0);
}

#[tokio::test]
async fn once_is_used_up_by_a_boot_and_not_before() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let once = json!({ "Boot": {
        "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Hdd",
    }});
    assert_eq!(client.status(Method::PATCH, SYSTEM, Some(once)).await, StatusCode::NO_CONTENT);
    assert_eq!(client.get(SYSTEM).await["Boot"]["BootSourceOverrideEnabled"], json!("Once"));
    client.reset("On").await;
    client::until(|| simulator.summary().hosts.get("disk") == Some(&1)).await;
    let boot = client.get(SYSTEM).await["Boot"].clone();
    assert_eq!(boot["BootSourceOverrideEnabled"], json!("Disabled"));
    assert_eq!(boot["BootSourceOverrideTarget"], json!("None"));
}

#[tokio::test]
async fn power_follows_resets_and_needless_ones_are_counted() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    for reset in ["On", "On", "GracefulShutdown"] {
        client.reset(reset).await;
        let target = if reset == "On" { Power::On } else { Power::Off };
        client::until(|| simulator.machine(0).unwrap().power == target).await;
    }
    client.reset("ForceOff").await;
    let restart = json!({ "ResetType": "ForceRestart" });
    let target = format!("{SYSTEM}/Actions/ComputerSystem.Reset");
    let refused = client.status(Method::POST, &target, Some(restart)).await;
    assert_eq!(refused, StatusCode::CONFLICT);
    let counters = simulator.machine(0).unwrap().counters;
    assert_eq!(counters.resets.of(Reset::On), 2);
    assert_eq!((counters.resets.total(), counters.needless_resets), (5, 3));
}

#[tokio::test]
async fn a_host_may_ignore_a_graceful_shutdown_but_not_a_power_cut() {
    let profile = Profile { graceful: Graceful::Ignored, ..Profile::default() };
    let simulator = start(Config { power: Power::On, profile, ..Config::default() }).await;
    let client = Client::of(&simulator, 0);
    client.reset("GracefulShutdown").await;
    assert_eq!(client.get(SYSTEM).await["PowerState"], json!("On"));
    client.reset("ForceOff").await;
    assert_eq!(client.get(SYSTEM).await["PowerState"], json!("Off"));
}

#[tokio::test]
async fn a_reset_may_be_a_task() {
    let profile = Profile { reset_answer: ResetAnswer::Task, ..Profile::default() };
    let simulator = start(Config { profile, ..Config::default() }).await;
    let client = Client::of(&simulator, 0);
    let target = format!("{SYSTEM}/Actions/ComputerSystem.Reset");
    let on = json!({ "ResetType": "On" });
    let accepted = client.send(Method::POST, &target, Some(on)).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let monitor = accepted.headers()["location"].to_str().unwrap().to_owned();
    let task = accepted.json::<Value>().await.unwrap()["@odata.id"].as_str().unwrap().to_owned();
    client::until(|| simulator.machine(0).unwrap().power == Power::On).await;
    assert_eq!(client.status(Method::GET, &monitor, None).await, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&task).await["TaskState"], json!("Completed"));
}

#[tokio::test]
async fn a_bmc_that_is_reset_is_away_and_forgets_its_sessions() {
    let timing = Timing { bmc_reset: Duration::from_hours(1), ..Timing::default() };
    let simulator = start(Config { timing, ..Config::default() }).await;
    let client = Client::of(&simulator, 0);
    let target = "/redfish/v1/Managers/BMC/Actions/Manager.Reset";
    let reset = json!({ "ResetType": "GracefulRestart" });
    assert_eq!(client.status(Method::POST, target, Some(reset)).await, StatusCode::NO_CONTENT);
    assert!(client.try_send(Method::GET, "/redfish/v1/", None).await.is_err());
    assert_eq!(simulator.machine(0).unwrap().counters.manager_resets, 1);
}

#[tokio::test]
async fn cables_take_the_bmc_and_the_host_with_them() {
    let simulator = start(Config { power: Power::On, ..Config::default() }).await;
    let client = Client::of(&simulator, 0);
    simulator.unplug(0).unwrap();
    assert!(client.try_send(Method::GET, "/redfish/v1/", None).await.is_err());
    simulator.plug(0).unwrap();
    assert_eq!(client.get(SYSTEM).await["PowerState"], json!("Off"));
}

#[tokio::test]
async fn expand_is_refused_unless_it_is_offered() {
    let processors = "/redfish/v1/Systems/1/Processors?$expand=.($levels=1)";
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let refused = client.status(Method::GET, processors, None).await;
    assert_eq!(refused, StatusCode::NOT_IMPLEMENTED);
    let profile = Profile { expand: Expand::Offered, ..Profile::default() };
    let simulator = start(Config { profile, ..Config::default() }).await;
    let members = Client::of(&simulator, 0).get(processors).await["Members"].clone();
    assert_eq!(members[1]["ProcessorType"], json!("CPU"));
}

#[tokio::test]
async fn an_only_member_is_returned_in_place_of_its_collection_on_request() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    assert_eq!(client.get("/redfish/v1/Systems?only").await, client.get(SYSTEM).await);
    let processors = "/redfish/v1/Systems/1/Processors";
    let two = client.get(&format!("{processors}?only")).await;
    assert_eq!(two, client.get(processors).await);
    assert_eq!(two["Members"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn every_link_leads_to_a_resource_with_its_own_name() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let (mut found, mut next) = (Vec::new(), vec!["/redfish/v1/".to_owned()]);
    while let Some(path) = next.pop() {
        let body = client.get(&path).await;
        assert_eq!(body["@odata.id"], json!(path));
        client::links(&body, &mut |link| {
            if !found.contains(&link.to_owned()) {
                found.push(link.to_owned());
                next.push(link.to_owned());
            }
        });
    }
    assert!(found.len() > 30, "{found:?}");
}

#[tokio::test]
async fn a_request_that_no_bmc_would_read_whole_is_refused() {
    let simulator = start(Config::default()).await;
    let client = Client::of(&simulator, 0);
    let huge = json!({ "IndicatorLED": "x".repeat(100_000) });
    let refused = client.status(Method::PATCH, SYSTEM, Some(huge)).await;
    assert_eq!(refused, StatusCode::PAYLOAD_TOO_LARGE);
}

async fn start(config: Config) -> Simulator {
    let timing = Timing {
        power_on: Duration::ZERO,
        shutdown: Duration::ZERO,
        post: Duration::ZERO,
        ..config.timing
    };
    Simulator::start(Config { timing, ..config }).await.unwrap()
}

fn login(password: &str) -> Value {
    let Account { username, .. } = Account::default();
    json!({ "UserName": username, "Password": password })
}

#[tokio::test]
async fn over_tls_every_bmc_has_its_own_certificate_by_one_authority() {
    let profile = Profile { transport: Transport::Https, ..Profile::default() };
    let simulator = start(Config { machines: 2, profile, ..Config::default() }).await;
    let mut roots = rustls::RootCertStore::empty();
    let authority = simulator.authority().unwrap();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let (trusting, strict) = (client::client_trusting(roots), client::http_client());
    for machine in [0, 1] {
        let url = format!("https://{}/redfish", simulator.bmc(machine).unwrap());
        assert_eq!(trusting.get(&url).send().await.unwrap().status(), StatusCode::OK);
        assert!(strict.get(&url).send().await.is_err());
    }
    let control = format!("http://{}/ca", simulator.control());
    assert_eq!(strict.get(control).send().await.unwrap().text().await.unwrap(), authority);
}
