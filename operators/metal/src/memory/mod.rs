//! What is remembered about a server between two passes. None of it is authoritative: a process
//! that has just started lacks it, and makes the same decisions.

use jiff::{SignedDuration, Timestamp};
use metal_api::{Server, SystemUuid};
use metal_base::Locked;
use metal_core::{
    bmc::Destination,
    bmc_host::BmcHost,
    redfish::{Inventory, Step},
    server::{LastStep, MediaReading, Reading},
};
use metal_runtime::clock;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// For how long an inventory with missing parts is used: the BMC may have been busy.
const PARTIAL: SignedDuration = SignedDuration::from_mins(30);
/// The two clocks are not read at the same moment, and one of them is slewed.
const JITTER: SignedDuration = SignedDuration::from_secs(1);

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// [`clock::since_boot`].
    pub boot: Duration,
}

impl Now {
    /// The current moment.
    pub(crate) fn read() -> Self {
        Self { wall: Timestamp::now(), boot: clock::since_boot() }
    }

    /// By how much the wall clock was set since `then`.
    fn set_since(self, then: Self) -> SignedDuration {
        let passed = self.boot.saturating_sub(then.boot);
        let passed = SignedDuration::try_from(passed).unwrap_or_default();
        let set = self.wall.duration_since(then.wall) - passed;
        if set.abs() < JITTER { SignedDuration::ZERO } else { set }
    }
}

/// What is remembered about each server, and readings that the passes over BMCs have taken.
#[derive(Debug)]
pub(crate) struct Memories {
    servers: Mutex<HashMap<String, Arc<Memory>>>,
    /// Readings of systems that their servers have not used yet, by BMC and URI.
    found: Mutex<HashMap<(Destination, String), Reading>>,
    /// Since when everything that was done to the servers is remembered.
    since: Mutex<Now>,
}

impl Default for Memories {
    fn default() -> Self {
        let since = Mutex::new(Now::read());
        Self { servers: Mutex::default(), found: Mutex::default(), since }
    }
}

/// The machine of a server: what is remembered about one machine says nothing about another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    server: Option<String>,
    bmc: (BmcHost, u16),
    uri: Option<String>,
    uuid: Option<SystemUuid>,
}

impl Machine {
    /// The machine of a server with this BMC.
    pub(crate) fn of(server: &Server, bmc: &Destination) -> Self {
        Self {
            server: server.metadata.uid.clone(),
            bmc: (bmc.host.clone(), bmc.port),
            uri: server.spec.system_uri.clone(),
            uuid: server.spec.effective_uuid(),
        }
    }
}

/// What is remembered about one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// The machine that all this is about.
    machine: Option<Machine>,
    /// The last reading, and the destination that it came from.
    pub reading: Option<(Arc<Destination>, Reading)>,
    /// The last reading of the virtual media slots, and the destination that it came from.
    media: Option<(Arc<Destination>, MediaReading)>,
    /// The parts, and when they were read.
    inventory: Option<(Inventory, Timestamp)>,
    /// The last step, and its time by [`clock::since_boot`].
    last_step: Option<(LastStep, Duration)>,
    /// When the status was last recorded.
    pub recorded: Option<Timestamp>,
}

impl Memories {
    /// What is remembered about one server.
    pub(crate) fn of(&self, name: &str) -> Arc<Memory> {
        locked(&self.servers).get(name).cloned().unwrap_or_default()
    }

    /// Changes what is remembered about one server.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut Memory)) {
        edit(Arc::make_mut(locked(&self.servers).entry(name.to_owned()).or_default()));
    }

    /// Forgets readings of, and steps on, another machine that was this server before.
    pub(crate) fn keep_to(&self, name: &str, machine: &Machine) {
        self.edit(name, |memory| {
            if memory.machine.as_ref().is_some_and(|known| known != machine) {
                *memory = Memory { recorded: memory.recorded, ..Memory::default() };
            }
            memory.machine.get_or_insert_with(|| machine.clone());
        });
    }

    /// Adopts a reading that the pass over the BMC has just taken, unless it was requested before
    /// the last step was finished.
    pub(crate) fn adopt(&self, name: &str, destination: &Destination, uri: &str, now: Now) {
        let Some(reading) = self.take_found(destination, uri) else { return };
        self.edit(name, |memory| {
            let is_news = memory.reading.as_ref().is_none_or(|(_, old)| old.at < reading.at);
            let is_after = memory.last_step(now).is_none_or(|last_step| last_step.at < reading.at);
            if is_news && is_after {
                memory.read(destination.clone(), reading);
            }
        });
    }

    /// Forgets a server that is gone.
    pub(crate) fn forget(&self, name: &str) {
        locked(&self.servers).remove(name);
    }

    /// Forgets everything, because other processes may have worked on the servers since: a new term
    /// is like a new process.
    pub(crate) fn begin_term(&self) {
        locked(&self.servers).clear();
        locked(&self.found).clear();
        *locked(&self.since) = Now::read();
    }

    /// Since when everything that was done to the servers is remembered, by the clock as it is set
    /// now.
    pub(crate) fn since(&self, now: Now) -> Timestamp {
        let since = *locked(&self.since);
        since.wall.checked_add(now.set_since(since)).unwrap_or(since.wall)
    }

    /// Stores a reading from the pass over a BMC.
    pub(crate) fn found(&self, destination: &Destination, reading: Reading) {
        let Ok(system) = &reading.result else { return };
        let key = (destination.clone(), system.uri.clone());
        locked(&self.found).insert(key, reading);
    }

    /// Forgets the readings from the passes over a BMC, with their credentials.
    pub(crate) fn forget_found(&self, destination: &Destination) {
        locked(&self.found).retain(|(from, _), _| from != destination);
    }

    /// Takes the reading from the pass over a BMC.
    fn take_found(&self, destination: &Destination, uri: &str) -> Option<Reading> {
        locked(&self.found).remove(&(destination.clone(), uri.to_owned()))
    }
}

impl Memory {
    /// Records a step that belongs to an operation recorded at `since`; `taken` is whether the BMC
    /// accepted it. Earlier readings are no longer valid.
    pub(crate) fn act(&mut self, step: Step, at: Now, taken: bool, since: Option<Timestamp>) {
        let last_step = LastStep::after(self.last_step(at).as_ref(), step, at.wall, taken, since);
        self.last_step = Some((last_step, at.boot));
        self.forget_readings();
    }

    /// The last step, with its times converted to the clock as it is set now.
    pub(crate) fn last_step(&self, now: Now) -> Option<LastStep> {
        let (last_step, boot) = self.last_step.clone()?;
        let set = now.set_since(Now { wall: last_step.at, boot });
        Some(last_step.moved(set))
    }

    /// The machine has to be read again before anything else.
    pub(crate) fn forget_readings(&mut self) {
        self.reading = None;
        self.media = None;
    }

    /// Forgets the virtual media slots, of which only a fresh reading counts.
    pub(crate) fn forget_media(&mut self) {
        self.media = None;
    }

    /// Stores the parts that were read.
    pub(crate) fn survey(&mut self, inventory: Inventory, at: Timestamp) {
        self.inventory = Some((inventory, at));
    }

    /// The parts, as long as they are valid.
    pub(crate) fn inventory(&self, now: Timestamp) -> Option<&Inventory> {
        let (inventory, at) = self.inventory.as_ref()?;
        let counts = inventory.missing.is_empty() || now.duration_since(*at).abs() < PARTIAL;
        counts.then_some(inventory)
    }

    /// Forgets the parts once they are not needed, unless some are missing.
    pub(crate) fn forget_inventory(&mut self) {
        if self.inventory.as_ref().is_some_and(|(inventory, _)| inventory.missing.is_empty()) {
            self.inventory = None;
        }
    }

    /// Stores a reading of the system.
    pub(crate) fn read(&mut self, from: Destination, reading: Reading) {
        if let (Some((last_step, _)), Ok(system)) = (&mut self.last_step, &reading.result) {
            last_step.saw(system.power);
        }
        self.reading = Some((self.shared(from), reading));
    }

    /// Stores a reading of the virtual media slots.
    pub(crate) fn read_media(&mut self, from: Destination, reading: MediaReading) {
        self.media = Some((self.shared(from), reading));
    }

    /// The last reading of the system at this destination.
    pub(crate) fn reading_of(&self, destination: &Destination) -> Option<&Reading> {
        let known = self.reading.as_ref().filter(|(from, _)| **from == *destination);
        known.map(|(_, reading)| reading)
    }

    /// The last reading of the virtual media slots at this destination.
    pub(crate) fn media_of(&self, destination: &Destination) -> Option<&MediaReading> {
        let known = self.media.as_ref().filter(|(from, _)| **from == *destination);
        known.map(|(_, reading)| reading)
    }

    /// The destination, stored once for all readings that came from it.
    fn shared(&self, from: Destination) -> Arc<Destination> {
        let reading = self.reading.iter().map(|(known, _)| known);
        let media = self.media.iter().map(|(known, _)| known);
        let known = reading.chain(media).find(|known| ***known == from);
        known.map_or_else(|| Arc::new(from), Arc::clone)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.locked()
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
            assert_eq!(memory.last_step(now).is_some(), is_known, "{machine:?}");
            assert_eq!(memory.inventory.is_some(), is_known, "{machine:?}");
            assert_eq!(memory.reading.is_some(), is_known, "{machine:?}");
            assert!(memory.recorded.is_some(), "that is of the object");
        }
    }

    #[test]
    fn a_pass_copies_nothing_that_is_remembered_and_a_destination_is_stored_once() {
        let (memories, now) = (Memories::default(), Timestamp::now());
        let media = || MediaReading { at: now, result: Ok(vec![]), no_url: None };
        memories.edit("a", |memory| {
            memory.read(destination("192.0.2.9"), reading(now));
            memory.read_media(destination("192.0.2.9"), media());
        });
        let seen = memories.of("a");
        assert!(Arc::ptr_eq(&seen, &memories.of("a")));
        let froms = seen.reading.as_ref().zip(seen.media.as_ref());
        assert!(froms.is_some_and(|((one, _), (other, _))| Arc::ptr_eq(one, other)));
        memories.edit("a", |memory| memory.read_media(destination("192.0.2.10"), media()));
        assert!(seen.media_of(&destination("192.0.2.9")).is_some(), "a pass sees what it saw");
        let (seen, other) = (memories.of("a"), destination("192.0.2.10"));
        assert!(seen.media_of(&other).is_some() && seen.reading_of(&other).is_none());
        memories.edit("a", Memory::forget_media);
        let seen = memories.of("a");
        assert!(seen.media_of(&other).is_none() && seen.reading.is_some());
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

    fn now(wall: i64, boot: u64) -> Now {
        Now { wall: Timestamp::from_second(wall).unwrap(), boot: Duration::from_secs(boot) }
    }

    #[test]
    fn a_new_term_counts_as_a_new_process() {
        let (memories, done) = (Memories::default(), Now::read());
        *locked(&memories.since) = now(1000, 0);
        memories.edit("a", |memory| memory.act(Step::Reset(ResetType::On), done, true, None));
        memories.begin_term();
        assert!(memories.of("a").last_step(done).is_none());
        assert!(memories.since(Now::read()) >= done.wall);
    }

    #[test]
    fn setting_the_clock_moves_no_start() {
        let memories = Memories::default();
        *locked(&memories.since) = now(1000, 50);
        for (set, expected) in [(0, 1000), (3600, 4600), (-600, 400)] {
            let since = memories.since(now(1010 + set, 60));
            assert_eq!(since, Timestamp::from_second(expected).unwrap(), "{set}");
        }
        // The two clocks are not read at the same moment.
        let nearly = Now { boot: Duration::from_millis(60_400), ..now(1010, 60) };
        assert_eq!(memories.since(nearly), Timestamp::from_second(1000).unwrap());
    }

    #[test]
    fn setting_the_clock_moves_no_deadline() {
        let ask = Step::Reset(ResetType::GracefulShutdown);
        for (set, expected) in [(0, 1000), (3600, 4600), (-600, 400)] {
            let mut memory = Memory::default();
            memory.act(ask.clone(), now(1000, 50), true, None);
            let later = now(1010 + set, 60);
            let last_step = memory.last_step(later).unwrap();
            assert_eq!(last_step.asked, Some(Timestamp::from_second(expected).unwrap()), "{set}");
            memory.act(ask.clone(), later, true, None);
            assert_eq!(memory.last_step(later).unwrap().asked, last_step.asked, "{set}");
        }
    }
}
