//! Clients that write whole objects drop fields that they do not know, without harm.

use super::{
    fixture::{Scene, seconds},
    simulation::{End, Fault, settle_with},
    *,
};
use kube::CustomResourceExt;
use serde_json::Value;

/// The fields of a status that every client of this API knows. Any other may be dropped.
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

/// In place of a field's name: an older version has written the status, and is replaced.
const OLDER: &str = "older";

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
        let text = uuid.unwrap();
        let uuid = text.parse().unwrap();
        assert_eq!(scene.decide(), Decision::Change(Change::SetSystemUuid { uuid }));
        scene.server.spec.system_uuid = Some(text);
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

/// Each field, and all of them, at each moment, with and without a restart at that moment.
fn each_loss(moments: usize, check: impl Fn(usize, Option<&str>, bool)) {
    let mut own = vec![None, Some("uid".to_owned()), Some(OLDER.to_owned())];
    own.extend(own_fields().map(Some));
    assert!(own.len() >= 11, "{own:?}");
    for moment in 0..moments {
        for lose in &own {
            for forgets in [false, true] {
                check(moment, lose.as_deref(), forgets);
            }
        }
    }
}

/// The fields of a status that are not in [`KNOWN`], from the schema.
fn own_fields() -> impl Iterator<Item = String> {
    let crd = Server::crd();
    let schema = crd.spec.versions.into_iter().next().unwrap().schema.unwrap();
    let mut root = schema.open_api_v3_schema.unwrap().properties.unwrap();
    let fields = root.remove("status").unwrap().properties.unwrap();
    fields.into_keys().filter(|name| !KNOWN.contains(&name.as_str()))
}

/// The status from when the messages of two conditions contained what is in fields now.
fn as_older_version(status: &mut ServerStatus) {
    let claim = status.bound_claim.take();
    let claim = claim.map(|it| format!("{}/{} {}", it.namespace, it.name, it.uid));
    let medium = status.medium.take().map(|medium| medium.boot_configuration_uid);
    for (type_, said) in [(condition::CLAIM_BOUND, claim), (condition::MEDIUM_INSERTED, medium)] {
        let condition = status.conditions.iter_mut().find(|it| it.type_ == type_);
        if let Some((condition, said)) = condition.zip(said) {
            condition.message = said;
        }
    }
}

/// Runs passes to the end; before pass number `moment`, a field is dropped, or all of them.
fn run(scene: &mut Scene, moment: usize, lose: Option<&str>, forgets: bool) -> End {
    settle_with(scene, |scene, pass| {
        if pass == moment {
            drop_fields(scene, lose);
            if forgets {
                (scene.last_step, scene.recorded) = (None, None);
                scene.was_off = false;
                scene.started = scene.now + seconds(1);
            }
        }
        Fault::None
    })
}

#[test]
fn what_an_older_version_recorded_is_taken_over_as_it_is() {
    let mut scene = Scene::with_drives();
    scene.record();
    scene.prepare(BootState::Ready);
    scene.record();
    let inserted = scene.decide();
    assert!(matches!(inserted, Decision::Act(Step::InsertMedium { .. })), "{inserted:?}");
    as_older_version(scene.server.status.as_mut().unwrap());
    assert_eq!(scene.message(condition::MEDIUM_INSERTED), "boot-uid");
    scene.now += seconds(4);
    assert_eq!(scene.decide(), inserted, "with the same URL");

    let mut scene = Scene::reserved();
    let known = scene.server.status.clone().unwrap();
    as_older_version(scene.server.status.as_mut().unwrap());
    assert_eq!(scene.message(condition::CLAIM_BOUND), "tenant/claim claim-uid");
    scene.settle();
    let status = scene.server.status.unwrap();
    assert_eq!(status.bound_claim, known.bound_claim);
    assert_eq!(status.conditions, known.conditions);
}

/// How an older version finds a UID in the message of `ClaimBound`: no other word must look like
/// one.
#[test]
fn an_older_version_finds_no_claim_in_the_message_and_learns_it_from_the_next_pass() {
    let scene = Scene::reserved();
    let message = scene.message(condition::CLAIM_BOUND);
    assert_eq!(message, "the server is bound to claim tenant/claim");
    assert_eq!(message.strip_prefix("tenant/claim "), None);
}

fn drop_fields(scene: &mut Scene, lose: Option<&str>) {
    if lose.is_none_or(|name| name == "uid")
        && let Some(reference) = &mut scene.server.spec.server_claim_ref
    {
        reference.uid = None;
    }
    let Some(status) = &mut scene.server.status else { return };
    if lose == Some(OLDER) {
        return as_older_version(status);
    }
    let mut value = serde_json::to_value(status).unwrap();
    let Value::Object(fields) = &mut value else { panic!("{value}") };
    fields.retain(|key, _| KNOWN.contains(&key.as_str()) || lose.is_some_and(|name| name != key));
    scene.server.status = Some(serde_json::from_value(value).unwrap());
}
