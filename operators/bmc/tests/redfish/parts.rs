//! A part that cannot be read costs only itself.

use crate::{
    bmc::{FakeRedfish, Fault, impatient, patient},
    documents::{SYSTEM, documents},
};
use metal_bmc::{Bmc, Limits};
use serde_json::{Value, json};
use std::time::Duration;

/// A BMC with this many nodes.
async fn nodes(count: usize) -> FakeRedfish {
    let server = FakeRedfish::machine().await;
    let uri = |index: usize| format!("/redfish/v1/Systems/node-{index}");
    let members: Vec<_> = (0..count).map(|index| json!({"@odata.id": uri(index)})).collect();
    server.edit("/redfish/v1/Systems", |systems| systems["Members"] = json!(members));
    for index in 0..count {
        let mut system = documents()[SYSTEM].clone();
        system["@odata.id"] = json!(uri(index));
        server.edit(&uri(index), |node| *node = system);
    }
    server
}

#[tokio::test]
async fn members_that_hang_cost_themselves_and_not_those_that_answered() {
    let server = nodes(8).await;
    for index in [0, 2] {
        let uri = format!("/redfish/v1/Systems/node-{index}");
        server.fault(&uri, Fault::HangBeforeHeader);
    }
    // Those that hang take all of the time, if they come first.
    let (short, all) = (Duration::from_secs(5), Duration::from_millis(7500));
    let limits = Limits { headers: short, read: all, ..patient() };
    let (_fleet, bmc) = server.fleet(limits);
    let mut remarks = vec![];
    let first = bmc.systems_with(&mut remarks).await.unwrap();
    assert!(!first.is_empty() && remarks.len() + first.len() == 8, "{remarks:?}");
    let second = bmc.systems().await.unwrap();
    let uris: Vec<_> = second.iter().map(|system| system.uri.as_str()).collect();
    let good = [1, 3, 4, 5, 6, 7].map(|index| format!("/redfish/v1/Systems/node-{index}"));
    assert_eq!(uris, good, "those that hang are asked last");
}

#[tokio::test]
async fn a_manager_that_never_answers_is_of_a_part() {
    let long = Fault::Long(5 << 20);
    for fault in [Fault::HangBeforeHeader, Fault::HangInBody, Fault::Cut, long] {
        let server = FakeRedfish::machine().await;
        let (_fleet, bmc) = server.fleet(impatient());
        bmc.systems().await.unwrap();
        server.fault("/redfish/v1/Managers/EM", fault.clone());
        server.fault("/redfish/v1/Managers/BMC", fault.clone());
        let error = bmc.manager(None).await.unwrap_err();
        assert!(error.concerns_one_resource(), "{fault:?}: {error}");
    }
    let server = FakeRedfish::machine().await;
    server.answer_logins(401, "");
    server.refuse_basic();
    assert!(!server.bmc().manager(None).await.unwrap_err().concerns_one_resource());
}

#[tokio::test]
async fn a_member_named_twice_in_two_spellings_is_one_system() {
    let server = FakeRedfish::machine().await;
    let slashed = format!("{SYSTEM}/");
    let host = format!("https://bmc.example{SYSTEM}");
    for spelling in [slashed.as_str(), "/redfish/v1/systems/1", &host, SYSTEM] {
        server.edit("/redfish/v1/Systems", |systems| {
            systems["Members"] = json!([{"@odata.id": SYSTEM}, {"@odata.id": spelling}]);
        });
        assert_eq!(server.bmc().systems().await.unwrap().len(), 1, "{spelling}");
    }
}

#[tokio::test]
async fn a_member_that_comes_with_its_name_only_is_read() {
    let whole = documents()[SYSTEM].clone();
    let stub = |more: Value| {
        let mut stub = json!({"@odata.id": SYSTEM, "Name": "host", "Id": "1"});
        stub.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stub
    };
    let typed = json!({"@odata.type": "#ComputerSystem.v1_5_0.ComputerSystem"});
    let error = json!({"error": {"code": "x"}, "a": 1, "b": 2, "c": 3, "d": 4});
    for entry in [stub(json!({})), stub(typed), stub(error)] {
        for expands in [true, false] {
            let server = FakeRedfish::machine().await;
            server.edit("/redfish/v1/", |root| {
                root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": expands}});
            });
            for page in ["/redfish/v1/Systems", "/redfish/v1/Systems?$expand=."] {
                server.edit(page, |page| *page = json!({"Members": [entry.clone()]}));
            }
            let systems = server.bmc().systems().await.unwrap();
            assert!(systems[0].uuid.is_some() && !systems[0].lacks_reset, "{entry}");
            assert_eq!(systems[0].serial_number.as_deref(), whole["SerialNumber"].as_str());
        }
    }
}

#[tokio::test]
async fn words_count_in_whatever_case() {
    use metal_core::redfish::{BootSource, PowerState, ResetType};
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["PowerState"] = json!("on");
        system["Boot"]["BootSourceOverrideTarget"] = json!("PXE ");
        let reset = &mut system["Actions"]["#ComputerSystem.Reset"];
        reset["ResetType@Redfish.AllowableValues"] = json!(["ON", "forceoff"]);
    });
    let system = server.bmc().system(SYSTEM).await.unwrap();
    assert_eq!((system.power, system.boot.target), (PowerState::On, Some(BootSource::Pxe)));
    assert_eq!(system.reset_types, [ResetType::On, ResetType::ForceOff]);
}

#[tokio::test]
async fn a_bmc_that_allows_only_what_nobody_knows_does_not_allow_everything() {
    use metal_core::redfish::ResetType;
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        let reset = &mut system["Actions"]["#ComputerSystem.Reset"];
        reset["ResetType@Redfish.AllowableValues"] = json!(["Nmi", "Suspend"]);
    });
    let system = server.bmc().system(SYSTEM).await.unwrap();
    assert_eq!(system.reset_types, [ResetType::Other]);
}
