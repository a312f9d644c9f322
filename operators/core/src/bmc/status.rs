//! Conditions of a BMC.

use super::{
    Observation,
    lockout::{self, refused},
};
use crate::conditions::{self, Fact};
use metal_api::{BmcStatus, condition};

/// States one condition: it holds for this reason, or not for this one, with a message.
pub(super) fn set(
    new: &mut BmcStatus,
    seen: &Observation<'_>,
    type_: &'static str,
    fact: Result<&str, (&str, &str)>,
) {
    set_fact(new, seen, Fact::of(type_, fact));
}

/// States one condition.
pub(super) fn set_fact(new: &mut BmcStatus, seen: &Observation<'_>, fact: Fact<'_>) {
    let generation = seen.bmc.metadata.generation;
    if fact.type_ != condition::READY {
        return conditions::set(&mut new.conditions, fact, generation, seen.now);
    }
    if fact.reason != lockout::REASON {
        new.refused_credentials = None;
        return conditions::set(&mut new.conditions, fact, generation, seen.now);
    }
    conditions::set_from_reason(&mut new.conditions, fact, generation, seen.now);
    let refused = refused(seen.secret);
    if lockout::is_news(new, refused.as_ref(), seen.secret) {
        let created = seen.secret.and_then(lockout::created).unwrap_or(seen.now);
        conditions::begin(&mut new.conditions, condition::READY, seen.now.max(created));
    }
    new.refused_credentials = refused;
}
