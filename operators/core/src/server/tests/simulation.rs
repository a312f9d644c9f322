//! Many passes over one server, with lost and repeated writes.

use super::{
    fixture::{Scene, seconds},
    *,
};
use crate::redfish::{ImageUrl, SystemReading};

/// The end of a run.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    pub(super) state: ServerState,
    pub(super) power: PowerState,
    pub(super) pending: Option<PendingKind>,
    pub(super) cut: bool,
    /// How many times a host that was off was powered on.
    pub(super) switched_on: usize,
}

/// From a new server, with any of the first eight writes lost and all others done twice, the server
/// is discovered, without cutting its power.
#[test]
fn every_discovery_ends_available_despite_lost_and_repeated_writes() {
    for faults in 0..256 {
        let mut scene = Scene::new();
        let end = settle(&mut scene, faults);
        let expected = End {
            state: ServerState::Available,
            power: PowerState::Off,
            pending: None,
            cut: false,
            switched_on: end.switched_on,
        };
        assert_eq!(end, expected, "faults {faults:08b}");
        assert_eq!(scene.server.spec.boot_configuration_ref, None);
    }
}

/// The same from a claimed server to its release.
#[test]
fn every_claim_boots_and_every_release_ends_available_despite_lost_and_repeated_writes() {
    for faults in 0..256 {
        let mut scene = Scene::reserved();
        let end = settle(&mut scene, faults);
        let on = End {
            state: ServerState::Reserved,
            power: PowerState::On,
            pending: None,
            cut: false,
            switched_on: 1,
        };
        assert_eq!(end, on, "faults {faults:08b}");

        (scene.claim, scene.claim_is_gone) = (None, true);
        let end = settle(&mut scene, faults);
        let off = End {
            state: ServerState::Available,
            power: PowerState::Off,
            pending: None,
            cut: false,
            switched_on: end.switched_on,
        };
        assert_eq!(end, off, "faults {faults:08b}");
    }
}

/// A server that boots from a medium is discovered, too, and the medium is gone in the end.
#[test]
fn every_discovery_from_a_medium_ends_without_it_despite_lost_and_repeated_writes() {
    for faults in 0..256 {
        let mut scene = Scene::with_drives();
        let end = settle(&mut scene, faults);
        assert_eq!(end.state, ServerState::Available, "faults {faults:08b}");
        assert_eq!((end.power, end.cut), (PowerState::Off, false), "faults {faults:08b}");
        let drives = scene.media.unwrap();
        assert!(drives.iter().all(|drive| !drive.inserted), "faults {faults:08b}");
    }
}

/// A process that restarts after every pass, and so remembers nothing, gets there too.
#[test]
fn process_that_forgets_everything_after_each_pass_gets_there() {
    let mut scene = Scene::new();
    let mut steps = vec![];
    for _ in 0..60 {
        scene.now += seconds(30);
        (scene.last_step, scene.recorded, scene.started) = (None, None, scene.now);
        scene.was_off = false;
        scene.refresh();
        pass(&mut scene, Fault::None, &mut steps);
    }
    assert_eq!(scene.state(), ServerState::Available);
    let on = steps.iter().filter(|step| **step == Step::Reset(ResetType::On)).count();
    assert_eq!(on, 1, "{steps:?}");
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    Lost,
    Twice,
}

/// Runs passes until one rests with nothing pending. Bit *n* of `faults` loses write *n*.
fn settle(scene: &mut Scene, faults: u32) -> End {
    settle_with(scene, |_, writes| match writes {
        0..8 if faults >> writes & 1 == 1 => Fault::Lost,
        _ => Fault::Twice,
    })
}

/// Runs passes until one rests with nothing pending. Before each, `before` gets the number of
/// writes so far, and returns what happens to the next.
pub(super) fn settle_with(
    scene: &mut Scene,
    mut before: impl FnMut(&mut Scene, usize) -> Fault,
) -> End {
    let (mut steps, mut writes, mut rests, mut switched_on) = (vec![], 0, 0, 0);
    for _ in 0..200 {
        scene.now += seconds(3);
        let fault = if rests == 0 { before(scene, writes) } else { Fault::None };
        let was_off = scene.system().power == PowerState::Off;
        if pass(scene, fault, &mut steps) {
            writes += 1;
            rests = 0;
            switched_on += usize::from(was_off && scene.system().power == PowerState::On);
        } else {
            rests += 1;
        }
        if rests > 60 {
            break;
        }
    }
    let cut = steps.contains(&Step::Reset(ResetType::ForceOff));
    let power = scene.system().power;
    End { state: scene.state(), power, pending: scene.pending(), cut, switched_on }
}

/// One pass; returns whether it wrote anything.
fn pass(scene: &mut Scene, fault: Fault, steps: &mut Vec<Step>) -> bool {
    match scene.decide() {
        Decision::Look(Need::System | Need::Media) => scene.refresh(),
        Decision::Look(need) => panic!("{need:?} is there"),
        Decision::Rest(_) => return false,
        Decision::Record(_) | Decision::Change(_) if fault == Fault::Lost => {}
        Decision::Record(status) => {
            scene.server.status = Some(*status);
            scene.recorded = Some(scene.now);
        }
        Decision::Change(change) => configure(scene, &change),
        Decision::Act(step) => {
            scene.carried_out(step.clone());
            steps.push(step.clone());
            for _ in 0..match fault {
                Fault::Lost => 0,
                Fault::None => 1,
                Fault::Twice => 2,
            } {
                act(scene, &step);
            }
            scene.refresh();
            report(scene);
        }
    }
    true
}

fn configure(scene: &mut Scene, change: &Change) {
    match change {
        Change::PrepareDiscovery { .. } => scene.prepare(BootState::Ready),
        Change::DropConfiguration => scene.server.spec.boot_configuration_ref = None,
        Change::ReleaseClaim => scene.server.spec.server_claim_ref = None,
        Change::AddFinalizer
        | Change::RemoveFinalizer
        | Change::ReferToDiscovery
        | Change::DropOperation
        | Change::Note(_)
        | Change::SettleCertificate
        | Change::SetSystemUri { .. }
        | Change::SetSystemUuid { .. }
        | Change::AdoptClaim { .. } => {
            panic!("{change:?} is not expected here")
        }
    }
}

fn act(scene: &mut Scene, step: &Step) {
    let mut fill = |slot: &str, image: Option<ImageUrl>| {
        let drive = scene.media.iter_mut().flatten().find(|drive| drive.uri == slot).unwrap();
        (drive.inserted, drive.image) = (image.is_some(), image);
    };
    match step {
        Step::InsertMedium { slot, image } => return fill(slot, Some(image.clone())),
        Step::EjectMedium { slot } => return fill(slot, None),
        Step::BootOnce { .. } | Step::Reset(_) | Step::IndicatorLed(_) | Step::BootOrder(_) => {}
    }
    let machine: &mut SystemReading = scene.system();
    match step {
        Step::BootOnce { source, .. } => {
            (machine.boot.enabled, machine.boot.target) = (BootEnabled::Once, Some(*source));
        }
        Step::Reset(ResetType::On) => {
            machine.power = PowerState::On;
            machine.boot.enabled = BootEnabled::Disabled;
        }
        Step::Reset(ResetType::GracefulShutdown | ResetType::ForceOff) => {
            machine.power = PowerState::Off;
        }
        Step::Reset(_)
        | Step::IndicatorLed(_)
        | Step::BootOrder(_)
        | Step::InsertMedium { .. }
        | Step::EjectMedium { .. } => {
            panic!("{step:?} is not expected here")
        }
    }
}

/// A host that is on during its discovery reports.
fn report(scene: &mut Scene) {
    let is_on = scene.system().power == PowerState::On;
    if is_on && scene.reports && scene.state() == ServerState::Discovery {
        scene.report_for("uid-1.1");
    }
}
