//! What is read of systems.

use crate::{
    bmc::{FakeRedfish, Fault},
    documents::{SYSTEM, documents},
};
use metal_bmc::{Bmc, Error};
use metal_core::redfish::{
    BootEnabled, BootMode, BootReading, BootSource, IndicatorLed, PowerState, ResetType,
    SystemReading,
};
use serde_json::{Value, json};

pub(crate) fn expected() -> SystemReading {
    SystemReading {
        uri: SYSTEM.to_owned(),
        uuid: "38947555-7742-3448-3784-82334782383a".parse().ok(),
        has_shipped_uuid: false,
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
            has_http_boot_uri: false,
            order: vec!["Boot0001".to_owned(), "Boot0002".to_owned()],
        },
        reset_types: vec![
            ResetType::On,
            ResetType::ForceOff,
            ResetType::GracefulShutdown,
            ResetType::Other,
        ],
        lacks_reset: false,
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
                    "Actions" => {
                        (whole.reset_types, whole.lacks_reset) = (all.reset_types, false);
                    }
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
    let empty =
        SystemReading { uri: SYSTEM.to_owned(), lacks_reset: true, ..SystemReading::default() };
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
    let page = |number: u32| format!("/redfish/v1/Systems?$skip={number}");
    server.edit("/redfish/v1/Systems", |first| first["Members@odata.nextLink"] = json!(page(1)));
    for number in 1..100 {
        let member = format!("/redfish/v1/Systems/of-page-{number}");
        server.edit(&page(number), |it| {
            *it = json!({"Members": [{"@odata.id": member, "Id": "whole"}],
                "Members@odata.nextLink": page(number + 1)});
        });
    }
    let mut remarks = vec![];
    let systems = server.bmc().systems_with(&mut remarks).await.unwrap();
    assert_eq!(systems.len(), 1, "what cannot boot is left out");
    let pages = server.log().iter().filter(|line| line.contains("Systems?")).count();
    assert_eq!(pages, 63);
    assert!(remarks[0].ends_with("more than 64 pages"), "{remarks:?}");
}

#[tokio::test]
async fn a_next_link_that_leads_back_ends_the_collection_and_nothing_is_read_twice() {
    for back in ["/redfish/v1/Systems", "/redfish/v1/Systems?$skip=1", "/redfish/v1/Systems#x"] {
        let server = FakeRedfish::machine().await;
        let next = "/redfish/v1/Systems?$skip=1";
        server.edit("/redfish/v1/Systems", |page| page["Members@odata.nextLink"] = json!(next));
        server.edit(next, |page| {
            *page = json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.nextLink": back});
        });
        let mut remarks = vec![];
        let systems = server.bmc().systems_with(&mut remarks).await.unwrap();
        assert_eq!(systems, [expected()]);
        assert!(remarks[0].contains("nextLink points back to"), "{remarks:?}");
        assert_eq!(server.log().len(), 5, "{:?}", server.log());
    }
}

#[tokio::test]
async fn a_count_that_does_not_fit_is_told() {
    let server = FakeRedfish::machine().await;
    for (count, fits) in [(1, true), (2, false), (0, false)] {
        server.edit("/redfish/v1/Systems", |page| page["Members@odata.count"] = json!(count));
        let mut remarks = vec![];
        let systems = server.bmc().systems_with(&mut remarks).await.unwrap();
        assert_eq!((systems.len(), remarks.is_empty()), (1, fits), "{remarks:?}");
        assert!(remarks.iter().all(|it| it.starts_with("/redfish/v1/Systems: ")), "{remarks:?}");
    }
}

#[tokio::test]
async fn a_bmc_without_a_collection_of_systems_has_none_and_says_what_it_answered() {
    for (names_them, status) in [(true, 404), (true, 405), (true, 410), (false, 404), (false, 400)]
    {
        let server = FakeRedfish::machine().await;
        if !names_them {
            server.edit("/redfish/v1/", |root| root["Systems"] = json!(null));
        }
        server.fault("/redfish/v1/Systems", Fault::Answer(status, String::new()));
        let mut remarks = vec![];
        assert_eq!(server.bmc().systems_with(&mut remarks).await.unwrap(), []);
        assert!(remarks[0].starts_with("/redfish/v1/Systems: HTTP "), "{remarks:?}");
    }
    let server = FakeRedfish::machine().await;
    server.fault("/redfish/v1/Systems", Fault::Answer(500, String::new()));
    server.bmc().systems().await.unwrap_err();
}

#[tokio::test]
async fn a_baseboard_without_a_reset_is_told_apart() {
    let server = FakeRedfish::machine().await;
    for actions in [
        json!(null),
        json!({}),
        json!({"#ComputerSystem.Reset": {"ResetType@Redfish.AllowableValues": ["On"]}}),
    ] {
        server.edit(SYSTEM, |system| system["Actions"] = actions);
        assert!(server.bmc().systems().await.unwrap()[0].lacks_reset);
    }
}

#[tokio::test]
async fn reset_types_are_read_from_the_action_info_once() {
    for link in [json!("/info"), json!({"@odata.id": "/info"})] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| {
            system["Actions"]["#ComputerSystem.Reset"] =
                json!({"target": "/reset", "@Redfish.ActionInfo": link});
        });
        server.edit("/info", |info| {
            *info = json!({"Parameters": [
                {"Name": "ResetType", "AllowableValues": ["On", "ForceOff", "PushPowerButton"]}]});
        });
        let bmc = server.bmc();
        for _ in 0..3 {
            let system = bmc.system(SYSTEM).await.unwrap();
            let types = [ResetType::On, ResetType::ForceOff, ResetType::PushPowerButton];
            assert_eq!(system.reset_types, types, "{link}");
        }
        assert_eq!(server.log().iter().filter(|line| *line == "GET /info").count(), 1);
    }
}

#[tokio::test]
async fn text_that_firmware_gets_wrong_costs_the_value_that_it_is_in() {
    let server = FakeRedfish::machine().await;
    let text = documents()[SYSTEM].to_string();
    let with = |value: &[u8]| {
        let (start, end) = text.split_once("\"3500\"").unwrap();
        [start.as_bytes(), b"\"", value, b"\"", end.as_bytes()].concat()
    };
    for (body, model) in [
        (with(b"caf\xe9"), "caf\u{e9}"),
        (with(b"a\tb\x01"), "a b"),
        (with(b"x\\y"), "x\\y"),
        ([b"\xef\xbb\xbf", text.as_bytes()].concat(), "3500"),
        ([text.as_bytes(), b"\0\0\0"].concat(), "3500"),
    ] {
        server.fault(SYSTEM, Fault::Raw(200, vec![], body));
        let read = server.bmc().system(SYSTEM).await.unwrap();
        assert_eq!(read, SystemReading { model: Some(model.to_owned()), ..expected() });
    }
}

#[tokio::test]
async fn a_body_that_comes_compressed_unasked_is_read() {
    let server = FakeRedfish::machine().await;
    let text = documents()[SYSTEM].to_string();
    let deflated = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6);
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6);
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &deflated[..], &[0; 8]].concat();
    for (name, body) in [
        ("gzip", gzip.clone()),
        ("identity", gzip),
        ("deflate", zlib),
        ("deflate", deflated),
        ("gzip", text.into_bytes()),
    ] {
        let header = vec![("content-encoding", name.to_owned())];
        server.fault(SYSTEM, Fault::Raw(200, header, body));
        assert_eq!(server.bmc().system(SYSTEM).await.unwrap(), expected(), "{name}");
    }
    let asked = server.header("accept-encoding");
    assert!(asked.iter().all(|it| it.as_deref() == Some("identity")), "{asked:?}");
}

#[tokio::test]
async fn settings_of_the_boot_are_read_where_they_are_written() {
    let settings = "/redfish/v1/Systems/1/SD";
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": settings}});
    });
    server.edit(settings, |it| {
        *it = json!({"Boot": {"BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": "Pxe", "BootSourceOverrideMode": null}});
    });
    let boot = server.bmc().system(SYSTEM).await.unwrap().boot;
    assert_eq!((boot.enabled, boot.target), (BootEnabled::Once, Some(BootSource::Pxe)));
    assert_eq!(boot.mode, expected().boot.mode, "what it leaves out is as the system has it");
    assert_eq!(boot.allowable, expected().boot.allowable);
    // Applied: from now on, the system itself counts.
    server.edit(SYSTEM, |system| system["@Redfish.Settings"]["ETag"] = json!("7"));
    for etag in ["7", "\"7\"", "W/\"7\""] {
        server.edit(settings, |it| it["@odata.etag"] = json!(etag));
        assert_eq!(server.bmc().system(SYSTEM).await.unwrap().boot, expected().boot, "{etag}");
    }
    // A settings resource without boot settings is read once.
    server.edit(settings, |it| *it = json!({"Attributes": {}}));
    let bmc = server.bmc();
    let asked = || server.log().iter().filter(|line| line.ends_with("/SD")).count();
    let before = asked();
    for _ in 0..3 {
        assert_eq!(bmc.system(SYSTEM).await.unwrap().boot, expected().boot);
    }
    assert_eq!(asked() - before, 1);
}

#[tokio::test]
async fn a_source_of_the_next_boot_is_set_though_the_bmc_does_not_say_for_how_long() {
    use BootEnabled::{Disabled, Once};
    for (enabled, target, expected) in [
        (json!(null), json!("Pxe"), Once),
        (json!("Unknown"), json!("Pxe"), Once),
        (json!(null), json!("None"), Disabled),
        (json!(null), json!(null), Disabled),
        (json!("Disabled"), json!("Pxe"), Disabled),
    ] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| {
            system["Boot"]["BootSourceOverrideEnabled"] = enabled.clone();
            system["Boot"]["BootSourceOverrideTarget"] = target.clone();
        });
        let boot = server.bmc().system(SYSTEM).await.unwrap().boot;
        assert_eq!(boot.enabled, expected, "{enabled} {target}");
    }
}

#[tokio::test]
async fn memory_that_the_bmc_has_not_counted_yet_is_not_known() {
    for (gibibytes, bytes) in [(json!(0), None), (json!("0"), None), (json!(64), Some(64 << 30))] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| {
            system["MemorySummary"]["TotalSystemMemoryGiB"] = gibibytes.clone();
        });
        assert_eq!(server.bmc().system(SYSTEM).await.unwrap().memory_bytes, bytes, "{gibibytes}");
    }
}
