//! Refusals that are no plain ones: more than one call waits for, and such with a status of success.

use crate::{
    bmc::{FakeRedfish, Fault, chain},
    documents::SYSTEM,
    forms::{armed, machine},
};
use metal_bmc::{Bmc, Error};
use metal_core::redfish::{BootSource, IndicatorLed, Step};
use serde_json::{Value, json};

const SETTINGS: &str = "/redfish/v1/Systems/1/SD";

fn once() -> Step {
    Step::BootOnce { source: BootSource::Pxe, mode: None }
}

/// What some firmware answers with 200.
fn critical() -> Value {
    json!({"error": {"code": "Base.1.8.GeneralError", "@Message.ExtendedInfo": [
        {"MessageId": "Base.1.8.ActionParameterMissing", "Severity": "Critical",
            "Message": "The mode is missing"}]}})
}

#[tokio::test]
async fn forms_that_one_call_leaves_are_told_and_tried_by_the_next_one() {
    let server = machine(|path, condition, _| {
        let is_it = path == SETTINGS && condition == Some("*");
        (!is_it).then_some((412, Value::Null))
    })
    .await;
    server.edit(SYSTEM, |system| {
        system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
    });
    server.edit(SETTINGS, |settings| *settings = json!({"Boot": {}}));
    server.use_etags(0);
    let bmc = server.bmc();
    let told = chain(&bmc.perform(SYSTEM, &once()).await.unwrap_err());
    assert!(told.contains("the next attempt tries them"), "{told}");
    assert_eq!(server.bodies().len(), 12);
    assert!(armed(&server, &bmc).await <= 12);
    assert_eq!(armed(&server, &bmc).await, 1, "it is remembered");
}

#[tokio::test]
async fn an_error_with_status_200_is_a_refusal_and_another_form_is_tried() {
    let server = machine(|_, _, body| {
        body["Boot"]["BootSourceOverrideMode"].is_null().then(|| (200, critical()))
    })
    .await;
    let bmc = server.bmc();
    assert_eq!(armed(&server, &bmc).await, 2);
    assert_eq!(armed(&server, &bmc).await, 1, "it is remembered");
    server.judge(|_, _, _, _| Some((200, critical())));
    let error = bmc.perform(SYSTEM, &Step::IndicatorLed(IndicatorLed::Lit)).await.unwrap_err();
    assert!(chain(&error).contains("HTTP 200: The mode is missing"), "{}", chain(&error));
}

#[tokio::test]
async fn a_resource_that_is_an_error_with_status_200_is_none() {
    let server = FakeRedfish::machine().await;
    server.fault(SYSTEM, Fault::Answer(200, critical().to_string()));
    let error = server.bmc().system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    assert_eq!(chain(&error), "HTTP 200: The mode is missing");
}

#[tokio::test]
async fn a_wrong_password_that_is_told_with_status_200_is_tried_once() {
    let server = FakeRedfish::machine().await;
    server.answer_logins(200, r#"{"error": {"message": "Invalid username or password"}}"#);
    let error = server.bmc().system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized), "{error}");
    assert!(server.header("authorization").iter().all(Option::is_none));
}

#[tokio::test]
async fn what_a_license_is_needed_for_is_not_taken_for_the_end_of_the_session() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.system(SYSTEM).await.unwrap();
    // Supermicro.
    let said = json!({"error": {"@Message.ExtendedInfo": [
        {"MessageId": "SMC.1.0.OemLicenseNotPassed", "Message": "Not licensed: DCMS is needed"}]}});
    server.fault(SYSTEM, Fault::Answer(403, said.to_string()));
    let error = bmc.system(SYSTEM).await.unwrap_err();
    assert_eq!(chain(&error), "HTTP 403: Not licensed: DCMS is needed");
    assert_eq!(server.logins(), 1);
}
