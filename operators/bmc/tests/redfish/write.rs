//! What is sent to change something.

use crate::{
    bmc::{FakeRedfish, Fault, chain},
    documents::SYSTEM,
};
use axum::http::Method;
use metal_bmc::{Bmc, Error, Permit, Withdrawn};
use metal_core::redfish::{BootMode, BootSource, IndicatorLed, ResetType, Step};
use serde_json::{Value, json};

const RESET: &str = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset";

fn once(source: BootSource, mode: Option<BootMode>) -> Step {
    Step::BootOnce { source, mode }
}

/// What a step sends to a machine that was edited in this way.
async fn sent(edit: impl FnOnce(&mut Value), step: Step) -> Value {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, edit);
    server.bmc().perform(SYSTEM, &step).await.unwrap();
    let mut bodies = server.bodies();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    bodies.remove(0)
}

async fn refused(edit: impl FnOnce(&mut Value), step: Step) -> String {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, edit);
    let error = server.bmc().perform(SYSTEM, &step).await.unwrap_err();
    assert_eq!(server.bodies(), [] as [Value; 0]);
    match &error {
        Error::Failed { source, .. } => format!("{error}: {source}"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_boot_override_is_sent_with_a_mode_only_if_that_changes() {
    let boot = sent(|_| {}, once(BootSource::Pxe, Some(BootMode::Uefi))).await;
    assert_eq!(
        boot,
        json!({"Boot": {
            "BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": "Pxe",
            "BootSourceOverrideMode": "UEFI",
        }})
    );
    let without =
        json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}});
    assert_eq!(sent(|_| {}, once(BootSource::Pxe, None)).await, without);
    assert_eq!(sent(|_| {}, once(BootSource::Pxe, Some(BootMode::Legacy))).await, without);
    let remove = |system: &mut Value| {
        system["Boot"].as_object_mut().unwrap().remove("BootSourceOverrideMode");
    };
    assert_eq!(sent(remove, once(BootSource::Pxe, Some(BootMode::Uefi))).await, without);
}

#[tokio::test]
async fn every_word_is_sent_as_the_bmc_spells_it() {
    let lower = |system: &mut Value| {
        let boot = &mut system["Boot"];
        boot["BootSourceOverrideEnabled@Redfish.AllowableValues"] = json!(["disabled", "once"]);
        boot["BootSourceOverrideTarget@Redfish.AllowableValues"] = json!(["none", "pxe"]);
        boot["BootSourceOverrideMode@Redfish.AllowableValues"] = json!(["uefi", "legacy"]);
        system["IndicatorLED@Redfish.AllowableValues"] = json!(["LIT", "OFF"]);
    };
    let once = once(BootSource::Pxe, Some(BootMode::Uefi));
    assert_eq!(
        sent(lower, once).await,
        json!({"Boot": {
            "BootSourceOverrideEnabled": "once",
            "BootSourceOverrideTarget": "pxe",
            "BootSourceOverrideMode": "uefi",
        }})
    );
    let clear = Step::BootOnce { source: BootSource::None, mode: None };
    let boot = json!({"Boot": {"BootSourceOverrideEnabled": "disabled"}});
    assert_eq!(sent(lower, clear).await, boot);
    let lit = Step::IndicatorLed(IndicatorLed::Lit);
    assert_eq!(sent(lower, lit).await, json!({"IndicatorLED": "LIT"}));
}

#[tokio::test]
async fn supermicro_gets_the_mode_even_if_it_does_not_change() {
    let supermicro = |system: &mut Value| {
        system["Manufacturer"] = json!("Supermicro");
        system["Boot"]["BootSourceOverrideMode"] = json!("UEFI");
    };
    let boot = sent(supermicro, once(BootSource::Pxe, None)).await;
    assert_eq!(boot["Boot"]["BootSourceOverrideMode"], "UEFI");
}

#[tokio::test]
async fn a_source_that_the_bmc_does_not_have_is_not_sent() {
    let text = refused(|_| {}, once(BootSource::Cd, None)).await;
    assert_eq!(
        text,
        "BMC failed to boot /redfish/v1/Systems/1 from Cd: it allows only None, Pxe, Usb, UefiHttp"
    );
}

#[tokio::test]
async fn the_boot_order_drops_an_override() {
    let order = || Step::BootOrder(vec!["Boot0002".to_owned(), "Boot0001".to_owned()]);
    let plain = json!({"Boot": {"BootOrder": ["Boot0002", "Boot0001"]}});
    assert_eq!(sent(|_| {}, order()).await, plain);
    let overridden =
        |system: &mut Value| system["Boot"]["BootSourceOverrideEnabled"] = json!("Continuous");
    let boot = sent(overridden, order()).await;
    assert_eq!(boot["Boot"]["BootSourceOverrideEnabled"], "Disabled");
}

#[tokio::test]
async fn a_reset_goes_to_the_target_that_the_system_names() {
    let server = FakeRedfish::machine().await;
    server.bmc().perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    assert_eq!(server.log().last().unwrap(), RESET);
    assert_eq!(server.bodies(), [json!({"ResetType": "On"})]);
    let elsewhere = |system: &mut Value| {
        system["Actions"]["#ComputerSystem.Reset"]["target"] = json!("/elsewhere");
    };
    server.edit(SYSTEM, elsewhere);
    server.bmc().perform(SYSTEM, &Step::Reset(ResetType::ForceOff)).await.unwrap();
    assert_eq!(server.log().last().unwrap(), "POST /elsewhere");
}

#[tokio::test]
async fn what_a_bmc_allows_is_told_in_short() {
    let many = |system: &mut Value| {
        let reset = &mut system["Actions"]["#ComputerSystem.Reset"];
        reset["ResetType@Redfish.AllowableValues"] = json!(vec!["x".repeat(250); 250]);
    };
    let text = refused(many, Step::Reset(ResetType::ForceRestart)).await;
    assert!(text.len() < 500 && text.ends_with("..."), "{text}");
}

#[tokio::test]
async fn a_reset_that_is_not_allowed_is_not_sent() {
    let text = refused(|_| {}, Step::Reset(ResetType::ForceRestart)).await;
    assert_eq!(
        text,
        "BMC failed to reset /redfish/v1/Systems/1 with ForceRestart: \
         it allows only On, ForceOff, GracefulShutdown, Nmi"
    );
    let text = refused(|system| system["Actions"] = json!(null), Step::Reset(ResetType::On)).await;
    assert!(text.ends_with("it does not offer the action #ComputerSystem.Reset"), "{text}");
}

#[tokio::test]
async fn allowed_values_may_be_in_the_action_info() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["Actions"]["#ComputerSystem.Reset"] =
            json!({"target": "/reset", "@Redfish.ActionInfo": "/info"});
    });
    server.edit("/info", |info| {
        *info = json!({"Parameters": [
            {"Name": "Delay"}, {"Name": "ResetType", "AllowableValues": ["ForceOn"]}]});
    });
    let bmc = server.bmc();
    bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    assert_eq!(server.bodies(), [json!({"ResetType": "ForceOn"})]);
    server.remove("/info");
    bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    assert_eq!(server.bodies()[1], json!({"ResetType": "On"}));
}

#[tokio::test]
async fn a_change_carries_the_etag_that_was_read() {
    let server = FakeRedfish::machine().await;
    server.use_etags(0);
    server.bmc().perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
    assert_eq!(server.header("if-match").last().unwrap().as_deref(), Some("\"0\""));
}

#[tokio::test]
async fn a_change_that_comes_too_late_is_sent_once_more_after_reading_again() {
    let server = FakeRedfish::machine().await;
    server.use_etags(1);
    server.bmc().perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
    let matches: Vec<_> = server.header("if-match").into_iter().flatten().collect();
    assert_eq!(matches, ["\"0\"", "\"1\""]);
}

#[tokio::test]
async fn an_etag_that_is_new_with_every_answer_ends_in_another_condition() {
    let server = FakeRedfish::machine().await;
    server.use_etags(u32::MAX);
    server.accept_any_etag();
    let bmc = server.bmc();
    bmc.perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
    let matches: Vec<_> = server.header("if-match").into_iter().flatten().collect();
    assert_eq!(matches[..2], ["\"0\"", "\"1\""]);
    assert_eq!(matches.last().unwrap(), "*");
    server.edit(SYSTEM, |system| {
        system["Boot"]["BootSourceOverrideEnabled"] = json!("Once");
        system["Boot"]["BootSourceOverrideTarget"] = json!("Pxe");
    });
    bmc.system(SYSTEM).await.unwrap();
    let before = server.bodies().len();
    bmc.perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
    assert_eq!(server.bodies().len(), before + 1, "it is remembered");
}

#[tokio::test]
async fn a_write_follows_to_the_same_path_with_a_slash() {
    for status in [301, 302, 307, 308] {
        let server = FakeRedfish::machine().await;
        let bmc = server.bmc();
        bmc.system(SYSTEM).await.unwrap();
        let reset = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
        let to = vec![("location", format!("{reset}/"))];
        server.fault(reset, Fault::Raw(status, to, vec![]));
        bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
        assert_eq!(server.log().last().unwrap(), &format!("POST {reset}/"), "HTTP {status}");
        let elsewhere = vec![("location", "/redfish/v1/elsewhere".to_owned())];
        server.fault(reset, Fault::Raw(status, elsewhere, vec![]));
        bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap_err();
        assert!(server.log().iter().all(|line| !line.contains("elsewhere")), "HTTP {status}");
    }
}

#[tokio::test]
async fn settings_that_wait_for_the_reset_are_not_waited_for() {
    for state in ["New", "Pending", "Suspended", "Running"] {
        let server = FakeRedfish::machine().await;
        let task = "/redfish/v1/TaskService/Tasks/1";
        server.fault(task, Fault::Answer(200, json!({"TaskState": state}).to_string()));
        server.judge(|method, _, _, _| {
            let body = json!({"@odata.id": "/redfish/v1/TaskService/Tasks/1"});
            (*method == Method::PATCH).then_some((202, body))
        });
        let write = std::time::Duration::from_secs(20);
        let limits = metal_bmc::Limits { write, ..crate::bmc::patient() };
        let (_fleet, bmc) = server.fleet(limits);
        bmc.perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
        let looks = server.log().iter().filter(|line| line.contains("/Tasks/1")).count();
        assert!((1..=5).contains(&looks), "{state}: {looks}");
    }
}

#[tokio::test]
async fn what_stands_where_an_object_should_panics_nobody() {
    for garbage in [json!([1]), json!("x"), json!(null), json!({"#ComputerSystem.Reset": [7]})] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| system["Actions"] = garbage.clone());
        server.edit("/redfish/v1/Managers/BMC", |manager| manager["Actions"] = garbage.clone());
        let bmc = server.bmc();
        let error = bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap_err();
        assert!(chain(&error).contains("does not offer the action"), "{garbage}: {error}");
        let manager = "/redfish/v1/Managers/BMC";
        bmc.reset_manager(manager, ResetType::GracefulRestart).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_host_that_knows_only_the_button_is_asked_by_the_button() {
    let server = FakeRedfish::machine().await;
    let allowed = json!(["On", "ForceOff", "PushPowerButton"]);
    server.edit(SYSTEM, |system| {
        let reset = &mut system["Actions"]["#ComputerSystem.Reset"];
        reset["ResetType@Redfish.AllowableValues"] = allowed;
    });
    let (bmc, ask) = (server.bmc(), Step::Reset(ResetType::GracefulShutdown));
    let error = bmc.perform(SYSTEM, &ask).await.unwrap_err();
    assert!(chain(&error).contains("the host is not on"), "it would start: {}", chain(&error));
    assert_eq!(server.bodies(), [] as [Value; 0]);
    server.edit(SYSTEM, |system| system["PowerState"] = json!("On"));
    bmc.perform(SYSTEM, &ask).await.unwrap();
    assert_eq!(server.bodies(), [json!({"ResetType": "PushPowerButton"})]);
}

#[tokio::test]
async fn a_bmc_without_once_is_told_continuous() {
    for (allowed, told) in [
        (json!(["Disabled", "Continuous"]), "Continuous"),
        (json!(["Disabled", "Once", "Continuous"]), "Once"),
        (json!(null), "Once"),
    ] {
        let server = FakeRedfish::machine().await;
        let name = "BootSourceOverrideEnabled@Redfish.AllowableValues";
        server.edit(SYSTEM, |system| system["Boot"][name] = allowed.clone());
        server.bmc().perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
        assert_eq!(server.bodies()[0]["Boot"]["BootSourceOverrideEnabled"], told, "{allowed}");
    }
}

#[tokio::test]
async fn what_only_the_settings_resource_takes_is_sent_there() {
    let server = FakeRedfish::machine().await;
    let settings = "/redfish/v1/Systems/1/SD";
    server.edit(SYSTEM, |system| {
        system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": settings}});
    });
    server.edit(settings, |settings| *settings = json!({"Boot": {}}));
    let bmc = server.bmc();
    bmc.system(SYSTEM).await.unwrap();
    let refuse = Fault::OnPatch(405);
    server.fault(SYSTEM, refuse);
    bmc.perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap();
    assert_eq!(server.log().last().unwrap(), &format!("PATCH {settings}"));
}

#[tokio::test]
async fn a_refused_change_says_what_the_bmc_said() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    server.fault(SYSTEM, Fault::OnPatch(400));
    let error = bmc.perform(SYSTEM, &once(BootSource::Pxe, None)).await.unwrap_err();
    match &error {
        Error::Failed { action, source } => {
            assert_eq!(action, "change /redfish/v1/Systems/1");
            assert_eq!(source.to_string(), "HTTP 400: not like this");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_reset_that_may_have_happened_is_not_sent_twice() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    let resets = || server.log().iter().filter(|line| *line == RESET).count();
    let target = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
    server.fault(target, Fault::HangBeforeHeader);
    let (_fleet, impatient) = server.fleet(crate::bmc::impatient());
    let error = impatient.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert_eq!(resets(), 1);
    // It was accepted, whatever the body would have said.
    server.fault(target, Fault::Cut);
    bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    assert_eq!(resets(), 2);
}

#[tokio::test]
async fn the_led_is_the_property_that_the_system_has() {
    let lit = || Step::IndicatorLed(IndicatorLed::Lit);
    assert_eq!(sent(|_| {}, lit()).await, json!({"IndicatorLED": "Lit"}));
    let location = |system: &mut Value| {
        system["IndicatorLED"] = json!(null);
        system["LocationIndicatorActive"] = json!(false);
    };
    assert_eq!(sent(location, lit()).await, json!({"LocationIndicatorActive": true}));
    let unknown = |system: &mut Value| {
        system["IndicatorLED"] = json!("Unknown");
        system["LocationIndicatorActive"] = json!(false);
    };
    assert_eq!(sent(unknown, lit()).await, json!({"LocationIndicatorActive": true}));
    let text = refused(|system| system["IndicatorLED"] = json!(null), lit()).await;
    assert!(text.ends_with("it has neither LocationIndicatorActive nor IndicatorLED"), "{text}");
}

#[tokio::test]
async fn a_manager_is_reset_by_its_own_action() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.reset_manager("/redfish/v1/Managers/BMC", ResetType::GracefulRestart).await.unwrap();
    assert_eq!(server.log().last().unwrap(), "POST /redfish/v1/Managers/BMC/Reset");
    assert_eq!(server.bodies(), [json!({"ResetType": "GracefulRestart"})]);
}

#[tokio::test]
async fn a_write_whose_permit_ends_before_its_turn_is_not_sent() {
    let steps = [
        Step::Reset(ResetType::ForceOff),
        once(BootSource::Pxe, None),
        Step::IndicatorLed(IndicatorLed::Lit),
    ];
    for step in steps {
        let server = FakeRedfish::machine().await;
        // The permit holds when the resource is read, and no longer when it is written.
        let bmc = server.bmc().permitted(Permit::new(|| Err(Withdrawn("too late"))));
        bmc.system(SYSTEM).await.unwrap();
        let error = bmc.perform(SYSTEM, &step).await.unwrap_err();
        assert!(matches!(error, Error::Withdrawn(Withdrawn("too late"))), "{step:?}: {error}");
        assert_eq!(server.bodies(), [] as [Value; 0], "{step:?}");
        // That says nothing about the BMC, and affects no other call.
        server.bmc().perform(SYSTEM, &step).await.unwrap();
        assert_eq!(server.bodies().len(), 1, "{step:?}");
    }
}
