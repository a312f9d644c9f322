//! Presses of the power button that have no effect.

use super::{
    super::Decision,
    fixture::{Scene, minutes, seconds},
};
use crate::redfish::{PowerState, ResetType, Step};
use metal_api::BootState;

#[test]
fn a_lost_press_is_repeated_soon_where_our_own_system_runs_and_not_where_another_may() {
    let ask = Step::Reset(ResetType::GracefulShutdown);
    let mut ours = Scene::in_discovery(BootState::Ready);
    ours.report_for("uid-1.1");
    ours.server.spec.boot_configuration_ref = None;
    let mut other = Scene::available();
    for (scene, expected) in [(&mut ours, [15, 45, 105]), (&mut other, [60, 180, 420])] {
        scene.system().power = PowerState::On;
        scene.settle();
        scene.settings.shutdown_grace = minutes(600);
        let begun = scene.now;
        assert_eq!(scene.decide(), Decision::Act(ask.clone()));
        scene.carried_out(ask.clone());
        let mut pressed = Vec::new();
        for second in 1..=expected[2] {
            scene.now = begun + seconds(second);
            scene.refresh();
            if scene.decide() == Decision::Act(ask.clone()) {
                pressed.push(second);
                scene.carried_out(ask.clone());
            }
        }
        assert_eq!(pressed, expected);
    }
}
