//! BMCs are recorded without proof, so those that never answer are not kept forever.

use crate::macdb::MacDb;
use jiff::{SignedDuration, Timestamp};
use metal_api::{Bmc, BmcSecret, annotation, condition};

/// For how long a BMC that never answered is kept after its lease has ended.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Reasons of a BMC that is not Ready although it has answered.
const ANSWERS: [&str; 3] = ["AuthenticationFailed", "SessionLimitExceeded", "Misbehaving"];

/// Whether a BMC has ever answered, even if only to refuse its credentials.
pub fn has_answered(bmc: &Bmc) -> bool {
    let Some(status) = &bmc.status else { return false };
    status.ip.is_some()
        || status.conditions.iter().any(|c| match c.type_.as_str() {
            condition::ANSWERED => c.status == "True",
            condition::READY => ANSWERS.contains(&c.reason.as_str()),
            _ => false,
        })
}

/// Whether a BMC has presented a certificate for these credentials. So it has answered, even if its
/// status was lost.
pub fn has_certificate(secret: &BmcSecret) -> bool {
    let annotations = secret.metadata.annotations.as_ref();
    let is_certificate = |key: &String| key.starts_with(annotation::KNOWN_CERTIFICATE);
    annotations.is_some_and(|all| all.keys().any(is_certificate))
}

/// Whether credentials can be recreated as they are: they are still those of the MAC prefix
/// database, and no BMC has presented a certificate for them.
pub fn can_be_made_again(secret: &BmcSecret, database: &MacDb) -> bool {
    if has_certificate(secret) {
        return false;
    }
    let value = |key| secret.spec.value(key);
    let (username, password) =
        (value(metal_api::BmcSecretSpec::USERNAME), value(metal_api::BmcSecretSpec::PASSWORD));
    let mut defaults = database.entries().iter().flat_map(|entry| &entry.default_credentials);
    defaults
        .any(|it| username == Some(it.username.as_str()) && password == Some(it.password.as_str()))
}

/// Whether what was made for a BMC that never answered has existed long enough: until a day after
/// the end of its lease or, if that is not known, after the latest time at which the lease can have
/// ended.
pub fn is_over(ended: Timestamp, now: Timestamp) -> bool {
    now.duration_since(ended) >= KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    #[test]
    fn what_never_answered_is_kept_for_a_day_after_its_lease() {
        const DAY: i64 = 24 * 3_600_000;
        assert!(!is_over(at(0), at(DAY - 1)));
        assert!(is_over(at(0), at(DAY)));
        assert!(!is_over(at(DAY), at(0)));
    }

    #[test]
    fn a_bmc_that_refuses_us_has_answered() {
        let mut bmc = Bmc::new("a", metal_api::BmcSpec::default());
        assert!(!has_answered(&bmc));
        let fact =
            |type_, holds, reason| crate::conditions::Fact { type_, holds, reason, message: "" };
        for (fact, answered) in [
            (fact(condition::READY, false, "ConnectionFailed"), false),
            (fact(condition::READY, false, "AuthenticationFailed"), true),
            (fact(condition::READY, false, "SessionLimitExceeded"), true),
            (fact(condition::READY, false, "Misbehaving"), true),
            (fact(condition::ANSWERED, true, "Refused"), true),
        ] {
            let mut status = metal_api::BmcStatus::default();
            crate::conditions::set(&mut status.conditions, fact, None, at(0));
            bmc.status = Some(status);
            assert_eq!(has_answered(&bmc), answered, "{fact:?}");
        }
        bmc.status =
            Some(metal_api::BmcStatus { ip: Some("10.1.0.1".to_owned()), ..Default::default() });
        assert!(has_answered(&bmc));
    }
}
