//! Many schedules of passes, hosts, installers and people, with processes that end after any write,
//! writes that are lost, BMCs that are slow, deaf or away, and events that mean nothing.

mod person;
mod world;

use super::super::*;
use metal_core::redfish::PowerState;
use world::{Trials, World};

/// One schedule; what was asked for, and how it ended.
fn play(seed: u64, trials: Trials, repaves: bool) -> World {
    let mut world = World::new(seed, trials);
    while world.machine.status.as_ref().is_none_or(|it| it.operations.is_none()) {
        world.pass();
    }
    for _ in 0..=world.dice.roll(2) {
        // Whoever asks for more than one step at once does so later: before, it is a backup that does.
        if world.chance(2) {
            world.now += ADOPTION;
        } else {
            world.seen = (world.machine.clone(), world.version);
            world.notices();
        }
        let repave = if repaves { i64::try_from(world.dice.roll(2)).unwrap() } else { 0 };
        world.asks(1, repave);
        let turns = world.dice.roll(14);
        world.run(turns);
    }
    world.settle();
    // Nothing is wiped twice but by another attempt.
    for counter in &world.wiped {
        let of = |all: &[i64]| all.iter().filter(|it| *it == counter).count();
        let (wipes, failed) = (of(&world.wiped), of(&world.failed));
        assert!(wipes <= 1 + failed, "seed {seed}: {wipes} of {counter}, {failed} failed");
    }
    world
}

/// For each rule: without optimization, each takes more than a millisecond. `hack/test attack` plays all of them.
const SCHEDULES: u64 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

#[test]
fn every_repave_wipes_once_whatever_ends_or_is_lost() {
    for network_first in [false, true] {
        let trials = Trials { faults: true, callbacks_get_lost: false, network_first };
        for seed in 0..SCHEDULES {
            let world = play(seed * 7 + 1, trials, true);
            let status = world.machine.status.clone().unwrap();
            let given_up =
                status.operations.clone().unwrap_or_default().given_up.unwrap_or_default();
            let is_through = given_up.repave_counter.is_none();
            if is_through {
                assert_eq!(
                    world.wiped.last().copied().unwrap_or(0),
                    world.wanted().repave_counter.unwrap(),
                    "seed {seed}: {status:?}"
                );
                let mut wiped = world.wiped.clone();
                wiped.dedup();
                assert_eq!(world.heard, wiped, "seed {seed}");
                assert_eq!(world.host.power, PowerState::On, "seed {seed}");
            }
        }
    }
}

#[test]
fn an_installer_that_was_not_heard_runs_again_and_not_more_often_than_allowed() {
    let trials = Trials { faults: true, callbacks_get_lost: true, network_first: false };
    for seed in 0..SCHEDULES {
        let world = play(seed * 11 + 3, trials, true);
        for counter in &world.wiped {
            let times = world.wiped.iter().filter(|it| *it == counter).count();
            assert!(
                times <= usize::try_from(ATTEMPTS).unwrap(),
                "seed {seed}: {counter} {times} times"
            );
        }
    }
}

#[test]
fn without_a_repave_nothing_is_ever_wiped() {
    let trials = Trials { faults: true, callbacks_get_lost: true, network_first: true };
    for seed in 0..SCHEDULES {
        let world = play(seed * 13 + 5, trials, false);
        assert_eq!(world.wiped, [0_i64; 0], "seed {seed}");
        assert_eq!(world.host.power, PowerState::On, "seed {seed}");
    }
}
