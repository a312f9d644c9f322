//! What is remembered about a server between two passes. None of it is authoritative: a process
//! that has just started lacks it, and makes the same decisions.

mod seen_power;

use jiff::{SignedDuration, Timestamp};
use metal_api::{Server, SystemUuid};
use metal_base::Locked;
use metal_core::{
    bmc::Destination,
    bmc_host::BmcHost,
    redfish::{Inventory, Step, Unreachable},
    server::{Done, LastStep, MediaReading, Reading},
};
use metal_runtime::clock;
use seen_power::SeenPower;
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
    found: Mutex<HashMap<(Destination, String), Box<Reading>>>,
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
    /// Whether the host has been read as off, for long enough if it may have been on before.
    pub was_off: bool,
    /// The power of the host, as it was read.
    power: SeenPower,
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
        locked(&self.found).insert(key, Box::new(reading));
    }

    /// Forgets the readings from the passes over a BMC, with their credentials.
    pub(crate) fn forget_found(&self, destination: &Destination) {
        locked(&self.found).retain(|(from, _), _| from != destination);
    }

    /// Takes the reading from the pass over a BMC.
    fn take_found(&self, destination: &Destination, uri: &str) -> Option<Reading> {
        locked(&self.found).remove(&(destination.clone(), uri.to_owned())).map(|found| *found)
    }
}

impl Memory {
    /// Records a step that belongs to an operation recorded at `since`; `taken` is whether the BMC
    /// accepted it. Earlier readings are no longer valid.
    pub(crate) fn act(&mut self, step: Step, at: Now, taken: bool, since: Option<Timestamp>) {
        self.power = self.power.told(&step, at.boot);
        let done = Done { step, at: at.wall, taken, since };
        let last_step = LastStep::after(self.last_step(at).as_ref(), done);
        self.last_step = Some((last_step, at.boot));
        self.forget_readings();
    }

    /// Records why the last step failed.
    pub(crate) fn step_failed(&mut self, why: String) {
        self.last_step =
            self.last_step.take().map(|(last_step, at)| (last_step.failed_with(why), at));
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

    /// As long as nothing has been read, what is recorded of the power of the host counts.
    pub(crate) fn recall_power(&mut self, server: &Server) {
        self.power = self.power.or_recorded(server);
    }

    /// For how long the host has been read as off, if it was on before, and was not told to go off.
    pub(crate) fn off_for(&self, now: Now) -> Option<SignedDuration> {
        SignedDuration::try_from(self.power.off_for(now.boot)?).ok()
    }

    /// Stores a reading of the system.
    pub(crate) fn read(&mut self, from: Destination, reading: Reading) {
        let now = clock::since_boot();
        self.power = match &reading.result {
            Ok(system) => self.power.read(system.power, now),
            Err(Unreachable::NoAnswer(_)) => self.power.unheard(),
            Err(_) => self.power,
        };
        self.was_off |= self.power.is_certainly_off(now);
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
mod tests;
