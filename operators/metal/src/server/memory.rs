//! What is remembered of a server between two passes. None of it is the truth: a process that
//! starts again knows nothing of it, and decides the same.

use jiff::{SignedDuration, Timestamp};
use metal_api::Server;
use metal_core::{
    bmc::Destination,
    host::Host,
    redfish::{Inventory, Step},
    server::{Acted, MediaReading, Reading},
};
use metal_runtime::clock;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// For how long an inventory counts in which parts are missing: the BMC may have been busy.
const PARTIAL: SignedDuration = SignedDuration::from_mins(30);
/// Two clocks are not read at one moment, and one of them is slewed.
const JITTER: SignedDuration = SignedDuration::from_secs(1);

/// One moment, by two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The one that people set.
    pub wall: Timestamp,
    /// [`clock::since_boot`].
    pub boot: Duration,
}

impl Now {
    /// This moment.
    pub(crate) fn read() -> Self {
        Self { wall: Timestamp::now(), boot: clock::since_boot() }
    }
}

/// What is remembered of each server, and readings taken in passing.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    servers: Mutex<HashMap<String, Memory>>,
    /// Readings of systems whose server was not asked for yet, by BMC and URI.
    found: Mutex<HashMap<(Destination, String), Reading>>,
}

/// The machine that a server is: what is remembered of it says nothing of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    server: Option<String>,
    bmc: (Host, u16),
    uri: Option<String>,
    uuid: Option<String>,
}

impl Machine {
    /// The machine of a server whose BMC is there.
    pub(crate) fn of(server: &Server, bmc: &Destination) -> Self {
        Self {
            server: server.metadata.uid.clone(),
            bmc: (bmc.host.clone(), bmc.port),
            uri: server.spec.system_uri.clone(),
            uuid: server.spec.effective_uuid(),
        }
    }
}

/// The memory of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// The machine that all this is of.
    machine: Option<Machine>,
    /// The last reading, and where it came from.
    pub reading: Option<(Destination, Reading)>,
    /// The last reading of the virtual drives, and where it came from.
    pub media: Option<(Destination, MediaReading)>,
    /// The parts, and when they were read.
    inventory: Option<(Inventory, Timestamp)>,
    /// The last step, and when it was by [`clock::since_boot`].
    acted: Option<(Acted, Duration)>,
    /// When the status was last recorded.
    pub recorded: Option<Timestamp>,
}

impl Memories {
    /// The memory of one server.
    pub(crate) fn of(&self, name: &str) -> Memory {
        locked(&self.servers).get(name).cloned().unwrap_or_default()
    }

    /// Changes the memory of one server.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Memory)) {
        edit(locked(&self.servers).entry(name.to_owned()).or_default());
    }

    /// Forgets what was read of another machine that was this server, and done to it.
    pub(crate) fn keep_to(&self, name: &str, machine: &Machine) {
        self.edit(name, |memory| {
            if memory.machine.as_ref().is_some_and(|known| known != machine) {
                *memory = Memory { recorded: memory.recorded, ..Memory::default() };
            }
            memory.machine.get_or_insert_with(|| machine.clone());
        });
    }

    /// Takes over what the pass over the BMC has read a moment ago, unless it asked for it before the
    /// last step was over.
    pub(crate) fn adopt(&self, name: &str, destination: &Destination, uri: &str, now: Now) {
        let Some(reading) = self.take_found(destination, uri) else { return };
        self.edit(name, |memory| {
            let is_news = memory.reading.as_ref().is_none_or(|(_, old)| old.at < reading.at);
            let is_after = memory.acted(now).is_none_or(|acted| acted.at < reading.at);
            if is_news && is_after {
                memory.read(destination.clone(), reading);
            }
        });
    }

    /// Forgets a server that is gone.
    pub(crate) fn forget(&self, name: &str) {
        locked(&self.servers).remove(name);
    }

    /// Forgets everything: others may have worked on the servers since.
    pub(crate) fn clear(&self) {
        locked(&self.servers).clear();
        locked(&self.found).clear();
    }

    /// Remembers a reading that the pass over a BMC took.
    pub(crate) fn found(&self, destination: &Destination, reading: Reading) {
        let Ok(system) = &reading.result else { return };
        let key = (destination.clone(), system.uri.clone());
        locked(&self.found).insert(key, reading);
    }

    /// Forgets the readings that the passes over a BMC took, and who logged in for them.
    pub(crate) fn forget_found(&self, destination: &Destination) {
        locked(&self.found).retain(|(from, _), _| from != destination);
    }

    /// Takes the reading that the pass over a BMC took.
    fn take_found(&self, destination: &Destination, uri: &str) -> Option<Reading> {
        locked(&self.found).remove(&(destination.clone(), uri.to_owned()))
    }
}

impl Memory {
    /// A step was carried out that belongs to an operation recorded at `since`; `taken` says whether
    /// the BMC took it. What was read before does not count any more.
    pub(crate) fn act(&mut self, step: Step, at: Now, taken: bool, since: Option<Timestamp>) {
        let acted = Acted::after(self.acted(at).as_ref(), step, at.wall, taken, since);
        self.acted = Some((acted, at.boot));
        self.forget_readings();
    }

    /// The last step. Its times are those that the clock would have shown, had it been set then as it
    /// is now.
    pub(crate) fn acted(&self, now: Now) -> Option<Acted> {
        let (acted, then) = self.acted.clone()?;
        let passed = SignedDuration::try_from(now.boot.saturating_sub(then)).ok()?;
        let set = now.wall.duration_since(acted.at) - passed;
        Some(if set.abs() < JITTER { acted } else { acted.moved(set) })
    }

    /// The machine is to be read again before anything else.
    pub(crate) fn forget_readings(&mut self) {
        self.reading = None;
        self.media = None;
    }

    /// The parts were read.
    pub(crate) fn survey(&mut self, inventory: Inventory, at: Timestamp) {
        self.inventory = Some((inventory, at));
    }

    /// The parts, as long as they count.
    pub(crate) fn inventory(&self, now: Timestamp) -> Option<&Inventory> {
        let (inventory, at) = self.inventory.as_ref()?;
        let counts = inventory.missing.is_empty() || now.duration_since(*at).abs() < PARTIAL;
        counts.then_some(inventory)
    }

    /// The parts are not needed any more, unless some are missing.
    pub(crate) fn forget_inventory(&mut self) {
        if self.inventory.as_ref().is_some_and(|(inventory, _)| inventory.missing.is_empty()) {
            self.inventory = None;
        }
    }

    /// The system was read.
    pub(crate) fn read(&mut self, from: Destination, reading: Reading) {
        if let (Some((acted, _)), Ok(system)) = (&mut self.acted, &reading.result) {
            acted.saw(system.power);
        }
        self.reading = Some((from, reading));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::ServerSpec;
    use metal_core::redfish::{Credentials, PowerState, ResetType, Scheme, SystemReading};

    fn destination(address: &str) -> Destination {
        let credentials = Credentials { username: "foo".to_owned(), password: "bar".to_owned() };
        let host = address.parse().unwrap();
        Destination { scheme: Scheme::Https, host, port: 443, credentials }
    }

    fn reading(at: Timestamp) -> Reading {
        let system = SystemReading {
            uri: "/redfish/v1/Systems/1".to_owned(),
            power: PowerState::Off,
            ..SystemReading::default()
        };
        Reading { at, took: SignedDuration::ZERO, result: Ok(system) }
    }

    #[test]
    fn what_was_asked_before_a_step_says_nothing_after_it() {
        let (memories, bmc, uri) =
            (Memories::default(), destination("192.0.2.9"), "/redfish/v1/Systems/1");
        let done = Now::read();
        memories.edit("a", |memory| memory.act(Step::Reset(ResetType::On), done, true, None));
        for (millis, is_taken) in [(-5000, false), (0, false), (1, true)] {
            memories.found(&bmc, reading(done.wall + SignedDuration::from_millis(millis)));
            memories.adopt("a", &bmc, uri, done);
            assert_eq!(memories.of("a").reading.is_some(), is_taken, "{millis} ms");
        }
    }

    #[test]
    fn what_was_read_of_a_bmc_goes_with_it() {
        let (memories, bmc) = (Memories::default(), destination("192.0.2.9"));
        memories.found(&bmc, reading(Timestamp::now()));
        memories.forget_found(&destination("192.0.2.10"));
        assert_eq!(locked(&memories.found).len(), 1);
        memories.forget_found(&bmc);
        assert!(locked(&memories.found).is_empty());
    }

    #[test]
    fn what_was_done_to_one_machine_says_nothing_of_the_next_one_of_that_server() {
        let mut server = Server::new("a", ServerSpec::default());
        server.metadata.uid = Some("uid".to_owned());
        server.spec.system_uri = Some("/redfish/v1/Systems/1".to_owned());
        server.spec.system_uuid = Some("38947555-7742-3448-3784-823347823834".to_owned());
        let here = Machine::of(&server, &destination("192.0.2.9"));
        let changed = |edit: fn(&mut Server)| {
            let mut server = server.clone();
            edit(&mut server);
            Machine::of(&server, &destination("192.0.2.9"))
        };
        for (machine, is_known) in [
            (here.clone(), true),
            (Machine::of(&server, &destination("192.0.2.10")), false),
            (changed(|server| server.metadata.uid = Some("made again".to_owned())), false),
            (changed(|server| server.spec.system_uri = Some("/2".to_owned())), false),
            (changed(|server| server.spec.system_uuid = None), false),
            (changed(|server| server.metadata.labels = Some([].into())), true),
        ] {
            let (memories, now) = (Memories::default(), Now::read());
            memories.keep_to("a", &here);
            memories.edit("a", |memory| {
                memory.act(Step::Reset(ResetType::GracefulShutdown), now, true, None);
                memory.survey(Inventory::default(), Timestamp::UNIX_EPOCH);
                memory.read(destination("192.0.2.9"), reading(now.wall));
                memory.recorded = Some(now.wall);
            });
            memories.keep_to("a", &machine);
            let memory = memories.of("a");
            assert_eq!(memory.acted(now).is_some(), is_known, "{machine:?}");
            assert_eq!(memory.inventory.is_some(), is_known, "{machine:?}");
            assert_eq!(memory.reading.is_some(), is_known, "{machine:?}");
            assert!(memory.recorded.is_some(), "that is of the object");
        }
    }

    #[test]
    fn a_part_that_was_missing_is_read_again() {
        let minute = |minute| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let mut memory = Memory::default();
        memory.survey(Inventory::default(), minute(0));
        assert!(memory.inventory(minute(600)).is_some(), "nothing is missing");
        memory.forget_inventory();
        assert!(memory.inventory(minute(0)).is_none(), "nobody asks for it any more");

        let missing = vec!["/redfish/v1/Systems/1/Storage/1: HTTP 503".to_owned()];
        memory.survey(Inventory { missing, ..Inventory::default() }, minute(0));
        memory.forget_inventory();
        assert!(memory.inventory(minute(29)).is_some(), "not with every pass");
        assert!(memory.inventory(minute(30)).is_none());
    }

    #[test]
    fn setting_the_clock_moves_no_deadline() {
        let now = |wall, boot| Now {
            wall: Timestamp::from_second(wall).unwrap(),
            boot: Duration::from_secs(boot),
        };
        let ask = Step::Reset(ResetType::GracefulShutdown);
        for (set, expected) in [(0, 1000), (3600, 4600), (-600, 400)] {
            let mut memory = Memory::default();
            memory.act(ask.clone(), now(1000, 50), true, None);
            let later = now(1010 + set, 60);
            let acted = memory.acted(later).unwrap();
            assert_eq!(acted.asked, Some(Timestamp::from_second(expected).unwrap()), "{set}");
            memory.act(ask.clone(), later, true, None);
            assert_eq!(memory.acted(later).unwrap().asked, acted.asked, "{set}");
        }
    }
}
