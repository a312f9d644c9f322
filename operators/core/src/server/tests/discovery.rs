//! A discovery: from its intent to the report, and what comes of one that fails.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

#[test]
fn discovery_reads_the_parts_and_records_its_intent_before_it_touches_the_machine() {
    let mut scene = Scene::new();
    scene.inventory = None;
    assert_eq!(scene.decide(), Decision::Look(Need::Inventory));
    scene.inventory = Some(Inventory::default());
    scene.record();
    assert_eq!(scene.state(), ServerState::Discovery);
    assert_eq!(scene.pending(), Some(PendingKind::NetworkBoot));
    assert_eq!(scene.decide(), Decision::Change(Change::PrepareDiscovery { attempt: 1 }));
}

#[test]
fn a_boot_configuration_of_somebody_else_with_the_name_of_the_server_is_told() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    let owned_by = |scene: &mut Scene, uid: &str| {
        let (kind, uid) = ("ServerClaim".to_owned(), uid.to_owned());
        let controller = Some(true);
        let owner = OwnerReference { kind, uid, controller, ..OwnerReference::default() };
        let metadata = &mut scene.configuration.as_mut().unwrap().metadata;
        (metadata.annotations, metadata.owner_references) = (None, Some(vec![owner]));
    };
    owned_by(&mut scene, "uid-1");
    assert_eq!(scene.decide(), Decision::Change(Change::PrepareDiscovery { attempt: 1 }));
    owned_by(&mut scene, "uid-of-a-claim");
    scene.recorded = None;
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "NameTaken"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn report_of_another_boot_does_not_count() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().power = PowerState::On;
    scene.report_for("uid-1.0");
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.report_for("uid-1.1");
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::GracefulShutdown)));
}

#[test]
fn report_ends_the_configuration_and_is_taken_when_the_host_is_off() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.report_for("uid-1.1");
    scene.system().power = PowerState::On;
    let shut_down = Step::Reset(ResetType::GracefulShutdown);
    assert_eq!(scene.decide(), Decision::Act(shut_down.clone()));
    scene.carried_out(shut_down);
    scene.system().power = PowerState::PoweringOff;
    assert_eq!(scene.decide(), Decision::Change(Change::DropConfiguration));
    scene.server.spec.boot_configuration_ref = None;
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.system().power = PowerState::Off;
    scene.record();
    assert_eq!(scene.state(), ServerState::Available);
    let status = scene.server.status.as_ref().unwrap();
    assert_eq!(status.network_interfaces[0].name, "eth0");
    assert_eq!(status.pending, None);
}

#[test]
fn the_report_is_read_when_the_server_becomes_available_and_not_before() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.report_for("uid-1.1");
    let interfaces = scene.interfaces.take();
    assert!(matches!(scene.decide(), Decision::Change(Change::DropConfiguration)));
    scene.server.spec.boot_configuration_ref = None;
    scene.configuration = None;
    assert_eq!(scene.decide(), Decision::Look(Need::Report));
    scene.interfaces = interfaces.clone();
    scene.record();
    assert_eq!(scene.state(), ServerState::Available);
    let status = scene.server.status.as_ref().unwrap();
    assert_eq!(status.network_interfaces, interfaces.unwrap());
    scene.interfaces = None;
    assert!(!matches!(scene.decide(), Decision::Look(Need::Report)), "it is recorded");
}

#[test]
fn host_that_was_off_before_its_report_is_looked_at_again() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.now = T0 + seconds(3);
    scene.report_for("uid-1.1");
    assert_eq!(scene.decide(), Decision::Look(Need::System));
    (scene.system().power, scene.read_at) = (PowerState::On, scene.now);
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::GracefulShutdown)));
    // Within the second of the report, the order is not known.
    scene.system().power = PowerState::Off;
    scene.report.as_mut().unwrap().spec.received_time = Some(Time(scene.now));
    assert_eq!(scene.decide(), Decision::Rest(seconds(1)));
}

#[test]
fn discovery_without_report_begins_again_and_ends_in_error_after_the_last_attempt() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.settings.discovery_attempts = 1;
    scene.system().power = PowerState::On;
    scene.now += scene.settings.discovery_timeout;
    scene.refresh();
    scene.record();
    let recorded = (scene.state(), scene.pending());
    assert_eq!(recorded, (ServerState::Initial, Some(PendingKind::PowerOff)));
    scene.record();
    assert_eq!(scene.state(), ServerState::Error);
    assert_eq!(scene.condition(condition::READY), ("False", "DiscoveryFailed"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));

    scene.annotate(annotation::OPERATION, "retry");
    scene.record();
    assert_eq!(scene.state(), ServerState::Initial);
    assert_eq!(scene.decide(), Decision::Change(Change::DropOperation));
    // What its last attempt has booted is still on.
    scene.server.metadata.annotations = None;
    scene.settle();
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::GracefulShutdown)));
    scene.system().power = PowerState::Off;
    scene.refresh();
    scene.settle();
    assert_eq!(
        (scene.state(), scene.pending()),
        (ServerState::Discovery, Some(PendingKind::NetworkBoot))
    );
}

#[test]
fn a_host_in_error_that_no_discovery_has_booted_stays_on_after_a_retry() {
    let mut scene = Scene::available();
    scene.server.status.as_mut().unwrap().state = Some(ServerState::Error);
    scene.system().power = PowerState::On;
    scene.annotate(annotation::OPERATION, "retry");
    scene.record();
    scene.server.metadata.annotations = None;
    scene.settle();
    assert_eq!((scene.state(), scene.pending()), (ServerState::Discovery, None));
    assert_eq!(scene.decide(), Decision::Change(Change::ReferToDiscovery));
}

#[test]
fn a_discovery_whose_report_is_not_enough_says_what_it_lacks() {
    for reports in [true, false] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.system().power = PowerState::On;
        if reports {
            scene.report_for("uid-1.1");
            scene.report.as_mut().unwrap().spec.is_complete = false;
        }
        scene.now += scene.settings.discovery_timeout;
        scene.refresh();
        scene.record();
        let status = scene.server.status.as_ref().unwrap();
        let error = status.discovery.as_ref().unwrap().error.clone().unwrap();
        assert_eq!(error.contains("no network interface"), reports, "{error}");
    }
}

#[test]
fn retry_asked_of_a_server_that_is_not_in_error_changes_only_that_it_is_asked() {
    for mut scene in [Scene::in_discovery(BootState::Ready), Scene::available(), Scene::reserved()]
    {
        let state = scene.state();
        scene.annotate(annotation::OPERATION, "retry");
        assert_eq!(scene.decide(), Decision::Change(Change::DropOperation));
        assert_eq!(scene.state(), state);
    }
}

#[test]
fn a_host_that_goes_off_before_it_reports_fails_its_attempt() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.settings.discovery_attempts = 1;
    scene.carried_out(Step::Reset(ResetType::On));
    for (power, off_for, state) in [
        (PowerState::On, None, ServerState::Discovery),
        (PowerState::Off, Some(seconds(0)), ServerState::Discovery),
        (PowerState::Off, Some(minutes(1)), ServerState::Error),
    ] {
        scene.now += minutes(2);
        (scene.system().power, scene.off_for) = (power, off_for);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.state(), state, "{power} {off_for:?}");
    }
    assert_eq!(scene.condition(condition::READY), ("False", "DiscoveryFailed"));
    let told = scene.message(condition::READY);
    assert!(told.contains("went off before it reported"), "{told}");
}

#[test]
fn a_host_that_a_person_switches_off_for_its_discovery_is_booted() {
    let mut scene = Scene::new();
    scene.system().power = PowerState::On;
    scene.record();
    scene.prepare(BootState::Ready);
    scene.now += minutes(2);
    (scene.system().power, scene.off_for) = (PowerState::Off, Some(minutes(1)));
    scene.refresh();
    scene.settle();
    assert_eq!(scene.state(), ServerState::Discovery);
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn a_discovery_that_waits_for_the_boot_operator_says_so_after_a_while() {
    let mut scene = Scene::in_discovery(BootState::Pending);
    for (time, reason) in [(seconds(50), "Discovery"), (seconds(20), "WaitingForBootConfiguration")]
    {
        scene.now += time;
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.condition(condition::READY), ("False", reason));
    }
    scene.configure(BootState::Ready);
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn a_discovery_whose_secret_was_deleted_says_how_to_have_it_made_again() {
    let mut scene = Scene::in_discovery(BootState::Error);
    scene.now += seconds(20);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.condition(condition::READY), ("False", "BootConfigurationError"));
    let told = scene.message(condition::READY);
    assert!(told.contains("delete ServerBootConfiguration manager/server-a"), "{told}");
    scene.configuration = None;
    assert_eq!(scene.decide(), Decision::Change(Change::PrepareDiscovery { attempt: 1 }));
}

#[test]
fn a_host_that_is_on_for_its_discovery_is_no_longer_waited_for() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.carried_out(Step::Reset(ResetType::On));
    for (power, off_for, reason) in [
        (PowerState::On, None, "Discovery"),
        (PowerState::Off, Some(seconds(0)), "WaitingForPowerOn"),
        (PowerState::On, None, "Discovery"),
    ] {
        scene.now += minutes(2);
        (scene.system().power, scene.off_for) = (power, off_for);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.condition(condition::READY), ("False", reason));
    }
    assert_eq!(scene.state(), ServerState::Discovery);
}

#[test]
fn a_host_that_goes_off_after_a_report_that_is_not_enough_is_told_what_that_lacks() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.carried_out(Step::Reset(ResetType::On));
    scene.report_for("uid-1.1");
    scene.report.as_mut().unwrap().spec.is_complete = false;
    scene.now += minutes(2);
    scene.off_for = Some(minutes(1));
    scene.refresh();
    scene.record();
    let status = scene.server.status.as_ref().unwrap();
    let error = status.discovery.as_ref().unwrap().error.as_ref().unwrap();
    assert!(error.contains("no network interface"), "{error}");
}
