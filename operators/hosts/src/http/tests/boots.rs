//! Whose boot begins, and what it costs.

use super::*;
use futures::future::join_all;
use metal_api::{BootStep, HostHardware};
use std::time::Duration;
use tokio::time::advance;

/// Where what somebody does leads who opens the URL.
async fn open(site: &Site) -> String {
    let (_, script) = site.get(&format!("/api/ipxe/{}", text())).await;
    let base = script.lines().find_map(|line| line.strip_prefix("set base "));
    let base = base.unwrap_or_else(|| panic!("{script}"));
    base.strip_prefix("https://hosts.example.org").unwrap().to_owned()
}

/// The second script of a machine with this interface.
async fn second(site: &Site, base: &str, mac: u8) -> String {
    site.get(&format!("{base}/boot?mac=02:00:00:00:00:{mac:02x}&uuid=&serial=")).await.1
}

fn is_installer(script: &str) -> bool {
    script.contains("kernel ${base}/kernel")
}

/// Where the installer of a second script finds everything.
fn base_of(script: &str) -> String {
    let base =
        script.lines().find_map(|line| line.strip_prefix("set base https://hosts.example.org"));
    base.unwrap_or_else(|| panic!("{script}")).to_owned()
}

#[tokio::test]
async fn whoever_opens_the_url_ends_no_installation() {
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let first = open(&site).await;
    let install = base_of(&second(&site, &first, 1).await);
    let progress = format!("{install}/progress");
    assert_eq!(site.post(&progress, r#"{"step":"Partitioning"}"#).await, StatusCode::NO_CONTENT);
    // A person looks whether the URL works; another machine boots from it.
    let other = open(&site).await;
    let script = second(&site, &other, 2).await;
    assert!(script.contains("Another machine is being installed"), "{script}");
    for file in ["kickstart", "credential"] {
        assert_eq!(site.get(&format!("{install}/{file}")).await.0, StatusCode::OK, "{file}");
    }
    // It fails, and the other one has its turn.
    assert_eq!(site.post(&progress, r#"{"step":"Failed"}"#).await, StatusCode::NO_CONTENT);
    assert!(is_installer(&second(&site, &other, 2).await));
    let (status, body) = site.get(&format!("{install}/credential")).await;
    assert_eq!((status, body.as_str()), REFUSED);
}

#[tokio::test]
async fn whoever_opens_the_url_all_the_time_keeps_no_machine_from_booting() {
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let opened = join_all((0..30).map(|_| open(&site))).await;
    assert!(is_installer(&second(&site, &opened[0], 1).await));
}

#[tokio::test]
async fn a_machine_that_restarts_begins_anew_and_voids_what_it_was_given() {
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let mut bases = vec![];
    for _ in 0..2 {
        let first = open(&site).await;
        bases.push(base_of(&second(&site, &first, 1).await));
    }
    assert_eq!(site.get(&format!("{}/kickstart", bases[0])).await.0, StatusCode::FORBIDDEN);
    assert_eq!(site.get(&format!("{}/kickstart", bases[1])).await.0, StatusCode::OK);
    // With what the first script has given nothing is installed.
    let first = open(&site).await;
    assert_eq!(site.get(&format!("{first}/kickstart")).await.0, StatusCode::FORBIDDEN);
    let (status, _) = site.get(&format!("{}/boot", bases[1])).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "nor does one boot begin another");
}

#[tokio::test]
async fn a_machine_is_known_by_any_of_its_interfaces_whichever_it_boots_from() {
    let mut bound = token(1);
    let mac_address = Some("02:00:00:00:00:02".to_owned());
    bound.spec.binding = Some(BootBinding { mac_address, ..BootBinding::default() });
    let site = Site::new(vec![bound], vec![], vec![]).await;
    let boots = async |query: &str| {
        let (_, script) = site.get(&format!("{}/boot?{query}", first(2))).await;
        is_installer(&script)
    };
    let [one, two, three] = [1, 2, 3].map(|number| format!("mac=02:00:00:00:00:0{number}"));
    assert!(!boots(&format!("{one}&{one}&{three}&mac=")).await);
    assert!(boots(&format!("{one}&{one}&{two}&mac=&mac=")).await);
    assert!(boots(&format!("{two}&{one}&{two}&mac=&mac=")).await, "it is the same machine");
}

#[tokio::test]
async fn of_two_machines_behind_one_address_only_one_installs() {
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let bases = [open(&site).await, open(&site).await];
    assert!(is_installer(&second(&site, &bases[0], 1).await));
    assert!(!is_installer(&second(&site, &bases[1], 2).await));
    assert!(is_installer(&second(&site, &bases[1], 1).await), "the same machine asks again");
    assert_eq!(site.api.written().len(), 2, "that it was opened, and that it boots");
}

#[tokio::test]
async fn nothing_is_ended_by_a_boot_whose_image_is_not_there() {
    let mut running = token(1);
    let kind = Some(metal_api::BootInstallerKind::DiskImage);
    running.spec.installer = Some(metal_api::BootInstaller { kind, ..Default::default() });
    let site = Site::new(vec![running], vec![], vec![]).await;
    let script = second(&site, &open(&site).await, 1).await;
    assert!(script.contains("cannot answer now"), "{script}");
    assert_eq!(site.api.written().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_asks_all_the_time_costs_the_api_server_one_look_a_second() {
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    let looks = async || {
        site.api.forget();
        for file in ["kickstart", "credential"].repeat(100) {
            assert_eq!(site.get(&format!("{}/{file}", boot(1))).await.0, StatusCode::OK);
        }
        let path = format!("{}/boot", first(1));
        let boots = join_all((0..100).map(|_| site.get(&path))).await;
        assert!(boots.iter().all(|(_, script)| is_installer(script)));
        site.api.sent().len()
    };
    assert_eq!(looks().await, 2, "the token and its Host");
    assert_eq!(looks().await, 0);
    advance(Duration::from_secs(1)).await;
    assert_eq!(looks().await, 2);
    // What is written here is seen at once.
    let done = site.post(&format!("{}/progress", boot(1)), r#"{"step":"Done"}"#).await;
    assert_eq!(done, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&format!("{}/credential", boot(1))).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_a_boot_says_of_its_machine_is_recorded() {
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let script = second(&site, &open(&site).await, 7).await;
    site.post(&format!("{}/progress", base_of(&script)), r#"{"step":"Writing"}"#).await;
    let token = site.api.object::<BootToken>(Some("org"), "web-1").unwrap();
    let status = token.status.unwrap();
    let mac_addresses = vec!["02:00:00:00:00:07".to_owned()];
    let said = HostHardware { mac_addresses, ..HostHardware::default() };
    assert_eq!((status.attempts, status.machine), (Some(1), Some(said)));
    assert_eq!(status.progress.map(|it| it.step), Some(BootStep::Writing));
    assert_eq!(status.fetched_from.as_deref(), Some("192.0.2.1"));
}
