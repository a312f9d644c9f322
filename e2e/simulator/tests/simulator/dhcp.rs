//! Machines and BMCs that use DHCP.

use crate::{
    client::{Client, until},
    dhcpd::Dhcpd,
    site::Site,
};
use dhcproto::v4::MessageType::{Discover, Request};
use metal_simulator::{Boot, Config, Dhcp, Host, Reset, Simulator, Timing};
use serde_json::json;
use std::{net::Ipv4Addr, time::Duration};

#[tokio::test]
async fn pxe_asks_as_firmware_then_as_ipxe_and_runs_the_script_it_is_given() {
    let (site, dhcpd) = (Site::start().await, Dhcpd::start(3600).await);
    dhcpd.boot_file("PXE", "snponly.efi".to_owned());
    dhcpd.boot_file("iPXE", site.url("/ipxe/"));
    site.put("/ipxe/", "#!ipxe\nchain --replace --autofree {site}/ipxe/${uuid}\n");
    site.put("/kernel", "kernel");
    let simulator = start(dhcpd.client(), "Boot0002").await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put(format!("/ipxe/{uuid}"), "#!ipxe\nkernel {site}/kernel ip=${ip}\nboot\n");
    simulator.reset(0, Reset::On).unwrap();
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Tenant { .. })).await;
    assert_eq!(
        dhcpd.seen(),
        [(Discover, "PXE"), (Request, "PXE"), (Discover, "iPXE"), (Request, "iPXE")]
    );
    let ours = Ipv4Addr::new(127, 2, 0, 1);
    assert_eq!(simulator.machine(0).unwrap().host_address, Some(ours));
    let asked = ["/ipxe/".to_owned(), format!("/ipxe/{uuid}"), "/kernel".to_owned()];
    assert_eq!(site.requests(), asked.map(|path| format!("GET {path}")));
    assert_eq!(site.peers(), [ours; 3], "it asks from its own address");
}

#[tokio::test]
async fn ipxe_fills_its_settings_into_the_name_of_the_boot_file() {
    let (site, dhcpd) = (Site::start().await, Dhcpd::start(3600).await);
    dhcpd.boot_file("PXE", "snponly.efi".to_owned());
    dhcpd.boot_file("iPXE", site.url("/ipxe/${uuid}"));
    site.put("/kernel", "kernel");
    let simulator = start(dhcpd.client(), "Boot0002").await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put(format!("/ipxe/{uuid}"), "#!ipxe\nkernel {site}/kernel\nboot\n");
    simulator.reset(0, Reset::On).unwrap();
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Tenant { .. })).await;
    assert_eq!(site.requests(), [format!("GET /ipxe/{uuid}"), "GET /kernel".to_owned()]);
}

#[tokio::test]
async fn http_boot_fetches_the_url_it_is_given_and_ignition_from_there() {
    let (site, dhcpd) = (Site::start().await, Dhcpd::start(3600).await);
    dhcpd.boot_file("HTTP", site.url("/os.efi"));
    site.put("/os.efi", "uki");
    let simulator = start(dhcpd.client(), "Boot0003").await;
    let uuid = simulator.machine(0).unwrap().uuid;
    site.put(format!("/ignition/{uuid}"), r#"{"ignition":{"version":"3.4.0"}}"#);
    simulator.reset(0, Reset::On).unwrap();
    until(|| matches!(simulator.machine(0).unwrap().host, Host::Tenant { .. })).await;
    let ignition = format!("GET /ignition/{uuid}");
    assert_eq!(site.requests(), ["HEAD /os.efi", "GET /os.efi", &ignition]);
    assert_eq!(site.peers(), [simulator.machine(0).unwrap().host_address.unwrap(); 3]);
}

#[tokio::test]
async fn an_offer_without_a_boot_file_or_no_offer_is_a_failed_boot() {
    let dhcpd = Dhcpd::start(3600).await;
    let silent = Dhcp { server: "127.0.0.1:9".parse().unwrap(), ..dhcpd.client() };
    // Where there is an offer, there is time for it on a loaded machine as well.
    let cases =
        [(dhcpd.client(), 500, "DHCP: no offer has a boot file"), (silent, 5, "DHCP: no offer")];
    for (dhcp, patience, reason) in cases {
        let dhcp = Dhcp { patience: Duration::from_millis(patience), ..dhcp };
        let simulator = start(dhcp, "Boot0002").await;
        simulator.reset(0, Reset::On).unwrap();
        until(|| simulator.summary().hosts.get("failed") == Some(&1)).await;
        let host = simulator.machine(0).unwrap().host;
        assert_eq!(host, Host::Failed { reason: reason.to_owned() });
    }
}

#[tokio::test]
async fn a_bmc_that_is_plugged_in_gets_an_address_and_answers_there() {
    let dhcpd = Dhcpd::start(3600).await;
    let config = Config { machines: 3, bmc_dhcp: Some(dhcpd.client()), ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    until(|| (0..3).all(|machine| simulator.bmc(machine).is_some())).await;
    for machine in 0..3 {
        let system = Client::of(&simulator, machine).get("/redfish/v1/Systems/1").await;
        assert_eq!(system["UUID"], json!(simulator.machine(machine).unwrap().uuid));
        let interface = "/redfish/v1/Managers/BMC/EthernetInterfaces/1";
        let interface = Client::of(&simulator, machine).get(interface).await;
        assert_eq!(interface["IPv4Addresses"][0]["AddressOrigin"], json!("DHCP"));
    }
    let address = simulator.bmc(1).unwrap();
    simulator.unplug(1).unwrap();
    assert_eq!(simulator.bmc(1), None);
    let requests = dhcpd.seen().len();
    simulator.plug(1).unwrap();
    until(|| simulator.bmc(1) == Some(address)).await;
    assert_eq!(dhcpd.seen()[requests..], [(Discover, ""), (Request, "")]);
}

#[tokio::test]
async fn a_bmc_renews_its_lease_and_starts_again_when_it_is_refused() {
    let dhcpd = Dhcpd::start(1).await;
    let client = Dhcp { patience: Duration::from_millis(100), ..dhcpd.client() };
    let config = Config { bmc_dhcp: Some(client), ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let requests = || dhcpd.seen().iter().filter(|(kind, _)| *kind == Request).count();
    until(|| simulator.bmc(0).is_some()).await;
    let first = requests();
    until(|| requests() > first).await;
    dhcpd.refuse(true);
    until(|| simulator.bmc(0).is_none()).await;
    dhcpd.refuse(false);
    until(|| simulator.bmc(0).is_some()).await;
}

/// One machine whose boot order has this option only.
async fn start(dhcp: Dhcp, option: &str) -> Simulator {
    let timing = Timing {
        power_on: Duration::ZERO,
        post: Duration::ZERO,
        boot_tries: 1,
        ..Timing::default()
    };
    let boot = Boot { dhcp: Some(dhcp), ..Boot::default() };
    let simulator = Simulator::start(Config { timing, boot, ..Config::default() }).await.unwrap();
    let order = json!({ "Boot": { "BootOrder": [option] } });
    let client = Client::of(&simulator, 0);
    client.send(reqwest::Method::PATCH, "/redfish/v1/Systems/1", Some(order)).await;
    simulator
}
