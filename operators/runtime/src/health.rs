//! Who waits for what.

use std::{
    fmt::{self, Debug},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the parts of a process wait for. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Part>>>);

/// Whether a part that waits makes the process unready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Required,
    Noted,
}

struct Part {
    name: String,
    weight: Weight,
    waits_for: Box<dyn Fn() -> Option<String> + Send>,
}

/// One part, told by hand whether it waits. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<Option<String>>>);

impl Readiness {
    /// A part that waits for `waits_for` until its gate is opened, and without which the process
    /// is not ready.
    pub fn gate(&self, name: impl Into<String>, waits_for: impl Into<String>) -> Gate {
        self.add_gate(name.into(), Weight::Required, waits_for.into())
    }

    /// As [`Self::gate`], but only told: the process is ready without it. A replica that does not
    /// lead is such a case.
    pub fn note(&self, name: impl Into<String>, waits_for: impl Into<String>) -> Gate {
        self.add_gate(name.into(), Weight::Noted, waits_for.into())
    }

    /// A part that waits for `waits_for` until `is_ready` says otherwise. It is asked often, and
    /// must neither block nor panic.
    pub fn check(
        &self,
        name: impl Into<String>,
        waits_for: impl Into<String>,
        is_ready: impl Fn() -> bool + Send + 'static,
    ) {
        let waits_for = waits_for.into();
        let waits_for = move || (!is_ready()).then(|| waits_for.clone());
        self.add(Part {
            name: name.into(),
            weight: Weight::Required,
            waits_for: Box::new(waits_for),
        });
    }

    /// Whether no required part waits.
    pub fn is_ready(&self) -> bool {
        let waits = |part: &Part| part.weight == Weight::Required && (part.waits_for)().is_some();
        !locked(&self.0).iter().any(waits)
    }

    /// One line per part: `[+] name` or `[-] name: waits for ..`; `[ ]` where only noted.
    pub fn report(&self) -> String {
        let line = |part: &Part| match ((part.waits_for)(), part.weight) {
            (None, _) => format!("[+] {}\n", part.name),
            (Some(what), Weight::Required) => format!("[-] {}: waits for {what}\n", part.name),
            (Some(what), Weight::Noted) => format!("[ ] {}: waits for {what}\n", part.name),
        };
        locked(&self.0).iter().map(line).collect()
    }

    fn add_gate(&self, name: String, weight: Weight, waits_for: String) -> Gate {
        let state = Arc::new(Mutex::new(Some(waits_for)));
        let gate = Gate(Arc::clone(&state));
        self.add(Part { name, weight, waits_for: Box::new(move || locked(&state).clone()) });
        gate
    }

    fn add(&self, part: Part) {
        locked(&self.0).push(part);
    }
}

impl Gate {
    /// It waits no longer.
    pub fn open(&self) {
        *locked(&self.0) = None;
    }

    /// It waits, for this.
    pub fn wait_for(&self, what: impl Into<String>) {
        *locked(&self.0) = Some(what.into());
    }
}

impl Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            "[-] servers: waits for the first list\n[-] prefixes: waits for prefixes.yaml\n"
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
        assert_eq!(readiness.report(), "[ ] controllers: waits for the lease\n");
        leading.open();
        assert_eq!(readiness.report(), "[+] controllers\n");
    }
}
