//! The progress that cloud-init reports, as the condition `CloudInitDone`.
//!
//! ```text
//!            begins                 the last stage succeeds
//! (none) ────────────► Running ──────────────────────────────► Succeeded
//!                       │  ▲ │
//!        anything fails │  │ │ nothing comes to an end in time
//!                       ▼  │ ▼
//!                   Failed │ TimedOut ──► Succeeded, Failed
//!                       └──┘
//!                  begins from the start
//! ```
//!
//! A failure stays until cloud-init starts from the beginning, or the machine is reinstalled: a
//! later stage that succeeds does not undo it. After a timeout cloud-init may still finish, but
//! does not count as running again before it does.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use metal_api::{Machine, MachineStatus, condition::CLOUD_INIT_DONE};
use metal_core::conditions::cut;
use serde::Deserialize;

/// How long cloud-init may run before a person should look into it.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(30);
/// The first stage.
const FIRST: &str = "init-local";
/// The last stage.
const LAST: &str = "modules-final";
/// The longest message, in bytes.
const MESSAGE: usize = 1024;
/// The longest stage name, in bytes.
const NAME: usize = 128;

const RUNNING: &str = "Running";
const FAILED: &str = "Failed";
const SUCCEEDED: &str = "Succeeded";
const TIMED_OUT: &str = "TimedOut";

/// An event that cloud-init's webhook reporter posts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// The stage, or a step of it: `modules-final`, `modules-final/config-runcmd`.
    #[serde(default)]
    pub name: String,
    /// A description of it.
    #[serde(default)]
    pub description: String,
    /// `start` or `finish`.
    #[serde(default, rename = "event_type")]
    pub kind: String,
    /// `SUCCESS`, `WARN` or `FAIL` at a finish.
    #[serde(default)]
    pub result: String,
}

/// The status after `event`; `None` if nothing changes.
pub fn with_condition(machine: &Machine, event: &Event, now: Timestamp) -> Option<MachineStatus> {
    let status = machine.status.clone().unwrap_or_default();
    let reason = condition(&status).map(|it| it.reason.clone());
    let reason = reason.as_deref();
    let is_finish = event.kind.eq_ignore_ascii_case("finish");
    let is_start = event.kind.eq_ignore_ascii_case("start");
    let succeeds = event.result.eq_ignore_ascii_case("success");
    // A warning neither counts as a failure nor undoes one.
    let fails = !succeeds && !event.result.eq_ignore_ascii_case("warn");
    if is_start && event.name == FIRST {
        return set(status, machine, ("False", RUNNING, ""), now);
    }
    if reason == Some(FAILED) || reason == Some(SUCCEEDED) {
        return None;
    }
    if is_finish && fails {
        return set(status, machine, ("False", FAILED, &failure(event)), now);
    }
    if is_finish && succeeds && event.name == LAST {
        return set(status, machine, ("True", SUCCEEDED, ""), now);
    }
    if reason == Some(TIMED_OUT) || !(is_start || is_finish) {
        return None;
    }
    set(status, machine, ("False", RUNNING, ""), now)
}

/// When to look at the condition again, if it may time out.
pub fn deadline(status: &MachineStatus) -> Option<Timestamp> {
    let running = condition(status).filter(|it| it.status == "False" && it.reason == RUNNING)?;
    running.last_transition_time.0.checked_add(PATIENCE).ok()
}

/// Records a timeout, if there is one.
pub fn expire(status: &mut MachineStatus, machine: &Machine, now: Timestamp) {
    if deadline(status).is_some_and(|deadline| deadline <= now) {
        let minutes = PATIENCE.as_mins();
        let message = format!("cloud-init did not finish within {minutes} minutes");
        if let Some(new) = set(status.clone(), machine, ("Unknown", TIMED_OUT, &message), now) {
            *status = new;
        }
    }
}

fn failure(event: &Event) -> String {
    let (name, result) = (cut(&event.name, NAME), cut(&event.result, NAME));
    let message = format!("{name}: {result}: {}", event.description);
    cut(&message.replace(char::is_control, " "), MESSAGE).into_owned()
}

fn condition(status: &MachineStatus) -> Option<&Condition> {
    status.conditions.iter().find(|it| it.type_ == CLOUD_INIT_DONE)
}

/// Sets the condition. Its time is that of the last change of status or reason, so a new run is
/// timed from its own beginning.
fn set(
    mut status: MachineStatus,
    machine: &Machine,
    (state, reason, message): (&str, &str, &str),
    now: Timestamp,
) -> Option<MachineStatus> {
    let old = status.conditions.iter().position(|it| it.type_ == CLOUD_INIT_DONE);
    let is_same = |it: &Condition| it.status == state && it.reason == reason;
    if old.is_some_and(|at| is_same(&status.conditions[at])) {
        return None;
    }
    let new = Condition {
        type_: CLOUD_INIT_DONE.to_owned(),
        status: state.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: machine.metadata.generation,
        last_transition_time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
    };
    match old {
        Some(at) => status.conditions[at] = new,
        None => status.conditions.push(new),
    }
    Some(status)
}

#[cfg(test)]
mod tests;
