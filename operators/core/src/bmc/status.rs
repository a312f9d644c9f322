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
    let fact = Fact::of(type_, fact);
    conditions::set(&mut new.conditions, fact, seen.bmc.metadata.generation, seen.now);
    if type_ == condition::READY {
        new.refused_credentials =
            (fact.reason == lockout::REASON).then(|| refused(seen.secret)).flatten();
    }
}
