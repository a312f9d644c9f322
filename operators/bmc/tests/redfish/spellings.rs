//! BMCs that want what every write contains in another spelling, or not at all.

use crate::{
    bmc::{FakeRedfish, refusal},
    documents::SYSTEM,
    forms::{armed, machine},
};
use metal_bmc::Bmc;
use metal_core::redfish::{BootMode, BootSource, Step};
use serde_json::{Value, json};

#[tokio::test]
async fn a_mode_that_is_refused_is_left_out() {
    let server = machine(|_, _, body| {
        let sent = !body["Boot"]["BootSourceOverrideMode"].is_null();
        sent.then(|| (400, refusal("PropertyNotWritable", &["BootSourceOverrideMode"])))
    })
    .await;
    let bmc = server.bmc();
    let step = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    bmc.perform(SYSTEM, &step).await.unwrap();
    assert_eq!(server.bodies().len(), 2);
    // It sets the mode itself.
    server.edit(SYSTEM, |system| system["Boot"]["BootSourceOverrideMode"] = json!("UEFI"));
    bmc.perform(SYSTEM, &step).await.unwrap();
    assert_eq!(server.bodies().len(), 3);
}

#[tokio::test]
async fn how_long_an_override_lasts_is_left_out_if_the_bmc_refuses_to_be_told() {
    const ENABLED: &str = "BootSourceOverrideEnabled";
    for is_named in [true, false] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| {
            system["Boot"].as_object_mut().unwrap().remove(ENABLED);
        });
        server.judge(move |_, _, _, body| {
            let args: &[&str] = if is_named { &[ENABLED] } else { &[] };
            let is_sent = body["Boot"].get(ENABLED).is_some();
            is_sent.then(|| (400, refusal("PropertyUnknown", args)))
        });
        let bmc = server.bmc();
        let first = armed(&server, &bmc).await;
        assert!(first == 2 || !is_named && first <= 4, "{first}");
        assert_eq!(armed(&server, &bmc).await, 1, "it is remembered");
    }
}

#[tokio::test]
async fn an_etag_that_comes_without_quotes_is_sent_with_them_to_a_bmc_that_insists() {
    let server = machine(|_, condition, _| {
        (condition != Some("\"1682532272\"")).then_some((412, Value::Null))
    })
    .await;
    server.edit(SYSTEM, |system| system["@odata.etag"] = json!("1682532272"));
    let bmc = server.bmc();
    assert_eq!(armed(&server, &bmc).await, 2);
    assert_eq!(armed(&server, &bmc).await, 1, "it is remembered");
}

#[tokio::test]
async fn boot_sources_that_only_the_settings_list_are_offered_and_set_there() {
    const SETTINGS: &str = "/redfish/v1/Systems/1/Settings";
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
        let listed = "BootSourceOverrideTarget@Redfish.AllowableValues";
        system["Boot"].as_object_mut().unwrap().remove(listed);
    });
    server.edit(SETTINGS, |settings| {
        *settings = json!({"Boot": {"BootSourceOverrideTarget": null,
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "UefiHttp"]}});
    });
    server.judge(|_, path, _, _| {
        (path == SYSTEM).then(|| (400, refusal("PropertyNotWritable", &["Boot"])))
    });
    let bmc = server.bmc();
    let offered = bmc.system(SYSTEM).await.unwrap().boot.allowable;
    assert_eq!(offered, [BootSource::None, BootSource::Pxe, BootSource::UefiHttp]);
    assert_eq!(armed(&server, &bmc).await, 1);
}
