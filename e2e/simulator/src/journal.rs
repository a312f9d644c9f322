//! What happened to a machine, and how many times.

use super::power::Reset;
use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::VecDeque;
use strum::VariantArray;

/// Entries kept per machine; older ones are dropped.
const ENTRIES: usize = 128;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// Somebody asked for a reset.
    Reset,
    /// Power came on.
    PoweredOn,
    /// Power went off.
    PoweredOff,
    /// Firmware began to look for something to boot.
    BootStarted,
    /// A DHCP server gave an address.
    Dhcp,
    /// A script was fetched.
    Script,
    /// The boot service gave the URL of a UKI.
    HttpBoot,
    /// A medium was inserted into the virtual drive.
    MediumInserted,
    /// It was ejected.
    MediumEjected,
    /// The medium was read completely.
    Medium,
    /// A kernel was fetched completely.
    Kernel,
    /// An initrd was fetched completely.
    Initrd,
    /// A UKI was fetched completely.
    Uki,
    /// An Ignition configuration was fetched and parsed.
    Ignition,
    /// There is no Ignition configuration for this machine.
    NoIgnition,
    /// A fetch failed; a script may continue without it.
    FetchFailed,
    /// One attempt of firmware failed.
    TryFailed,
    /// Firmware gave up.
    BootFailed,
    /// The disk was booted.
    Disk,
    /// The discovery image runs.
    Discovery,
    /// The registry accepted the report.
    Registered,
    /// The registry refused the report.
    RegistrationFailed,
    /// A tenant's operating system runs.
    Tenant,
    /// The BMC restarted.
    BmcReset,
    /// The BMC has an address.
    BmcAddress,
    /// The BMC could not get or keep an address.
    BmcAddressLost,
    /// The cables were plugged in.
    Plugged,
    /// The cables were unplugged.
    Unplugged,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// Details, or the reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The latest events, oldest first.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Journal(VecDeque<Entry>);

impl Journal {
    /// Appends.
    pub(super) fn note(&mut self, event: Event, detail: impl Into<String>) {
        if self.0.len() >= ENTRIES {
            self.0.pop_front();
        }
        self.0.push_back(Entry { at: Timestamp::now(), event, detail: detail.into() });
    }

    /// Oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.0.iter()
    }
}

/// How many times each reset was requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resets([u32; Reset::VARIANTS.len()]);

impl Resets {
    pub(super) fn count(&mut self, reset: Reset) {
        self.0[reset as usize] += 1;
    }

    /// How many times this one.
    pub fn of(&self, reset: Reset) -> u32 {
        self.0[reset as usize]
    }

    /// How many times any.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
}

impl Serialize for Resets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (reset, count) in Reset::VARIANTS.iter().zip(self.0).filter(|(_, count)| *count > 0) {
            map.serialize_entry(&reset.to_string(), &count)?;
        }
        map.end()
    }
}

/// How many times things happened to one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// TCP connections to the BMC.
    pub connections: u32,
    /// Redfish requests of every kind.
    pub requests: u32,
    /// The PATCH requests among them.
    pub patches: u32,
    /// Sessions opened.
    pub logins: u32,
    /// Requests with credentials or tokens that were refused.
    pub refused: u32,
    /// Resets by type.
    pub resets: Resets,
    /// Resets among them that changed nothing, or were impossible.
    pub needless_resets: u32,
    /// Resets of the BMC.
    pub manager_resets: u32,
    /// Network boots that started an operating system.
    pub network_boots: u32,
    /// Boots from disk.
    pub disk_boots: u32,
    /// Boots that failed.
    pub failed_boots: u32,
    /// Reports that the registry accepted.
    pub reports: u32,
}

impl Counters {
    /// The sum of both.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.resets.0.iter_mut().zip(other.resets.0) {
            *mine += theirs;
        }
        self.connections += other.connections;
        self.requests += other.requests;
        self.patches += other.patches;
        self.logins += other.logins;
        self.refused += other.refused;
        self.needless_resets += other.needless_resets;
        self.manager_resets += other.manager_resets;
        self.network_boots += other.network_boots;
        self.disk_boots += other.disk_boots;
        self.failed_boots += other.failed_boots;
        self.reports += other.reports;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_the_newest() {
        let mut journal = Journal::default();
        for number in 0..ENTRIES + 5 {
            journal.note(Event::Script, number.to_string());
        }
        assert_eq!(journal.entries().count(), ENTRIES);
        assert_eq!(journal.entries().next().unwrap().detail, "5");
    }

    #[test]
    fn resets_are_shown_by_name_and_without_zeros() {
        let mut resets = Resets::default();
        resets.count(Reset::ForceOff);
        resets.count(Reset::ForceOff);
        assert_eq!(serde_json::to_string(&resets).unwrap(), r#"{"ForceOff":2}"#);
    }
}
