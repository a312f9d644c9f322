//! A Host that is not kept, because it is too large or one of too many, is there all the same.

use super::*;
use metal_api::{BootRegistration, HostHardware};
use serde_json::json;
use tokio::time::Duration;

/// The Host of this machine, for which there is no room.
fn large(machine: &Machine) -> Host {
    let mut host = machine.host();
    host.spec.public_key = "k".repeat(33 << 20);
    host
}

#[tokio::test(start_paused = true)]
async fn nothing_boots_or_is_installed_for_the_name_of_a_host_that_is_not_kept() {
    let machine = Machine::new();
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    list(&site.ctx.view.hosts, vec![large(&machine)]).await;
    assert!(site.ctx.view.hosts.is_empty(), "there is no room for it");
    let (_, script) = site.get(&format!("/api/ipxe/{}", text())).await;
    assert!(script.contains("This boot URL is not valid."), "{script}");
    let kernel = site.get(&format!("{}/kernel", boot(1))).await;
    assert_eq!((kernel.0, kernel.1.as_str()), REFUSED);
    // Neither while what is known is all there is.
    site.api.fall_silent();
    for file in ["kickstart", "credential"] {
        let (status, body) = site.get(&format!("{}/{file}", boot(1))).await;
        assert_eq!((status, body.as_str()), REFUSED, "{file}");
    }
    let (_, script) = site.get(&format!("{}/boot", first(1))).await;
    assert!(script.contains("This boot URL is not valid."), "{script}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_host_is_not_kept_is_told_that_it_is_registered() {
    let machine = Machine::new();
    let credential = capability(Purpose::HostRegistration, 1);
    let mut token = token(1);
    token.status.as_mut().unwrap().registration = Some(BootRegistration {
        public_key: machine.pem(),
        at: Time(ago(1)),
        address: None,
        hardware: HostHardware::default(),
        host_uid: Some("uid-of-host".to_owned()),
    });
    let site = Site::new(vec![token], vec![], vec![]).await;
    list(&site.ctx.view.hosts, vec![large(&machine)]).await;
    site.api.put(&machine.host());
    let register = async || {
        let body = json!({ "credential": credential, "publicKey": machine.pem() }).to_string();
        let request = (Method::POST, "/api/hosts/register", &*body);
        site.signed(&machine, request, "").await.0
    };
    assert_eq!(register().await, StatusCode::OK, "it is looked for at the API server");
    tokio::time::advance(Duration::from_secs(2)).await;
    site.api.fall_silent();
    assert_eq!(register().await, StatusCode::SERVICE_UNAVAILABLE, "it may be that of any machine");
}
