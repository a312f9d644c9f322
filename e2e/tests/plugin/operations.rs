//! Machines are rebooted and installed by the plugin, which waits for it.

use crate::site::{PATIENCE, Site, bmc, resets};
use anyhow::ensure;
use e2e::{
    cluster::eventually,
    stack::metalman::{Image, condition},
};
use futures::future::join_all;
use metal_simulator::Reset;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

#[tokio::test]
async fn a_machine_is_rebooted_and_repaved_and_its_new_node_is_waited_for() {
    let site = Site::new().await.unwrap();
    let metalman = site.metalman().await.unwrap();
    let (bmc, address) = (bmc(Ipv4Addr::new(127, 22, 0, 1)).await, Ipv4Addr::new(10, 22, 0, 1));
    let image = Image::new(site.cluster).await.unwrap();
    let name = site.register_with(&bmc, address, &image.name).await.unwrap();
    site.boots(&name, address, "boot-1").await.unwrap();
    site.is(&name, "a Node", |_, it| it.node_ref.is_some()).await.unwrap();

    // Its operating system is up again some time after its host is on.
    let boots = async {
        site.is(&name, "rebooted", |_, it| condition(it, "OperationsDone") == Some("Done"))
            .await
            .unwrap();
        site.boots(&name, address, "boot-2").await.unwrap();
    };
    let reboot = ["machine", "reboot", &name, "--timeout", "2m"];
    let (printed, ()) = tokio::join!(site.plugin(&reboot), boots);
    let printed = printed.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.out, format!("machine.unbounded-cloud.io/{name} rebooted\n"));
    assert!(printed.err.contains(&format!("{name}: ")), "{printed:?}");
    assert_eq!(resets(&bmc), [(Reset::GracefulShutdown, 1), (Reset::On, 1)]);

    let installs = async {
        site.is(&name, "installing", |_, it| condition(it, "Repaved") == Some("Pending"))
            .await
            .unwrap();
        assert!(!site.has_node(&name).await.unwrap());
        // Its installer is heard.
        let done = json!({ "repaveCounter": 1, "current": { "step": "Finishing" } });
        site.says(&name, json!({ "operations": done })).await.unwrap();
        site.is(&name, "done", |_, it| condition(it, "OperationsDone") == Some("Done"))
            .await
            .unwrap();
        site.boots(&name, address, "boot-3").await.unwrap();
    };
    let repave = ["machine", "repave", &name, "--timeout=2m", "-o", "json"];
    let (printed, ()) = tokio::join!(site.plugin(&repave), installs);
    let printed = printed.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let machine: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(machine["spec"]["operations"], json!({ "rebootCounter": 2, "repaveCounter": 1 }));
    assert_eq!(resets(&bmc), [(Reset::GracefulShutdown, 2), (Reset::On, 2)]);
    metalman.end().await.unwrap();
}

#[tokio::test]
async fn none_of_those_who_ask_at_the_same_time_is_lost() {
    let site = Site::new().await.unwrap();
    let pxe = json!({
        "image": "i",
        "redfish": {
            "url": "https://192.0.2.1", "username": "u",
            "passwordRef": { "name": "n", "namespace": "metalman-bmcs", "key": "password" },
        },
    });
    let name = site.create(pxe).await.unwrap();
    let counted = json!({ "operations": { "rebootCounter": 0, "repaveCounter": 0 } });
    site.says(&name, counted).await.unwrap();
    let reboot = ["machine", "reboot", &name, "--wait=false"];
    let all = join_all((0..8).map(|_| site.plugin(&reboot))).await;
    let mut printed: Vec<_> = all.into_iter().map(|it| it.unwrap().out).collect();
    printed.sort();
    let line = |counter| format!("machine.unbounded-cloud.io/{name} reboot {counter} requested\n");
    assert_eq!(printed, (1..=8).map(line).collect::<Vec<_>>());
    let operations = site.machines().get(&name).await.unwrap().spec.operations.unwrap();
    assert_eq!((operations.reboot_counter, operations.repave_counter), (Some(8), None));
}

#[tokio::test]
async fn a_new_machine_is_installed_once_metalman_has_counted_it() {
    let site = Site::new().await.unwrap();
    let address = "10.22.0.9/8";
    let name = e2e::cluster::unique("node");
    let register = [
        "machine",
        "register",
        "--pxe",
        &name,
        "--image",
        "i",
        "--mac",
        "02:22:00:00:00:09",
        "--ipv4",
        address,
        "--site",
        &site.name,
        "--install",
        "--by-hand",
        "--wait=false",
        "-o",
        "name",
    ];
    // Nobody has counted it for some time.
    let start = async {
        eventually(PATIENCE, async || {
            ensure!(site.machines().get_opt(&name).await?.is_some(), "there is no Machine yet");
            Ok(())
        })
        .await
        .unwrap();
        site.metalman().await.unwrap()
    };
    let (printed, metalman) = tokio::join!(site.plugin(&register), start);
    let printed = printed.unwrap();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.out, format!("machine.unbounded-cloud.io/{name}\n"));
    assert!(printed.err.contains("waiting until metalman has counted it"), "{printed:?}");
    let machine = site
        .is(&name, "waiting for a person", |_, it| condition(it, "OperationsDone") == Some("NoBMC"))
        .await
        .unwrap();
    let operations = machine.spec.operations.unwrap();
    assert_eq!((operations.reboot_counter, operations.repave_counter), (Some(1), Some(1)));
    metalman.end().await.unwrap();
}
