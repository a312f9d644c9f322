//! A table for single decisions, and a simulated machine for their composition.

mod deadline;
mod departure;
mod discovery;
mod firmware;
mod first_look;
mod fixture;
mod handover;
mod identity;
mod lost;
mod maintenance;
mod media;
mod method;
mod missed;
mod power;
mod press;
mod recording;
mod restored;
mod simulation;
mod stale;
mod steps_without_effect;
mod switched;
mod together;
mod twins;
mod window;

use super::*;
use crate::redfish::{BootEnabled, BootMode, BootSource, PowerState, ResetType, Unreachable};
use fixture::{Scene, T0, minutes, seconds};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootState, LocalObjectReference, Operation, PendingKind, ReclaimPolicy, ServerState,
    annotation, condition,
};

#[test]
fn new_server_gets_its_finalizer_before_anything_else() {
    let mut scene = Scene::new();
    scene.server.metadata.finalizers = None;
    assert_eq!(scene.decide(), Decision::Change(Change::AddFinalizer));
}

#[test]
fn ignored_server_is_left_alone() {
    let mut scene = Scene::new();
    scene.annotate(annotation::OPERATION, &Operation::Ignore.to_string());
    scene.server.metadata.finalizers = None;
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn silent_bmc_is_shown_then_asked_again_and_refused_credentials_are_not() {
    let silent = Unreachable::NoAnswer("timed out".to_owned());
    for (why, reason, polled) in
        [(silent, "NoAnswer", true), (Unreachable::Unauthorized, "Unauthorized", false)]
    {
        let mut scene = Scene::new();
        scene.reading = Some(Err(why));
        scene.record();
        assert_eq!(scene.condition(condition::BMC_REACHABLE), ("False", reason));
        let next = scene.decide();
        assert!(matches!(next, Decision::Rest(time) if (time < minutes(1)) == polled), "{next:?}");
    }
}

#[test]
fn credentials_count_as_refused_since_they_were_and_not_since_the_trouble_before() {
    let mut scene = Scene::new();
    scene.reading = Some(Err(Unreachable::NoAnswer("timed out".to_owned())));
    scene.record();
    scene.reading = Some(Err(Unreachable::Unauthorized));
    scene.now += minutes(6);
    scene.refresh();
    let refused = scene.now;
    for _ in 0..2 {
        scene.settle();
        let conditions = &scene.server.status.as_ref().unwrap().conditions;
        let told = conditions.iter().find(|c| c.type_ == condition::BMC_REACHABLE).unwrap();
        assert_eq!(
            (told.reason.as_str(), &told.last_transition_time),
            ("Unauthorized", &Time(refused))
        );
        scene.now += minutes(1);
        scene.refresh();
    }
}

#[test]
fn refused_credentials_are_told_with_the_object_that_has_them() {
    let mut scene = Scene::new();
    scene.server.spec.bmc_ref = Some(LocalObjectReference { name: "bmc-1".to_owned() });
    scene.reading = Some(Err(Unreachable::Unauthorized));
    scene.record();
    let told = scene.message(condition::BMC_REACHABLE);
    assert!(told.ends_with("correct the BMCSecret of BMC bmc-1"), "{told}");
}

#[test]
fn a_server_that_is_also_a_machine_of_metalman_is_left_alone_and_says_so() {
    let mut scene = Scene::new();
    scene.machines = vec!["node-01".to_owned()];
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "Ambiguous"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    // When it is a server alone, it is one.
    scene.machines = vec![];
    scene.record();
    assert_eq!(scene.state(), ServerState::Discovery);
    // And what it was about to boot, it is not given any more.
    let opened = scene.now;
    scene.server.status.as_mut().unwrap().boot_window = Some(metal_api::BootWindow {
        boot_configuration_ref: metal_api::ObjectReference::default(),
        boot_configuration_uid: None,
        opened: Time(opened),
        closes: Time(opened + minutes(10)),
    });
    scene.machines = vec!["node-01".to_owned()];
    scene.record();
    assert_eq!(scene.server.status.as_ref().unwrap().boot_window, None);
}

#[test]
fn host_is_armed_then_switched_on_and_only_when_its_configuration_is_ready() {
    let mut scene = Scene::in_discovery(BootState::Pending);
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.configure(BootState::Ready);
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    assert_eq!(scene.decide(), Decision::Act(arm.clone()));
    scene.carried_out(arm);
    let system = scene.system();
    (system.boot.enabled, system.boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
    system.boot.mode = Some(BootMode::Uefi);
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

#[test]
fn uefi_http_boot_is_taken_where_bmc_and_image_can_do_it() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().boot.allowable = vec![BootSource::Pxe, BootSource::UefiHttp];
    let armed = |source, mode| Decision::Act(Step::BootOnce { source, mode });
    assert_eq!(scene.decide(), armed(BootSource::Pxe, Some(BootMode::Uefi)));
    scene.configuration_condition(condition::HTTP_BOOT_READY, "True");
    assert_eq!(scene.decide(), armed(BootSource::UefiHttp, Some(BootMode::Uefi)));
    scene.system().boot.allowable_modes = vec![BootMode::Legacy];
    assert_eq!(scene.decide(), armed(BootSource::Pxe, Some(BootMode::Legacy)));
    scene.system().boot.mode = None;
    assert_eq!(scene.decide(), armed(BootSource::Pxe, None));
}

#[test]
fn bmc_that_reads_http_boot_back_as_pxe_is_switched_on_once_it_was_told() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().boot.allowable = vec![BootSource::Pxe, BootSource::UefiHttp];
    scene.configuration_condition(condition::HTTP_BOOT_READY, "True");
    let boot = &mut scene.system().boot;
    (boot.enabled, boot.target) = (BootEnabled::Continuous, Some(BootSource::Pxe));
    let arm = Step::BootOnce { source: BootSource::UefiHttp, mode: Some(BootMode::Uefi) };
    assert_eq!(scene.decide(), Decision::Act(arm.clone()));
    scene.carried_out(arm);
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

#[test]
fn bmc_that_can_boot_nothing_of_the_image_is_told() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().boot.allowable = vec![BootSource::Hdd];
    scene.now += seconds(20);
    scene.refresh();
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "NoBootSource"));
}

#[test]
fn running_host_nobody_allowed_to_cut_is_not_touched() {
    let mut scene = Scene::new();
    scene.system().power = PowerState::On;
    scene.record();
    assert_eq!((scene.state(), scene.pending()), (ServerState::Discovery, None));
    scene.prepare(BootState::Ready);
    scene.now += minutes(600);
    scene.refresh();
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "HostRunning"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn enforced_first_boot_switches_a_running_host_off_first() {
    let mut scene = Scene::new();
    scene.settings.enforce_first_boot = true;
    scene.system().power = PowerState::On;
    scene.record();
    let recorded = (scene.state(), scene.pending());
    assert_eq!(recorded, (ServerState::Initial, Some(PendingKind::PowerOff)));
    let ask = Step::Reset(ResetType::GracefulShutdown);
    assert_eq!(scene.decide(), Decision::Act(ask.clone()));
    scene.carried_out(ask);
    scene.now += scene.settings.shutdown_grace;
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::ForceOff)));
}

#[test]
fn reference_to_a_configuration_outlives_no_host_that_is_off() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.report_for("uid-1.1");
    assert_eq!(scene.decide(), Decision::Change(Change::DropConfiguration));
}

#[test]
fn claimed_host_is_booted_with_the_claims_configuration_once_that_is_ready() {
    let mut scene = Scene::reserved();
    scene.claim_configuration(BootState::Pending);
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.claim_configuration(BootState::Ready);
    assert_eq!(scene.pending(), Some(PendingKind::NetworkBoot));
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn running_claimed_host_is_left_alone_whatever_its_configuration_says() {
    for state in [BootState::Pending, BootState::Error, BootState::Ready] {
        let mut scene = Scene::reserved();
        scene.claim_configuration(state);
        scene.system().power = PowerState::On;
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)));
    }
}

#[test]
fn status_loss_does_not_touch_a_claimed_machine() {
    let mut scene = Scene::reserved();
    scene.server.status = None;
    scene.system().power = PowerState::On;
    scene.settle();
    assert_eq!(scene.state(), ServerState::Reserved);
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn missing_claim_that_was_never_seen_here_releases_nothing() {
    let mut scene = Scene::reserved();
    scene.server.status = None;
    scene.claim = None;
    scene.system().power = PowerState::On;
    scene.settle();
    assert_eq!(scene.decide(), Decision::Look(Need::Claim));
    scene.claim_is_gone = true;
    scene.now += seconds(20);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.condition(condition::READY), ("False", "ClaimMissing"));
    scene.now += minutes(600);
    scene.refresh();
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn released_claim_frees_its_server_only_when_the_host_is_off() {
    for (policy, last) in [
        (ReclaimPolicy::Recycle, Some(Decision::Change(Change::ReleaseClaim))),
        (ReclaimPolicy::Retain, None),
    ] {
        let mut scene = Scene::reserved();
        scene.server.spec.reclaim_policy = Some(policy);
        scene.system().power = PowerState::On;
        scene.settle();
        scene.claim = None;
        assert_eq!(scene.decide(), Decision::Look(Need::Claim));
        scene.claim_is_gone = true;
        scene.record();
        assert_eq!(scene.decide(), Decision::Change(Change::DropConfiguration));
        scene.server.spec.boot_configuration_ref = None;
        let ask = Step::Reset(ResetType::GracefulShutdown);
        assert_eq!(scene.decide(), Decision::Act(ask.clone()));
        scene.carried_out(ask);
        scene.now += minutes(600);
        scene.refresh();
        assert_ne!(scene.decide(), Decision::Act(Step::Reset(ResetType::ForceOff)));
        scene.system().power = PowerState::Off;
        if let Some(last) = last {
            assert_eq!(scene.decide(), last);
        } else {
            scene.record();
            assert_eq!(scene.state(), ServerState::Released);
        }
    }
}

#[test]
fn machine_is_touched_only_on_fresh_facts() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.now += seconds(60);
    assert_eq!(scene.decide(), Decision::Look(Need::System));
}

#[test]
fn foreign_claim_reference_without_bmc_waits_with_a_reason() {
    let mut scene = Scene::reserved();
    scene.access = Err("spec.bmcRef: BMC bmc-1 not found: create it".to_owned());
    scene.server.spec.bmc_ref = Some(LocalObjectReference { name: "bmc-1".to_owned() });
    scene.now += seconds(20);
    scene.record();
    assert_eq!(scene.condition(condition::BMC_REACHABLE), ("False", "NoBMC"));
}
