//! DMTF's Service Validator finds no errors in what a simulated BMC serves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "this file needs little of it")]
#[path = "simulator/client.rs"]
mod client;

use client::Client;
use metal_simulator::{
    BootTarget, Config, Expand, Graceful, Power, Profile, ResetAnswer, Simulator, Transport,
};
use nv_redfish_schema::REDFISH_CSDL_DIR;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::{process::Command, time::timeout};

/// The first run on a machine installs the validator.
const LIMIT: Duration = Duration::from_mins(10);

#[tokio::test(flavor = "multi_thread")]
async fn the_service_validator_finds_no_failure() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    valid(&simulator, "Session").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_in_what_another_firmware_with_tasks_serves() {
    let profile = Profile {
        transport: Transport::Http,
        boot_targets: vec![BootTarget::None, BootTarget::Pxe],
        boot_modes: Vec::new(),
        graceful: Graceful::Ignored,
        reset_answer: ResetAnswer::Task,
        expand: Expand::Offered,
        dialects: Vec::new(),
    };
    let config = Config { power: Power::On, seed: 7, profile, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let client = Client::of(&simulator, 0);
    let system = "/redfish/v1/Systems/1";
    let boot = json!({ "Boot": {
        "BootSourceOverrideEnabled": "Continuous", "BootSourceOverrideTarget": "Pxe",
    }});
    assert!(client.status(Method::PATCH, system, Some(boot)).await.is_success());
    let reset = json!({ "ResetType": "GracefulShutdown" });
    let action = format!("{system}/Actions/ComputerSystem.Reset");
    assert!(client.status(Method::POST, &action, Some(reset)).await.is_success());
    valid(&simulator, "Basic").await;
}

/// Runs the validator with this kind of authentication.
async fn valid(simulator: &Simulator, authentication: &str) {
    let folder = tempfile::tempdir().unwrap();
    let base = format!("http://{}", simulator.bmc(0).unwrap());
    let mut command =
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../hack/redfish-validator"));
    command.current_dir(&folder).arg("--rhost").arg(base);
    command.args(["--user", "foo", "--password", "bar", "--authtype", authentication]);
    command.args(["--skipschema", "--schema_directory", REDFISH_CSDL_DIR, "--logdir", "logs"]);
    let output = timeout(LIMIT, command.kill_on_drop(true).output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("/redfish/v1/Systems/1/Memory/1"), "it saw the whole tree: {said}");
}
