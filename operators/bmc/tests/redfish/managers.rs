//! What is read of managers.

use crate::{
    bmc::FakeRedfish,
    documents::{SYSTEM, documents},
};
use metal_bmc::{Bmc, Error};
use metal_core::redfish::ManagerReading;
use serde_json::json;

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
    let error = bmc.manager(Some("58893887-8974-2487-2389-84116841891a")).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}

#[tokio::test]
async fn the_manager_that_a_system_names_is_read_without_the_collection() {
    for (named, requests) in [("/redfish/v1/Managers/BMC", 1), ("/redfish/v1/Managers/EM", 4)] {
        let server = FakeRedfish::machine().await;
        server.edit(SYSTEM, |system| {
            system["Links"] = json!({"ManagedBy": [{"@odata.id": named}]});
        });
        let bmc = server.bmc();
        bmc.systems().await.unwrap();
        let before = server.log().len();
        assert_eq!(bmc.manager(None).await.unwrap().uri, "/redfish/v1/Managers/BMC");
        assert_eq!(server.log().len() - before, requests, "{named}");
    }
}

#[tokio::test]
async fn of_systems_with_managers_of_their_own_the_last_one_read_does_not_decide_which_is_the_bmc()
{
    let (first, second) = ("/redfish/v1/Managers/BMC", "/redfish/v1/Managers/Node2");
    let other = "/redfish/v1/Systems/2";
    let managed = |manager: &str| json!({"ManagedBy": [{"@odata.id": manager}]});
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| system["Links"] = managed(first));
    server.edit(other, |system| *system = documents()[SYSTEM].clone());
    server.edit(other, |system| system["Links"] = managed(second));
    server.edit(second, |manager| *manager = documents()[first].clone());
    let bmc = server.bmc();
    for system in [SYSTEM, other, SYSTEM, other] {
        bmc.system(system).await.unwrap();
        assert_eq!(bmc.manager(None).await.unwrap().uri, first, "after {system}");
    }
}

#[tokio::test]
async fn a_bmc_without_managers_says_so() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| root["Managers"] = json!(null));
    let error = server.bmc().manager(None).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}

#[tokio::test]
async fn a_manager_is_found_by_what_ironcore_wrote() {
    let own = "58893887-8974-2487-2389-841168418919";
    for (shown, wanted) in [
        // As the BMC shows it, whatever that is.
        (own, own.to_owned()),
        ("not set", "not set".to_owned()),
        (own, format!(" {{{}}} ", own.to_uppercase())),
        (own, own.replace('-', "")),
        (own, "87388958-7489-8724-2389-841168418919".to_owned()),
        // What many boards are shipped with says nothing.
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000".to_owned()),
        (own, "03000200-0400-0500-0006-000700080009".to_owned()),
    ] {
        let server = FakeRedfish::machine().await;
        server.edit("/redfish/v1/Managers/BMC", |manager| manager["UUID"] = json!(shown));
        let found = server.bmc().manager(Some(&wanted)).await.unwrap();
        assert_eq!(found.uri, "/redfish/v1/Managers/BMC", "{wanted}");
    }
}
