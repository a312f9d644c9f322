//! What is tried three times, and then given up: installers that never report, and hosts that never go off.

use crate::{bmc, report, resets};
use e2e::{
    cluster::Cluster,
    stack::metalman::{Image, Metalman, condition, done},
};
use metal_api::{MachinePhase, MachineStatus};
use metal_simulator::{Config, Graceful, Power, Profile, Reset, Simulator, Timing, Transport};
use serde_json::json;
use std::{net::Ipv4Addr, time::Duration};

#[tokio::test]
async fn a_machine_that_never_installs_is_tried_three_times_and_then_failed_with_the_reason() {
    let site = site(&["--install-timeout=2s"]).await;
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 20), None).await;
    let address = Ipv4Addr::new(10, 21, 0, 20);
    let image = Image::new(Cluster::shared().await.unwrap()).await.unwrap();
    let name = site.create_with_image(bmc.bmc(0).unwrap(), address, &image).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 1, "repaveCounter": 1 })).await.unwrap();
    let status = site.is(&name, "given up", is_given_up).await.unwrap();
    let why = "the installer was not done within 2 s: look at its console";
    assert_eq!(told(&status), ("InstallTimedOut", 3, why));
    assert_eq!(done(&status), (1, 0), "it was rebooted, and not installed");
    let given_up = status.operations.clone().unwrap().given_up.unwrap();
    assert_eq!((given_up.reboot_counter, given_up.repave_counter), (None, Some(1)));
    for (type_, reason) in [
        ("Ready", "InstallTimedOut"),
        ("Repaved", "InstallTimedOut"),
        ("OperationsDone", "InstallTimedOut"),
    ] {
        assert_eq!(condition(&status, type_), Some(reason), "{type_}");
    }
    assert!(status.message.unwrap().ends_with("increase both counters to try again"));
    assert_eq!(report(&bmc).counters.resets.of(Reset::On), 3, "{:?}", resets(&report(&bmc)));
    site.tells(&name, &["InstallTimedOut"]).await.unwrap();

    // A reboot is one, and does not boot from the network what was given up.
    let is_tidy = |it: &MachineStatus| {
        let current = it.operations.as_ref().and_then(|it| it.current.as_ref());
        current.is_some_and(|it| !it.boot_override)
    };
    site.is(&name, "tidied up", is_tidy).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 2 })).await.unwrap();
    let status = site.is(&name, "rebooted", |it| done(it) == (2, 0)).await.unwrap();
    assert_eq!(status.operations.unwrap().current, None);
    let after = report(&bmc);
    let boot = (after.counters.resets.of(Reset::On), after.override_enabled.as_str());
    assert_eq!(boot, (4, "Disabled"));
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_host_that_never_goes_off_is_asked_and_forced_three_times_and_then_failed() {
    let site = site(&["--shutdown-timeout=1s", "--power-timeout=2s"]).await;
    // It takes every request, and does nothing but say that it is about to.
    let profile =
        Profile { transport: Transport::Https, graceful: Graceful::Ignored, ..Profile::default() };
    let timing = Timing { force_off: Duration::from_hours(1), ..Timing::default() };
    let base = Ipv4Addr::new(127, 21, 0, 21);
    let config = Config {
        bmc_base: base,
        seed: u32::from(base).into(),
        power: Power::On,
        profile,
        timing,
        ..Config::default()
    };
    let bmc = Simulator::start(config).await.unwrap();
    let address = Ipv4Addr::new(10, 21, 0, 21);
    let image = Image::new(Cluster::shared().await.unwrap()).await.unwrap();
    let name = site.create_with_image(bmc.bmc(0).unwrap(), address, &image).await.unwrap();
    site.join(&name, address).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 1, "repaveCounter": 1 })).await.unwrap();
    let status = site.is(&name, "given up", is_given_up).await.unwrap();
    let why = "a forced power-off was requested, but the host is still on";
    assert_eq!(told(&status), ("PowerOffFailed", 3, why));
    assert_eq!(done(&status), (0, 0));
    assert_eq!(condition(&status, "Ready"), Some("PowerOffFailed"));
    // Asked once, when it was on; each attempt has forced it.
    let after = report(&bmc);
    assert_eq!(resets(&after), [(Reset::GracefulShutdown, 1), (Reset::ForceOff, 3)]);
    assert_eq!(after.counters.patches, 0, "it was never told to boot from the network");
    // Its Node is still there, and takes pods again.
    let nodes = kube::Api::<k8s_openapi::api::core::v1::Node>::all(site.client.clone());
    e2e::cluster::eventually(Duration::from_mins(1), async || {
        let node = nodes.get(&name).await?;
        let is_cordoned = node.spec.is_some_and(|it| it.unschedulable == Some(true));
        anyhow::ensure!(!is_cordoned, "it takes no pods");
        Ok(())
    })
    .await
    .unwrap();
    site.end().await.unwrap();
}

fn is_given_up(status: &MachineStatus) -> bool {
    status.phase == Some(MachinePhase::Failed)
}

/// Why, after which attempt, and in words.
fn told(status: &MachineStatus) -> (&str, i32, &str) {
    let current = status.operations.as_ref().and_then(|it| it.current.as_ref()).unwrap();
    let [reason, message] =
        [&current.reason, &current.message].map(|it| it.as_deref().unwrap_or_default());
    (reason, current.attempt, message)
}

async fn site(flags: &[&str]) -> Metalman {
    let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Metalman::start(Cluster::shared().await.unwrap(), &flags).await.unwrap()
}
