//! Credentials that were refused stay so over a restart: the condition remembers.
//!
//! Attempts stand on a grid that begins with the condition, so that processes that follow each other
//! make no more of them than one that stays.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use metal_api::{Bmc, BmcSecret, Server, condition};

/// How soon to try credentials again that were refused. A changed secret triggers a pass at once.
pub(crate) const REFUSED: SignedDuration = SignedDuration::from_mins(30);
/// Reason of a BMC that refuses its credentials.
pub(super) const REASON: &str = "AuthenticationFailed";
/// The same of a server that names its BMC itself.
pub(crate) const REASON_OF_SERVER: &str = "Unauthorized";

/// What is said of refused credentials. With the generation of the secret it tells which they were.
pub(super) fn message(bmc: &Bmc, secret: Option<&BmcSecret>) -> String {
    let name = &bmc.spec.bmc_secret_ref.name;
    let generation = secret.and_then(|secret| secret.metadata.generation);
    let which = generation.map(|it| format!(" (generation {it})")).unwrap_or_default();
    format!("the BMC refuses the credentials: correct BMCSecret {name}{which}")
}

/// For how long a BMC is not asked with these credentials, because it refused them when another
/// process asked.
pub fn refused_for(bmc: &Bmc, secret: &BmcSecret, now: Timestamp) -> Option<SignedDuration> {
    let conditions = &bmc.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|c| c.type_ == condition::READY)?;
    let is_same = ready.reason == REASON
        && ready.message == message(bmc, Some(secret))
        && ready.observed_generation == bmc.metadata.generation;
    left(ready, secret, now).filter(|_| is_same)
}

/// The same of the BMC that a server names itself. Nothing tells which version of the secret it was,
/// so it is only known of one that was never changed.
pub fn refused_for_server(
    server: &Server,
    secret: &BmcSecret,
    now: Timestamp,
) -> Option<SignedDuration> {
    let conditions = &server.status.as_ref()?.conditions;
    let reachable = conditions.iter().find(|c| c.type_ == condition::BMC_REACHABLE)?;
    let is_same = reachable.reason == REASON_OF_SERVER && secret.metadata.generation == Some(1);
    left(reachable, secret, now).filter(|_| is_same)
}

/// The time until the next attempt, if the credentials are not newer than the refusal.
fn left(refusal: &Condition, secret: &BmcSecret, now: Timestamp) -> Option<SignedDuration> {
    let since = refusal.last_transition_time.0;
    let created = secret.meta().creation_timestamp.as_ref().map(|created| created.0);
    let passed = now.duration_since(since);
    if refusal.status != "False" || created.is_some_and(|created| created > since) {
        return None;
    }
    // Of the future: somebody has set the clock back.
    if passed.is_negative() {
        return Some(REFUSED);
    }
    let into = passed.as_secs() % REFUSED.as_secs();
    Some(REFUSED - SignedDuration::from_secs(into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use metal_api::{BmcSpec, BmcStatus, LocalObjectReference};

    #[test]
    fn a_restart_does_not_try_refused_credentials_again_before_their_time() {
        let (bmc, secret) = (refusing(3), secret(3, 0));
        for (passed, left) in [(0, 30), (1, 29), (29, 1), (30, 30), (75, 15)] {
            let expected = Some(SignedDuration::from_mins(left));
            assert_eq!(refused_for(&bmc, &secret, at(10 + passed)), expected, "{passed} min");
        }
        assert_eq!(refused_for(&bmc, &secret, at(5)), Some(REFUSED), "the clock was set back");
    }

    #[test]
    fn other_credentials_than_those_that_were_refused_are_tried_at_once() {
        let now = at(11);
        assert_eq!(refused_for(&refusing(3), &secret(4, 0), now), None, "it was changed");
        assert_eq!(refused_for(&refusing(1), &secret(1, 11), now), None, "it is another object");
        let mut moved = refusing(3);
        moved.metadata.generation = Some(8);
        assert_eq!(refused_for(&moved, &secret(3, 0), now), None, "the BMC was changed");
        let mut silent = refusing(3);
        silent.status.as_mut().unwrap().conditions[0].reason = "ConnectionFailed".to_owned();
        assert_eq!(refused_for(&silent, &secret(3, 0), now), None);
        let new = Bmc::new("bmc-1", BmcSpec::default());
        assert_eq!(refused_for(&new, &secret(3, 0), now), None);
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn secret(generation: i64, created: i64) -> BmcSecret {
        let mut secret = BmcSecret::new("bmc-1", metal_api::BmcSecretSpec::default());
        secret.metadata.generation = Some(generation);
        secret.metadata.creation_timestamp = Some(Time(at(created)));
        secret
    }

    /// A BMC that has refused this generation of its secret since minute 10.
    fn refusing(generation: i64) -> Bmc {
        let mut bmc = Bmc::new("bmc-1", BmcSpec::default());
        bmc.spec.bmc_secret_ref = LocalObjectReference { name: "bmc-1".to_owned() };
        bmc.metadata.generation = Some(7);
        let ready = Condition {
            type_: condition::READY.to_owned(),
            status: "False".to_owned(),
            reason: REASON.to_owned(),
            message: message(&bmc, Some(&secret(generation, 0))),
            last_transition_time: Time(at(10)),
            observed_generation: Some(7),
        };
        bmc.status = Some(BmcStatus { conditions: vec![ready], ..BmcStatus::default() });
        bmc
    }
}
