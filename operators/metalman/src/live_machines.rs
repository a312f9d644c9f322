//! Machines as the API server has them at this moment. A replica whose watch is interrupted may still believe in
//! installations that ended long ago, so nothing that installs is served from the cache alone.

use kube::{Api, Client};
use metal_api::Machine;
use metal_base::Locked;
use metal_runtime::{LogLimit, report::Chain};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout},
};

/// For how long a reading is used: a host that boots again after its installation takes longer.
const FRESH: Duration = Duration::from_secs(1);
/// For how long an API server that did not answer is not asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// How many are read at a time.
const READS: usize = 16;
/// Maximum number of kept readings.
const KEPT: usize = 1024;

/// Reads Machines.
pub(crate) struct LiveMachines {
    machines: Api<Machine>,
    places: Semaphore,
    /// The runtime for threads that cannot await.
    pub(crate) runtime: Handle,
    known: Mutex<Known>,
    told: LogLimit,
}

#[derive(Debug, Default)]
struct Known {
    readings: HashMap<String, (Instant, Arc<Machine>)>,
    /// When the API server last failed to answer.
    silent: Option<Instant>,
}

/// What is known without asking the API server.
enum Cached {
    /// A reading that is new enough.
    Fresh(Arc<Machine>),
    /// That the API server does not answer.
    Silent,
    /// Nothing.
    Unknown,
}

impl LiveMachines {
    /// Reads by this client.
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            machines: Api::all(client.clone()),
            places: Semaphore::new(READS),
            runtime: Handle::current(),
            known: Mutex::default(),
            told: LogLimit::default(),
        }
    }

    /// The Machine of this name; `None` if it is gone, or the API server does not answer.
    pub(crate) async fn read(&self, name: &str, patience: Duration) -> Option<Arc<Machine>> {
        match self.cached(name) {
            Cached::Fresh(machine) => return Some(machine),
            Cached::Silent => return None,
            Cached::Unknown => {}
        }
        let read = async {
            let _place = self.places.acquire().await.ok()?;
            // The request that had the permit before may have read it.
            match self.cached(name) {
                Cached::Fresh(machine) => return Some(Some(machine)),
                Cached::Silent => return None,
                Cached::Unknown => {}
            }
            match self.machines.get_opt(name).await {
                Ok(machine) => {
                    let machine = machine.map(Arc::new);
                    self.keep(name, machine.as_ref());
                    Some(machine)
                }
                Err(error) => {
                    if self.told.may() {
                        let error = Chain(&error);
                        tracing::warn!(machine = name, %error, "could not read a Machine");
                    }
                    is_of_one(&error).then_some(None)
                }
            }
        };
        let Ok(Some(machine)) = timeout(patience, read).await else {
            self.locked().silent = Some(Instant::now());
            return None;
        };
        machine
    }

    fn cached(&self, name: &str) -> Cached {
        let known = self.locked();
        let reading = known.readings.get(name).filter(|(at, _)| at.elapsed() < FRESH);
        match reading {
            Some((_, machine)) => Cached::Fresh(Arc::clone(machine)),
            None if known.silent.is_some_and(|since| since.elapsed() < PAUSE) => Cached::Silent,
            None => Cached::Unknown,
        }
    }

    fn keep(&self, name: &str, machine: Option<&Arc<Machine>>) {
        let mut known = self.locked();
        known.silent = None;
        if known.readings.len() >= KEPT {
            known.readings.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if let Some(machine) = machine.filter(|_| known.readings.len() < KEPT) {
            known.readings.insert(name.to_owned(), (Instant::now(), Arc::clone(machine)));
        }
    }

    /// The Machine of this name has been written.
    pub(crate) fn forget(&self, name: &str) {
        self.locked().readings.remove(name);
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.locked()
    }
}

/// Whether only this Machine cannot be read: the API server has answered, so others are still asked for.
fn is_of_one(error: &kube::Error) -> bool {
    matches!(error, kube::Error::SerdeError(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_cannot_be_parsed_does_not_make_the_api_server_silent_for_others() {
        let unparsable = serde_json::from_str::<Machine>("{}").unwrap_err();
        assert!(is_of_one(&kube::Error::SerdeError(unparsable)));
        assert!(!is_of_one(&kube::Error::LinesCodecMaxLineLengthExceeded));
    }
}
