//! Many schedules of passes, hosts, installers and people, with processes that end after any write,
//! writes that are lost, BMCs that are slow, deaf or away, and events that mean nothing.

use super::{
    super::*,
    fixture::{machine, node, system},
};
use crate::{
    dice::Dice,
    machine::{Observation, decide},
    redfish::{BootEnabled, BootSource, PowerState, ResetType, SystemReading, Unreachable},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use metal_api::{Machine, MachineOperations};

/// What may go wrong in a schedule.
#[derive(Clone, Copy, Debug)]
struct Trials {
    /// Processes end, writes are lost, BMCs are away.
    faults: bool,
    /// What the installer says may be lost.
    callbacks_get_lost: bool,
    /// The firmware boots from the network whatever it is told.
    network_first: bool,
}

/// All there is.
struct World {
    dice: Dice,
    trials: Trials,
    /// At the API server.
    machine: Machine,
    version: u32,
    /// What the process has seen of it, and which version that is.
    seen: (Machine, u32),
    /// What the replica has seen of it that answers the machine; it may lag for any time.
    served: Machine,
    node: Option<Node>,
    host: Host,
    memory: Memory,
    now: Timestamp,
    /// The repave counter of each time that the disk was overwritten.
    wiped: Vec<i64>,
    /// Repave counters whose installer was heard.
    heard: Vec<i64>,
}

struct Host {
    power: PowerState,
    /// What it is about to be.
    next: Option<(PowerState, Timestamp)>,
    boots_once: bool,
    /// An installer that runs, and when it is done.
    installer: Option<(i64, Timestamp)>,
}

impl World {
    fn new(seed: u64, trials: Trials) -> Self {
        let mut machine = machine();
        (machine.spec.operations, machine.status) = (Some(MachineOperations::default()), None);
        let host = Host { power: PowerState::On, next: None, boots_once: false, installer: None };
        Self {
            dice: Dice(seed),
            trials,
            seen: (machine.clone(), 0),
            served: machine.clone(),
            machine,
            version: 0,
            node: None,
            host,
            memory: Memory::default(),
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            wiped: vec![],
            heard: vec![],
        }
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.dice.roll(one_in) == 0
    }

    fn fails(&mut self, one_in: usize) -> bool {
        self.trials.faults && self.chance(one_in)
    }

    fn asks(&mut self, reboot: i64, repave: i64) {
        let wanted = self.machine.spec.operations.get_or_insert_default();
        wanted.reboot_counter = Some(wanted.reboot_counter.unwrap_or(0) + reboot);
        wanted.repave_counter = Some(wanted.repave_counter.unwrap_or(0) + repave);
        self.version += 1;
    }

    fn wanted(&self) -> MachineOperations {
        self.machine.spec.operations.clone().unwrap()
    }

    /// Time passes, and the host goes on.
    fn wait(&mut self, time: SignedDuration) {
        self.now += time;
        if let Some((power, _)) = self.host.next.filter(|(_, at)| *at <= self.now) {
            self.host.next = None;
            if power == PowerState::On && self.host.power != PowerState::On {
                self.boot();
            }
            if power == PowerState::Off {
                self.host.installer = None;
            }
            self.host.power = power;
        }
        if let Some((counter, _)) = self.host.installer.filter(|(_, at)| *at <= self.now) {
            self.host.installer = None;
            if !(self.trials.callbacks_get_lost && self.chance(3)) {
                self.callback(counter);
            }
            // It restarts the host.
            self.boot();
        }
    }

    fn boot(&mut self) {
        let from_network = self.host.boots_once || self.trials.network_first;
        self.host.boots_once = false;
        if !from_network {
            return;
        }
        if !self.fails(2) {
            self.served = self.machine.clone();
        }
        let live = if self.fails(8) { None } else { Some(&self.machine) };
        let Ok(served) = confirmed(&self.served, live, self.now.into()) else { return };
        if let Some(counter) = installs(served, self.now.into()) {
            let wanted = self.wanted().repave_counter;
            assert!(wanted >= Some(counter) && counter > 0, "nobody has asked for {counter}");
            assert!(!self.heard.contains(&counter), "{counter} is installed already");
            self.wiped.push(counter);
            self.host.installer = Some((counter, self.now + SignedDuration::from_mins(7)));
        }
    }

    fn callback(&mut self, counter: i64) {
        if let Callback::Record(status) = installed(&self.machine, Some(counter), self.now.into()) {
            self.heard.push(counter);
            self.write(*status);
        }
    }

    /// Writes a status, and holds that counters never fall and are never above what was asked for.
    fn write(&mut self, status: MachineStatus) {
        let counters = |status: Option<&MachineStatus>| {
            let done = status.and_then(|it| it.operations.clone()).unwrap_or_default();
            (done.reboot_counter, done.repave_counter)
        };
        let (before, after) = (counters(self.machine.status.as_ref()), counters(Some(&status)));
        assert!(after.0 >= before.0 && after.1 >= before.1, "{before:?} -> {after:?}");
        let wanted = self.wanted();
        assert!(
            after.0 <= wanted.reboot_counter.max(Some(0))
                && after.1 <= wanted.repave_counter.max(Some(0))
        );
        self.machine.status = Some(status);
        self.version += 1;
    }

    fn moment(&self) -> SignedDuration {
        self.now.duration_since(Timestamp::UNIX_EPOCH)
    }

    /// A pass that sees what was asked for last, and writes it.
    fn notices(&mut self) {
        let Decision::Record(status) = self.decide(None, None) else { return };
        self.write(*status);
        self.seen = (self.machine.clone(), self.version);
    }

    fn restart(&mut self) {
        self.memory = Memory::default();
        self.seen = (self.machine.clone(), self.version);
    }

    fn pass(&mut self) {
        if !self.fails(6) {
            self.seen = (self.machine.clone(), self.version);
        }
        let (mut certificate, mut pods) = (None, None);
        for _ in 0..8 {
            match self.decide(certificate.as_ref(), pods) {
                Decision::Look(Need::System) => self.look(),
                Decision::Look(Need::Certificate) => certificate = Some(Ok("aa:bb".to_owned())),
                Decision::Look(Need::Pods) => {
                    let at = self.moment();
                    self.memory.drains(at);
                    pods = Some(self.dice.roll(3));
                }
                Decision::Record(status) => return self.record(*status),
                Decision::Change(change) => return self.change(change),
                Decision::Act(step) => return self.act(&step),
                Decision::Rest(_) => return,
            }
        }
        unreachable!("a pass does not end")
    }

    fn decide(&mut self, certificate: Option<&Certificate>, pods: Option<usize>) -> Decision {
        let at = self.moment();
        self.memory.keep_to(&self.seen.0, at);
        let (reading, done) = (self.memory.aged(at), self.memory.done(at));
        let known = Known { reading, certificate, pods, done, ..Known::default() };
        let (machine, node, now) = (&self.seen.0, self.node.as_ref(), self.now);
        decide(&Observation { machine, twins: &[], node, known, now, steady: now })
    }

    fn look(&mut self) {
        let reading = if self.fails(8) {
            Err(Trouble::Silent(Unreachable::NoAnswer("TCP connection failed".to_owned())))
        } else {
            let mut system: SystemReading = system(self.host.power);
            if self.host.boots_once {
                system.boot.enabled = BootEnabled::Once;
                system.boot.target = Some(BootSource::Pxe);
            }
            Ok(system)
        };
        let at = self.moment();
        self.memory.read(reading, at);
    }

    fn record(&mut self, status: MachineStatus) {
        let is_lost = self.fails(10);
        if !is_lost && self.seen.1 == self.version {
            self.write(status);
        }
        if self.fails(10) {
            self.restart();
        }
    }

    fn change(&mut self, change: Change) {
        if self.fails(8) {
            return self.restart();
        }
        let node = self.node.as_mut();
        match (change, node) {
            (Change::Cordon, Some(node)) => *node = super::fixture::cordoned(node.clone(), true),
            (Change::Uncordon, Some(_)) => self.node = Some(self::node("10.0.0.1")),
            (Change::DeleteNode, _) => {
                assert_eq!(self.host.power, PowerState::Off, "its pods still run");
                self.node = None;
            }
            (Change::Evict | Change::Settle { .. } | Change::Cordon | Change::Uncordon, _) => {}
        }
    }

    fn act(&mut self, step: &Step) {
        let operations = self.machine.status.as_ref().and_then(|it| it.operations.as_ref());
        let recorded = operations.and_then(|it| it.current.as_ref()).map(|it| it.step.clone());
        let is_recorded = recorded.is_some() || self.seen.1 != self.version;
        assert!(is_recorded, "{step:?} without a record");
        let (is_heard, is_told) = (!self.fails(6), !self.fails(6));
        if is_heard {
            self.carry_out(step);
        }
        let outcome = if is_told { Outcome::Taken } else { Outcome::Refused };
        let at = self.moment();
        self.memory.acted(step, outcome, at);
        if self.fails(10) {
            self.restart();
        }
    }

    fn carry_out(&mut self, step: &Step) {
        let slow = SignedDuration::from_secs(i64::try_from(self.dice.roll(40)).unwrap());
        let at = self.now + slow;
        match step {
            // Every other operating system does not listen.
            Step::Reset(ResetType::GracefulShutdown) if self.chance(2) => {}
            Step::Reset(ResetType::GracefulShutdown | ResetType::ForceOff) => {
                self.host.next = Some((PowerState::Off, at));
            }
            Step::Reset(_) => self.host.next = Some((PowerState::On, at)),
            Step::BootOnce { source, .. } => self.host.boots_once = *source == BootSource::Pxe,
            Step::IndicatorLed(_)
            | Step::BootOrder(_)
            | Step::InsertMedium { .. }
            | Step::EjectMedium { .. } => unreachable!("{step:?}"),
        }
    }

    fn run(&mut self, turns: usize) {
        for _ in 0..turns {
            let seconds = [1, 3, 20, 60, 200][self.dice.roll(5)];
            self.wait(SignedDuration::from_secs(seconds));
            if self.node.is_none() && self.host.power == PowerState::On && self.chance(30) {
                self.node = Some(node("10.0.0.1"));
            }
            self.pass();
        }
    }

    fn is_settled(&self) -> bool {
        let operations = self.machine.status.as_ref().and_then(|it| it.operations.as_ref());
        let current = operations.and_then(|it| it.current.as_ref());
        let is_over = current.is_none_or(|it| it.step == MachineOperationStep::Failed);
        is_over && pending(&self.machine).is_nothing()
    }

    /// From now on nothing goes wrong any more, and nobody asks for anything.
    fn settle(&mut self) {
        (self.trials.faults, self.trials.callbacks_get_lost) = (false, false);
        for _ in 0..2_000 {
            self.run(1);
            if self.is_settled() {
                return;
            }
        }
        unreachable!("it does not end: {:?}", self.machine.status)
    }
}

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
    world
}

const SCHEDULES: u64 = 25_000;

#[test]
fn every_repave_wipes_once_whatever_ends_or_is_lost() {
    for network_first in [false, true] {
        let trials = Trials { faults: true, callbacks_get_lost: false, network_first };
        for seed in 0..SCHEDULES {
            let world = play(seed * 7 + 1, trials, true);
            let status = world.machine.status.clone().unwrap();
            let given_up =
                status.operations.clone().unwrap_or_default().given_up.unwrap_or_default();
            let mut wiped = world.wiped.clone();
            wiped.dedup();
            let is_through = given_up.repave_counter.is_none();
            if is_through {
                assert_eq!(
                    world.wiped.last().copied().unwrap_or(0),
                    world.wanted().repave_counter.unwrap(),
                    "seed {seed}: {status:?}"
                );
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
