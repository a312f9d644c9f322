//! How long an installer has that reports progress, and what counts as its end.

use super::{
    super::*,
    fixture::{Scene, node},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{MachineOperationStep::*, condition};
use metal_core::dice::SeededRng;

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A machine whose installer runs, and the process that watches it. Its clock is not the one on the wall.
struct Run {
    scene: Scene,
    memory: Memory,
    clock: SignedDuration,
}

impl Run {
    fn new() -> Self {
        let scene = Scene::asks(1, 1).at(Installing);
        let mut run = Self { scene, memory: Memory::default(), clock: SignedDuration::ZERO };
        run.over();
        run
    }

    fn wait(&mut self, time: SignedDuration) {
        self.clock += time;
        self.scene.now += time;
    }

    fn says(&mut self, phase: &str, written: u64) {
        let json = serde_json::json!({ "phase": phase, "written": written });
        let progress = serde_json::from_value(json).unwrap();
        if let Some(status) = reported(&self.scene.machine, 1, &progress, self.scene.now.into()) {
            *self.scene.status() = status;
        }
        self.pass();
    }

    /// Why the attempt is over, if it is.
    fn over(&mut self) -> Option<String> {
        self.pass();
        let current = self.scene.current()?;
        current.message.clone().filter(|_| current.attempt > 1)
    }

    fn pass(&mut self) {
        self.memory.keep_to(&self.scene.machine, self.clock);
        self.scene.done = self.memory.done(self.clock);
        self.scene.settle();
    }
}

#[test]
fn an_installer_that_comes_further_is_not_cut_off() {
    let mut run = Run::new();
    for step in 1..=7 {
        run.wait(minutes(29));
        run.says("writing", step << 20);
        assert_eq!(run.over(), None, "{step}");
    }
    run.wait(minutes(20));
    run.says("configuring", 7 << 20);
    assert_eq!(run.over(), None);
    run.wait(minutes(17));
    let said = run.over().unwrap();
    assert_eq!(said, "the installer was not done within 240 minutes");
    assert_eq!(run.scene.step(), Some("PoweringOff"));
    assert_eq!(run.scene.current().unwrap().progress, None, "the next attempt begins anew");
}

#[test]
fn what_was_reported_before_is_no_progress_and_neither_is_a_failure() {
    for (phase, written) in
        [("writing", 9 << 20), ("writing", 0), ("downloading", 0), ("failed", 10 << 20)]
    {
        let mut run = Run::new();
        run.says("writing", 9 << 20);
        run.wait(minutes(29));
        run.says(phase, written);
        assert_eq!(run.over(), None);
        run.wait(minutes(1));
        let said = run.over().unwrap();
        assert!(said.starts_with("the installer made no progress for 30 minutes"), "{said}");
        let tells_how_far = said.contains("after writing (9 MiB): look at its console");
        assert_eq!(tells_how_far, phase != "failed", "{said}");
    }
}

#[test]
fn a_report_for_another_installation_gives_no_time() {
    let mut run = Run::new();
    run.scene.status().operations.as_mut().unwrap().current.as_mut().unwrap().repave_counter =
        Some(2);
    run.wait(minutes(29));
    run.says("writing", 1 << 20);
    assert_eq!(run.scene.current().unwrap().progress, None);
    run.wait(minutes(1));
    assert!(run.over().unwrap().contains("was not done within 30 minutes"));
}

#[test]
fn a_clock_that_is_set_and_an_image_that_still_comes_end_no_installation() {
    let mut run = Run::new();
    // By less than what makes a step look like one of a backup.
    for hours in [1, 4, -9] {
        run.scene.now += SignedDuration::from_hours(hours);
        assert_eq!(run.over(), None, "{hours}");
    }
    for step in 1..8 {
        run.wait(minutes(29));
        run.says("writing", step << 20);
        assert_eq!(run.over(), None, "{step}");
    }
    // A process that starts in between counts from there.
    run.memory = Memory::default();
    run.wait(minutes(29));
    assert_eq!(run.over(), None);
    run.wait(minutes(29));
    assert_eq!(run.over(), None);
    run.wait(minutes(1));
    assert!(run.over().is_some());
}

#[test]
fn limits_are_those_that_are_set() {
    let mut run = Run::new();
    run.scene.limits.install = SignedDuration::from_secs(20);
    run.wait(SignedDuration::from_secs(20));
    let said = run.over().unwrap();
    assert_eq!(said, "the installer was not done within 20 s: look at its console");
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    scene.limits.shutdown = SignedDuration::from_secs(3);
    (scene.done.asked, scene.done.last) =
        (Some(scene.limits.shutdown), Some(scene.limits.shutdown));
    assert_eq!(
        scene.settle(),
        Decision::Act(Step::Reset(metal_core::redfish::ResetType::ForceOff))
    );
    scene.limits.power = SignedDuration::from_secs(4);
    scene.done.forced = Some(scene.limits.power);
    scene.settle();
    assert_eq!(scene.current().unwrap().reason.as_deref(), Some("PowerOffFailed"));
}

#[test]
fn a_machine_that_joined_after_its_installation_is_not_installed_again() {
    let made = |seconds: i64, now: Timestamp| {
        let mut node = node("10.0.0.1");
        node.metadata.creation_timestamp = Some(Time(now + SignedDuration::from_secs(seconds)));
        Some(node)
    };
    for (bmc, heard, seconds, is_done, step) in [
        (true, true, 60, true, ""),
        // It is ready, so it is left alone.
        (true, true, -60, false, "Failed"),
        // It may be the old system: nothing has fetched what installs. Its pods move away first.
        (true, false, 60, false, "Draining"),
        (false, true, 60, true, ""),
        (false, true, -60, false, ""),
        (false, false, 60, false, ""),
    ] {
        let mut run = Run::new();
        if !bmc {
            run.scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
            run.pass();
        }
        if heard {
            run.says("writing", 1);
        }
        run.scene.node = made(seconds, run.scene.now);
        run.wait(minutes(31));
        run.pass();
        let what = format!("{bmc} {heard} {seconds}");
        let done = run.scene.machine.status.clone().unwrap().operations.unwrap();
        assert_eq!(done.repave_counter == Some(1), is_done, "{what}");
        if is_done {
            assert_eq!(run.scene.reason(condition::REPAVED), Some("Succeeded"), "{what}");
            assert_eq!(
                (installs(&run.scene.machine, run.scene.now.into()), done.current),
                (None, None),
                "{what}"
            );
        } else if bmc {
            assert_eq!(run.scene.step(), Some(step), "{what}");
        }
    }
    // Another's Node of the same name says nothing.
    let mut run = Run::new();
    run.says("writing", 1);
    run.scene.node = made(60, run.scene.now);
    run.scene.node.as_mut().unwrap().status = None;
    run.wait(minutes(31));
    assert!(run.over().is_some());
}

/// An attempt ends when nothing has come further for the limit, or when the whole is used up, and at no other
/// time, whatever is reported, repeated, lost, or reported of an earlier try, and however the clock is set.
#[test]
fn an_attempt_ends_when_nothing_comes_further_or_the_whole_is_used_up() {
    let (mut in_all, mut without) = (0, 0);
    for seed in 0..20_000 {
        let mut dice = SeededRng(seed * 17 + 3);
        let mut run = Run::new();
        let (mut furthest, mut progress, mut written) = (None, SignedDuration::ZERO, 0_u64);
        loop {
            run.wait(minutes(i64::try_from(dice.roll(14)).unwrap()));
            run.scene.now += minutes(i64::try_from(dice.roll(90)).unwrap() - 45);
            let ends = (progress + INSTALL).min(INSTALL_IN_ALL);
            let is_over = run.over().is_some();
            assert_eq!(is_over, run.clock >= ends, "seed {seed}: {}", run.clock);
            if is_over {
                if ends == INSTALL_IN_ALL {
                    in_all += 1;
                } else {
                    without += 1;
                }
                assert_eq!(run.scene.reason(condition::READY), Some("PoweringOff"));
                break;
            }
            match dice.roll(40) {
                // It is silent, or nobody hears it.
                0..4 => continue,
                // It begins again.
                4 => written = 0,
                _ => written += 1 << (20 + dice.roll(4)),
            }
            let (rank, phase) = match dice.roll(60) {
                0 => (3, "configuring"),
                1..20 => (0, "downloading"),
                _ => (1, "writing"),
            };
            if furthest < Some((rank, written)) {
                (furthest, progress) = (Some((rank, written)), run.clock);
            }
            run.says(phase, written);
        }
    }
    assert!(in_all > 100 && without > 100, "{in_all} {without}");
}
