//! Reboots and installations of machines: metalman as a process, under the rights of its overlay, with
//! simulated BMCs and a real API server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod front;
mod given_up;
mod kills;
mod odd;

use e2e::{
    cluster::Cluster,
    stack::metalman::{Image, Metalman, PASSWORDS, condition, done},
};
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use metal_api::{MachinePhase, MachineStatus, Server};
use metal_simulator::{Config, MachineReport, Power, Profile, Reset, Simulator, Transport};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};

const CERTIFICATE: &str = "bloomery.dev/accept-certificate";

#[tokio::test]
async fn a_machine_is_rebooted_and_then_repaved_by_its_bmc() {
    let site = site().await;
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 1), None).await;
    let image = Image::new(Cluster::shared().await.unwrap()).await.unwrap();
    let address = Ipv4Addr::new(10, 21, 0, 1);
    let name = site.create_with_image(bmc.bmc(0).unwrap(), address, &image).await.unwrap();
    // Which hardware it is, is known before anything is asked for, by one login.
    let status = site.is(&name, "known", |status| system(status).is_some()).await.unwrap();
    assert!(pin(&status).is_some());
    assert_eq!((report(&bmc).counters.logins, resets(&report(&bmc))), (1, vec![]));

    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let status = site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();
    assert_eq!(condition(&status, "PoweredOff"), None);
    let after = report(&bmc);
    assert_eq!((after.power, after.override_enabled.as_str()), (Power::On, "Disabled"));
    assert_eq!(resets(&after), [(Reset::GracefulShutdown, 1), (Reset::On, 1)]);

    // Its Node takes no new pods, and goes with the system that is overwritten.
    site.join(&name, Ipv4Addr::new(10, 21, 0, 1)).await.unwrap();
    site.is(&name, "Ready", |it| it.phase == Some(MachinePhase::Ready)).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 2, "repaveCounter": 1 })).await.unwrap();
    let status = site
        .is(&name, "installing", |it| condition(it, "Repaved") == Some("Pending"))
        .await
        .unwrap();
    assert_eq!((done(&status), status.phase), ((2, 0), Some(MachinePhase::Provisioning)));
    assert!(Api::<Node>::all(site.client.clone()).get_opt(&name).await.unwrap().is_none());
    let installing = report(&bmc);
    assert_eq!(installing.counters.patches, 1, "it was told once where to boot from");

    // The installer is done.
    site.installed(&name, 1).await.unwrap();
    let is_done = |it: &MachineStatus| condition(it, "OperationsDone") == Some("Done");
    let status = site.is(&name, "done", is_done).await.unwrap();
    assert_eq!(done(&status), (2, 1));
    assert_eq!(resets(&report(&bmc)), [(Reset::GracefulShutdown, 2), (Reset::On, 2)]);
    let reasons = ["PoweringOff", "PoweringOn", "Installing", "OperationDone"];
    site.tells(&name, &reasons).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_bmc_with_another_certificate_gets_no_password_until_a_person_vouches_for_it() {
    let site = site().await;
    let base = Ipv4Addr::new(127, 21, 0, 2);
    let first = bmc(base, None).await;
    let name =
        site.create_with_bmc(first.bmc(0).unwrap(), Ipv4Addr::new(10, 21, 0, 2)).await.unwrap();
    let status = site.is(&name, "pinned", |status| pin(status).is_some()).await.unwrap();
    let (known, listen) = (pin(&status).unwrap().to_owned(), first.redfish());
    first.stop().await;

    let second = bmc(base, Some(listen)).await;
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let differs = |it: &MachineStatus| condition(it, "BMCReachable") == Some("CertificateDiffers");
    let status = site.is(&name, "told", differs).await.unwrap();
    assert_eq!(pin(&status), Some(known.as_str()));
    let strange = report(&second).counters;
    assert_eq!((strange.logins, strange.requests), (0, 0), "nothing was sent to it");
    site.tells(&name, &["CertificateDiffers"]).await.unwrap();

    let told = status.conditions.iter().find(|it| it.type_ == "BMCReachable").unwrap();
    let (_, new) = told.message.rsplit_once('=').unwrap();
    let vouch = json!({ "metadata": { "annotations": { CERTIFICATE: new } } });
    let machines = site.machines();
    machines.patch(&name, &PatchParams::default(), &Patch::Merge(vouch)).await.unwrap();
    let status = site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();
    assert_eq!(pin(&status), Some(new));
    let annotations = machines.get(&name).await.unwrap().metadata.annotations;
    assert_eq!(annotations.unwrap_or_default().get(CERTIFICATE), None, "it counts once");
    site.end().await.unwrap();
}

#[tokio::test]
async fn without_its_password_nobody_logs_in_and_the_machine_says_what_is_missing() {
    let site = site().await;
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 3), None).await;
    let name =
        site.create_with_bmc(bmc.bmc(0).unwrap(), Ipv4Addr::new(10, 21, 0, 3)).await.unwrap();
    site.is(&name, "known", |status| system(status).is_some()).await.unwrap();
    let before = report(&bmc).counters.logins;
    let secrets = Api::<Secret>::namespaced(site.client.clone(), PASSWORDS);
    secrets.delete(&name, &DeleteParams::default()).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let is_missing = |it: &MachineStatus| condition(it, "BMCReachable") == Some("PasswordMissing");
    site.is(&name, "told", is_missing).await.unwrap();
    assert_eq!((report(&bmc).counters.logins, report(&bmc).power), (before, Power::On));
    site.password(&name).await.unwrap();
    site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();

    // Two Machines that name one system are both told so, and neither is switched off.
    let other =
        site.create_with_bmc(bmc.bmc(0).unwrap(), Ipv4Addr::new(10, 21, 0, 4)).await.unwrap();
    site.is(&other, "pinned", |status| pin(status).is_some()).await.unwrap();
    for (machine, counter) in [(&name, 2), (&other, 1)] {
        site.raise(machine, json!({ "rebootCounter": counter })).await.unwrap();
        let is_shared = |it: &MachineStatus| condition(it, "AddressesUnique") == Some("Ambiguous");
        site.is(machine, "told", is_shared).await.unwrap();
    }
    assert_eq!(resets(&report(&bmc)), [(Reset::GracefulShutdown, 1), (Reset::On, 1)]);
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_is_also_a_server_is_told_so_and_not_switched_off() {
    let site = site().await;
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 5), None).await;
    let name =
        site.create_with_bmc(bmc.bmc(0).unwrap(), Ipv4Addr::new(10, 21, 0, 5)).await.unwrap();
    site.is(&name, "pinned", |status| pin(status).is_some()).await.unwrap();
    let mac =
        site.machines().get(&name).await.unwrap().spec.pxe.unwrap().dhcp_leases[0].mac.clone();
    let servers = Api::<Server>::all(site.client.clone());
    let uuid = "38947555-7742-3448-3784-823347820021";
    let server = json!({
        "apiVersion": "metal.ironcore.dev/v1alpha1",
        "kind": "Server",
        "metadata": { "name": name },
        "spec": { "systemUUID": uuid },
    });
    let server: Server = serde_json::from_value(server).unwrap();
    servers.create(&PostParams::default(), &server).await.unwrap();
    let interfaces = json!({ "networkInterfaces": [{ "name": "eth0", "macAddress": mac }] });
    let interfaces = Patch::Merge(json!({ "status": interfaces }));
    servers.patch_status(&name, &PatchParams::default(), &interfaces).await.unwrap();
    let is_told = |it: &MachineStatus| condition(it, "AddressesUnique") == Some("Ambiguous");
    site.is(&name, "told", is_told).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let status = site.is(&name, "Failed", |it| it.phase == Some(MachinePhase::Failed)).await;
    assert!(status.unwrap().message.unwrap().contains(&format!("Server {name}")));
    assert_eq!(resets(&report(&bmc)), []);

    // When it is a Machine alone, what was asked for is done.
    servers.delete(&name, &DeleteParams::default()).await.unwrap();
    site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();
    site.end().await.unwrap();
}

/// A machine that is on, behind a BMC that speaks TLS.
async fn bmc(base: Ipv4Addr, listen: Option<SocketAddr>) -> Simulator {
    let defaults = Config::default();
    let profile = Profile { transport: Transport::Https, ..Profile::default() };
    let config = Config {
        bmc_base: base,
        seed: u32::from(base).into(),
        listen: listen.unwrap_or(defaults.listen),
        power: Power::On,
        profile,
        ..defaults
    };
    Simulator::start(config).await.unwrap()
}

fn report(bmc: &Simulator) -> MachineReport {
    bmc.machine(0).unwrap()
}

/// How often the host was reset, and how.
fn resets(report: &MachineReport) -> Vec<(Reset, u32)> {
    let all = [Reset::GracefulShutdown, Reset::ForceOff, Reset::On]
        .map(|it| (it, report.counters.resets.of(it)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// The UUID that its BMC has told.
fn system(status: &MachineStatus) -> Option<&str> {
    Some(&status.redfish.as_ref()?.system.as_ref()?.uuid)
}

fn pin(status: &MachineStatus) -> Option<&str> {
    status.redfish.as_ref()?.cert_fingerprint.as_deref()
}

/// A metalman of a site of its own.
async fn site() -> Metalman {
    Metalman::start(Cluster::shared().await.unwrap(), &[]).await.unwrap()
}
