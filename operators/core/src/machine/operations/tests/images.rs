//! Repaves, and whether their image is there.

use super::fixture::Scene;
use crate::conditions;
use metal_api::condition;

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
        // It may have been fetched before.
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
