//! Our part of the status of a boot configuration.

use super::{Ignition, Modes, Observation, Unavailable};
use crate::{
    boot::config::IGNITION_VALIDATION,
    conditions::{self, Fact},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{
    BootState, ServerBootConfiguration, ServerBootConfigurationStatus, annotation, condition,
};

/// The first interval before something that failed is retried, and the longest.
const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LAST: SignedDuration = SignedDuration::from_mins(5);

/// Conditions of boot configs that are copied to their boot configuration.
const FETCHED: [&str; 2] = [condition::IPXE_SCRIPT_FETCHED, condition::IGNITION_DATA_FETCHED];

/// What to report about one way of booting.
pub(super) enum Mode<'a> {
    /// It is disabled here: nothing is reported, and what others reported stays.
    Ignored,
    /// It has what it needs.
    Ready,
    /// It lacks something.
    Unavailable(&'a Unavailable),
}

/// A status under construction.
pub(super) struct Draft<'a> {
    configuration: &'a ServerBootConfiguration,
    status: ServerBootConfigurationStatus,
    now: Timestamp,
}

impl<'a> Draft<'a> {
    /// Starts from our part of the current status.
    pub(super) fn new(
        configuration: &'a ServerBootConfiguration,
        modes: Modes,
        now: Timestamp,
    ) -> Self {
        let mut status = ours(configuration, modes);
        status.observed_generation = configuration.metadata.generation;
        Self { configuration, status, now }
    }

    pub(super) fn state(&mut self, state: BootState) {
        self.status.state = Some(state);
    }

    pub(super) fn image(&mut self, why: Option<&Unavailable>) {
        // The same reason as ironcore's for all faults of an image; clients match on it.
        let reason = |_: &Unavailable| "ValidationFailed";
        self.set(condition::IMAGE_VALIDATION, why.map(|why| (reason(why), why)), "Valid");
    }

    pub(super) fn ignition(&mut self, ignition: &Ignition) {
        let why = match ignition {
            Ignition::None => {
                self.status.conditions.retain(|c| c.type_ != IGNITION_VALIDATION);
                return;
            }
            Ignition::Usable => None,
            Ignition::Unusable(why) => Some((why.reason, why)),
        };
        self.set(IGNITION_VALIDATION, why, "Usable");
    }

    pub(super) fn modes(&mut self, pxe: &Mode<'_>, http: &Mode<'_>) {
        self.mode(condition::IPXE_BOOT_READY, pxe);
        self.mode(condition::HTTP_BOOT_READY, http);
    }

    fn mode(&mut self, type_: &'static str, mode: &Mode<'_>) {
        match mode {
            Mode::Ignored => {}
            Mode::Ready => self.set(type_, None, "BootConfigApplied"),
            Mode::Unavailable(why) => self.set(type_, Some((why.reason, why)), ""),
        }
    }

    /// Copies what the boot configs say was served, if anybody waits for that: the boot
    /// configuration of a discovery concerns nobody else.
    pub(super) fn fetched(&mut self, seen: &Observation<'_>) {
        if is_internal(self.configuration) {
            return;
        }
        let ipxe = seen.there.ipxe.and_then(|config| config.status.as_ref());
        let http = seen.there.http.and_then(|config| config.status.as_ref());
        for type_ in FETCHED {
            let ipxe = ipxe.iter().flat_map(|status| &status.conditions);
            let both = ipxe.chain(http.iter().flat_map(|status| &status.conditions));
            let told = both.filter(|c| c.type_ == type_ && c.status == "True");
            let Some(last) = told.max_by_key(|c| c.last_transition_time.0) else { continue };
            let copy = Condition {
                observed_generation: self.configuration.metadata.generation,
                ..last.clone()
            };
            self.status.conditions.retain(|condition| condition.type_ != type_);
            self.status.conditions.push(copy);
        }
    }

    fn set(&mut self, type_: &'static str, why: Option<(&str, &Unavailable)>, good: &str) {
        let fact = match why {
            Some((reason, why)) => Fact { type_, holds: false, reason, message: &why.message },
            None => Fact { type_, holds: true, reason: good, message: "" },
        };
        let generation = self.configuration.metadata.generation;
        conditions::set(&mut self.status.conditions, fact, generation, self.now);
    }

    /// The status, if it differs from the current one.
    pub(super) fn news(self, modes: Modes) -> Option<ServerBootConfigurationStatus> {
        (self.status != ours(self.configuration, modes)).then_some(self.status)
    }
}

/// Our part of the current status.
fn ours(configuration: &ServerBootConfiguration, modes: Modes) -> ServerBootConfigurationStatus {
    let mut status = configuration.status.clone().unwrap_or_default();
    status.conditions.retain(|condition| match condition.type_.as_str() {
        condition::IMAGE_VALIDATION
        | IGNITION_VALIDATION
        | condition::IPXE_SCRIPT_FETCHED
        | condition::IGNITION_DATA_FETCHED => true,
        condition::IPXE_BOOT_READY => modes.pxe,
        condition::HTTP_BOOT_READY => modes.http,
        _ => false,
    });
    status
}

fn is_internal(configuration: &ServerBootConfiguration) -> bool {
    let type_ =
        configuration.metadata.annotations.as_ref().and_then(|all| all.get(annotation::TYPE));
    type_.is_some_and(|type_| type_ == annotation::INTERNAL)
}

/// How long to wait before something that failed is retried: as long as it has been failing, so
/// that the interval doubles without a counter.
pub(super) fn retry(
    status: Option<&ServerBootConfigurationStatus>,
    now: Timestamp,
) -> SignedDuration {
    let failed = |condition: &&Condition| condition.status == "False";
    let conditions = status.iter().flat_map(|status| &status.conditions);
    let since = conditions.filter(failed).map(|c| c.last_transition_time.0).max();
    since.map_or(FIRST, |since| now.duration_since(since)).clamp(FIRST, LAST)
}
