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
    conditions::set(&mut new.conditions, fact, seen.bmc.metadata.generation, seen.now);
    if fact.type_ == condition::READY {
        new.refused_credentials =
            (fact.reason == lockout::REASON).then(|| refused(seen.secret)).flatten();
    }
}
