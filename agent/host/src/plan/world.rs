//! A machine with an agent that is killed before or after any of its writes, alone or with the machine.

use super::{tests::release, *};

/// What the hook and the health command of a release do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Works,
    Restarts,
    FailsInHook,
    NeverRestarts,
    FallsBack,
    IsIll,
    RestartsAndIsIll,
    CrashesTheMachine,
    /// It is healthy only some time after a restart.
    IsLate,
}

const ALL: [Effect; 9] = [
    Effect::Works,
    Effect::Restarts,
    Effect::FailsInHook,
    Effect::NeverRestarts,
    Effect::FallsBack,
    Effect::IsIll,
    Effect::RestartsAndIsIll,
    Effect::CrashesTheMachine,
    Effect::IsLate,
];

struct World {
    /// On disk.
    state: State,
    /// What the system runs, and what it will after a restart.
    runs: String,
    next: String,
    boot: u32,
    hooks: u32,
    /// What each release does.
    v1: Effect,
    v2: Effect,
    /// The boot in which the health was looked at last.
    looked: u32,
    /// The agent is killed at this write, before or after it.
    killed: Option<(usize, bool)>,
    /// With it the machine, whose boot loader then takes the system that was there before.
    cuts_power: bool,
    writes: usize,
}

/// The agent was killed, or the machine has restarted.
struct Gone;

impl World {
    /// v1 runs, and v2 is to.
    fn new(v1: Effect, v2: Effect, killed: Option<(usize, bool)>) -> Self {
        let boot = "1".to_owned();
        let state = State { active: Some(release("v1")), boot, ..State::default() };
        Self {
            state,
            runs: "v1".to_owned(),
            next: "v1".to_owned(),
            boot: 1,
            hooks: 0,
            v1,
            v2,
            looked: 0,
            killed,
            cuts_power: false,
            writes: 0,
        }
    }

    /// v1 was installed, and v2 is the first release.
    fn of_new(v1: Effect, v2: Effect, killed: Option<(usize, bool)>) -> Self {
        let mut world = Self::new(v1, v2, killed);
        world.state.active = Some(Release::installed("image-v1".to_owned()));
        world
    }

    fn does(&self, release: &str) -> Effect {
        if release == "v1" { self.v1 } else { self.v2 }
    }

    fn write(&mut self, state: &State) -> Result<(), Gone> {
        let now = self.killed.filter(|(at, _)| *at == self.writes);
        self.writes += 1;
        if now.is_some() && self.cuts_power {
            (self.boot, self.runs) = (self.boot + 1, "v1".to_owned());
        }
        match now {
            Some((_, false)) => Err(Gone),
            Some((_, true)) => {
                self.state = state.clone();
                Err(Gone)
            }
            None => {
                self.state = state.clone();
                Ok(())
            }
        }
    }

    fn restart(&mut self) {
        self.boot += 1;
        // The boot loader may take the system that was there.
        if self.does(&self.next) != Effect::FallsBack {
            self.runs = self.next.clone();
        }
    }

    fn hook(&mut self, release: &Release) -> Result<Result<HookResult, ()>, Gone> {
        let release = if release.is_installed() { "v1" } else { &*release.name };
        self.hooks += 1;
        let does = self.does(release);
        if does == Effect::FailsInHook {
            return Ok(Err(()));
        }
        self.next = release.to_owned();
        match does {
            Effect::Works | Effect::IsIll | Effect::IsLate | Effect::FailsInHook => {
                self.runs = release.to_owned();
                Ok(Ok(HookResult::Done))
            }
            Effect::Restarts | Effect::RestartsAndIsIll | Effect::FallsBack => {
                let is_there = self.runs == release;
                Ok(Ok(if is_there { HookResult::Done } else { HookResult::Restarting }))
            }
            Effect::NeverRestarts => Ok(Ok(HookResult::Restarting)),
            Effect::CrashesTheMachine => {
                self.restart();
                Err(Gone)
            }
        }
    }

    fn is_healthy(&mut self) -> bool {
        let is_again = std::mem::replace(&mut self.looked, self.boot) == self.boot;
        match self.does(&self.runs) {
            Effect::Works | Effect::Restarts => true,
            Effect::IsLate => is_again,
            _ => false,
        }
    }

    /// One life of the agent, until it rests, or is gone.
    fn live(&mut self) -> Result<(), Gone> {
        let wanted = release("v2");
        for _ in 0..100 {
            let (mut state, boot) = (self.state.clone(), self.boot.to_string());
            match next(&state, Some(&wanted), &boot) {
                Step::Rest if state.is_late(&boot) && self.is_healthy() => state.recovers(),
                Step::Rest => return Ok(()),
                Step::Begin => state.begin(wanted.clone()),
                Step::Confirm => state.confirm(),
                Step::GiveUp => state.give_up(&boot),
                Step::AwaitRestart if self.does(&self.next) == Effect::NeverRestarts => {
                    state.not_restarted();
                }
                Step::AwaitRestart => {
                    self.restart();
                    return Err(Gone);
                }
                Step::Hook(release) => {
                    state.begins(Phase::Hook);
                    self.write(&state)?;
                    match self.hook(&release)? {
                        Ok(hooked) => state.hooked(hooked, &boot),
                        Err(()) => state.fails("hook", &boot),
                    }
                }
                Step::Check(_) => {
                    state.begins(Phase::Check);
                    self.write(&state)?;
                    if self.is_healthy() { state.healthy(&boot) } else { state.fails("ill", &boot) }
                }
            }
            self.write(&state)?;
        }
        panic!("it goes on forever: {:?}", self.state);
    }

    fn run(mut self) -> Self {
        for _ in 0..60 {
            if self.live().is_ok() {
                return self;
            }
        }
        panic!("it restarts forever: {:?}", self.state);
    }
}

#[test]
fn wherever_it_is_killed_it_ends_and_says_what_is_true() {
    all(World::new);
}

#[test]
fn the_first_release_that_is_bad_is_rolled_back_to_what_was_installed() {
    all(World::of_new);
}

fn all(new: fn(Effect, Effect, Option<(usize, bool)>) -> World) {
    // One that is late is rolled back, unless the agent looks again because it was killed.
    for v2 in ALL.into_iter().filter(|it| *it != Effect::IsLate) {
        for v1 in ALL {
            let undisturbed = new(v1, v2, None).run();
            let points = 0..undisturbed.writes;
            let points = points.flat_map(|at| [Some((at, false)), Some((at, true))]);
            let both = points.chain([None]).flat_map(|killed| [(killed, false), (killed, true)]);
            for (killed, cuts_power) in both {
                let mut world = World { cuts_power, ..new(v1, v2, killed) }.run();
                let context = format!("v1 {v1:?}, v2 {v2:?}, killed at {killed:?}, {cuts_power}");
                judge(&mut world, &context);
                assert_eq!(outcome(&world), outcome(&undisturbed), "{context}");
            }
        }
    }
}

/// Whether v2 runs, v1 was brought back, or neither.
fn outcome(world: &World) -> (bool, Option<bool>) {
    let failed = world.state.failed.as_ref();
    (world.state.is_lost, failed.map(|failed| failed.rolled_back))
}

fn judge(world: &mut World, context: &str) {
    let (is_healthy, state) = (world.is_healthy(), &world.state);
    // After a loss of power, which is a restart, what ran is looked at once more.
    let most = BEGINNINGS + BACK + if world.cuts_power { BEGINNINGS + 1 } else { 0 };
    assert!(world.hooks <= most && world.boot - 1 <= most, "{context}");
    assert_eq!(state.work, None, "{context}");
    let active = state.active.as_ref().unwrap();
    let active = if active.is_installed() { "v1" } else { &*active.name };
    assert!(!state.is_late(&world.boot.to_string()) || !is_healthy, "{context}");
    match &state.failed {
        None => assert_eq!((active, world.runs.as_str()), ("v2", "v2"), "{context}"),
        Some(failed) if failed.rolled_back => {
            assert_eq!((active, world.runs.as_str()), ("v1", "v1"), "{context}");
            assert!(!state.is_lost && is_healthy, "{context}");
        }
        // Of a release before that works, nobody says that it is lost.
        Some(_) => {
            assert!(state.is_lost, "{context}");
            let works = matches!(world.v1, Effect::Works | Effect::Restarts | Effect::IsLate);
            assert!(!works, "{context}");
        }
    }
}
