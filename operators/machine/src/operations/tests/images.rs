//! Repaves, and whether their image is there.

use super::fixture::Scene;
use metal_api::condition;
use metal_core::conditions;

#[test]
fn a_repave_does_not_begin_while_its_image_is_not_there() {
    let says = |scene: &mut Scene, holds, reason, generation| {
        let (type_, message) = (condition::IMAGE_READY, "no such tag");
        let fact = conditions::Fact { type_, holds, reason, message };
        let now = scene.now;
        conditions::set(&mut scene.status().conditions, fact, generation, now);
    };
    for (holds, reason, generation, begins) in [
        (false, "ImageNotFound", Some(3), false),
        (false, "TemplateUnusable", Some(3), false),
        (false, "Pulling", Some(3), false),
        // It says nothing of the image that there is now.
        (true, "Pulled", Some(2), false),
        (false, "ImageNotFound", Some(2), false),
        (true, "Pulled", Some(3), true),
        // It was fetched before.
        (false, "RegistryFailed", Some(3), true),
    ] {
        let mut scene = Scene::asks(1, 1);
        scene.machine.metadata.generation = Some(3);
        says(&mut scene, holds, reason, generation);
        scene.settle();
        assert_eq!(scene.current().is_some(), begins, "{reason} {generation:?}");
        let expected = if begins { "PoweringOff" } else { "ImageNotReady" };
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some(expected), "{reason}");
        // A reboot needs no image, and none is made an installation.
        let mut scene = Scene::asks(1, 0);
        scene.machine.metadata.generation = Some(3);
        says(&mut scene, holds, reason, generation);
        scene.settle();
        assert_eq!(scene.step(), Some("PoweringOff"), "{reason}");
        scene.machine.spec.operations.as_mut().unwrap().repave_counter = Some(1);
        scene.settle();
        assert_eq!(scene.current().unwrap().repave_counter.is_some(), begins, "{reason}");
    }
}

#[test]
fn a_repave_whose_image_cannot_be_had_powers_nothing_off() {
    let ready = |scene: &mut Scene, told: Option<(bool, &'static str)>| {
        scene.status().conditions.retain(|it| it.type_ != condition::IMAGE_READY);
        if let Some((holds, reason)) = told {
            let (type_, message) = (condition::IMAGE_READY, "nobody answers");
            let fact = conditions::Fact { type_, holds, reason, message };
            let now = scene.now;
            conditions::set(&mut scene.status().conditions, fact, None, now);
        }
    };
    for told in [
        None,
        Some((false, "RegistryFailed")),
        Some((false, "CacheFailed")),
        Some((false, "PullSecretUnread")),
        // It was there before this process was started.
        Some((true, "Pulled")),
    ] {
        let mut scene = Scene::asks(1, 1);
        scene.lacks_image = true;
        ready(&mut scene, told);
        scene.settle();
        assert_eq!(scene.current(), None, "{told:?}");
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("ImageNotReady"), "{told:?}");
        scene.lacks_image = false;
        scene.settle();
        assert_eq!(scene.step(), Some("PoweringOff"), "{told:?}");
        // A reboot needs none.
        let mut scene = Scene::asks(1, 0);
        scene.lacks_image = true;
        ready(&mut scene, told);
        scene.settle();
        assert_eq!(scene.step(), Some("PoweringOff"), "{told:?}");
    }
}
