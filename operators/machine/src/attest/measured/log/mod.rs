//! Why a PCR has its value: the event log of the firmware, compared with that of the last allowed boot. Anybody
//! can write a log, so it explains and proves nothing, and only if it leads to the value.

use metal_api::{MachineMeasured, MachineStatus};
use metal_core::conditions::cut;
use std::collections::{BTreeMap, BTreeSet};

/// How many events of a PCR are kept: firmware makes up to 40.
const KEPT: usize = 64;
/// How many digits of a digest are kept: enough to compare, as it proves nothing.
const DIGITS: usize = 16;
/// How many events of a PCR are reported.
const TOLD: usize = 8;
/// The longest type of an event, in bytes.
const KIND: usize = 40;
const SINCE: &str = "since the last boot that was allowed";

/// The event log that came with a quote.
#[derive(Clone, Copy, Debug)]
pub enum EventLog<'a> {
    /// There was none.
    Missing,
    /// It cannot be parsed, for this reason.
    Unreadable(&'a str),
    /// Its events for each PCR.
    Read(&'a BTreeMap<u8, Logged>),
}

/// The events of a log for one PCR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// Whether they lead to the value that the TPM has signed.
    pub leads: bool,
    /// What was measured into it.
    pub events: Vec<LoggedEvent>,
}

/// An event of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number in the log.
    pub number: usize,
    /// Its type, by name.
    pub kind: String,
    /// Its digest, in hexadecimal digits.
    pub digest: String,
}

impl LoggedEvent {
    fn digest(&self) -> &str {
        self.digest.get(..DIGITS).unwrap_or(&self.digest)
    }
}

/// What a log explains about a PCR whose value is not allowed; to be appended to that value.
pub(super) fn explained(log: EventLog<'_>, index: u8, status: Option<&MachineStatus>) -> String {
    let EventLog::Read(all) = log else { return String::new() };
    let Some(logged) = all.get(&index).filter(|logged| logged.leads) else {
        return ", to which its event log does not lead".to_owned();
    };
    let mut kept = status.and_then(|it| it.tpm.as_ref()).into_iter().flat_map(|it| &it.measured);
    match kept.find(|kept| kept.index == i32::from(index)) {
        Some(kept) => format!(": {}", difference(&logged.events, kept)),
        None if logged.events.is_empty() => ", and nothing was measured into it".to_owned(),
        None => format!(", by the events {}", listed(&runs(&logged.events))),
    }
}

/// Events that are new, and events that are missing.
fn difference(events: &[LoggedEvent], kept: &MachineMeasured) -> String {
    let mut gone: Vec<_> = kept.events.iter().filter_map(|it| it.rsplit_once(' ')).collect();
    let is_new = |event: &&LoggedEvent| {
        let at = gone.iter().position(|(_, digest)| *digest == event.digest());
        at.map(|at| gone.remove(at)).is_none()
    };
    let new: Vec<_> = events.iter().filter(is_new).map(|it| named(it.number, &it.kind)).collect();
    let gone: Vec<_> = gone.into_iter().map(|(kind, _)| cut(kind, KIND).into_owned()).collect();
    match (new.is_empty(), gone.is_empty()) {
        (true, true) => "the events of the last boot that was allowed, in another order".to_owned(),
        (false, true) => format!("new {SINCE} {}", listed(&new)),
        (true, false) => format!("gone {SINCE} {}", listed(&gone)),
        (false, false) => format!("new {SINCE} {}, gone {}", listed(&new), listed(&gone)),
    }
}

fn named(number: usize, kind: &str) -> String {
    format!("#{number} {}", cut(kind, KIND))
}

/// The events, of which those of one type in a row are named once.
fn runs(events: &[LoggedEvent]) -> Vec<String> {
    let runs = events.chunk_by(|one, next| one.kind == next.kind);
    let run = |run: &[LoggedEvent]| match run {
        [first, .., last] => format!("#{} to {}", first.number, named(last.number, &last.kind)),
        [event] => named(event.number, &event.kind),
        [] => String::new(),
    };
    runs.map(run).collect()
}

/// The first of them, and how many there are besides.
fn listed(names: &[String]) -> String {
    let (told, more) = names.split_at(names.len().min(TOLD));
    let told = told.join(", ");
    if more.is_empty() { told } else { format!("{told} and {} more", more.len()) }
}

/// Keeps what was measured in an allowed boot, for the PCRs that are checked.
pub(super) fn keep(new: &mut MachineStatus, asked: &BTreeSet<u8>, log: EventLog<'_>) {
    let EventLog::Read(all) = log else { return };
    let Some(tpm) = &mut new.tpm else { return };
    let before = std::mem::take(&mut tpm.measured);
    tpm.measured = asked.iter().filter_map(|index| kept(*index, all.get(index), &before)).collect();
}

/// What is kept of a PCR. Types are not measured: a log in which only these are others is nothing new.
fn kept(index: u8, logged: Option<&Logged>, before: &[MachineMeasured]) -> Option<MachineMeasured> {
    let before = before.iter().find(|it| it.index == i32::from(index));
    let Some(logged) = logged.filter(|logged| logged.leads) else { return before.cloned() };
    let digests = logged.events.iter().map(LoggedEvent::digest);
    let known = |it: &&MachineMeasured| {
        let known = it.events.iter().map(|it| it.rsplit_once(' ').map_or("", |it| it.1));
        known.eq(digests.clone())
    };
    let text = |event: &LoggedEvent| format!("{} {}", cut(&event.kind, KIND), event.digest());
    let new = || MachineMeasured {
        index: index.into(),
        events: logged.events.iter().map(text).collect(),
    };
    before.filter(known).cloned().or_else(|| (logged.events.len() <= KEPT).then(new))
}

#[cfg(test)]
mod tests;
