//! What is read of systems and managers.

use crate::{
    bmc::{FakeRedfish, Fault},
    documents::{SYSTEM, documents},
};
use metal_bmc::{Bmc, Error};
use metal_core::redfish::{
    BootEnabled, BootMode, BootReading, BootSource, IndicatorLed, ManagerReading, PowerState,
    ResetType, SystemReading,
};
use serde_json::{Value, json};

fn expected() -> SystemReading {
    SystemReading {
        uri: SYSTEM.to_owned(),
        uuid: Some("38947555-7742-3448-3784-82334782383a".to_owned()),
        serial_number: Some("SN 1".to_owned()),
        manufacturer: Some("Contoso".to_owned()),
        model: Some("3500".to_owned()),
        sku: Some("8675309".to_owned()),
        bios_version: Some("P79".to_owned()),
        memory_bytes: Some(96 << 30),
        power: PowerState::Off,
        indicator_led: Some(IndicatorLed::Off),
        boot: BootReading {
            enabled: BootEnabled::Disabled,
            target: Some(BootSource::None),
            mode: Some(BootMode::Legacy),
            allowable: vec![
                BootSource::None,
                BootSource::Pxe,
                BootSource::Usb,
                BootSource::UefiHttp,
            ],
            allowable_modes: vec![BootMode::Uefi, BootMode::Legacy],
            order: vec!["Boot0001".to_owned(), "Boot0002".to_owned()],
        },
        reset_types: vec![ResetType::On, ResetType::ForceOff, ResetType::GracefulShutdown],
        last_reset: Some("2026-01-02T03:04:05Z".parse().unwrap()),
    }
}

#[tokio::test]
async fn a_system_is_read_with_all_its_fields() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    assert_eq!(bmc.systems().await.unwrap(), [expected()]);
    assert_eq!(bmc.system(SYSTEM).await.unwrap(), expected());
}

#[tokio::test]
async fn a_bad_field_costs_that_field_and_nothing_else() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    let fields: Vec<String> = match &documents()[SYSTEM] {
        Value::Object(system) => system.keys().cloned().collect(),
        other => panic!("{other}"),
    };
    for garbage in [json!(null), json!(7), json!("garbage"), json!([1, {}]), json!({"a": []})] {
        for field in &fields {
            let good = documents()[SYSTEM][field].clone();
            server.edit(SYSTEM, |system| system[field] = garbage.clone());
            let read = bmc.systems().await.unwrap();
            server.edit(SYSTEM, |system| system[field] = good);
            let lost = |field: &str, read: &SystemReading| {
                let mut whole = read.clone();
                let all = expected();
                match field {
                    "UUID" => whole.uuid = all.uuid,
                    "SerialNumber" => whole.serial_number = all.serial_number,
                    "Manufacturer" => whole.manufacturer = all.manufacturer,
                    "Model" => whole.model = all.model,
                    "SKU" => whole.sku = all.sku,
                    "BiosVersion" => whole.bios_version = all.bios_version,
                    "PowerState" => whole.power = all.power,
                    "IndicatorLED" => whole.indicator_led = all.indicator_led,
                    "MemorySummary" => whole.memory_bytes = all.memory_bytes,
                    "LastResetTime" => whole.last_reset = all.last_reset,
                    "Boot" => whole.boot = all.boot,
                    "Actions" => whole.reset_types = all.reset_types,
                    _ => {}
                }
                whole
            };
            assert_eq!(lost(field, &read[0]), expected(), "{field} = {garbage}");
        }
    }
}

#[tokio::test]
async fn an_empty_system_is_a_system_without_facts() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| *system = json!({}));
    let empty = SystemReading { uri: SYSTEM.to_owned(), ..SystemReading::default() };
    assert_eq!(server.bmc().systems().await.unwrap(), [empty]);
}

#[tokio::test]
async fn a_broken_system_does_not_cost_the_others() {
    let server = FakeRedfish::machine().await;
    let broken = json!({"@odata.id": "/redfish/v1/Systems/0"});
    server.edit("/redfish/v1/Systems", |systems| {
        systems["Members"] =
            json!([broken, 3, {"@odata.id": "http://10.9.9.9/x"}, {"@odata.id": SYSTEM}]);
    });
    server.fault("/redfish/v1/Systems/0", Fault::Answer(200, "no JSON {".to_owned()));
    assert_eq!(server.bmc().systems().await.unwrap(), [expected()]);
}

#[tokio::test]
async fn if_no_system_can_be_read_the_reason_is_told() {
    let server = FakeRedfish::machine().await;
    server.fault(
        SYSTEM,
        Fault::Answer(500, "{\"error\": {\"message\": \"out of order\"}}".to_owned()),
    );
    let error = server.bmc().systems().await.unwrap_err();
    match &error {
        Error::Failed { action, source } => {
            assert_eq!(action, "get /redfish/v1/Systems/1");
            assert_eq!(source.to_string(), "HTTP 500: out of order");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_bmc_without_a_machine_has_no_systems() {
    let server = FakeRedfish::machine().await;
    for members in [json!([]), json!(null)] {
        server.edit("/redfish/v1/Systems", |systems| systems["Members"] = members);
        assert_eq!(server.bmc().systems().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_collection_is_read_page_by_page_up_to_a_bound() {
    let server = FakeRedfish::machine().await;
    let next = "/redfish/v1/Systems?$skip=1";
    server.edit("/redfish/v1/Systems", |page| page["Members@odata.nextLink"] = json!(next));
    server.edit(next, |page| {
        *page = json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.nextLink": next});
    });
    let systems = server.bmc().systems().await.unwrap();
    assert_eq!(systems.len(), 64);
}

#[tokio::test]
async fn members_come_with_the_collection_where_that_is_offered() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let whole = documents()[SYSTEM].clone();
    server.edit("/redfish/v1/Systems?$expand=.", |page| *page = json!({"Members": [whole]}));
    assert_eq!(server.bmc().systems().await.unwrap(), [expected()]);
    let log = server.log();
    assert_eq!(log[2..], ["GET /redfish/v1/Systems?$expand=."]);
}

#[tokio::test]
async fn an_expand_that_was_promised_and_fails_is_not_asked_for_again() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let bmc = server.bmc();
    assert_eq!(bmc.systems().await.unwrap(), [expected()]);
    assert_eq!(bmc.systems().await.unwrap(), [expected()]);
    let expanded = server.log().iter().filter(|line| line.contains("$expand")).count();
    assert_eq!(expanded, 1);
}

#[tokio::test]
async fn an_expand_that_yields_links_only_is_followed_by_reads() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"ExpandAll": true}});
    });
    let links = documents()["/redfish/v1/Systems"].clone();
    server.edit("/redfish/v1/Systems?$expand=*", |page| *page = links);
    assert_eq!(server.bmc().systems().await.unwrap(), [expected()]);
}

#[tokio::test]
async fn the_manager_is_the_bmc_and_no_enclosure_manager() {
    let server = FakeRedfish::machine().await;
    let uuid = "58893887-8974-2487-2389-841168418919";
    let manager = ManagerReading {
        uri: "/redfish/v1/Managers/BMC".to_owned(),
        uuid: Some(uuid.to_owned()),
        part_number: Some("P-1".to_owned()),
        firmware_version: Some("1.45".to_owned()),
        state: Some("Enabled".to_owned()),
        ..ManagerReading::default()
    };
    let bmc = server.bmc();
    assert_eq!(bmc.manager(None).await.unwrap(), manager);
    assert_eq!(bmc.manager(Some(&uuid.to_uppercase())).await.unwrap(), manager);
    let error = bmc.manager(Some("00000000-0000-0000-0000-000000000001")).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}

#[tokio::test]
async fn a_bmc_without_managers_says_so() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| root["Managers"] = json!(null));
    let error = server.bmc().manager(None).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}
