//! What was handed out to machines, until it is recorded on their boot configs.
//!
//! Recording is no business of the request: a request notes, and wakes a queue. Script and
//! ignition of one boot follow each other within moments, and become one write.

use crate::context::ConfigRef;
use metal_core::boot::config::Fetched;
use metal_runtime::queue::Queue;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a script waits for the ignition that is fetched next.
const PATIENCE: Duration = Duration::from_secs(10);
/// More boot configs than this are not noted at a time.
const MAX_NOTED: usize = 1 << 16;

/// What was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// An iPXE script.
    Script,
    /// The ignition.
    Ignition,
}

/// What is to be recorded, by boot config. An object that was made again is another one.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    noted: Mutex<HashMap<ConfigRef, (String, Fetched)>>,
    /// Boot configs with something to record.
    pub queue: Queue<ConfigRef>,
}

impl Fetches {
    /// Notes that a machine got `part`.
    pub(crate) fn note(&self, config: &ConfigRef, uid: &str, part: Part) {
        let mut noted = self.noted();
        if noted.len() >= MAX_NOTED && !noted.contains_key(config) {
            return;
        }
        let (of, fetched) = noted.entry(config.clone()).or_default();
        if of != uid {
            (*of, *fetched) = (uid.to_owned(), Fetched::default());
        }
        let flag = match part {
            Part::Script => &mut fetched.script,
            Part::Ignition => &mut fetched.ignition,
        };
        if std::mem::replace(flag, true) {
            return;
        }
        drop(noted);
        match part {
            Part::Script => self.queue.add_after(config.clone(), PATIENCE),
            Part::Ignition => self.queue.add(config.clone()),
        }
    }

    /// What is to be recorded of this object.
    pub(crate) fn of(&self, config: &ConfigRef, uid: Option<&str>) -> Fetched {
        let noted = self.noted();
        let fetched = noted.get(config).filter(|(of, _)| Some(of.as_str()) == uid);
        fetched.map(|(_, fetched)| *fetched).unwrap_or_default()
    }

    /// All of it is recorded, or the object is gone.
    pub(crate) fn forget(&self, config: &ConfigRef) {
        self.noted().remove(config);
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<ConfigRef, (String, Fetched)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
