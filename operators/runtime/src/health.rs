//! Which part of a process is waiting for what.

use metal_base::Locked;
use std::{
    fmt::{self, Debug},
    sync::{Arc, Mutex, MutexGuard},
};

/// What the parts of a process are waiting for. Cheap to clone; clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Part>>>);

/// The state of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Ready.
    Fine,
    /// Not ready, for this reason; the process is ready all the same.
    Noted(String),
    /// Not ready, for this reason, and so the process is not ready.
    Unready(String),
}

struct Part {
    name: String,
    state: Box<dyn Fn() -> State + Send>,
}

/// A part whose state is set explicitly. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct ReadinessCondition(Arc<Mutex<Option<String>>>);

impl Readiness {
    /// A part that waits for `waits_for` until its gate is opened, without which the process is not
    /// ready.
    pub fn gate(
        &self,
        name: impl Into<String>,
        waits_for: impl Into<String>,
    ) -> ReadinessCondition {
        self.add_gate(name.into(), State::Unready, waits_for.into())
    }

    /// Like [`Self::gate`], but for information only: the process is ready without it. An example
    /// is a replica that does not lead.
    pub fn note(
        &self,
        name: impl Into<String>,
        waits_for: impl Into<String>,
    ) -> ReadinessCondition {
        self.add_gate(name.into(), State::Noted, waits_for.into())
    }

    /// A part that waits for `waits_for` until `is_ready` returns true. It is called often, and
    /// must neither block nor panic.
    pub fn check(
        &self,
        name: impl Into<String>,
        waits_for: impl Into<String>,
        is_ready: impl Fn() -> bool + Send + 'static,
    ) {
        let waits = waits_for_text(&waits_for.into());
        self.part(
            name,
            move || {
                if is_ready() { State::Fine } else { State::Unready(waits.clone()) }
            },
        );
    }

    /// A part that reports its own state. The function is called often, and must neither block nor
    /// panic.
    pub fn part(&self, name: impl Into<String>, state: impl Fn() -> State + Send + 'static) {
        locked(&self.0).push(Part { name: name.into(), state: Box::new(state) });
    }

    /// Whether the process can do its work.
    pub fn is_ready(&self) -> bool {
        !locked(&self.0).iter().any(|part| matches!((part.state)(), State::Unready(_)))
    }

    /// One line per part: `[+] name` or `[-] name: waiting for ..`; `[ ]` if for information only.
    pub fn report(&self) -> String {
        let line = |part: &Part| match (part.state)() {
            State::Fine => format!("[+] {}\n", part.name),
            State::Unready(why) => format!("[-] {}: {why}\n", part.name),
            State::Noted(why) => format!("[ ] {}: {why}\n", part.name),
        };
        locked(&self.0).iter().map(line).collect()
    }

    fn add_gate(
        &self,
        name: String,
        closed: fn(String) -> State,
        waits_for: String,
    ) -> ReadinessCondition {
        let state = Arc::new(Mutex::new(Some(waits_for)));
        let gate = ReadinessCondition(Arc::clone(&state));
        self.part(name, move || match &*locked(&state) {
            Some(what) => closed(waits_for_text(what)),
            None => State::Fine,
        });
        gate
    }
}

fn waits_for_text(what: &str) -> String {
    format!("waiting for {what}")
}

impl ReadinessCondition {
    /// The part no longer waits.
    pub fn open(&self) {
        *locked(&self.0) = None;
    }

    /// Whether the part waits for nothing.
    pub fn is_open(&self) -> bool {
        locked(&self.0).is_none()
    }

    /// Opens it when `listed` ends, and then waits forever, to be run next to what does the
    /// listing.
    pub async fn open_after<T>(&self, listed: impl Future) -> T {
        listed.await;
        self.open();
        std::future::pending().await
    }

    /// The part waits for this.
    pub fn wait_for(&self, what: impl Into<String>) {
        *locked(&self.0) = Some(what.into());
    }
}

impl Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.locked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn report_names_who_waits_for_what() {
        let readiness = Readiness::default();
        let listed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&listed);
        readiness.check("servers", "the first list", move || seen.load(Ordering::Relaxed));
        let database = readiness.gate("prefixes", "prefixes.yaml");
        assert!(!readiness.is_ready());
        assert_eq!(
            readiness.report(),
            "[-] servers: waiting for the first list\n[-] prefixes: waiting for prefixes.yaml\n"
        );

        listed.store(true, Ordering::Relaxed);
        database.open();
        assert!(readiness.is_ready());
        assert_eq!(readiness.report(), "[+] servers\n[+] prefixes\n");

        database.wait_for("a file that parses");
        assert!(!readiness.is_ready());
    }

    #[test]
    fn noted_part_waits_without_making_the_process_unready() {
        let readiness = Readiness::default();
        let leading = readiness.note("controllers", "the lease");
        assert!(readiness.is_ready());
        assert_eq!(readiness.report(), "[ ] controllers: waiting for the lease\n");
        leading.open();
        assert_eq!(readiness.report(), "[+] controllers\n");
    }

    #[test]
    fn part_that_is_only_noted_tells_its_reason_and_is_ready() {
        let readiness = Readiness::default();
        let state = Arc::new(Mutex::new(State::Noted("as last seen".to_owned())));
        let now = Arc::clone(&state);
        readiness.part("objects", move || locked(&now).clone());
        assert!(readiness.is_ready());
        assert_eq!(readiness.report(), "[ ] objects: as last seen\n");
        *locked(&state) = State::Unready("nothing was seen".to_owned());
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report(), "[-] objects: nothing was seen\n");
    }
}
