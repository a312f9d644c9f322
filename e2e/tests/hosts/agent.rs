//! The agent of an installed machine.

use super::{
    site::{PATIENCE, Site},
    system::{System, activate, shown, until},
};
use e2e::cluster::Cluster;
use serde_json::json;
use std::fs;

#[tokio::test]
async fn an_agent_registers_runs_its_release_and_rolls_back_one_that_is_not_healthy() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = System::registered(&site, folder.path()).await;

    // Only the person and the host know the configuration.
    let plain = r#"{"password":"correct horse"}"#;
    system.configured(&site, plain).await.unwrap();
    shown(&site, "Active", "web-1-v1", None).await;
    assert_eq!((system.ran(), system.configuration()), (vec!["web-1-v1".into()], plain.into()));

    // The hook has v2 run, which is not healthy.
    system.break_with("v2").unwrap();
    activate(&site, "v2").await;
    shown(&site, "RolledBack", "web-1-v1", Some("not healthy within")).await;
    assert_eq!(system.ran(), ["web-1-v1", "v2", "web-1-v1"]);
    assert_eq!(system.configuration(), plain, "of the release that runs again");
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn the_largest_configuration_that_the_plugin_takes_reaches_its_host() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = System::registered(&site, folder.path()).await;
    let largest = metal_configuration::LARGEST;
    let error = system.configured(&site, &"x".repeat(largest + 1)).await.unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
    system.configured(&site, &"x".repeat(largest)).await.unwrap();
    shown(&site, "Active", "web-1-v1", None).await;
    assert_eq!(system.configuration().len(), largest);
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn an_agent_goes_on_where_it_was_killed_or_its_hook_has_restarted_the_machine() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = System::registered(&site, folder.path()).await;
    system.hold(true).unwrap();
    activate(&site, "v1").await;
    until("the hook does not run", || Ok(system.path("held").exists())).await;
    agent.kill().await.unwrap();
    system.hold(false).unwrap();
    system.on("v1", "if [ ! -e switched ]; then touch switched; exit 75; fi").unwrap();
    let agent = system.start().await.unwrap();
    let waits = || Ok(agent.printed()?.contains("waiting for the restart"));
    until("it does not wait", waits).await;
    assert_eq!(system.ran(), ["v1"]);

    // Killed before the restart: that is waited for, and nothing is checked.
    agent.kill().await.unwrap();
    fs::remove_file(system.path("agent.log")).unwrap();
    let agent = system.start().await.unwrap();
    until("it does not wait", || Ok(agent.printed()?.contains("waiting for the restart"))).await;
    agent.kill().await.unwrap();
    assert_eq!(system.ran(), ["v1"]);
    system.restart(2).unwrap();
    let agent = system.start().await.unwrap();
    shown(&site, "Active", "v1", None).await;
    assert_eq!((system.ran(), system.configuration()), (vec!["v1".into(); 2], String::new()));
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_missed_its_yes_becomes_its_host_after_the_token_has_expired() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = System::registered(&site, folder.path()).await;
    agent.kill().await.unwrap();
    // It is registered, and has not heard it; what it registered with is good for nothing any more.
    let mut host = system.host().unwrap();
    host["credential"] = json!("of a token that is over");
    fs::write(system.path("host.json"), host.to_string()).unwrap();
    let agent = system.start().await.unwrap();
    activate(&site, "v1").await;
    shown(&site, "Active", "v1", None).await;
    assert!(system.host().unwrap()["credential"].is_null());
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}
