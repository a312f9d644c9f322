//! Servers that seem to be the same machine.

use super::{super::twins::recorded, fixture::*, *};

#[test]
fn two_servers_with_one_uuid_are_both_left_alone_and_say_so() {
    let mut scene = Scene::new();
    scene.twins = vec!["server-b".to_owned(), "server-c".to_owned()];
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "Ambiguous"));
    assert_eq!(recorded(&scene.server), scene.twins, "the next process knows them");
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    // Many are told, and not all of them recorded.
    scene.twins = (0..100).map(|number| format!("server-{number}")).collect();
    scene.record();
    assert_eq!(scene.server.status.as_ref().unwrap().twins, scene.twins[..64]);
}

#[test]
fn a_twin_is_remembered_while_the_bmc_cannot_be_asked() {
    let mut scene = Scene::new();
    scene.twins = vec!["server-b".to_owned()];
    scene.record();
    scene.access = Err("spec.bmcSecretRef: not found".to_owned());
    scene.now += seconds(20);
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "BMCUnreachable"));
    assert_eq!(recorded(&scene.server), scene.twins);
    // It is forgotten when it is gone.
    scene.access = Ok(());
    scene.twins = vec![];
    scene.refresh();
    scene.record();
    assert_eq!(recorded(&scene.server), [""; 0]);
}

#[test]
fn twins_are_read_from_the_field_or_where_that_is_missing_from_the_message() {
    let mut scene = Scene::new();
    scene.twins = vec!["server-b".to_owned(), "server-c".to_owned()];
    scene.record();
    let ready = |scene: &mut Scene, said: &str| {
        let conditions = &mut scene.server.status.as_mut().unwrap().conditions;
        conditions.iter_mut().find(|it| it.type_ == condition::READY).unwrap().message =
            said.into();
    };
    ready(&mut scene, "anything");
    assert_eq!(recorded(&scene.server), scene.twins);
    // An older version has written this, or a client has dropped the field.
    scene.server.status.as_mut().unwrap().twins.clear();
    let old = "spec.systemUUID, or spec.systemURI at the same BMC, is also used by server-d, \
               server-e: if these are different machines, set a unique UUID";
    ready(&mut scene, old);
    assert_eq!(recorded(&scene.server), ["server-d", "server-e"]);
}
