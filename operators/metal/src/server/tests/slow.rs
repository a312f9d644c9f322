//! BMCs that take long to answer, or never do.

use super::*;
use crate::{bmc::Bmcs, media::Media};
use metal_api::condition;
use metal_bmc::Limits;
use metal_core::redfish::Inventory;

#[test]
fn a_pass_outlives_every_call_that_it_makes() {
    let (limits, requests) = (Limits::default(), Duration::from_mins(1));
    let server = limits.read * 2 + limits.inventory * 2 + limits.write + requests;
    assert!(<Servers<FakeBmc> as Pass>::DEADLINE >= server, "{server:?}");
    let bmc = limits.read * 2 + requests;
    assert!(<Bmcs<FakeBmc> as Pass>::DEADLINE >= bmc, "{bmc:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_dropped_at_the_deadline_is_remembered_as_one_that_may_have_happened() {
    let scene = Scene::recorded().await;
    scene.bmc.set_fault(Some(Fault::Hanging));
    scene.turn().await;
    assert_eq!(scene.bmc.steps().len(), 1);
    let memory = scene.ctx.memories.of("server-a");
    let last_step = memory.last_step(Now::read()).unwrap();
    assert!(matches!(last_step.step, Step::BootOnce { .. }), "{last_step:?}");
    assert_eq!((last_step.count, &memory.reading), (1, &None));
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_parts_hang_is_discovered_with_the_others() {
    let scene = Scene::new(server(), None).await;
    let missing = vec!["/redfish/v1/Systems/1/Storage: the operation took too long".to_owned()];
    let inventory = Inventory { missing, ..Inventory::default() };
    scene.bmc.set_inventory(inventory, Limits::default().inventory);
    scene.turn().await;
    let (_, body) = scene.sent().remove(0);
    assert_eq!(body["status"]["state"], "Discovery");
    let conditions = body["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|it| it["type"] == condition::INVENTORY_COMPLETE));
}

#[tokio::test]
async fn slots_are_read_though_nobody_knows_the_key_of_media() {
    let mut scene = Scene::recorded().await;
    Arc::get_mut(&mut scene.ctx).unwrap().media = Some(Media::new("http://boot", "system"));
    let mut lookups = Lookups::default();
    for need in [Need::System, Need::Media] {
        look::look(&scene.ctx, &server(), need, &mut lookups).await.unwrap();
    }
    let memory = scene.ctx.memories.of("server-a");
    let destination = scene.ctx.destination_of(&server()).unwrap();
    let reading = memory.media_of(&destination).unwrap();
    assert_eq!(reading.result, Ok(vec![]));
    let why = reading.no_url.as_deref().unwrap();
    assert!(why.contains("run boot-operator in this namespace"), "{why}");
}
