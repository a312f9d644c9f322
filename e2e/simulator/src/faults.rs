//! Injected faults: by machine, path, method, time and number.

use super::duration;
use http::Method;
use metal_base::Locked;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// This status, with an empty error object.
    Status(u16),
    /// No answer, ever.
    Hang,
    /// The right answer, later.
    #[serde(with = "duration")]
    Delay(Duration),
    /// 200, and a body that is not JSON.
    Garbage,
    /// The right header, and the first half of the body.
    Truncate,
    /// The connection is closed instead of an answer.
    Drop,
    /// The right response, with some properties removed and some replaced.
    Fields {
        /// JSON pointers of the properties that are removed.
        #[serde(default)]
        remove: Vec<String>,
        /// JSON pointers of the properties that are replaced or added, with their values.
        #[serde(default)]
        set: BTreeMap<String, Value>,
    },
}

/// A fault, and when it occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Machines; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<u32>,
    /// Regular expression that matches the path from its beginning.
    #[serde(default)]
    pub path: String,
    /// Method; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Starts this long from now.
    #[serde(default, with = "duration")]
    pub from: Duration,
    /// Ends this long after its start; zero: never.
    #[serde(default, rename = "for", with = "duration")]
    pub lasts: Duration,
    /// Number of answers; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What goes wrong.
    pub action: Action,
}

impl Fault {
    /// A fault on all machines, for paths that match from their beginning, from now on.
    pub fn new(path: impl Into<String>, action: Action) -> Self {
        Self {
            machines: Vec::new(),
            path: path.into(),
            method: None,
            from: Duration::ZERO,
            lasts: Duration::ZERO,
            count: None,
            action,
        }
    }

    /// Only for this method.
    #[must_use]
    pub fn on(mut self, method: &Method) -> Self {
        self.method = Some(method.to_string());
        self
    }

    /// Only this many times.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Only on this machine.
    #[must_use]
    pub fn only(mut self, machine: u32) -> Self {
        self.machines = vec![machine];
        self
    }
}

/// Why a fault is invalid.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// `path` is no regular expression.
    #[error("path is not a regular expression")]
    Path(#[source] Box<regex::Error>),
    /// `action.status` is no HTTP status.
    #[error("action.status {0} is not between 200 and 599")]
    Status(u16),
}

#[derive(Debug)]
struct Rule {
    id: u32,
    fault: Fault,
    path: Regex,
    from: Instant,
    until: Option<Instant>,
    left: Option<u32>,
    action: Arc<Action>,
}

impl Rule {
    fn applies(&self, machine: u32, method: &Method, path: &str, now: Instant) -> bool {
        let fault = &self.fault;
        self.left != Some(0)
            && now >= self.from
            && self.until.is_none_or(|until| now < until)
            && (fault.machines.is_empty() || fault.machines.contains(&machine))
            && fault
                .method
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path.is_match(path)
    }
}

/// All faults of a fleet.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    added: u32,
    rules: Vec<Rule>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.0.locked()
    }

    /// Adds a fault; returns the number that removes it.
    pub(super) fn add(&self, fault: Fault, now: Instant) -> Result<u32, FaultError> {
        if let Action::Status(status) = fault.action
            && !(200..600).contains(&status)
        {
            return Err(FaultError::Status(status));
        }
        let path = Regex::new(&format!("^(?:{})", fault.path));
        let path = path.map_err(|error| FaultError::Path(Box::new(error)))?;
        let from = now + fault.from;
        let until = (!fault.lasts.is_zero()).then(|| from + fault.lasts);
        let (left, action) = (fault.count, Arc::new(fault.action.clone()));
        let mut rules = self.lock();
        rules.added += 1;
        let id = rules.added;
        rules.rules.push(Rule { id, fault, path, from, until, left, action });
        Ok(id)
    }

    /// Removes one fault, or all.
    pub(super) fn remove(&self, id: Option<u32>) {
        self.lock().rules.retain(|rule| id.is_some_and(|id| rule.id != id));
    }

    /// Every fault with its number.
    pub(super) fn list(&self) -> Vec<(u32, Fault)> {
        self.lock().rules.iter().map(|rule| (rule.id, rule.fault.clone())).collect()
    }

    /// The first fault that applies to this request, which counts as used.
    pub(super) fn strike(
        &self,
        machine: u32,
        method: &Method,
        path: &str,
        now: Instant,
    ) -> Option<Arc<Action>> {
        let mut rules = self.lock();
        let rule = rules.rules.iter_mut().find(|rule| rule.applies(machine, method, path, now))?;
        rule.left = rule.left.map(|left| left - 1);
        Some(Arc::clone(&rule.action))
    }
}

/// Applies an [`Action::Fields`].
pub(super) fn alter(body: &mut Value, remove: &[String], set: &BTreeMap<String, Value>) {
    for pointer in remove {
        let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
        match body.pointer_mut(parent) {
            Some(Value::Object(object)) => drop(object.remove(name)),
            Some(Value::Array(array)) => {
                if let Some(at) = name.parse().ok().filter(|at| *at < array.len()) {
                    array.remove(at);
                }
            }
            _ => {}
        }
    }
    for (pointer, value) in set {
        let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
        if let Some(Value::Object(object)) = body.pointer_mut(parent) {
            object.insert(name.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_fault_strikes_only_where_and_when_it_says() {
        let (faults, now) = (Faults::default(), Instant::now());
        let fault = Fault {
            from: 2 * SECOND,
            lasts: 3 * SECOND,
            ..Fault::new("/redfish/v1/Systems/[0-9]+$", Action::Hang).on(&Method::GET).only(7)
        };
        faults.add(fault, now).unwrap();
        let struck = |machine, method, path, after| {
            faults.strike(machine, &method, path, now + after * SECOND).is_some()
        };
        let system = "/redfish/v1/Systems/1";
        assert!(struck(7, Method::GET, system, 2));
        assert!(!struck(7, Method::GET, system, 1));
        assert!(!struck(7, Method::GET, system, 5));
        assert!(!struck(6, Method::GET, system, 2));
        assert!(!struck(7, Method::PATCH, system, 2));
        assert!(!struck(7, Method::GET, "/redfish/v1/Systems/1/Memory", 2));
    }

    #[test]
    fn a_fault_with_a_count_is_used_up() {
        let (faults, now) = (Faults::default(), Instant::now());
        faults.add(Fault::new("/", Action::Drop).times(2), now).unwrap();
        let strikes = (0..4).filter(|_| faults.strike(0, &Method::GET, "/a", now).is_some());
        assert_eq!(strikes.count(), 2);
    }

    #[test]
    fn a_fault_is_removed_by_its_number() {
        let (faults, now) = (Faults::default(), Instant::now());
        let first = faults.add(Fault::new("/", Action::Hang), now).unwrap();
        faults.add(Fault::new("/", Action::Drop), now).unwrap();
        faults.remove(Some(first));
        assert_eq!(faults.list().len(), 1);
        faults.remove(None);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_that_cannot_happen_is_refused() {
        let faults = Faults::default();
        let now = Instant::now();
        let refused = |fault| faults.add(fault, now).unwrap_err();
        assert!(matches!(refused(Fault::new("(", Action::Hang)), FaultError::Path(_)));
        let status = refused(Fault::new("/", Action::Status(99)));
        assert!(matches!(status, FaultError::Status(99)));
    }

    #[test]
    fn fields_go_and_come() {
        let mut body = json!({ "UUID": "a", "Boot": { "Mode": "UEFI" }, "Members": [1, 2] });
        let remove = ["/UUID", "/Members/0", "/Nothing/Here"].map(str::to_owned);
        let set = BTreeMap::from([("/Boot/Mode".to_owned(), json!(5))]);
        alter(&mut body, &remove, &set);
        assert_eq!(body, json!({ "Boot": { "Mode": 5 }, "Members": [2] }));
    }

    #[test]
    fn a_fault_is_written_as_json() {
        let text = r#"{"path":"/redfish","for":"10s","action":{"delay":"200ms"}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.lasts, 10 * SECOND);
        assert_eq!(fault.action, Action::Delay(SECOND / 5));
        let text = r#"{"action":"hang","colour":"red"}"#;
        assert!(serde_json::from_str::<Fault>(text).is_err());
    }
}
