//! The status of an `IPXEBootConfig` or `HTTPBootConfig`.
//!
//! The two differ in their specs, not in their status, so this module uses [`Config`], a view of
//! either.

use super::{Ignition, Unavailable};
use crate::conditions::{self, Fact};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{BootState, condition};
use metal_base::Never;

/// Condition: the ignition can be read by a machine.
pub const IGNITION_VALIDATION: &str = "IgnitionValidation";

/// How long a boot config of ours delays recording that it is ready, so that the fetches of the
/// boot that it was made for go into the same write.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// How often to look again if nothing changes.
const RESYNC: SignedDuration = SignedDuration::from_hours(1);

/// A boot config of either kind.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Whether it was made from a ServerBootConfiguration, whose state is then the relevant one.
    pub is_owned: bool,
    /// `status.state`.
    pub state: Option<&'a BootState>,
    /// `status.conditions`.
    pub conditions: &'a [Condition],
}

/// The input of a pass.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The boot config.
    pub config: Config<'a>,
    /// Its ignition.
    pub ignition: &'a Ignition,
    /// What is wrong with its own script, if it has one.
    pub script: Option<&'a Unavailable>,
    /// What was served for this object by this process.
    pub fetched: Fetched,
    /// Now.
    pub now: Timestamp,
}

/// What was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// An iPXE script.
    pub script: bool,
    /// The ignition.
    pub ignition: bool,
}

/// What one pass is to do.
pub type Decision = metal_base::Decision<Status, Never>;

/// Our part of the status of either kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// `status.state`.
    pub state: BootState,
    /// Conditions set by us.
    pub conditions: Vec<Condition>,
}

/// Types of the conditions set by us.
const OURS: [&str; 3] =
    [IGNITION_VALIDATION, condition::IPXE_SCRIPT_FETCHED, condition::IGNITION_DATA_FETCHED];

/// Whether the conditions do not yet say what was served.
pub fn is_news(conditions: &[Condition], fetched: Fetched) -> bool {
    let known = |type_: &str| conditions.iter().any(|c| c.type_ == type_ && c.status == "True");
    (fetched.script && !known(condition::IPXE_SCRIPT_FETCHED))
        || (fetched.ignition && !known(condition::IGNITION_DATA_FETCHED))
}

/// Decides what to do about a boot config.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let config = &seen.config;
    let new = next(seen);
    let old: Vec<_> = conditions_of(config.conditions);
    if config.state == Some(&new.state) && old == new.conditions {
        return Decision::Rest(RESYNC);
    }
    let quiet = config.is_owned && config.state.is_none() && new.state == BootState::Ready;
    if quiet && seen.fetched == Fetched::default() {
        let age = config.created.map_or(PATIENCE, |created| seen.now.duration_since(created));
        if age < PATIENCE {
            return Decision::Rest((PATIENCE - age).min(PATIENCE));
        }
    }
    Decision::Record(Box::new(new))
}

fn next(seen: &Observation<'_>) -> Status {
    let mut all = conditions_of(seen.config.conditions);
    let mut set = |type_, holds, reason: &str, message: &str| {
        let fact = Fact { type_, holds, reason, message };
        conditions::set(&mut all, fact, seen.config.generation, seen.now);
    };
    if seen.fetched.script && !holds(seen.config.conditions, condition::IPXE_SCRIPT_FETCHED) {
        set(condition::IPXE_SCRIPT_FETCHED, true, "IPXEScriptDelivered", "");
    }
    if seen.fetched.ignition && !holds(seen.config.conditions, condition::IGNITION_DATA_FETCHED) {
        set(condition::IGNITION_DATA_FETCHED, true, "IgnitionDataDelivered", "");
    }
    let why = match seen.ignition {
        Ignition::None | Ignition::Usable => seen.script,
        Ignition::Unusable(why) => Some(why),
    };
    let bad = holds_not(seen.config.conditions, IGNITION_VALIDATION);
    match why {
        Some(why) => set(IGNITION_VALIDATION, false, why.reason, &why.message),
        // Set only to retract an earlier complaint.
        None if bad => set(IGNITION_VALIDATION, true, "Usable", ""),
        None => {}
    }
    let state = if why.is_some() { BootState::Error } else { BootState::Ready };
    Status { state, conditions: all }
}

fn conditions_of(all: &[Condition]) -> Vec<Condition> {
    all.iter().filter(|condition| OURS.contains(&condition.type_.as_str())).cloned().collect()
}

fn holds(all: &[Condition], type_: &str) -> bool {
    all.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

fn holds_not(all: &[Condition], type_: &str) -> bool {
    all.iter().any(|condition| condition.type_ == type_ && condition.status != "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    const QUIET: Decision = Decision::Rest(RESYNC);
    const NOTHING: Fetched = Fetched { script: false, ignition: false };
    const SCRIPT: Fetched = Fetched { script: true, ignition: false };
    const BOTH: Fetched = Fetched { script: true, ignition: true };

    #[test]
    fn what_was_made_by_hand_is_ready_at_once() {
        let decision = decide(&seen(&Ignition::Usable, None, NOTHING));
        let status = Status { state: BootState::Ready, conditions: vec![] };
        assert_eq!(decision, Decision::Record(Box::new(status.clone())));
        assert_eq!(again(&status, &Ignition::Usable, NOTHING), QUIET);
    }

    #[test]
    fn what_is_wrong_is_an_error_with_a_reason_until_it_is_put_right() {
        let why = Unavailable { reason: "SecretNotFound", message: "create it".to_owned() };
        let unusable = Ignition::Unusable(why);
        let decision = decide(&seen(&unusable, None, NOTHING));
        let Decision::Record(broken) = decision else { panic!("{decision:?}") };
        assert_eq!(broken.state, BootState::Error);
        assert_eq!(shown(&broken), ["IgnitionValidation=False/SecretNotFound: create it"]);
        assert_eq!(again(&broken, &unusable, NOTHING), QUIET);

        let decision = again(&broken, &Ignition::Usable, NOTHING);
        let Decision::Record(status) = decision else { panic!("{decision:?}") };
        assert_eq!(shown(&status), ["IgnitionValidation=True/Usable: "]);
        assert_eq!(again(&status, &Ignition::Usable, NOTHING), QUIET);
    }

    #[test]
    fn a_script_of_its_own_that_is_missing_is_an_error_too() {
        let why = Unavailable { reason: "SecretNotFound", message: "create it".to_owned() };
        let decision = decide(&seen(&Ignition::None, Some(&why), NOTHING));
        let Decision::Record(status) = decision else { panic!("{decision:?}") };
        assert_eq!(status.state, BootState::Error);
    }

    #[test]
    fn a_fetch_is_recorded_once() {
        let decision = decide(&seen(&Ignition::Usable, None, SCRIPT));
        let Decision::Record(one) = decision else { panic!("{decision:?}") };
        assert_eq!(shown(&one), ["IPXEScriptFetched=True/IPXEScriptDelivered: "]);
        assert!(!is_news(&one.conditions, SCRIPT) && is_news(&one.conditions, BOTH));
        assert_eq!(again(&one, &Ignition::Usable, SCRIPT), QUIET);

        let decision = again(&one, &Ignition::Usable, BOTH);
        let Decision::Record(two) = decision else { panic!("{decision:?}") };
        assert_eq!(
            shown(&two),
            [
                "IPXEScriptFetched=True/IPXEScriptDelivered: ",
                "IgnitionDataFetched=True/IgnitionDataDelivered: ",
            ]
        );
        assert_eq!(two.conditions[0].last_transition_time, one.conditions[0].last_transition_time);
        assert_eq!(again(&two, &Ignition::Usable, NOTHING), QUIET, "elsewhere, later");
    }

    #[test]
    fn what_a_configuration_made_becomes_ready_in_the_same_write_as_its_fetches() {
        let owned = |age, fetched| {
            let mut seen = seen(&Ignition::Usable, None, fetched);
            seen.config.is_owned = true;
            seen.now += SignedDuration::from_secs(age);
            decide(&seen)
        };
        assert_eq!(owned(0, NOTHING), Decision::Rest(PATIENCE));
        assert_eq!(owned(10, NOTHING), Decision::Rest(SignedDuration::from_secs(110)));
        assert_eq!(owned(-99, NOTHING), Decision::Rest(PATIENCE), "clocks differ");
        for (age, fetched) in [(120, NOTHING), (0, SCRIPT)] {
            let decision = owned(age, fetched);
            assert!(matches!(decision, Decision::Record(_)), "{decision:?}");
        }
    }

    #[test]
    fn what_is_wrong_does_not_wait() {
        let why = Unavailable { reason: "SecretNotFound", message: "create it".to_owned() };
        let unusable = Ignition::Unusable(why);
        let mut seen = seen(&unusable, None, NOTHING);
        seen.config.is_owned = true;
        assert!(matches!(decide(&seen), Decision::Record(_)));
    }

    #[test]
    fn conditions_of_others_are_left_alone() {
        let foreign = condition("Foreign");
        let mut seen = seen(&Ignition::Usable, None, SCRIPT);
        seen.config.conditions = std::slice::from_ref(&foreign);
        let Decision::Record(status) = decide(&seen) else { panic!() };
        assert_eq!(shown(&status), ["IPXEScriptFetched=True/IPXEScriptDelivered: "]);
    }

    fn again(status: &Status, ignition: &Ignition, fetched: Fetched) -> Decision {
        let mut seen = seen(ignition, None, fetched);
        seen.config.state = Some(&status.state);
        seen.config.conditions = &status.conditions;
        seen.now += SignedDuration::from_secs(1);
        decide(&seen)
    }

    fn shown(status: &Status) -> Vec<String> {
        let show = |c: &Condition| format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message);
        status.conditions.iter().map(show).collect()
    }

    fn condition(type_: &str) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: "True".to_owned(),
            reason: "Reason".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn seen<'a>(
        ignition: &'a Ignition,
        script: Option<&'a Unavailable>,
        fetched: Fetched,
    ) -> Observation<'a> {
        Observation {
            config: Config {
                generation: Some(1),
                created: Some(Timestamp::UNIX_EPOCH),
                is_owned: false,
                state: None,
                conditions: &[],
            },
            ignition,
            script,
            fetched,
            now: Timestamp::UNIX_EPOCH,
        }
    }
}
