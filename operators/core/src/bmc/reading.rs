//! What a BMC reported, and for how long that is used.

use crate::redfish::{ManagerReading, SystemReading, Unreachable};
use jiff::{SignedDuration, Timestamp};
use metal_api::SystemUuid;

/// How soon to read a BMC again after it answered.
pub(super) const RESYNC: SignedDuration = SignedDuration::from_mins(10);
/// How soon to retry a silent BMC.
pub(super) const SILENT: SignedDuration = SignedDuration::from_secs(30);

/// What a BMC reported, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct BmcReading {
    /// When it was requested.
    pub at: Timestamp,
    /// How long the answer took.
    pub took: SignedDuration,
    /// What the BMC reported, or why it did not answer.
    pub result: Result<Answers, Unreachable>,
    /// Number of consecutive incomplete readings.
    pub partial: u32,
}

impl BmcReading {
    /// A reading that follows another, and that was requested at `at`.
    pub fn new(
        at: Timestamp,
        took: SignedDuration,
        result: Result<Answers, Unreachable>,
        before: Option<&Self>,
    ) -> Self {
        let is_partial = result.as_ref().is_ok_and(|said| !said.is_whole());
        let before = before.map_or(0, |before| before.partial);
        let partial = if is_partial { before.saturating_add(1) } else { 0 };
        Self { at, took, result, partial }
    }

    /// When the answer arrived: some BMCs take longer than the answer is used for.
    pub(super) fn answered(&self) -> Timestamp {
        self.at.checked_add(self.took).unwrap_or(self.at)
    }

    /// How long the answers are used: for a short time, which grows with each reading, while
    /// something is missing that may still come.
    pub(super) fn counts_for(&self) -> SignedDuration {
        match self.partial.checked_sub(1) {
            None => RESYNC,
            Some(before) => (SILENT * 2_i32.saturating_pow(before.min(10))).min(RESYNC),
        }
    }
}

/// A system as far as it decides which server it is. The rest of what was read is for that server, and is not kept
/// for thousands of BMCs as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundSystem {
    /// [`SystemReading::uri`].
    pub uri: String,
    /// [`SystemReading::uuid`].
    pub uuid: Option<SystemUuid>,
    /// [`SystemReading::lacks_reset`].
    pub lacks_reset: bool,
}

impl From<&SystemReading> for FoundSystem {
    fn from(system: &SystemReading) -> Self {
        let SystemReading { uri, uuid, lacks_reset, .. } = system;
        Self { uri: uri.clone(), uuid: *uuid, lacks_reset: *lacks_reset }
    }
}

/// The answers of a BMC.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The manager.
    pub manager: ManagerReading,
    /// The systems, in the order of the collection.
    pub systems: Vec<FoundSystem>,
    /// Certificate to pin the BMC to from now on.
    pub certificate: Option<String>,
    /// What it could not report, or reported inconsistently, each with its resource.
    pub remarks: Vec<String>,
}

impl Answers {
    /// Whether nothing is missing that the BMC may still be preparing, because it is starting or
    /// the host was never powered on.
    pub fn is_whole(&self) -> bool {
        let is_ready = |system: &FoundSystem| system.uuid.is_some() && !system.lacks_reset;
        self.remarks.is_empty() && !self.systems.is_empty() && self.systems.iter().all(is_ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bmc_that_has_no_systems_yet_is_asked_again_soon() {
        assert_eq!(minutes_between(&said(vec![])), [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]);
    }

    #[test]
    fn a_system_that_was_busy_is_asked_again_soon() {
        let busy = Answers { remarks: vec!["/2: HTTP 503".to_owned()], ..said(vec![system()]) };
        let starting = said(vec![FoundSystem { uuid: None, ..system() }]);
        let never_on = said(vec![FoundSystem { lacks_reset: true, ..system() }]);
        for said in [busy, starting, never_on] {
            assert_eq!(minutes_between(&said)[..3], [0.5, 1.0, 2.0], "{said:?}");
        }
        assert_eq!(minutes_between(&said(vec![system()]))[..3], [10.0; 3]);
    }

    #[test]
    fn a_whole_reading_begins_anew() {
        let at = Timestamp::UNIX_EPOCH;
        let partial = BmcReading::new(at, SignedDuration::ZERO, Ok(said(vec![])), None);
        let partial = BmcReading::new(at, SignedDuration::ZERO, Ok(said(vec![])), Some(&partial));
        let whole =
            BmcReading::new(at, SignedDuration::ZERO, Ok(said(vec![system()])), Some(&partial));
        let again = BmcReading::new(at, SignedDuration::ZERO, Ok(said(vec![])), Some(&whole));
        assert_eq!([partial.partial, whole.partial, again.partial], [2, 0, 1]);
    }

    #[test]
    fn of_a_system_is_kept_what_tells_which_server_it_is() {
        let (uri, uuid) = ("/redfish/v1/Systems/1".to_owned(), system().uuid);
        let model = Some("CR-2000".to_owned());
        let read = SystemReading { uri, uuid, lacks_reset: true, model, ..Default::default() };
        let uri = read.uri.clone();
        assert_eq!(FoundSystem::from(&read), FoundSystem { uri, uuid, lacks_reset: true });
    }

    /// The times between readings of a BMC that always reports this.
    fn minutes_between(said: &Answers) -> Vec<f64> {
        let (mut before, mut times) = (None, vec![]);
        for _ in 0..7 {
            let at = Timestamp::UNIX_EPOCH;
            let reading =
                BmcReading::new(at, SignedDuration::ZERO, Ok(said.clone()), before.as_ref());
            times.push(reading.counts_for().as_secs_f64() / 60.0);
            before = Some(reading);
        }
        times
    }

    fn said(systems: Vec<FoundSystem>) -> Answers {
        Answers { manager: ManagerReading::default(), systems, certificate: None, remarks: vec![] }
    }

    fn system() -> FoundSystem {
        let uuid = "38947555-7742-3448-3784-82334782383a".parse().ok();
        FoundSystem { uuid, ..FoundSystem::default() }
    }
}
