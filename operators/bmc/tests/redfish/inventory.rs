//! What is read of the parts of a system.

use crate::{
    bmc::{FakeRedfish, Fault, impatient, patient},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Error};
use metal_core::redfish::{Drive, Inventory, Processor, Storage, Volume};
use serde_json::json;

/// Removes what a fault removes.
type Lose = fn(&mut Inventory);

fn processor(id: &str) -> Processor {
    let text = |text: &str| Some(text.to_owned());
    Processor {
        id: id.to_owned(),
        type_: text("CPU"),
        architecture: text("x86"),
        instruction_set: text("x86-64"),
        manufacturer: text("Contoso"),
        model: text("Mighty"),
        max_speed_mhz: Some(3700),
        total_cores: Some(8),
        total_threads: Some(16),
    }
}

fn drive(name: &str) -> Drive {
    let text = |text: &str| Some(text.to_owned());
    Drive {
        name: name.to_owned(),
        media_type: text("SSD"),
        type_: text("NVMe"),
        capacity_bytes: Some(480_000_000_000),
        vendor: text("Contoso"),
        model: text("Fast"),
        state: text("Enabled"),
    }
}

fn expected() -> Inventory {
    let text = |text: &str| Some(text.to_owned());
    let volume = Volume {
        name: "Mirror".to_owned(),
        capacity_bytes: Some(480_000_000_000),
        raid_type: text("RAID1"),
        usage: None,
        state: text("Enabled"),
    };
    Inventory {
        processors: vec![processor("CPU1"), processor("CPU2")],
        storages: vec![Storage {
            name: "RAID controller".to_owned(),
            state: text("Enabled"),
            drives: vec![drive("Disk 0"), drive("Disk 1")],
            volumes: vec![volume],
        }],
        missing: vec![],
    }
}

#[tokio::test]
async fn an_inventory_is_read_with_all_its_parts() {
    let server = FakeRedfish::machine().await;
    assert_eq!(server.bmc().inventory(SYSTEM).await.unwrap(), expected());
}

#[tokio::test]
async fn a_discovery_takes_at_most_22_requests_on_one_connection_and_one_session() {
    use metal_core::redfish::{BootMode, BootSource, ResetType, Step};
    let server = FakeRedfish::machine().await;
    server.use_etags(0);
    let (fleet, bmc) = server.fleet(patient());
    let once = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    bmc.systems().await.unwrap();
    bmc.manager(None).await.unwrap();
    bmc.inventory(SYSTEM).await.unwrap();
    for step in [once, Step::Reset(ResetType::On), Step::Reset(ResetType::GracefulShutdown)] {
        bmc.perform(SYSTEM, &step).await.unwrap();
        bmc.system(SYSTEM).await.unwrap();
    }
    let requests = server.log().len();
    assert!(requests <= 22, "{requests}: {:#?}", server.log());
    assert_eq!((server.connections(), server.logins()), (1, 1));
    assert_eq!(fleet.counters().requests(), requests as u64);
    assert_eq!((fleet.counters().connections(), fleet.counters().logins()), (1, 1));
}

#[tokio::test]
async fn a_broken_part_costs_that_part_and_is_named() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    let part = |name: &str| format!("{SYSTEM}/{name}");
    let parts: [(String, Lose); 6] = [
        (part("Processors"), |all| all.processors.clear()),
        (part("Processors/CPU1"), |all| {
            all.processors.remove(0);
        }),
        (part("Storage"), |all| all.storages.clear()),
        ("/redfish/v1/Chassis/1/Drives/0".to_owned(), |all| {
            all.storages[0].drives.remove(0);
        }),
        (part("Storage/1/Volumes"), |all| all.storages[0].volumes.clear()),
        (part("Storage/1/Volumes/1"), |all| all.storages[0].volumes.clear()),
    ];
    let faults = [
        (Fault::Answer(200, "<html>".to_owned()), "the response is not valid JSON"),
        (Fault::Answer(200, "[]".to_owned()), "the response is not a JSON object"),
        (Fault::Answer(500, String::new()), "HTTP 500"),
        (Fault::Answer(404, String::new()), "HTTP 404"),
        (Fault::Answer(401, String::new()), "HTTP 401"),
        (Fault::Long(8 << 20), "the response is longer than"),
        (Fault::Cut, "the connection was lost"),
        (Fault::Redirect("http://127.0.0.1/elsewhere".to_owned()), "HTTP 302"),
    ];
    for (path, lose) in &parts {
        for (fault, reason) in &faults {
            server.fault(path, fault.clone());
            let mut read = bmc.inventory(SYSTEM).await.unwrap();
            server.repair();
            let missing = std::mem::take(&mut read.missing).join("\n");
            assert!(missing.starts_with(&format!("{path}: ")), "{path} {fault:?}: {missing}");
            assert!(missing[path.len() + 2..].starts_with(reason), "{path} {fault:?}: {missing}");
            let mut without = expected();
            lose(&mut without);
            assert_eq!(read, without, "{path} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_part_that_hangs_costs_that_part_and_is_named() {
    let server = FakeRedfish::machine().await;
    let (_fleet, bmc) = server.fleet(impatient());
    let path = "/redfish/v1/Systems/1/Processors/CPU2";
    for (fault, reason) in [
        (Fault::HangBeforeHeader, "no response within 4s"),
        (Fault::HangInBody, "the response was not complete within 4s"),
    ] {
        server.fault(path, fault);
        let mut without = expected();
        without.processors.truncate(1);
        without.missing.push(format!("{path}: {reason}"));
        assert_eq!(bmc.inventory(SYSTEM).await.unwrap(), without);
    }
}

#[tokio::test]
async fn simple_storage_stands_in_for_storage() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["Storage"] = json!(null);
        system["SimpleStorage"] = json!({"@odata.id": "/redfish/v1/Systems/1/SimpleStorage"});
    });
    server.edit("/redfish/v1/Systems/1/SimpleStorage", |simple| {
        *simple = json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1/SimpleStorage/1"}]});
    });
    server.edit("/redfish/v1/Systems/1/SimpleStorage/1", |simple| {
        *simple = json!({"Name": "SATA", "Devices": [
            {"Name": "Bay 1", "CapacityBytes": 8_000_000_000_u64, "Model": "Old"}, 7]});
    });
    let storages = server.bmc().inventory(SYSTEM).await.unwrap().storages;
    let bay = Drive {
        name: "Bay 1".to_owned(),
        capacity_bytes: Some(8_000_000_000),
        model: Some("Old".to_owned()),
        ..Drive::default()
    };
    let sata = Storage { name: "SATA".to_owned(), drives: vec![bay], ..Storage::default() };
    assert_eq!(storages, [sata]);
}

#[tokio::test]
async fn a_system_without_links_has_an_empty_inventory() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| *system = json!({}));
    assert_eq!(server.bmc().inventory(SYSTEM).await.unwrap(), Inventory::default());
}

#[tokio::test]
async fn the_inventory_of_a_system_that_is_not_there_is_an_error() {
    let server = FakeRedfish::machine().await;
    let error = server.bmc().inventory("/redfish/v1/Systems/2").await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}

#[tokio::test]
async fn when_time_is_over_the_rest_of_the_inventory_is_named_as_missing() {
    let server = FakeRedfish::machine().await;
    let limits = metal_bmc::Limits { inventory: std::time::Duration::from_secs(1), ..patient() };
    let (_fleet, bmc) = server.fleet(limits);
    server.fault("/redfish/v1/Systems/1/Storage", Fault::HangBeforeHeader);
    let read = bmc.inventory(SYSTEM).await.unwrap();
    assert_eq!(read.processors, expected().processors);
    assert_eq!(read.missing.len(), 1, "{:?}", read.missing);
    assert!(read.missing[0].starts_with("/redfish/v1/Systems/1/Storage: "), "{:?}", read.missing);
}

#[tokio::test]
async fn nothing_is_read_that_nobody_uses() {
    let server = FakeRedfish::machine().await;
    let bmc = server.bmc();
    bmc.systems().await.unwrap();
    bmc.inventory(SYSTEM).await.unwrap();
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("EthernetInterfaces")), "{log:#?}");
    let reads = log.iter().filter(|line| **line == format!("GET {SYSTEM}")).count();
    assert_eq!(reads, 1, "its links are known");
}
