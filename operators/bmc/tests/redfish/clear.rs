//! How an override of the next boot is cleared.

use crate::{bmc::FakeRedfish, documents::SYSTEM};
use axum::http::Method;
use metal_bmc::Bmc;
use metal_core::redfish::{BootSource, Step};
use serde_json::json;

fn once(source: BootSource) -> Step {
    Step::BootOnce { source, mode: None }
}

#[tokio::test]
async fn an_override_that_lasts_can_be_dropped() {
    let server = FakeRedfish::machine().await;
    server.bmc().perform(SYSTEM, &once(BootSource::None)).await.unwrap();
    assert_eq!(server.bodies(), [json!({"Boot": {"BootSourceOverrideEnabled": "Disabled"}})]);
}

#[tokio::test]
async fn an_override_is_cleared_by_target_none_where_disabled_is_refused() {
    let enabled = "BootSourceOverrideEnabled";
    let by_target = json!({"Boot": {"BootSourceOverrideTarget": "None"}});
    let lasting = json!({"Boot": {"BootSourceOverrideTarget": "None", enabled: "Once"}});
    for (is_listed, needs_both) in [(false, false), (true, false), (true, true)] {
        let server = FakeRedfish::machine().await;
        let allowed = if is_listed { json!(["Once", "Continuous"]) } else { json!(null) };
        server.edit(SYSTEM, |system| {
            system["Boot"][format!("{enabled}@Redfish.AllowableValues")] = allowed;
        });
        server.judge(move |method, _, _, body| {
            let boot = &body["Boot"];
            let is_refused = boot[enabled] == "Disabled" || (needs_both && boot[enabled].is_null());
            (*method == Method::PATCH && is_refused).then_some((400, json!({})))
        });
        let bmc = server.bmc();
        let taken = if needs_both { &lasting } else { &by_target };
        bmc.perform(SYSTEM, &once(BootSource::None)).await.unwrap();
        let sent = server.bodies();
        assert_eq!(sent.last(), Some(taken), "{sent:?}");
        let is_first = sent[0]["Boot"][enabled] == "Disabled";
        assert_eq!(is_first, !is_listed, "what is not listed is not tried first: {sent:?}");
        // It is read back, and remembered beside what a boot is armed with.
        for target in ["None", "Pxe"] {
            server.edit(SYSTEM, |system| {
                system["Boot"][enabled] = json!("Once");
                system["Boot"]["BootSourceOverrideTarget"] = json!(target);
            });
            bmc.system(SYSTEM).await.unwrap();
            if target == "None" {
                bmc.perform(SYSTEM, &once(BootSource::Pxe)).await.unwrap();
            }
        }
        let before = server.bodies().len();
        bmc.perform(SYSTEM, &once(BootSource::None)).await.unwrap();
        assert_eq!(server.bodies()[before..], *std::slice::from_ref(taken));
    }
}

#[tokio::test]
async fn an_override_that_is_still_there_is_cleared_in_another_way() {
    let server = FakeRedfish::machine().await;
    server.edit(SYSTEM, |system| {
        system["Boot"]["BootSourceOverrideEnabled"] = json!("Continuous");
        system["Boot"]["BootSourceOverrideTarget"] = json!("Pxe");
    });
    let bmc = server.bmc();
    for _ in 0..2 {
        bmc.perform(SYSTEM, &once(BootSource::None)).await.unwrap();
        bmc.system(SYSTEM).await.unwrap();
    }
    let disabled = json!({"Boot": {"BootSourceOverrideEnabled": "Disabled"}});
    let by_target = json!({"Boot": {"BootSourceOverrideTarget": "None"}});
    assert_eq!(server.bodies(), [disabled, by_target]);
}

#[tokio::test]
async fn the_boot_order_drops_an_override_in_the_way_that_the_bmc_takes() {
    let (enabled, target) = ("BootSourceOverrideEnabled", "BootSourceOverrideTarget");
    for (is_listed, refused) in [(false, enabled), (true, enabled), (false, target), (true, target)]
    {
        let server = FakeRedfish::machine().await;
        // What it lists is not what it takes.
        let listed = if refused == enabled { json!(["Disabled"]) } else { json!(["Once"]) };
        server.edit(SYSTEM, |system| {
            system["Boot"][enabled] = json!("Continuous");
            system["Boot"][target] = json!("Pxe");
            if is_listed {
                system["Boot"][format!("{enabled}@Redfish.AllowableValues")] = listed;
            }
        });
        server.judge(move |method, _, _, body| {
            let is_refused = !body["Boot"][refused].is_null();
            (*method == Method::PATCH && is_refused).then_some((400, json!({})))
        });
        let order = Step::BootOrder(vec!["Boot0002".to_owned(), "Boot0001".to_owned()]);
        server.bmc().perform(SYSTEM, &order).await.unwrap();
        let sent = server.bodies().pop().unwrap();
        let (key, value) =
            if refused == enabled { (target, "None") } else { (enabled, "Disabled") };
        assert_eq!(sent["Boot"][key], value, "{sent}");
        assert_eq!(sent["Boot"]["BootOrder"], json!(["Boot0002", "Boot0001"]));
    }
}
