//! BMCs that do not do what they are told, and those that are of several machines.

use crate::{
    bmc,
    front::{Front, Killer},
    report, resets, site,
};
use e2e::{
    cluster::{Cluster, unique},
    stack::metalman::{Metalman, done, pxe, redfish},
};
use metal_api::{MachinePxe, MachineRedfish, MachineStatus};
use metal_simulator::{Action, Config, Fault, Power, Reset, Simulator};
use serde_json::json;
use std::{net::Ipv4Addr, sync::Arc};

const ASKED_AND_SWITCHED_ON: [(Reset, u32); 2] = [(Reset::GracefulShutdown, 1), (Reset::On, 1)];

#[tokio::test]
async fn a_bmc_that_refuses_to_switch_off_is_told_of_and_the_next_attempt_counts() {
    let site = site().await;
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 7), None).await;
    let address = Ipv4Addr::new(10, 21, 0, 7);
    let name = site.create_with_bmc(bmc.bmc(0).unwrap(), address).await.unwrap();
    site.is(&name, "counted", |it| it.operations.is_some()).await.unwrap();
    bmc.fault(fault("/redfish/v1/Systems/1/Actions/", 400)).unwrap();
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let has_failed = |it: &MachineStatus| {
        let current = it.operations.as_ref().and_then(|it| it.current.as_ref());
        current.is_some_and(|current| {
            let message = current.message.as_deref().unwrap_or_default();
            current.attempt == 2
                && current.reason.as_deref() == Some("PowerOffFailed")
                && message.ends_with("a forced power-off was requested, but the host is still on")
        })
    };
    let status = site.is(&name, "told", has_failed).await.unwrap();
    assert_eq!((done(&status), report(&bmc).power), ((0, 0), Power::On));
    assert_eq!(resets(&report(&bmc)), []);
    bmc.clear_faults(None);
    site.is(&name, "rebooted", |it| done(it) == (1, 0)).await.unwrap();
    assert_eq!((report(&bmc).power, report(&bmc).counters.resets.of(Reset::On)), (Power::On, 1));
    site.end().await.unwrap();
}

#[tokio::test]
async fn of_two_systems_behind_one_bmc_the_right_one_is_switched() {
    let cluster = Cluster::shared().await.unwrap();
    let flags = ["--allow-plain-http-bmcs".to_owned()];
    let site = Metalman::start(cluster, &flags).await.unwrap();
    let systems =
        [plain(Ipv4Addr::new(127, 21, 0, 8)).await, plain(Ipv4Addr::new(127, 21, 0, 9)).await];
    // A session of one of them is none of the other.
    systems[0].fault(fault("/redfish/v1/SessionService", 404)).unwrap();
    let bmcs = systems.iter().map(|it| it.bmc(0).unwrap()).collect();
    let front = Front::of_bmcs(bmcs, Arc::<Killer>::default()).await.unwrap();
    let mut names = vec![];
    for device in ["1", "2"] {
        let name = unique("node");
        site.password(&name).await.unwrap();
        let redfish = MachineRedfish {
            url: format!("http://{}", front.address),
            device_id: Some(device.to_owned()),
            ..redfish(front.address, &name)
        };
        let at = Ipv4Addr::new(10, 21, 0, 8 + u8::try_from(names.len()).unwrap());
        let pxe = MachinePxe { redfish: Some(redfish), ..pxe(&name, at) };
        site.create(&name, pxe).await.unwrap();
        site.is(&name, "counted", |it| it.operations.is_some()).await.unwrap();
        names.push(name);
    }
    site.raise(&names[1], json!({ "rebootCounter": 1 })).await.unwrap();
    site.is(&names[1], "rebooted", |it| done(it) == (1, 0)).await.unwrap();
    let seen = [resets(&report(&systems[0])), resets(&report(&systems[1]))];
    assert_eq!(seen, [vec![], ASKED_AND_SWITCHED_ON.to_vec()]);
    site.raise(&names[0], json!({ "rebootCounter": 1 })).await.unwrap();
    site.is(&names[0], "rebooted", |it| done(it) == (1, 0)).await.unwrap();
    let seen = [resets(&report(&systems[0])), resets(&report(&systems[1]))];
    assert_eq!(seen, [ASKED_AND_SWITCHED_ON.to_vec(), ASKED_AND_SWITCHED_ON.to_vec()]);
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_bmc_that_hangs_keeps_no_other_machine_waiting_and_another_site_is_left_alone() {
    let (site, elsewhere) = (site().await, site().await);
    let bmcs = [10, 11, 12].map(|last| bmc(Ipv4Addr::new(127, 21, 0, last), None));
    let bmcs = futures::future::join_all(bmcs).await;
    let mut names = vec![];
    for (number, (of, bmc)) in [&site, &site, &elsewhere].into_iter().zip(&bmcs).enumerate() {
        let address = Ipv4Addr::new(10, 21, 0, 10 + u8::try_from(number).unwrap());
        let name = of.create_with_bmc(bmc.bmc(0).unwrap(), address).await.unwrap();
        of.is(&name, "counted", |it| it.operations.is_some()).await.unwrap();
        names.push(name);
    }
    // Nobody is there any more who looks after the third one.
    elsewhere.end().await.unwrap();
    bmcs[0].fault(Fault::new("/redfish", Action::Hang)).unwrap();
    for name in &names {
        site.raise(name, json!({ "rebootCounter": 1 })).await.unwrap();
    }
    site.is(&names[1], "rebooted", |it| done(it) == (1, 0)).await.unwrap();
    assert_eq!(resets(&report(&bmcs[1])), ASKED_AND_SWITCHED_ON);
    bmcs[0].clear_faults(None);
    site.is(&names[0], "rebooted", |it| done(it) == (1, 0)).await.unwrap();
    assert_eq!(resets(&report(&bmcs[2])), []);
    let left = site.machines().get(&names[2]).await.unwrap().status.unwrap();
    assert_eq!(done(&left), (0, 0));
    site.end().await.unwrap();
}

/// A machine that is on, behind a BMC without TLS.
async fn plain(base: Ipv4Addr) -> Simulator {
    let config = Config {
        bmc_base: base,
        seed: u32::from(base).into(),
        power: Power::On,
        ..Config::default()
    };
    Simulator::start(config).await.unwrap()
}

/// Everything below a path is answered with this status.
fn fault(path: &str, status: u16) -> Fault {
    Fault::new(path, Action::Status(status))
}
