//! A machine that is powered on really boots.

use crate::{
    client::{Client, until},
    site::Site,
};
use metal_simulator::{Boot, Config, Host, MachineReport, Power, Reset, Simulator, Timing};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

const SYSTEM: &str = "/redfish/v1/Systems/1";

#[tokio::test]
async fn a_pxe_boot_of_the_discovery_image_ends_in_reports() {
    let (site, simulator, client) = start().await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put(format!("/ipxe/{uuid}"), SCRIPT);
    site.put("/kernel", "kernel");
    site.put("/initrd", "initrd");
    site.put("/root", "squashfs");
    site.put(format!("/ignition/{uuid}"), &discovery(&uuid.to_string()));
    boot(&client, "Pxe").await;
    until(|| site.reports().len() >= 2).await;
    let files = ["/kernel", "/initrd", "/root"].map(|path| format!("GET {path}"));
    assert_eq!(site.requests()[0], format!("GET /ipxe/{uuid}"));
    assert_eq!(site.requests()[1..4], files);
    assert_eq!(site.requests()[4], format!("GET /ignition/{uuid}"));
    let (token, registration) = site.reports().remove(0);
    assert_eq!((token.as_str(), registration.system_uuid), ("secret", uuid.to_string()));
    let report = registration.data;
    let macs: Vec<_> = report.network_interfaces.iter().map(|nic| &nic.mac_address).collect();
    let expected: Vec<_> =
        simulator.machine(0).unwrap().nic_macs.iter().map(ToString::to_string).collect();
    assert_eq!(macs, expected.iter().collect::<Vec<_>>());
    assert_eq!(report.network_interfaces[0].ip_addresses[1], "198.18.0.1");
    assert!(report.storage.len() >= 4 && report.memory.len() >= 8 && report.cpu.len() == 2);
    assert_eq!(report.lldp.len(), 2);
    assert!(matches!(simulator.machine(0).unwrap().host, Host::Discovery { .. }));
}

#[tokio::test]
async fn a_medium_is_read_in_parts_and_leads_to_its_ignition_until_it_is_ejected() {
    let (site, simulator, client) = start().await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put("/medium.iso", &format!("FAT\0{{site}}/ignition\0{}", "UKI".repeat(2 << 20)));
    site.put("/ignition", &discovery(&uuid.to_string()));
    let drive = "/redfish/v1/Managers/BMC/VirtualMedia/CD";
    let insert = format!("{drive}/Actions/VirtualMedia.InsertMedia");
    let image = site.url("/medium.iso");
    for (body, status) in [
        (json!({}), 400),
        (json!({ "Image": "nfs://a/b.iso" }), 400),
        (json!({ "Image": &image, "TransferProtocolType": "CIFS" }), 400),
        (json!({ "Image": &image, "TransferProtocolType": "HTTP" }), 204),
        (json!({ "Image": &image }), 409),
    ] {
        assert_eq!(
            client.status(Method::POST, &insert, Some(body.clone())).await,
            status,
            "{body}"
        );
    }
    let shown = client.get(drive).await;
    assert_eq!((&shown["Inserted"], shown["Image"].as_str()), (&json!(true), Some(&*image)));
    boot(&client, "Cd").await;
    until(|| !site.reports().is_empty()).await;
    let requests = site.requests();
    assert_eq!(requests[0], "HEAD /medium.iso");
    assert_eq!(requests[1..3], ["GET /medium.iso", "GET /medium.iso"]);
    assert_eq!(requests[3], "GET /ignition");
    let eject = format!("{drive}/Actions/VirtualMedia.EjectMedia");
    assert_eq!(client.status(Method::POST, &eject, Some(json!({}))).await, 204);
    assert_eq!(client.get(drive).await["Inserted"], false);
    client.reset("ForceOff").await;
    boot(&client, "Cd").await;
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Failed { .. })).await;
}

#[tokio::test]
async fn an_agent_reports_until_the_registry_listens_and_the_power_goes() {
    let (site, simulator, client) = start().await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put("/httpboot", r#"{"UKIURL":"{site}/uki.efi"}"#);
    site.put("/uki.efi", "uki");
    site.put(format!("/ignition/{uuid}"), &discovery(&uuid.to_string()));
    site.refuse_reports(1);
    boot(&client, "UefiHttp").await;
    until(|| site.reports().len() == 1).await;
    assert!(events(&simulator.machine(0).unwrap()).contains(&"registration_failed".to_owned()));
    client.reset("ForceOff").await;
    let reports = simulator.machine(0).unwrap().counters.reports;
    assert_eq!(simulator.machine(0).unwrap().host, Host::Off);
    boot(&client, "None").await;
    until(|| simulator.machine(0).unwrap().host == Host::Disk).await;
    assert_eq!(simulator.machine(0).unwrap().counters.reports, reports);
}

#[tokio::test]
async fn uefi_http_boot_asks_who_it_is_then_looks_before_it_fetches() {
    let (site, simulator, client) = start().await;
    let machine = simulator.machine(0).unwrap();
    site.put("/httpboot", r#"{"ClientIPs":"a","UKIURL":"{site}/httpboot/os/sha256-1.efi"}"#);
    site.put("/httpboot/os/sha256-1.efi", "uki");
    let tenant = r#"{"ignition":{"version":"3.2.0"}}"#;
    site.put(format!("/ignition/{}", machine.uuid), tenant);
    boot(&client, "UefiHttp").await;
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Tenant { .. })).await;
    let expected = [
        "GET /httpboot",
        "HEAD /httpboot/os/sha256-1.efi",
        "GET /httpboot/os/sha256-1.efi",
        &format!("GET /ignition/{}", machine.uuid),
    ];
    assert_eq!(site.requests(), expected);
    assert_eq!(site.forwarded(), [format!("198.18.0.1, {}", machine.nic_macs[0])]);
    let Host::Tenant { images, ignition } = simulator.machine(0).unwrap().host else { panic!() };
    assert_eq!(images, [site.url("/httpboot/os/sha256-1.efi")]);
    assert_eq!(ignition.map(|ignition| ignition.len()), Some(64));
}

#[tokio::test]
async fn an_http_boot_uri_goes_before_the_boot_service() {
    let (site, simulator, client) = start().await;
    site.put("/mine.efi", "uki");
    let uri = json!({ "Boot": { "HttpBootUri": site.url("/mine.efi") } });
    client.send(Method::PATCH, SYSTEM, Some(uri)).await;
    boot(&client, "UefiHttp").await;
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Tenant { .. })).await;
    assert_eq!(site.requests()[..2], ["HEAD /mine.efi", "GET /mine.efi"]);
    assert!(events(&simulator.machine(0).unwrap()).contains(&"no_ignition".to_owned()));
}

#[tokio::test]
async fn firmware_tries_a_few_times_and_gives_up_with_the_reason() {
    let (site, simulator, client) = start().await;
    let uuid = simulator.machine(0).unwrap().uuid;
    boot(&client, "Pxe").await;
    until(|| simulator.summary().hosts.get("failed") == Some(&1)).await;
    let machine = simulator.machine(0).unwrap();
    let reason = format!("{}: 404 Not Found", site.url(&format!("/ipxe/{uuid}")));
    assert_eq!(machine.host, Host::Failed { reason });
    assert_eq!(site.requests().len(), 3);
    assert_eq!((machine.power, machine.counters.failed_boots), (Power::On, 1));
}

#[tokio::test]
async fn a_broken_image_or_ignition_is_a_failed_boot() {
    let (site, simulator, client) = start().await;
    let uuid = simulator.machine(0).unwrap().uuid;
    let cases = [
        ("#!ipxe\nkernel /gone\nboot\n", "", "script: line 2: kernel /gone failed"),
        ("<html>", "", "is not an iPXE script"),
        ("#!ipxe\n", "", "the script ended without booting"),
        (SHORT, "not json", "ignition: not an Ignition configuration"),
        (SHORT, r#"{"ignition":{"version":"2.1.0"}}"#, "ignition.version 2.1.0 is not 3.x.y"),
    ];
    site.put("/kernel", "kernel");
    for (number, (script, ignition, reason)) in (1..).zip(cases) {
        site.put(format!("/ipxe/{uuid}"), script);
        site.put(format!("/ignition/{uuid}"), ignition);
        boot(&client, "Pxe").await;
        until(|| simulator.machine(0).unwrap().counters.failed_boots == number).await;
        let Host::Failed { reason: said } = simulator.machine(0).unwrap().host else { panic!() };
        assert!(said.contains(reason), "{said}");
        client.reset("ForceOff").await;
    }
}

#[tokio::test]
async fn an_ignition_service_that_is_busy_is_asked_again() {
    let (site, simulator, client) = start().await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put("/kernel", "kernel");
    site.put(format!("/ipxe/{uuid}"), SHORT);
    site.put(format!("/ignition/{uuid}"), r#"{"ignition":{"version":"3.2.0"}}"#);
    site.busy(format!("/ignition/{uuid}"), 2);
    boot(&client, "Pxe").await;
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Tenant { .. })).await;
    let kernels = site.requests().iter().filter(|request| *request == "GET /kernel").count();
    assert_eq!((kernels, site.requests().len()), (1, 5));
}

#[tokio::test]
async fn without_a_boot_service_a_network_boot_fails_and_a_disk_boot_does_not() {
    let mut config = config();
    config.boot.url = None;
    let simulator = Simulator::start(config).await.unwrap();
    let client = Client::of(&simulator, 0);
    boot(&client, "Pxe").await;
    until(|| simulator.summary().hosts.get("failed") == Some(&1)).await;
    client.reset("ForceRestart").await;
    until(|| simulator.machine(0).unwrap().host == Host::Disk).await;
}

#[tokio::test]
async fn a_boot_order_is_walked_until_something_boots() {
    let (site, simulator, client) = start().await;
    let order = json!({ "Boot": { "BootOrder": ["Boot0003", "Boot0001"] } });
    client.send(Method::PATCH, SYSTEM, Some(order)).await;
    client.reset("On").await;
    until(|| simulator.machine(0).unwrap().host == Host::Disk).await;
    assert_eq!(site.requests(), ["GET /httpboot"; 3]);
}

#[tokio::test]
async fn a_thousand_machines_boot_from_the_network_at_once() {
    let site = Site::start().await;
    let boot = Boot { url: Some(site.url("").parse().unwrap()), ..Boot::default() };
    let config = Config { machines: 1000, boot, ..config() };
    let simulator = Simulator::start(config).await.unwrap();
    site.put("/httpboot", r#"{"UKIURL":"{site}/uki.efi"}"#);
    site.put("/uki.efi", "uki");
    let order = json!({ "Boot": { "BootOrder": ["Boot0003"] } });
    for machine in 0..1000 {
        let client = Client::of(&simulator, machine);
        client.send(Method::PATCH, SYSTEM, Some(order.clone())).await;
        simulator.reset(machine, Reset::On).unwrap();
    }
    until(|| simulator.summary().hosts.get("tenant") == Some(&1000)).await;
    assert_eq!(simulator.summary().counters.network_boots, 1000);
}

const SHORT: &str = "#!ipxe\nkernel /kernel ignition.config.url={site}/ignition/${uuid}\nboot\n";

const SCRIPT: &str = "#!ipxe\n\
    set ipxe-svc {site}\n\
    set kernel-url {site}/kernel\n\
    set initrd-url {site}/initrd\n\
    set squashfs-url {site}/root\n\
    kernel ${kernel-url} initrd=initrd gl.ovl=/:tmpfs gl.url=${squashfs-url} gl.live=1 ip=any \
    ignition.firstboot=1 ignition.config.url=${ipxe-svc}/ignition/${uuid} console=tty0\n\
    initrd ${initrd-url}\n\
    boot\n";

fn discovery(uuid: &str) -> String {
    let start = format!("metalprobe --registry-url={{site}}/t/secret --server-uuid={uuid}");
    let unit = json!({
        "name": "metalprobe.service",
        "enabled": true,
        "contents": format!("[Service]\nExecStart=/usr/bin/ctr run {start}\n"),
    });
    json!({ "ignition": { "version": "3.2.0" }, "systemd": { "units": [unit] } }).to_string()
}

fn config() -> Config {
    let timing = Timing {
        power_on: Duration::ZERO,
        post: Duration::ZERO,
        boot_retry: Duration::ZERO,
        agent_interval: Duration::from_millis(20),
        ..Timing::default()
    };
    Config { timing, ..Config::default() }
}

async fn start() -> (Site, Simulator, Client) {
    let site = Site::start().await;
    let boot = Boot { url: Some(site.url("").parse().unwrap()), ..Boot::default() };
    let simulator = Simulator::start(Config { boot, ..config() }).await.unwrap();
    let client = Client::of(&simulator, 0);
    (site, simulator, client)
}

async fn boot(client: &Client, target: &str) {
    let once = json!({ "Boot": {
        "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": target,
    }});
    client.send(Method::PATCH, SYSTEM, Some(once)).await;
    client.reset("On").await;
}

fn events(machine: &MachineReport) -> Vec<String> {
    machine.journal.entries().map(|entry| entry.event.to_string()).collect()
}
