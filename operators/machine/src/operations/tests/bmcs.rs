//! Which system of which BMC is a Machine's, and what is said of it.

use super::{
    super::{bmc::UNPINNED, *},
    fixture::{Scene, cordoned, machine, node, system},
};
use crate::{Observation, decide};
use metal_api::{Machine, MachineOperationStep::*, MachineRedfish, MachineSystemStatus, condition};
use metal_core::{
    machine_identity::{Address, Twin},
    redfish::{PowerState, ResetType, Unreachable},
};

const UUID: &str = "4c4c4544-0042-3510-8057-b4c04f4e3232";
const OTHER: &str = "4c4c4544-0042-3510-8057-b4c04f4e3233";

fn reads(scene: &mut Scene, uuid: &str) {
    let mut reading = system(PowerState::On);
    reading.uuid = Some(uuid.parse().unwrap());
    scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
}

fn annotate(scene: &mut Scene, uuid: &str) {
    let annotation = (annotation::ACCEPT_SYSTEM.to_owned(), uuid.to_owned());
    scene.machine.metadata.annotations = Some([annotation].into());
}

#[test]
fn a_system_with_another_uuid_is_not_switched_off_for_a_machine() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    reads(&mut scene, UUID);
    let Decision::Record(status) = scene.decide() else { panic!("it is recorded first") };
    assert_eq!(status.redfish.as_ref().unwrap().system.as_ref().unwrap().uuid, UUID);
    assert!(matches!(scene.settle(), Decision::Act(_)));
    // The other byte order is the same one.
    reads(&mut scene, "44454c4c-4200-1035-8057-b4c04f4e3232");
    assert!(matches!(scene.settle(), Decision::Act(_)));
    for power in [PowerState::On, PowerState::Off] {
        reads(&mut scene, OTHER);
        if let Some((_, Ok(reading))) = &mut scene.reading {
            reading.power = power;
        }
        assert_eq!(scene.settle(), Decision::Rest(SILENT));
        assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("SystemDiffers"));
        assert_eq!(scene.step(), Some("PoweringOff"));
    }
    annotate(&mut scene, UUID);
    reads(&mut scene, OTHER);
    assert_eq!(scene.settle(), Decision::Rest(SILENT), "another one was vouched for");
    annotate(&mut scene, &OTHER.to_ascii_uppercase());
    let settle = Change::Settle { annotation: annotation::ACCEPT_SYSTEM };
    assert_eq!(scene.settle(), Decision::Change(settle));
    scene.machine.metadata.annotations = None;
    assert!(matches!(scene.settle(), Decision::Act(_)));
    assert_eq!(scene.status().redfish.clone().unwrap().system.unwrap().uuid, OTHER);
    // At another URL, or by another ID, it is meant to be another one.
    for (url, id) in [("https://192.0.2.77", None), ("https://192.0.2.77", Some("2"))] {
        let redfish = scene.machine.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap();
        (redfish.url, redfish.device_id) = (url.to_owned(), id.map(str::to_owned));
        let uuid = if id.is_none() { UUID } else { OTHER };
        reads(&mut scene, uuid);
        assert!(matches!(scene.settle(), Decision::Act(_)), "{url} {id:?}");
        assert_eq!(scene.status().redfish.clone().unwrap().system.unwrap().uuid, uuid);
    }
}

#[test]
fn a_bmc_that_was_never_reached_is_asked_seldom_while_it_is_not_needed() {
    // An installation alone waits for the next reboot.
    for (reboot, repave, rest) in [(0, 0, UNPINNED), (0, 1, UNPINNED), (1, 0, SILENT)] {
        let mut scene = Scene::asks(reboot, repave);
        scene.status().redfish = None;
        scene.certificate = Some(Err("no route to host".to_owned()));
        assert_eq!(scene.settle(), Decision::Rest(rest), "{reboot} {repave}");
        assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("NoAnswer"), "{reboot}");
    }
}

#[test]
fn an_empty_device_id_shares_with_every_system_of_that_bmc_and_sites_see_each_other() {
    let at = |url: &str, id: Option<&str>| {
        let mut machine = machine();
        let redfish = machine.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap();
        (redfish.url, redfish.device_id) = (url.to_owned(), id.map(str::to_owned));
        machine
    };
    let ours = at("https://192.0.2.9", None);
    for (url, id, shares) in [
        ("https://192.0.2.9", Some("1"), true),
        ("https://192.0.2.9", Some(""), true),
        ("https://192.0.2.9", Some("2"), false),
        ("https://192.0.2.9:8443", None, true),
        ("http://192.0.2.9", None, true),
        ("https://[::ffff:192.0.2.9]/", None, true),
        ("https://192.0.2.10", None, false),
        ("https://bmc-1.example", None, false),
        ("nonsense", None, false),
    ] {
        let other = at(url, id);
        assert_eq!(shares_system(&ours, &other), shares, "{url} {id:?}");
        assert_eq!(shares_system(&other, &ours), shares, "{url} {id:?}");
        let any = |machine: &Machine| hardware(machine).into_iter().collect::<Vec<_>>();
        if shares {
            assert!(any(&ours).iter().any(|it| any(&other).contains(it)), "{url} is not found");
        }
    }
    let forwarded = |port: u16| at(&format!("https://192.0.2.9:{port}"), None);
    assert!(!shares_system(&forwarded(8443), &forwarded(8444)), "two BMCs behind one address");
    // A name and an address of one BMC are told by the system.
    let known = |mut machine: Machine, uuid: &str| {
        let redfish = machine.spec.pxe.as_ref().unwrap().redfish.clone().unwrap();
        let MachineRedfish { url, device_id, .. } = redfish;
        let system = MachineSystemStatus { url, device_id, uuid: uuid.to_owned() };
        let status = machine.status.get_or_insert_default();
        status.redfish.get_or_insert_default().system = Some(system);
        machine
    };
    let named = known(at("https://bmc-1.example", None), UUID);
    assert!(shares_system(&known(ours.clone(), UUID), &named));
    assert!(!shares_system(&known(ours, OTHER), &named));
}

#[test]
fn a_bmc_that_answers_no_reset_ends_the_attempt_in_time() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let minutes = |minutes| Some(SignedDuration::from_mins(minutes));
    let act = |reset| Decision::Act(Step::Reset(reset));
    (scene.done.asked_first, scene.done.last) = (minutes(1), minutes(1));
    assert_eq!(scene.settle(), act(ResetType::GracefulShutdown));
    scene.done.asked_first = Some(GRACE);
    assert_eq!(scene.settle(), act(ResetType::ForceOff));
    scene.done.forced_first = minutes(1);
    assert_eq!(scene.settle(), act(ResetType::ForceOff));
    scene.done.forced_first = Some(POWER);
    let Decision::Record(status) = scene.decide() else { panic!("the attempt ends") };
    let current = status.operations.unwrap().current.unwrap();
    assert_eq!((current.attempt, current.reason.as_deref()), (2, Some("PowerOffFailed")));

    let mut scene = Scene::asks(1, 0).at(PoweringOn);
    scene.sees(PowerState::Off);
    scene.done.on_first = minutes(1);
    assert_eq!(scene.settle(), act(ResetType::On));
    scene.done.on_first = Some(POWER);
    scene.settle();
    assert_eq!(scene.current().unwrap().reason.as_deref(), Some("PowerOnFailed"));

    // What is remembered of a request counts from the first one, whatever became of it.
    let mut memory = Memory::default();
    let at = SignedDuration::from_mins;
    for (step, outcome, minute) in [
        (ResetType::GracefulShutdown, Outcome::Unknown, 1),
        (ResetType::GracefulShutdown, Outcome::Refused, 2),
        (ResetType::ForceOff, Outcome::Unknown, 3),
        (ResetType::ForceOff, Outcome::Taken, 4),
    ] {
        memory.acted(&Step::Reset(step), outcome, at(minute));
    }
    let done = memory.done(at(10));
    assert_eq!((done.asked_first, done.asked), (minutes(9), None));
    assert_eq!((done.forced_first, done.forced), (minutes(7), minutes(6)));
}

#[test]
fn a_node_that_a_finalizer_holds_does_not_hold_its_machine() {
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    scene.sees(PowerState::Off);
    let mut held = node("10.0.0.1");
    scene.node = Some(held.clone());
    assert_eq!(scene.settle(), Decision::Change(Change::DeleteNode));
    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(scene.now);
    held.metadata.deletion_timestamp = Some(time);
    scene.node = Some(held);
    assert!(matches!(scene.settle(), Decision::Act(_)));
    assert_eq!(scene.step(), Some("PoweringOn"));
}

#[test]
fn a_node_takes_pods_again_when_its_machine_loses_its_bmc_or_goes() {
    let uncordon = Decision::Change(Change::Uncordon);
    let held = |ip: &str| Some(cordoned(node(ip), true));
    // Its BMC is taken away in the middle, its URL is wrong, or its leases were edited.
    let mut scene = Scene::asks(1, 0).at(Draining);
    scene.node = held("10.0.0.1");
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    assert_eq!(scene.settle(), uncordon);
    let mut scene = Scene::asks(0, 0);
    scene.node = held("10.0.0.7");
    assert_eq!(scene.settle(), uncordon, "it is cordoned for this Machine, whatever its address");
    let redfish = |scene: &mut Scene, url: &str| {
        scene.machine.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap().url = url.to_owned();
    };
    redfish(&mut scene, "nonsense");
    assert_eq!(scene.settle(), uncordon);
    let mut shared = Scene::asks(0, 0);
    shared.node = held("10.0.0.1");
    let twin = Twin { address: Address::Ip([10, 0, 0, 1].into()), name: "b".to_owned() };
    let decided = |scene: &Scene| {
        decide(&Observation {
            machine: &scene.machine,
            twins: std::slice::from_ref(&twin),
            node: scene.node.as_ref(),
            known: Known::default(),
            now: scene.now,
            steady: scene.now,
        })
    };
    let Decision::Record(status) = decided(&shared) else { panic!("it is told first") };
    shared.machine.status = Some(*status);
    assert_eq!(decided(&shared), uncordon);
    // While an operation is in progress it stays as it is, and so does one that others have cordoned.
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    scene.node = held("10.0.0.1");
    redfish(&mut scene, "nonsense");
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    let mut scene = Scene::asks(0, 0);
    scene.machine.metadata.uid = Some("another".to_owned());
    scene.node = held("10.0.0.7");
    assert!(matches!(scene.settle(), Decision::Rest(_)));
}

#[test]
fn a_condition_about_a_bmc_ends_with_the_bmc() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    scene.settle();
    for type_ in [condition::BMC_REACHABLE, condition::POWERED_OFF] {
        assert!(scene.reason(type_).is_some(), "{type_}");
    }
    let mut without = scene.clone();
    without.machine.spec.pxe.as_mut().unwrap().redfish = None;
    without.settle();
    for type_ in
        [condition::BMC_REACHABLE, condition::POWERED_OFF, condition::BOOT_ORDER_CONFIG_SUPPORTED]
    {
        assert_eq!(without.reason(type_), None, "{type_}");
    }
    // One that did not answer is read again now and then, also if nothing is to be done.
    let mut scene = Scene::asks(0, 0);
    let failed = |trouble| Some((SignedDuration::from_mins(11), Err(ReadError::Silent(trouble))));
    scene.certificate = Some(Err("TCP connection failed".to_owned()));
    let pin = scene.status().redfish.take();
    scene.settle();
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("NoAnswer"));
    scene.status().redfish = pin;
    scene.reading = failed(Unreachable::NoAnswer("silent".to_owned()));
    assert_eq!(scene.settle(), Decision::Look(Need::System));
    scene.reading = failed(Unreachable::Unauthorized);
    assert!(matches!(scene.settle(), Decision::Rest(_)), "its account is not locked by us");
    reads(&mut scene, UUID);
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("Answers"));
    scene.reading = None;
    assert!(matches!(scene.settle(), Decision::Rest(_)), "one that answers is left alone");
}
