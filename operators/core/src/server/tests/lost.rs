//! Clients that write whole objects drop the fields that they do not know. That costs nothing.

use super::{
    fixture::{Scene, seconds},
    simulation::{End, Fault, settle_with},
    *,
};
use kube::CustomResourceExt;
use serde_json::Value;

/// The fields of a status that every client of this API knows. All others may be dropped.
const KNOWN: [&str; 13] = [
    "state",
    "powerState",
    "indicatorLED",
    "manufacturer",
    "model",
    "sku",
    "serialNumber",
    "biosVersion",
    "totalSystemMemory",
    "processors",
    "storages",
    "networkInterfaces",
    "conditions",
];

#[test]
fn fields_of_our_own_may_be_dropped_at_any_moment_of_a_discovery() {
    for begin in [Scene::new, Scene::with_drives] {
        each_loss(12, |moment, lose, forgets| {
            let mut scene = begin();
            let end = run(&mut scene, moment, lose, forgets);
            let expected = (ServerState::Available, PowerState::Off, false);
            assert_eq!((end.state, end.power, end.cut), expected, "{moment} {lose:?}");
            assert_eq!(end.switched_on, 1, "{moment} {lose:?}: {forgets}");
        });
    }
}

#[test]
fn fields_of_our_own_may_be_dropped_at_any_moment_of_a_claim() {
    each_loss(10, |moment, lose, forgets| {
        let mut scene = Scene::reserved();
        let end = run(&mut scene, moment, lose, forgets);
        let expected = (ServerState::Reserved, PowerState::On, false);
        assert_eq!((end.state, end.power, end.cut), expected, "{moment} {lose:?}");
        assert_eq!(end.switched_on, 1, "{moment} {lose:?}");

        (scene.claim, scene.claim_is_gone) = (None, true);
        let end = run(&mut scene, moment, lose, forgets);
        let expected = (ServerState::Available, PowerState::Off, false);
        assert_eq!((end.state, end.power, end.cut), expected, "{moment} {lose:?}");
        assert_eq!(end.switched_on, 0, "{moment} {lose:?}");
    });
}

#[test]
fn an_identity_under_its_older_name_is_written_under_the_one_that_every_client_knows() {
    for empty in [None, Some(String::new())] {
        let mut scene = Scene::available();
        let uuid = scene.server.spec.system_uuid.take();
        (scene.server.spec.uuid, scene.server.spec.system_uuid) = (uuid.clone(), empty);
        let uuid = uuid.unwrap();
        assert_eq!(scene.decide(), Decision::Change(Change::SetSystemUuid { uuid: uuid.clone() }));
        scene.server.spec.system_uuid = Some(uuid);
        assert!(matches!(scene.decide(), Decision::Rest(_)));
    }
}

#[test]
fn fields_of_our_own_may_be_dropped_from_a_server_at_rest() {
    let running = || {
        let mut scene = Scene::reserved();
        scene.system().power = PowerState::On;
        scene.settle();
        scene
    };
    let failed = || {
        let mut scene = Scene::available();
        scene.server.status.as_mut().unwrap().state = Some(ServerState::Error);
        scene
    };
    let released = || {
        let mut scene = Scene::reserved();
        scene.server.status.as_mut().unwrap().state = Some(ServerState::Released);
        (scene.claim, scene.claim_is_gone) = (None, true);
        scene
    };
    let not_ours = || {
        let mut scene = Scene::new();
        scene.system().power = PowerState::On;
        scene.settle();
        scene.prepare(BootState::Ready);
        scene
    };
    for begin in [&Scene::available as &dyn Fn() -> Scene, &running, &failed, &released, &not_ours]
    {
        each_loss(4, |moment, lose, forgets| {
            let mut scene = begin();
            let (state, power) = (scene.state(), scene.system().power);
            scene.reports = false;
            let end = run(&mut scene, moment, lose, forgets);
            assert_eq!((end.state, end.power), (state, power), "{moment} {lose:?}");
            assert_eq!((end.cut, end.switched_on), (false, 0), "{moment} {lose:?}");
        });
    }
}

/// Every field, and all of them, at every moment, with and without a restart at that moment.
fn each_loss(moments: usize, check: impl Fn(usize, Option<&str>, bool)) {
    let mut own: Vec<Option<String>> = vec![None, Some("uid".to_owned())];
    own.extend(own_fields().map(Some));
    assert!(own.len() >= 8, "{own:?}");
    for moment in 0..moments {
        for lose in &own {
            for forgets in [false, true] {
                check(moment, lose.as_deref(), forgets);
            }
        }
    }
}

/// The fields of a status that are not in [`KNOWN`], as the schema has them.
fn own_fields() -> impl Iterator<Item = String> {
    let crd = Server::crd();
    let schema = crd.spec.versions.into_iter().next().unwrap().schema.unwrap();
    let mut root = schema.open_api_v3_schema.unwrap().properties.unwrap();
    let fields = root.remove("status").unwrap().properties.unwrap();
    fields.into_keys().filter(|name| !KNOWN.contains(&name.as_str()))
}

/// Runs passes to the end; before pass number `moment` a field is dropped, or all.
fn run(scene: &mut Scene, moment: usize, lose: Option<&str>, forgets: bool) -> End {
    settle_with(scene, |scene, pass| {
        if pass == moment {
            drop_fields(scene, lose);
            if forgets {
                (scene.acted, scene.recorded) = (None, None);
                scene.started = scene.now + seconds(1);
            }
        }
        Fault::None
    })
}

fn drop_fields(scene: &mut Scene, lose: Option<&str>) {
    if lose.is_none_or(|name| name == "uid")
        && let Some(reference) = &mut scene.server.spec.server_claim_ref
    {
        reference.uid = None;
    }
    let Some(status) = &scene.server.status else { return };
    let mut value = serde_json::to_value(status).unwrap();
    let Value::Object(fields) = &mut value else { panic!("{value}") };
    fields.retain(|key, _| KNOWN.contains(&key.as_str()) || lose.is_some_and(|name| name != key));
    scene.server.status = Some(serde_json::from_value(value).unwrap());
}
