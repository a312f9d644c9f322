//! Refused credentials are remembered across restarts by the condition: most BMCs lock an account after a
//! few attempts.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use metal_api::{Machine, condition};
use metal_core::bmc::rest;

/// Reason of a BMC that rejects our login.
pub(super) const REASON: &str = "Unauthorized";

/// For how long a BMC must not be asked with what is in this Secret, because it refused that when another
/// process asked. Attempts are scheduled relative to the time of the condition, so that a succession of
/// processes makes no more of them than a single one.
pub fn refused_for(machine: &Machine, secret: &Secret, now: Timestamp) -> Option<SignedDuration> {
    let conditions = &machine.status.as_ref()?.conditions;
    let reachable = conditions.iter().find(|it| it.type_ == condition::BMC_REACHABLE)?;
    let is_refused = reachable.status == "False"
        && reachable.reason == REASON
        && reachable.observed_generation == machine.metadata.generation;
    let since = reachable.last_transition_time.0;
    if !is_refused || written(secret)? >= since {
        return None;
    }
    Some(rest(since, now))
}

/// When a Secret was last written, as far as the API server says.
fn written(secret: &Secret) -> Option<Timestamp> {
    let meta = &secret.metadata;
    let writes = meta.managed_fields.iter().flatten().filter_map(|it| it.time.as_ref());
    writes.chain(meta.creation_timestamp.as_ref()).map(|time| time.0).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ManagedFieldsEntry, Time};
    use metal_api::{MachineSpec, MachineStatus};

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    /// A Machine whose BMC is not reachable since minute 10, for this reason.
    fn machine(reason: &str) -> Machine {
        let mut machine = Machine::new("a", MachineSpec::default());
        machine.metadata.generation = Some(3);
        let reachable = Condition {
            type_: condition::BMC_REACHABLE.to_owned(),
            status: "False".to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            last_transition_time: Time(at(10)),
            observed_generation: Some(3),
        };
        let conditions = vec![reachable];
        machine.status = Some(MachineStatus { conditions, ..MachineStatus::default() });
        machine
    }

    fn secret(written: i64) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.creation_timestamp = Some(Time(at(1)));
        let entry = ManagedFieldsEntry { time: Some(Time(at(written))), ..Default::default() };
        secret.metadata.managed_fields = Some(vec![entry]);
        secret
    }

    #[test]
    fn a_restart_does_not_try_refused_credentials_again_before_their_time() {
        let refused = machine(REASON);
        for (now, left) in [(10, 30), (11, 29), (39, 1), (40, 30), (85, 15), (5, 30)] {
            let expected = Some(SignedDuration::from_mins(left));
            assert_eq!(refused_for(&refused, &secret(2), at(now)), expected, "minute {now}");
        }
    }

    #[test]
    fn what_may_be_other_credentials_or_another_bmc_is_tried_at_once() {
        let refused = machine(REASON);
        assert_eq!(refused_for(&refused, &secret(12), at(13)), None, "they were changed");
        assert_eq!(refused_for(&refused, &Secret::default(), at(13)), None, "nobody knows when");
        assert_eq!(refused_for(&machine("NoAnswer"), &secret(2), at(13)), None);
        let mut changed = machine(REASON);
        changed.metadata.generation = Some(4);
        assert_eq!(refused_for(&changed, &secret(2), at(13)), None, "the Machine was changed");
        let new = Machine::new("a", MachineSpec::default());
        assert_eq!(refused_for(&new, &secret(2), at(13)), None);
    }
}
