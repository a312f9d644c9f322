//! Releases with which a machine cannot go on, and machines that cannot go back.

use super::{
    site::{PATIENCE, Site},
    system::{System, activate, shown, until},
};
use e2e::cluster::Cluster;
use std::fs;

#[tokio::test]
async fn a_machine_that_came_back_with_the_old_system_is_not_said_to_run_the_new_one() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, mut agent) = System::registered(&site, folder.path()).await;
    activate(&site, "v1").await;
    shown(&site, "Active", "v1", None).await;
    // The hook of the old system, which the boot loader takes each time: v2 is never booted.
    system.on("v2", "exit 75").unwrap();
    activate(&site, "v2").await;
    for boot in 2..=3 {
        let restarts = || Ok(system.ran().len() == boot as usize);
        until("the hook does not run again", restarts).await;
        until("it does not wait", || {
            Ok(fs::read_to_string(system.path("state/state.json"))?.contains("Restart"))
        })
        .await;
        agent.kill().await.unwrap();
        system.restart(boot).unwrap();
        agent = system.start().await.unwrap();
    }
    until("the hook does not run again", || Ok(system.ran().len() == 4)).await;
    let status = site.hosts().get("web-1").await.unwrap().status.unwrap();
    assert_eq!(status.running_release.as_deref(), Some("v1"));
    let condition = status.conditions.iter().find(|it| it.type_ == "ReleaseActive").unwrap();
    assert_eq!(condition.reason, "Activating", "{condition:?}");
    agent.kill().await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_rollback_that_fails_is_said_and_another_release_ends_it() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = System::registered(&site, folder.path()).await;
    activate(&site, "v1").await;
    shown(&site, "Active", "v1", None).await;
    system.break_with("v2").unwrap();
    system.on("v1", "exit 7").unwrap();
    activate(&site, "v2").await;
    let says = "v1 could not be brought back: the hook ended with exit status: 7";
    shown(&site, "Failed", "v1", Some(says)).await;
    assert_eq!(system.ran().iter().filter(|it| *it == "v1").count(), 7, "and no more");
    activate(&site, "v3").await;
    shown(&site, "Active", "v3", None).await;
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_release_that_fills_the_disk_is_rolled_back() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = System::registered(&site, folder.path()).await;
    activate(&site, "v1").await;
    shown(&site, "Active", "v1", None).await;
    // From here on nothing can be written, until v1 has made room.
    system.on("v2", "mkdir state/.state.json.new").unwrap();
    system.on("v1", "rmdir state/.state.json.new").unwrap();
    activate(&site, "v2").await;
    shown(&site, "RolledBack", "v1", Some("state.json")).await;
    assert_eq!(system.ran(), ["v1", "v2", "v1"]);
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}
