//! BMCs that accept a write only in another form.

use crate::{
    bmc::{FakeRedfish, Fault, chain, refusal},
    documents::SYSTEM,
};
use axum::http::{HeaderMap, Method};
use metal_bmc::{Bmc, Error, Permit, Redfish, Withdrawn};
use metal_core::redfish::{BootEnabled, BootMode, BootSource, ResetType, Step};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

const SETTINGS: &str = "/redfish/v1/Systems/1/SD";

fn once() -> Step {
    Step::BootOnce { source: BootSource::Pxe, mode: None }
}

/// A BMC that refuses a PATCH for this reason, or accepts it.
pub(crate) type Refuses = fn(&str, Option<&str>, &Value) -> Option<(u16, Value)>;

pub(crate) async fn machine(refuses: Refuses) -> FakeRedfish {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| system["@odata.etag"] = json!("W/\"body\""));
    server.judge(move |method: &Method, path: &str, headers: &HeaderMap, body: &Value| {
        let condition = headers.get("if-match").map(|value| value.to_str().unwrap());
        (*method == Method::PATCH).then(|| refuses(path, condition, body)).flatten()
    });
    server
}

/// How many requests it takes until a boot override is accepted and read back.
pub(crate) async fn armed(server: &FakeRedfish, bmc: &Redfish) -> usize {
    let before = server.bodies().len();
    bmc.perform(SYSTEM, &once()).await.unwrap();
    let boot = bmc.system(SYSTEM).await.unwrap().boot;
    assert_eq!((boot.enabled, boot.target), (BootEnabled::Once, Some(BootSource::Pxe)));
    server.bodies().len() - before
}

const NO_CONDITION: Refuses = |_, condition, _| condition.map(|_| (412, Value::Null));
const NO_CONDITION_WITHOUT_A_WORD: Refuses =
    |_, condition, _| condition.map(|_| (400, Value::Null));
const ETAG_OF_THE_BODY: Refuses =
    |_, condition, _| (condition != Some("W/\"body\"")).then_some((412, Value::Null));
const STRONG_ETAG: Refuses =
    |_, condition, _| (condition != Some("\"body\"")).then_some((412, Value::Null));
const ANY_ETAG: Refuses = |_, condition, _| (condition != Some("*")).then_some((428, Value::Null));
const MODE_REQUIRED: Refuses = |_, _, body| {
    let missing = body["Boot"]["BootSourceOverrideMode"].is_null();
    missing.then(|| (400, refusal("PropertyMissing", &["BootSourceOverrideMode"])))
};
const MODE_REQUIRED_WITHOUT_A_WORD: Refuses =
    |_, _, body| body["Boot"]["BootSourceOverrideMode"].is_null().then_some((400, Value::Null));
const ANOTHER_PROPERTY_REQUIRED: Refuses = |_, _, body| {
    let missing = body["Boot"]["StopBootOnFault"].is_null();
    let related = json!({"error": {"@Message.ExtendedInfo": [
        {"RelatedProperties": ["#/Boot/StopBootOnFault"]}]}});
    missing.then_some((400, related))
};
const PROPERTY_WITH_A_MESSAGE: Refuses = |_, _, body| {
    let missing = body["Boot"]["StopBootOnFault"].is_null();
    let attached = json!({"StopBootOnFault@Message.ExtendedInfo": [
        {"MessageId": "Base.1.13.PropertyMissing", "Message": "It is required."}]});
    missing.then_some((400, attached))
};
const CONDITION_IN_ANOTHER_LANGUAGE: Refuses = |_, condition, _| {
    let said = json!({"error": {"@Message.ExtendedInfo": [
        {"MessageId": "Base.1.13.PreconditionFailed", "Message": "nicht so"}]}});
    (condition != Some("*")).then_some((400, said))
};

#[tokio::test]
async fn a_refused_override_is_tried_in_another_form_which_is_remembered() {
    for (name, refuses) in [
        ("no If-Match", NO_CONDITION),
        ("no If-Match, and no word", NO_CONDITION_WITHOUT_A_WORD),
        ("the ETag of the body", ETAG_OF_THE_BODY),
        ("a strong ETag", STRONG_ETAG),
        ("any ETag", ANY_ETAG),
        ("the mode", MODE_REQUIRED),
        ("the mode, and no word", MODE_REQUIRED_WITHOUT_A_WORD),
        ("another property", ANOTHER_PROPERTY_REQUIRED),
        ("a property with a message", PROPERTY_WITH_A_MESSAGE),
        ("any ETag, in another language", CONDITION_IN_ANOTHER_LANGUAGE),
    ] {
        for has_header in [true, false] {
            let server = machine(refuses).await;
            server.edit(SYSTEM, |system| system["Boot"]["StopBootOnFault"] = json!("Never"));
            if has_header {
                server.use_etags(0);
            }
            let bmc = server.bmc();
            let first = armed(&server, &bmc).await;
            assert!(first <= 8, "{name}: {first}");
            assert_eq!(armed(&server, &bmc).await, 1, "{name} is remembered");
        }
    }
}

#[tokio::test]
async fn a_write_that_is_cut_off_says_what_was_refused_and_goes_on_there_next_time() {
    let server = machine(|_, condition, body| {
        let is_it = condition.is_none() && !body["Boot"]["BootSourceOverrideMode"].is_null();
        (!is_it).then_some((400, Value::Null))
    })
    .await;
    let (bmc, mut calls) = (server.bmc(), 0);
    loop {
        let left = AtomicU32::new(2);
        let permit = Permit::new(move || {
            let is_over = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err();
            if is_over { Err(Withdrawn("the decision is too old")) } else { Ok(()) }
        });
        calls += 1;
        assert!(calls < 10, "it always begins at the first form");
        let Err(error) = bmc.clone().permitted(permit).perform(SYSTEM, &once()).await else {
            break;
        };
        let told = chain(&error);
        assert!(told.contains("HTTP 400") && told.contains("too old"), "{told}");
        assert!(told.contains("tried PATCH"), "{told}");
    }
    assert!(calls > 1, "two forms were enough");
    assert_eq!(armed(&server, &bmc).await, 1);
}

#[tokio::test]
async fn an_override_is_written_to_the_settings_and_read_back_there() {
    for status in [400, 403, 404, 405, 501] {
        for shows_boot in [true, false] {
            let server = FakeRedfish::machine().await;
            server.edit(SYSTEM, |system| {
                system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
            });
            let boot = json!({"BootSourceOverrideEnabled": "Disabled",
                "BootSourceOverrideTarget": "None"});
            let boot = if shows_boot { boot } else { json!({}) };
            server.edit(SETTINGS, |settings| *settings = json!({"Boot": boot}));
            server.judge(move |_, path, _, _| (path == SYSTEM).then_some((status, Value::Null)));
            let bmc = server.bmc();
            bmc.system(SYSTEM).await.unwrap();
            let first = armed(&server, &bmc).await;
            assert!(first == 1 || !shows_boot, "HTTP {status}: {first}");
            assert_eq!(armed(&server, &bmc).await, 1, "HTTP {status}");
            assert_eq!(
                server.log().iter().rfind(|it| it.starts_with("PATCH")).unwrap(),
                &format!("PATCH {SETTINGS}")
            );
        }
    }
}

#[tokio::test]
async fn settings_that_refuse_give_way_to_the_system() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
    });
    server.edit(SETTINGS, |settings| {
        *settings = json!({"Boot": {"BootSourceOverrideTarget": "None"}});
    });
    server.judge(|_, path, _, _| (path == SETTINGS).then_some((405, Value::Null)));
    let bmc = server.bmc();
    assert_eq!(armed(&server, &bmc).await, 2);
    assert_eq!(armed(&server, &bmc).await, 1);
}

#[tokio::test]
async fn an_override_that_is_taken_without_effect_is_sent_in_another_form_next_time() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
    });
    server.edit(SETTINGS, |settings| {
        *settings = json!({"Boot": {"BootSourceOverrideTarget": "None"}});
    });
    // Accepts everything, and does nothing.
    let bmc = server.bmc();
    let mut forms = std::collections::BTreeSet::new();
    for _ in 0..4 {
        bmc.perform(SYSTEM, &once()).await.unwrap();
        let path = server.log().iter().rfind(|it| it.starts_with("PATCH")).unwrap().clone();
        forms.insert(format!("{path} {}", server.bodies().last().unwrap()));
    }
    assert_eq!(forms.len(), 4, "both resources, with the mode and without: {forms:#?}");
    bmc.perform(SYSTEM, &once()).await.unwrap();
    assert_eq!(server.bodies().len(), 5);
}

#[tokio::test]
async fn an_override_that_a_reset_has_used_up_is_sent_as_it_was_taken() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    for _ in 0..3 {
        bmc.perform(SYSTEM, &once()).await.unwrap();
        bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    }
    let bodies = server.bodies();
    assert_eq!((&bodies[2], &bodies[4]), (&bodies[0], &bodies[0]));
}

#[tokio::test]
async fn a_write_that_is_refused_in_every_form_says_what_was_tried_and_what_was_said() {
    let server = machine(|_, condition, _| match condition {
        Some(_) => Some((412, Value::Null)),
        None => Some((400, refusal("PropertyNotWritable", &["Boot"]))),
    })
    .await;
    let error = server.bmc().perform(SYSTEM, &once()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Failed { action, .. } if *action == format!("change {SYSTEM}"))
    );
    let said = chain(&error);
    for part in [
        "HTTP 412 Precondition Failed",
        "HTTP 400: not like this",
        "tried PATCH /redfish/v1/Systems/1 with the ETag",
        "without If-Match",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let tried = server.bodies().len();
    assert!((3..=8).contains(&tried), "{tried}");
}

#[tokio::test]
async fn what_is_not_about_the_form_is_sent_once() {
    for (status, changes) in [(409, 1), (500, 2), (503, 1)] {
        let server = FakeRedfish::machine().await;
        server.judge(move |_, _, _, _| Some((status, Value::Null)));
        let bmc = server.bmc();
        bmc.perform(SYSTEM, &once()).await.unwrap_err();
        assert_eq!(server.bodies().len(), changes, "HTTP {status}: a change may be repeated");
        bmc.perform(SYSTEM, &Step::Reset(ResetType::ForceOff)).await.unwrap_err();
        assert_eq!(server.bodies().len(), changes + 1, "HTTP {status}: a reset may not");
    }
}

/// A BMC that lists no reset types, and accepts these.
async fn unlisted(takes: &'static [&'static str]) -> FakeRedfish {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["Actions"]["#ComputerSystem.Reset"] = json!({"target": "/reset"});
    });
    server.judge(move |_, _, _, body| {
        let type_ = body["ResetType"].as_str().unwrap();
        (!takes.contains(&type_))
            .then(|| (400, refusal("ActionParameterValueNotInList", &[type_, "ResetType"])))
    });
    server
}

#[tokio::test]
async fn a_reset_of_a_bmc_that_lists_none_is_tried_one_after_the_other() {
    let server = unlisted(&["ForceOn", "PowerCycle"]).await;
    let bmc = server.bmc();
    for (reset, sent) in [(ResetType::On, "ForceOn"), (ResetType::ForceRestart, "PowerCycle")] {
        for tries in [2, 1] {
            let before = server.bodies().len();
            bmc.perform(SYSTEM, &Step::Reset(reset)).await.unwrap();
            assert_eq!(server.bodies().len() - before, tries);
            assert_eq!(server.bodies().last().unwrap(), &json!({"ResetType": sent}));
        }
    }
}

#[tokio::test]
async fn a_reset_type_that_was_refused_is_no_more_offered() {
    let server = unlisted(&["ForceOff"]).await;
    let bmc = server.bmc();
    assert_eq!(bmc.system(SYSTEM).await.unwrap().reset_types, []);
    bmc.perform(SYSTEM, &Step::Reset(ResetType::GracefulShutdown)).await.unwrap_err();
    assert_eq!(server.bodies(), [json!({"ResetType": "GracefulShutdown"})], "never by force");
    let offered = bmc.system(SYSTEM).await.unwrap().reset_types;
    assert!(offered.contains(&ResetType::ForceOff), "{offered:?}");
    assert!(!offered.contains(&ResetType::GracefulShutdown), "{offered:?}");
}

#[tokio::test]
async fn a_reset_refused_for_the_state_of_the_machine_stays_offered() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["Actions"]["#ComputerSystem.Reset"] = json!({"target": "/reset"});
    });
    server.judge(|_, _, _, _| Some((400, refusal("ResourceInStandby", &[]))));
    let bmc = server.bmc();
    bmc.perform(SYSTEM, &Step::Reset(ResetType::GracefulShutdown)).await.unwrap_err();
    assert_eq!(bmc.system(SYSTEM).await.unwrap().reset_types, []);
}

#[tokio::test]
async fn settings_to_come_that_cannot_be_read_cost_no_boot_override() {
    for fault in [
        Fault::Answer(404, String::new()),
        Fault::Answer(405, String::new()),
        Fault::Answer(500, String::new()),
        Fault::Cut,
        Fault::HangBeforeHeader,
    ] {
        for takes in [true, false] {
            let server = FakeRedfish::machine().await;
            server.edit(SYSTEM, |system| {
                system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
            });
            server.fault(SETTINGS, fault.clone());
            // The resource accepts it, or blames itself.
            server.judge(move |_, path, _, _| {
                (path == SYSTEM && !takes).then_some((405, Value::Null))
            });
            let (_fleet, bmc) = server.fleet(crate::bmc::impatient());
            let asked =
                || server.log().iter().filter(|it| **it == format!("GET {SETTINGS}")).count();
            bmc.system(SYSTEM).await.unwrap();
            let before = asked();
            bmc.system(SYSTEM).await.unwrap();
            assert_eq!(asked(), before, "{fault:?}: it is not asked with every reading");
            match bmc.perform(SYSTEM, &once()).await {
                Ok(()) => assert!(takes, "{fault:?}"),
                Err(error) => {
                    assert!(!takes && matches!(error, Error::Failed { .. }), "{fault:?}: {error}");
                    assert!(chain(&error).contains(SETTINGS), "{}", chain(&error));
                }
            }
        }
    }
}

#[tokio::test]
async fn an_etag_is_sent_in_the_body_where_the_bmc_wants_it_there() {
    let server =
        machine(|_, _, body| (body["@odata.etag"] != "W/\"body\"").then_some((412, Value::Null)))
            .await;
    let bmc = server.bmc();
    assert!(armed(&server, &bmc).await <= 12);
    assert_eq!(armed(&server, &bmc).await, 1, "it is remembered");
}

#[tokio::test]
async fn a_patch_that_breaks_the_bmc_is_sent_in_another_form() {
    let server = machine(|_, _, body| {
        let missing = body["Boot"]["BootSourceOverrideMode"].is_null();
        missing.then(|| (500, refusal("InternalError", &[])))
    })
    .await;
    let bmc = server.bmc();
    assert_eq!(armed(&server, &bmc).await, 2);
    assert_eq!(armed(&server, &bmc).await, 1);
}

#[tokio::test]
async fn an_action_carries_the_etag_where_the_bmc_asks_for_it() {
    for wanted in ["W/\"body\"", "*"] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| system["@odata.etag"] = json!("W/\"body\""));
        server.judge(move |_, _, headers, _| {
            let condition = headers.get("if-match").and_then(|value| value.to_str().ok());
            (condition != Some(wanted)).then_some((428, Value::Null))
        });
        let bmc = server.bmc();
        bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
        let before = server.bodies().len();
        bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
        assert_eq!(server.bodies().len() - before, 1, "{wanted} is remembered");
    }
}

#[tokio::test]
async fn an_override_in_the_wrong_mode_is_sent_again_with_the_mode() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| system["Boot"]["BootSourceOverrideMode"] = json!("UEFI"));
    // An override without a mode falls back to legacy boot.
    server.judge(|_, _, _, _| None);
    let bmc = server.bmc();
    let step = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    bmc.perform(SYSTEM, &step).await.unwrap();
    assert!(server.bodies()[0]["Boot"]["BootSourceOverrideMode"].is_null());
    server.edit(SYSTEM, |system| system["Boot"]["BootSourceOverrideMode"] = json!("Legacy"));
    bmc.system(SYSTEM).await.unwrap();
    bmc.perform(SYSTEM, &step).await.unwrap();
    assert_eq!(server.bodies()[1]["Boot"]["BootSourceOverrideMode"], "UEFI");
    let boot = bmc.system(SYSTEM).await.unwrap().boot;
    assert_eq!((boot.target, boot.mode), (Some(BootSource::Pxe), Some(BootMode::Uefi)));
}
