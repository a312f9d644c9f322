//! The first look after a start.

use super::{
    super::{Decision, Need},
    fixture::{Scene, seconds},
};
use metal_api::{BootState, LocalObjectReference, Power, annotation};

const LOOK: Decision = Decision::Look(Need::System);

/// A server at rest, as a process sees it that has just started.
fn at_rest() -> Scene {
    let mut scene = Scene::available();
    scene.server.spec.bmc_ref = Some(LocalObjectReference { name: "bmc-1".to_owned() });
    scene.started = scene.now;
    scene.reading = None;
    scene
}

#[test]
fn after_a_start_servers_at_rest_are_read_over_some_seconds() {
    let mut scene = at_rest();
    let Decision::Rest(wait) = scene.decide() else { panic!("{:?}", scene.decide()) };
    assert!(wait > seconds(0) && wait <= seconds(11), "{wait}");
    // It is the same however often the server is woken meanwhile.
    scene.now = scene.started + wait - seconds(1);
    assert_eq!(scene.decide(), Decision::Rest(seconds(1)));
    scene.now = scene.started + wait;
    assert_eq!(scene.decide(), LOOK);
}

#[test]
fn after_a_start_servers_with_which_something_is_to_be_done_are_read_at_once() {
    let mut discovers = Scene::in_discovery(BootState::Ready);
    discovers.started = discovers.now;
    discovers.reading = None;
    assert_eq!(discovers.decide(), LOOK);
    let mut is_other = at_rest();
    is_other.server.metadata.generation = Some(9);
    assert_eq!(is_other.decide(), LOOK);
    let mut is_asked = at_rest();
    is_asked.annotate(annotation::OPERATION, "retry");
    assert_eq!(is_asked.decide(), LOOK);
    let mut is_parked = at_rest();
    is_parked.annotate(annotation::PARKED, annotation::TRUE);
    assert_eq!(is_parked.decide(), LOOK, "claims take it until its state is recorded");
    let mut claimed = Scene::reserved();
    claimed.started = claimed.now;
    claimed.reading = None;
    claimed.claim.as_mut().unwrap().spec.power = Power::On;
    // The host is still off.
    assert_eq!(claimed.decide(), LOOK);
}
