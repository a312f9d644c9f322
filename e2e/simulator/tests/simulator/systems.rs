//! A BMC with several systems.

use crate::client::Client;
use metal_simulator::{Config, Power, Simulator};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const SYSTEMS: &str = "/redfish/v1/Systems";

#[tokio::test]
async fn systems_of_one_bmc_are_machines_of_their_own() {
    let simulator = start().await;
    let client = Client::of(&simulator, 0);
    let listed = client.get(SYSTEMS).await;
    let uris = [1, 2, 3].map(|number| format!("{SYSTEMS}/{number}"));
    assert_eq!(links(&listed["Members"]), uris);
    for (machine, uri) in (0..).zip(&uris) {
        let (report, system) = (simulator.machine(machine).unwrap(), client.get(uri).await);
        assert_eq!(system["UUID"], json!(report.uuid));
        assert_eq!(system["@odata.id"], json!(uri));
        assert_eq!((report.bmc, report.bmc_address), (0, Some([127, 1, 0, 1].into())));
        let storage = client.get(&format!("{uri}/Storage/1")).await;
        let drives = simulator.hardware(machine).unwrap().drives();
        assert_eq!(storage["Drives"].as_array().unwrap().len(), drives.len());
        for (drive, link) in drives.iter().zip(links(&storage["Drives"])) {
            assert_eq!(client.get(&link).await["SerialNumber"], json!(drive.serial()));
        }
    }
    let fourth = client.status(Method::GET, &format!("{SYSTEMS}/4"), None).await;
    assert_eq!(fourth, StatusCode::NOT_FOUND);
    let next = Client::of(&simulator, 3).get(SYSTEMS).await;
    assert_eq!(links(&next["Members"]), [format!("{SYSTEMS}/1")], "it has a BMC of its own");
}

#[tokio::test]
async fn what_is_done_to_one_system_leaves_the_others_alone() {
    let simulator = start().await;
    let client = Client::of(&simulator, 0);
    let boot = json!({ "Boot": {
        "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe",
    }});
    let second = format!("{SYSTEMS}/2");
    assert!(client.status(Method::PATCH, &second, Some(boot)).await.is_success());
    let on = json!({ "ResetType": "On" });
    let reset = format!("{SYSTEMS}/3/Actions/ComputerSystem.Reset");
    assert!(client.status(Method::POST, &reset, Some(on)).await.is_success());
    let seen = [0, 1, 2].map(|machine| {
        let report = simulator.machine(machine).unwrap();
        (report.override_enabled, report.power == Power::Off, report.counters.resets.total())
    });
    let [once, disabled] = ["Once", "Disabled"].map(str::to_owned);
    let expected = [(disabled.clone(), true, 0), (once, true, 0), (disabled, false, 1)];
    assert_eq!(seen, expected);
}

/// Machines 0 to 2 are systems of one BMC.
async fn start() -> Simulator {
    Simulator::start(Config { machines: 4, systems: 3, ..Config::default() }).await.unwrap()
}

fn links(members: &Value) -> Vec<String> {
    let links = members.as_array().unwrap().iter();
    links.map(|member| member["@odata.id"].as_str().unwrap().to_owned()).collect()
}
