//! Switching a host off and on.

use super::{
    super::*,
    fixture::{Scene, node, system},
};
use metal_api::{MachineOperationStep::*, condition};
use metal_core::redfish::{BootEnabled, BootMode, BootSource, PowerState, ResetType};

const ASK: Decision = Decision::Act(Step::Reset(ResetType::GracefulShutdown));
const CUT: Decision = Decision::Act(Step::Reset(ResetType::ForceOff));
const ON: Decision = Decision::Act(Step::Reset(ResetType::On));

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[test]
fn a_host_is_asked_and_its_power_is_cut_only_after_the_grace_period() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    assert_eq!(scene.settle(), ASK);
    assert_eq!(scene.reason(condition::POWERED_OFF), Some("PoweringOff"));
    (scene.done.asked, scene.done.last) = (Some(minutes(1)), Some(minutes(1)));
    assert_eq!(scene.settle(), Decision::Rest(POLL));
    (scene.done.asked, scene.done.last) = (Some(minutes(2)), Some(minutes(2)));
    assert_eq!(scene.settle(), CUT);
    // Whoever starts in the middle asks again first.
    scene.done = Done::default();
    assert_eq!(scene.settle(), ASK);
}

#[test]
fn which_hardware_it_is_is_recorded_before_anything_is_done_to_it() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let mut reading = system(PowerState::On);
    reading.uuid = Some("33221100-5544-7766-8899-010203040506".parse().unwrap());
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
    let Decision::Record(status) = scene.decide() else { unreachable!() };
    let read = status.redfish.as_ref().unwrap().system.clone().unwrap();
    assert_eq!(read.uuid, "33221100-5544-7766-8899-010203040506");
    scene.machine.status = Some(*status);
    assert_eq!(scene.settle(), ASK);
}

#[test]
fn which_hardware_it_is_is_read_before_anything_is_asked() {
    let mut scene = Scene::asks(0, 0);
    scene.reading = None;
    assert_eq!(scene.settle(), Decision::Look(Need::System));
    // A BMC that does not answer is asked again, but not all the time.
    let silent = ReadError::Silent(metal_core::redfish::Unreachable::NoAnswer("silent".to_owned()));
    scene.reading = Some((SignedDuration::ZERO, Err(silent.clone())));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("NoAnswer"));
    scene.reading = Some((minutes(10), Err(silent)));
    assert_eq!(scene.settle(), Decision::Look(Need::System));
    let mut reading = system(PowerState::On);
    reading.uuid = Some("33221100-5544-7766-8899-010203040506".parse().unwrap());
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    let read = scene.status().redfish.clone().unwrap().system.unwrap();
    assert_eq!(read.uuid, "33221100-5544-7766-8899-010203040506");
    // It is read once, and anew where the Machine says that it is another one.
    scene.reading = None;
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    let redfish = scene.machine.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap();
    redfish.device_id = Some("2".to_owned());
    assert_eq!(scene.settle(), Decision::Look(Need::System));
    // One that tells no UUID is asked for it once.
    scene.reading = Some((minutes(60), Ok(system(PowerState::On))));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
}

#[test]
fn a_host_that_cannot_be_asked_is_switched_off_at_once_and_never_without_knowing_its_power() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let mut reading = system(PowerState::On);
    reading.reset_types = vec![ResetType::ForceOff, ResetType::On];
    scene.reading = Some((SignedDuration::ZERO, Ok(reading.clone())));
    assert_eq!(scene.settle(), CUT);
    reading.power = PowerState::Unknown;
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("PowerUnknown"));
}

#[test]
fn a_bmc_that_refuses_to_ask_is_told_to_cut_the_power() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    scene.done.refusals = REFUSALS - 1;
    assert_eq!(scene.settle(), ASK);
    scene.done.refusals = REFUSALS;
    assert_eq!(scene.settle(), CUT);
}

#[test]
fn a_host_that_never_goes_off_is_given_up_after_three_attempts_until_the_counter_is_raised() {
    let mut scene = Scene::asks(4, 0).at(PoweringOff);
    for attempt in 1..=ATTEMPTS {
        assert_eq!(scene.current().unwrap().attempt, attempt);
        (scene.done.forced, scene.done.last) = (Some(POWER), Some(POWER));
        let Decision::Record(status) = scene.decide() else { unreachable!("{attempt}") };
        scene.machine.status = Some(*status);
        if scene.step() == Some("PoweringOff") {
            scene.done = Done::default();
            assert_eq!(scene.settle(), ASK);
        }
    }
    assert_eq!(scene.step(), Some("Failed"));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    let status = scene.machine.status.clone().unwrap();
    assert_eq!(status.phase.unwrap().as_str(), "Failed");
    assert_eq!(scene.reason(condition::READY), Some("PowerOffFailed"));
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("PowerOffFailed"));
    assert_eq!(status.operations.unwrap().reboot_counter, None, "it was not done");

    scene.machine.spec.operations.as_mut().unwrap().reboot_counter = Some(5);
    scene.done = Done::default();
    assert_eq!(scene.settle(), ASK);
    assert_eq!(scene.current().unwrap().attempt, 1);
}

#[test]
fn a_host_that_is_forever_about_to_go_off_or_on_is_not_waited_for_forever() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    scene.sees(PowerState::PoweringOff);
    assert_eq!(scene.settle(), Decision::Rest(POLL), "it may go off yet");
    scene.done.here = Some(GRACE);
    assert_eq!(scene.settle(), CUT);
    let mut scene = Scene::asks(1, 0).at(PoweringOn);
    scene.sees(PowerState::PoweringOn);
    assert_eq!(scene.settle(), Decision::Rest(POLL), "somebody has switched it on");
    scene.done.here = Some(POWER);
    scene.settle();
    let current = scene.current().unwrap();
    assert_eq!((current.attempt, current.reason.as_deref()), (2, Some("PowerOnFailed")));
    assert!(current.message.as_deref().unwrap().ends_with("still reports PoweringOn"));
}

#[test]
fn a_reboot_touches_no_boot_source_and_an_installation_sets_it_once() {
    let mut scene = Scene::asks(1, 0).at(PoweringOn);
    scene.sees(PowerState::Off);
    assert_eq!(scene.settle(), ON);

    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    scene.sees(PowerState::Off);
    let arm = |mode| Decision::Act(Step::BootOnce { source: BootSource::Pxe, mode });
    assert_eq!(scene.settle(), arm(None));
    assert!(scene.current().unwrap().boot_override, "it is recorded before it is set");
    let mut reading = system(PowerState::Off);
    reading.boot.mode = Some(BootMode::Legacy);
    scene.reading = Some((SignedDuration::ZERO, Ok(reading.clone())));
    assert_eq!(scene.settle(), arm(Some(BootMode::Uefi)));
    (reading.boot.enabled, reading.boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
    assert_eq!(scene.settle(), arm(Some(BootMode::Uefi)), "what is shown may be used up");
    scene.done.arms = 1;
    assert_eq!(scene.settle(), ON);
}

#[test]
fn a_bmc_without_a_boot_source_is_told_of_and_asked_again_next_time() {
    for (allowable, arms) in [(vec![BootSource::Hdd], 0), (vec![BootSource::Pxe], REFUSALS)] {
        let mut scene = Scene::asks(1, 1).at(PoweringOff);
        let mut reading = system(PowerState::Off);
        reading.boot.allowable = allowable;
        scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
        scene.done.arms = arms;
        assert_eq!(scene.settle(), ON);
        assert_eq!(scene.reason(condition::BOOT_ORDER_CONFIG_SUPPORTED), Some("NotSupported"));
        let mut reading = system(PowerState::Off);
        (reading.boot.enabled, reading.boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
        scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
        scene.done.arms = 1;
        assert_eq!(scene.settle(), ON);
        assert_eq!(scene.reason(condition::BOOT_ORDER_CONFIG_SUPPORTED), Some("Supported"));
    }
}

#[test]
fn a_bmc_that_only_allows_boots_by_uefi_http_is_told_to_do_that() {
    let allowing = |allowable: &[BootSource]| {
        let mut scene = Scene::asks(1, 1).at(PoweringOff);
        let mut reading = system(PowerState::Off);
        reading.boot.allowable = allowable.to_vec();
        scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
        scene.settle()
    };
    let from = |source| Decision::Act(Step::BootOnce { source, mode: None });
    for (allowable, expected) in [
        (&[][..], from(BootSource::Pxe)),
        (&[BootSource::UefiHttp, BootSource::Hdd], from(BootSource::UefiHttp)),
        (&[BootSource::UefiHttp, BootSource::Pxe], from(BootSource::Pxe)),
        (&[BootSource::Hdd], ON),
    ] {
        assert_eq!(allowing(allowable), expected, "{allowable:?}");
    }
    // It is set once, and taken away, like the other.
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    let mut reading = system(PowerState::Off);
    reading.boot.allowable = vec![BootSource::UefiHttp];
    (reading.boot.enabled, reading.boot.target) = (BootEnabled::Once, Some(BootSource::UefiHttp));
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
    scene.done.arms = 1;
    assert_eq!(scene.settle(), ON);
    let current = scene.status().operations.as_mut().unwrap().current.as_mut().unwrap();
    current.step = Finishing;
    let none = Step::BootOnce { source: BootSource::None, mode: None };
    assert_eq!(scene.settle(), Decision::Act(none));
}

#[test]
fn a_host_is_not_installed_from_what_somebody_has_left_in_its_bmc() {
    let mut reading = system(PowerState::Off);
    reading.boot.allowable = vec![BootSource::UefiHttp];
    (reading.boot.enabled, reading.boot.target) = (BootEnabled::Once, Some(BootSource::UefiHttp));
    reading.boot.has_http_boot_uri = true;
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
    let arm = Step::BootOnce { source: BootSource::UefiHttp, mode: None };
    for arms in 0..REFUSALS {
        scene.done.arms = arms;
        assert_eq!(scene.settle(), Decision::Act(arm.clone()));
    }
    scene.done.arms = REFUSALS;
    let Decision::Record(status) = scene.decide() else { panic!("{:?}", scene.decide()) };
    let current = status.operations.unwrap().current.unwrap();
    assert_eq!((current.attempt, current.reason.as_deref()), (2, Some("HttpBootUriSet")));
}

#[test]
fn a_boot_source_that_an_administrator_has_set_stays() {
    let mut reading = system(PowerState::Off);
    (reading.boot.enabled, reading.boot.target) = (BootEnabled::Continuous, Some(BootSource::Pxe));
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    scene.reading = Some((SignedDuration::ZERO, Ok(reading.clone())));
    assert_eq!(scene.settle(), ON, "it boots from there anyhow");
    let mut ours = Scene::asks(1, 1).at(Finishing);
    ours.reading = Some((SignedDuration::ZERO, Ok(reading.clone())));
    ours.status().operations.as_mut().unwrap().repave_counter = Some(1);
    ours.status().operations.as_mut().unwrap().reboot_counter = Some(1);
    let mut theirs = ours.clone();
    ours.status().operations.as_mut().unwrap().current.as_mut().unwrap().boot_override = true;
    assert_eq!(
        ours.settle(),
        Decision::Act(Step::BootOnce { source: BootSource::None, mode: None })
    );
    assert!(matches!(theirs.settle(), Decision::Rest(_)));
    assert_eq!(theirs.current(), None);
    // One that cannot be taken away does not keep the operation open.
    ours.done.arms = REFUSALS;
    assert!(matches!(ours.settle(), Decision::Rest(_)));
    assert_eq!(ours.current(), None);
}

#[test]
fn a_host_that_is_on_again_is_rebooted_and_several_requests_are_one() {
    let mut scene = Scene::asks(7, 0);
    assert_eq!(scene.settle(), ASK);
    scene.machine.spec.operations.as_mut().unwrap().reboot_counter = Some(9);
    scene.sees(PowerState::Off);
    assert_eq!(scene.settle(), ON);
    scene.sees(PowerState::On);
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    let operations = scene.machine.status.clone().unwrap().operations.unwrap();
    assert_eq!((operations.reboot_counter, operations.current), (Some(9), None));
    assert_eq!(scene.reason(condition::POWERED_OFF), None);
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"));
}

#[test]
fn the_node_of_a_machine_is_deleted_only_where_its_system_is_overwritten() {
    for (repave, ip, deletes) in
        [(1, "10.0.0.1", true), (0, "10.0.0.1", false), (1, "10.0.0.7", false)]
    {
        let mut scene = Scene::asks(1, repave).at(PoweringOff);
        scene.status().operations.as_mut().unwrap().reboot_counter = Some(0);
        scene.node = Some(node(ip));
        scene.sees(PowerState::Off);
        let decision = scene.settle();
        let expected = Decision::Change(Change::DeleteNode);
        assert_eq!(decision == expected, deletes, "{repave} {ip}: {decision:?}");
    }
}

#[test]
fn a_host_that_hangs_while_it_powers_off_is_cut_by_a_process_that_did_not_ask() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    scene.sees(PowerState::PoweringOff);
    for (changing, expected) in [
        (None, Decision::Rest(POLL)),
        (Some(GRACE - SignedDuration::from_secs(1)), Decision::Rest(POLL)),
        (Some(GRACE), CUT),
    ] {
        scene.done.changing = changing;
        assert_eq!(scene.settle(), expected, "{changing:?}");
    }
    // A host that this process has asked has its time from there.
    (scene.done.asked, scene.done.last) = (Some(minutes(1)), Some(minutes(1)));
    assert_eq!(scene.settle(), Decision::Rest(POLL));
}

#[test]
fn a_host_that_neither_starts_nor_stops_has_failed_to_power_on() {
    for power in [PowerState::PoweringOff, PowerState::PoweringOn] {
        let mut scene = Scene::asks(1, 0).at(PoweringOn);
        scene.sees(power);
        scene.done.changing = Some(POWER - SignedDuration::from_secs(1));
        assert_eq!(scene.settle(), Decision::Rest(POLL), "{power}");
        scene.done.changing = Some(POWER);
        scene.settle();
        let current = scene.current().unwrap();
        assert_eq!((current.attempt, &current.step), (2, &PoweringOff), "{power}");
        assert_eq!(current.reason.as_deref(), Some("PowerOnFailed"), "{power}");
    }
}

#[test]
fn a_power_state_that_changes_is_timed_from_when_it_was_first_seen() {
    let mut memory = Memory::default();
    let mut changing = |power, second| {
        let at = SignedDuration::from_secs(second);
        memory.read(Ok(system(power)), at);
        memory.done(at + SignedDuration::from_secs(1)).changing.map(|it| it.as_secs())
    };
    let seen = [
        (PowerState::On, None),
        (PowerState::PoweringOff, Some(1)),
        (PowerState::Unknown, Some(11)),
        (PowerState::PoweringOff, Some(21)),
        (PowerState::PoweringOn, Some(1)),
        (PowerState::On, None),
        (PowerState::PoweringOn, Some(1)),
    ];
    for (second, (power, ago)) in (0..).step_by(10).zip(seen) {
        assert_eq!(changing(power, second), ago, "{power} at {second} s");
    }
}

#[test]
fn a_host_that_can_only_be_asked_by_its_button_is_asked_before_its_power_is_cut() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let mut sees = |power, changing| {
        let mut reading = system(power);
        reading.reset_types = vec![ResetType::On, ResetType::ForceOff, ResetType::PushPowerButton];
        scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
        scene.done.changing = changing;
        scene.settle()
    };
    assert_eq!(sees(PowerState::On, None), ASK);
    // Now the button would turn it off, or on again.
    for power in [PowerState::PoweringOn, PowerState::PoweringOff] {
        assert_eq!(sees(power, Some(minutes(1))), Decision::Rest(POLL), "{power}");
        assert_eq!(sees(power, Some(GRACE)), CUT, "{power}");
    }
    assert_eq!(sees(PowerState::Paused, None), CUT, "the button does not ask one that is paused");
}

#[test]
fn a_boot_source_that_is_not_set_is_told_by_what_became_of_the_request() {
    for (outcome, expected) in [
        (Outcome::Taken, "the BMC accepted"),
        (Outcome::Refused, "the BMC refused"),
        (Outcome::Unknown, "the BMC gave no answer"),
    ] {
        let mut scene = Scene::asks(1, 1).at(PoweringOff);
        scene.sees(PowerState::Off);
        scene.settle();
        let mut memory = Memory::default();
        for _ in 0..REFUSALS {
            let step = Step::BootOnce { source: BootSource::Pxe, mode: None };
            memory.acted(&step, outcome, SignedDuration::ZERO);
        }
        scene.done = memory.done(SignedDuration::ZERO);
        scene.settle();
        let conditions = scene.status().conditions.clone();
        let it = conditions.iter().find(|it| it.type_ == condition::BOOT_ORDER_CONFIG_SUPPORTED);
        let message = &it.unwrap().message;
        assert!(message.starts_with(expected), "{message}");
        // What a BMC still shows that has refused it was used up.
        let mut reading = system(PowerState::Off);
        (reading.boot.enabled, reading.boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
        scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
        scene.settle();
        let is_set = outcome != Outcome::Refused;
        let reason = scene.reason(condition::BOOT_ORDER_CONFIG_SUPPORTED);
        assert_eq!(reason == Some("Supported"), is_set, "{outcome:?}");
    }
}
