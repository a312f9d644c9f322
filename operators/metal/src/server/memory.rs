//! What is remembered of a server between two passes. None of it is the truth: a process that
//! starts again knows nothing of it, and decides the same.

use jiff::{SignedDuration, Timestamp};
use metal_core::{
    bmc::Destination,
    redfish::{Inventory, Step},
    server::{Acted, MediaReading, Reading},
};
use metal_runtime::clock;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Two clocks are not read at one moment, and one of them is slewed.
const JITTER: SignedDuration = SignedDuration::from_secs(1);

/// One moment, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The one that people set.
    pub wall: Timestamp,
    /// [`clock::since_boot`].
    pub boot: Duration,
}

impl Now {
    /// This moment.
    pub fn read() -> Self {
        Self { wall: Timestamp::now(), boot: clock::since_boot() }
    }
}

/// The memories of every server, and the readings that came by the way.
#[derive(Debug, Default)]
pub struct Memories {
    servers: Mutex<HashMap<String, Memory>>,
    /// Readings of systems whose server was not asked for yet, by BMC and URI.
    found: Mutex<HashMap<(Destination, String), Reading>>,
}

/// The memory of one server.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The last reading, and where it came from.
    pub reading: Option<(Destination, Reading)>,
    /// The last reading of the virtual drives, and where it came from.
    pub media: Option<(Destination, MediaReading)>,
    /// The parts.
    pub inventory: Option<Inventory>,
    /// The last step, and when it was by [`clock::since_boot`].
    acted: Option<(Acted, Duration)>,
    /// When the status was last recorded.
    pub recorded: Option<Timestamp>,
    /// A version of the object that has been written over: the cache is behind if it has it.
    pub overwritten: Option<String>,
    /// The boot that was prepared last, and when: the cache may not show it yet.
    pub prepared: Option<(String, Timestamp)>,
}

impl Memories {
    /// The memory of one server.
    pub fn of(&self, name: &str) -> Memory {
        locked(&self.servers).get(name).cloned().unwrap_or_default()
    }

    /// Changes the memory of one server.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Memory)) {
        edit(locked(&self.servers).entry(name.to_owned()).or_default());
    }

    /// Forgets a server that is gone.
    pub fn forget(&self, name: &str) {
        locked(&self.servers).remove(name);
    }

    /// Forgets everything: others may have worked on the servers since.
    pub fn clear(&self) {
        locked(&self.servers).clear();
        locked(&self.found).clear();
    }

    /// Remembers a reading that the pass over a BMC took.
    pub fn found(&self, destination: &Destination, reading: Reading) {
        let Ok(system) = &reading.result else { return };
        let key = (destination.clone(), system.uri.clone());
        locked(&self.found).insert(key, reading);
    }

    /// Takes the reading that the pass over a BMC took.
    pub fn take_found(&self, destination: &Destination, uri: &str) -> Option<Reading> {
        locked(&self.found).remove(&(destination.clone(), uri.to_owned()))
    }
}

impl Memory {
    /// A step was carried out that belongs to an operation recorded at `since`; `taken` says whether
    /// the BMC took it. What was read before does not count any more.
    pub fn act(&mut self, step: Step, at: Now, taken: bool, since: Option<Timestamp>) {
        let acted = Acted::after(self.acted(at).as_ref(), step, at.wall, taken, since);
        self.acted = Some((acted, at.boot));
        self.forget_readings();
    }

    /// The last step. Its times are those that the clock would have shown, had it been set then as it
    /// is now.
    pub fn acted(&self, now: Now) -> Option<Acted> {
        let (acted, then) = self.acted.clone()?;
        let passed = SignedDuration::try_from(now.boot.saturating_sub(then)).ok()?;
        let set = now.wall.duration_since(acted.at) - passed;
        Some(if set.abs() < JITTER { acted } else { acted.moved(set) })
    }

    /// The machine is to be read again before anything else.
    pub fn forget_readings(&mut self) {
        self.reading = None;
        self.media = None;
    }

    /// The system was read.
    pub fn read(&mut self, from: Destination, reading: Reading) {
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
    use metal_core::redfish::ResetType;

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
