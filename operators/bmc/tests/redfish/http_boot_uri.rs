//! What UEFI HTTP boot loads: what DHCP says, and nothing that somebody has left in the BMC.

use crate::{
    bmc::{FakeRedfish, refusal},
    documents::SYSTEM,
};
use metal_bmc::{Bmc, Redfish};
use metal_core::redfish::{BootReading, BootSource, Step};
use serde_json::{Value, json};

const SETTINGS: &str = "/redfish/v1/Systems/1/SD";
const OLD: &str = "http://192.0.2.9/ipa.efi";

/// A machine whose BMC has this `HttpBootUri`, and accepts every change.
async fn machine(uri: Value) -> FakeRedfish {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| system["Boot"]["HttpBootUri"] = uri);
    server.judge(|_, _, _, _| None);
    server
}

async fn armed(bmc: &Redfish, source: BootSource) -> BootReading {
    bmc.perform(SYSTEM, &Step::BootOnce { source, mode: None }).await.unwrap();
    bmc.system(SYSTEM).await.unwrap().boot
}

/// The `HttpBootUri` of each request; `None` if it was not sent.
fn sent(server: &FakeRedfish) -> Vec<Option<Value>> {
    server.bodies().iter().map(|body| body["Boot"].get("HttpBootUri").cloned()).collect()
}

#[tokio::test]
async fn an_http_boot_uri_that_somebody_left_is_cleared_with_the_override() {
    for (left, source, cleared) in [
        (json!(OLD), BootSource::UefiHttp, Some(json!(""))),
        (json!(OLD), BootSource::Pxe, None),
        (json!(""), BootSource::UefiHttp, None),
        (json!("None"), BootSource::UefiHttp, None),
        (json!(null), BootSource::UefiHttp, None),
    ] {
        let server = machine(left.clone()).await;
        let bmc = server.bmc();
        let had = bmc.system(SYSTEM).await.unwrap().boot.has_http_boot_uri;
        assert_eq!(had, left == OLD, "{left}");
        let boot = armed(&bmc, source).await;
        assert_eq!(sent(&server), [cleared], "{left} {source}");
        assert_eq!(boot.target, Some(source));
        assert!(!boot.has_http_boot_uri || source == BootSource::Pxe, "{left} {source}");
    }
}

#[tokio::test]
async fn an_http_boot_uri_is_cleared_by_null_where_an_empty_one_is_refused() {
    for is_named in [true, false] {
        let server = machine(json!(OLD)).await;
        server.judge(move |_, _, _, body| {
            let is_empty = body["Boot"].get("HttpBootUri") == Some(&json!(""));
            let args: &[&str] = if is_named { &["HttpBootUri"] } else { &[] };
            is_empty.then(|| (400, refusal("PropertyValueFormatError", args)))
        });
        let bmc = server.bmc();
        let boot = armed(&bmc, BootSource::UefiHttp).await;
        assert!(!boot.has_http_boot_uri, "{:?}", sent(&server));
        assert_eq!(sent(&server).last(), Some(&Some(Value::Null)));
        // The next time, that is the first form, and it keeps no other boot from its own.
        server.edit(SYSTEM, |system| system["Boot"]["HttpBootUri"] = json!(OLD));
        let before = sent(&server).len();
        armed(&bmc, BootSource::UefiHttp).await;
        assert_eq!(sent(&server)[before..], [Some(Value::Null)]);
        armed(&bmc, BootSource::Pxe).await;
        assert_eq!(sent(&server).len(), before + 2);
    }
}

#[tokio::test]
async fn an_http_boot_uri_that_stays_is_cleared_in_another_way_next_time() {
    // Accepts everything, and does nothing.
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        let boot = &mut system["Boot"];
        boot["BootSourceOverrideEnabled"] = json!("Once");
        boot["BootSourceOverrideTarget"] = json!("UefiHttp");
        boot["HttpBootUri"] = json!(OLD);
    });
    let bmc = server.bmc();
    for _ in 0..4 {
        assert!(armed(&bmc, BootSource::UefiHttp).await.has_http_boot_uri);
    }
    let sent = sent(&server);
    assert_eq!(sent[0], Some(json!("")));
    assert!(sent.contains(&Some(Value::Null)), "{sent:?}");
}

#[tokio::test]
async fn an_http_boot_uri_that_the_settings_clear_is_gone_though_the_system_still_shows_it() {
    for cleared in [json!(""), Value::Null] {
        let server = machine(json!(OLD)).await;
        server.edit(SYSTEM, |system| {
            system["@Redfish.Settings"] = json!({"SettingsObject": {"@odata.id": SETTINGS}});
        });
        let once = json!({"BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": "UefiHttp", "HttpBootUri": cleared});
        server.edit(SETTINGS, |settings| *settings = json!({"Boot": once}));
        let bmc = server.bmc();
        assert!(!bmc.system(SYSTEM).await.unwrap().boot.has_http_boot_uri, "{cleared}");
        // The system shows one, so it is cleared again with the next override.
        armed(&bmc, BootSource::UefiHttp).await;
        assert_eq!(sent(&server), [Some(json!(""))], "{cleared}");
    }
}
