//! All there is: a Machine at an API server, its host with its BMC, and a process that looks after it.

use super::{
    super::{
        super::*,
        fixture::{machine, node, system},
    },
    person::shown,
};
use crate::{Observation, decide};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use metal_api::{
    Machine, MachineOperations,
    installation::{InstallPhase, InstallProgress},
};
use metal_core::{
    dice::SeededRng,
    redfish::{BootEnabled, BootSource, PowerState, ResetType, SystemReading, Unreachable},
};

/// What may go wrong in a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    /// Processes end, writes are lost, BMCs are away.
    pub(super) faults: bool,
    /// What the installer says may be lost.
    pub(super) callbacks_get_lost: bool,
    /// The firmware boots from the network whatever it is told.
    pub(super) network_first: bool,
}

/// All there is.
pub(super) struct World {
    pub(super) dice: SeededRng,
    trials: Trials,
    /// At the API server.
    pub(super) machine: Machine,
    pub(super) version: u32,
    /// What the process has seen of it, and which version that is.
    pub(super) seen: (Machine, u32),
    /// What the replica has seen of it that answers the machine; it may lag for any time.
    served: Machine,
    node: Option<Node>,
    pub(super) host: Host,
    memory: Memory,
    pub(super) now: Timestamp,
    /// The repave counter of each time that the disk was overwritten.
    pub(super) wiped: Vec<i64>,
    /// Repave counters whose installer was heard.
    pub(super) heard: Vec<i64>,
    /// The repave counter of each attempt that has failed.
    pub(super) failed: Vec<i64>,
    /// By how much the clock of metalman is ahead of that of the API server.
    ahead: SignedDuration,
    /// The installation whose system is on the disk and joins, and when.
    joins: Option<(i64, Timestamp)>,
    /// The installation whose system the Node is.
    joined: Option<i64>,
}

pub(super) struct Host {
    pub(super) power: PowerState,
    /// What it is about to be.
    next: Option<(PowerState, Timestamp)>,
    boots_once: bool,
    /// An installer that runs, and when it is done.
    installer: Option<(i64, Timestamp)>,
}

impl World {
    pub(super) fn new(seed: u64, trials: Trials) -> Self {
        let mut machine = machine();
        (machine.spec.operations, machine.status) = (Some(MachineOperations::default()), None);
        let host = Host { power: PowerState::On, next: None, boots_once: false, installer: None };
        let mut dice = SeededRng(seed);
        let ahead = SignedDuration::from_mins([0, 20, -20][dice.roll(3)]);
        Self {
            dice,
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
            failed: vec![],
            ahead,
            joins: None,
            joined: None,
        }
    }

    fn clocks(&self) -> Clocks {
        Clocks::from(self.now + self.ahead)
    }

    pub(super) fn chance(&mut self, one_in: usize) -> bool {
        self.dice.roll(one_in) == 0
    }

    fn fails(&mut self, one_in: usize) -> bool {
        self.trials.faults && self.chance(one_in)
    }

    pub(super) fn wanted(&self) -> MachineOperations {
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
            self.joins = Some((counter, self.now + SignedDuration::from_mins(5)));
            self.boot();
        }
        let is_up = self.host.power == PowerState::On && self.host.installer.is_none();
        if let Some((counter, _)) = self.joins.filter(|(_, at)| is_up && *at <= self.now) {
            (self.joins, self.joined) = (None, Some(counter));
            self.join();
        }
    }

    /// A kubelet makes a Node.
    fn join(&mut self) {
        let mut node = node("10.0.0.1");
        node.metadata.uid = Some(format!("node-{}", self.now));
        node.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now));
        self.node = Some(node);
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
        let clocks = self.clocks();
        let Ok(served) = confirmed(&self.served, live, clocks) else { return };
        if let Some(counter) = installs(served, clocks) {
            let wanted = self.wanted().repave_counter;
            assert!(wanted >= Some(counter) && counter > 0, "nobody has asked for {counter}");
            assert!(!self.heard.contains(&counter), "{counter} is installed already");
            self.wiped.push(counter);
            self.joins = None;
            self.tell(counter);
            self.host.installer = Some((counter, self.now + SignedDuration::from_mins(7)));
        }
    }

    /// The installer fetches its files, or says that it writes to the disk.
    fn tell(&mut self, counter: i64) {
        let phase = [InstallPhase::Started, InstallPhase::Writing][self.dice.roll(2)];
        let progress = InstallProgress { phase, written: 0, total: None, message: String::new() };
        if let Some(status) = reported(&self.machine, counter, &progress, self.clocks()) {
            self.write(status);
        }
    }

    fn callback(&mut self, counter: i64) {
        if let Callback::Record(status) =
            installed(&self.machine, Some(counter), None, self.clocks())
        {
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
        let current = |status: &MachineStatus| status.operations.clone()?.current;
        let attempt = |status| current(status).map(|it| (it.attempt, it.repave_counter));
        let was = self.machine.status.as_ref().and_then(attempt);
        if let (Some((before, Some(repave))), Some((after, _))) = (was, attempt(&status))
            && after > before
        {
            self.failed.push(repave);
        }
        self.machine.status = Some(status);
        self.version += 1;
    }

    fn moment(&self) -> SignedDuration {
        self.now.duration_since(Timestamp::UNIX_EPOCH)
    }

    /// A pass that sees what was asked for last, and writes it.
    pub(super) fn notices(&mut self) {
        let Decision::Record(status) = self.decide(None, None) else { return };
        self.write(*status);
        self.seen = (self.machine.clone(), self.version);
    }

    fn restart(&mut self) {
        self.memory = Memory::default();
        self.seen = (self.machine.clone(), self.version);
    }

    pub(super) fn pass(&mut self) {
        if !self.fails(6) {
            self.seen = (self.machine.clone(), self.version);
        }
        let (mut certificate, mut pods) = (None, None);
        for _ in 0..8 {
            match self.decide(certificate.as_ref(), pods) {
                Decision::Look(Need::System) => self.look(),
                Decision::Look(Need::Certificate) => certificate = Some(Ok(shown())),
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
        let (machine, node, now) = (&self.seen.0, self.node.as_ref(), self.now + self.ahead);
        decide(&Observation { machine, twins: &[], node, known, now, steady: now })
    }

    fn look(&mut self) {
        let reading = if self.fails(8) {
            Err(ReadError::Silent(Unreachable::NoAnswer("TCP connection failed".to_owned())))
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
            (Change::Cordon, Some(node)) => {
                *node = super::super::fixture::cordoned(node.clone(), true);
            }
            (Change::Uncordon, Some(node)) => {
                (node.spec, node.metadata.annotations) = (None, None);
            }
            (Change::DeleteNode, _) => {
                assert_eq!(self.host.power, PowerState::Off, "its pods still run");
                let operations = self.machine.status.as_ref().unwrap().operations.clone().unwrap();
                let repave = operations.current.and_then(|it| it.repave_counter);
                assert!(
                    repave.is_none() || self.joined != repave,
                    "the system of installation {repave:?} has joined already"
                );
                (self.node, self.joined) = (None, None);
            }
            (Change::Settle { .. }, _) => {
                self.machine.metadata.annotations = None;
                self.version += 1;
            }
            (Change::Evict | Change::Cordon | Change::Uncordon, _) => {}
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

    pub(super) fn run(&mut self, turns: usize) {
        for _ in 0..turns {
            let seconds = [1, 3, 20, 60, 200][self.dice.roll(5)];
            self.wait(SignedDuration::from_secs(seconds));
            let is_up = self.host.power == PowerState::On && self.host.installer.is_none();
            if self.node.is_none() && self.joins.is_none() && is_up && self.chance(30) {
                self.join();
            }
            self.vouch();
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
    pub(super) fn settle(&mut self) {
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
