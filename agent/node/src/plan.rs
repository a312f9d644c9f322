//! Decides what to do about the current certificate. Nothing here reads a clock.

use crate::certificate::Validity;
use jiff::{SignedDuration, Timestamp};
use metal_base::jitter::between;
use std::time::Duration;

/// The longest time until the next look: in the meantime clocks may be set, and files be changed.
const LOOK: Duration = Duration::from_mins(10);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Prove the TPM, and get a certificate with a token.
    Attest,
    /// Get the next certificate with this one.
    Renew,
    /// The certificate is good. Look again after this time.
    Wait(Duration),
}

/// What to do about a certificate of this validity, if there is one that the API server has not refused.
/// `number` spreads the renewals of many machines; it stays the same for one certificate.
pub(crate) fn plan(certificate: Option<Validity>, number: u64, now: Timestamp) -> Plan {
    let Some(validity) = certificate.filter(|it| now < it.until) else { return Plan::Attest };
    let left = renewal(validity, number).duration_since(now);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Plan::Wait(left.min(LOOK)),
        _ => Plan::Renew,
    }
}

/// A certificate was due when it arrived. By the clock of its signer it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a new certificate, from {} until {}, is to be renewed or over at {now:.0}: is the clock right?",
    .validity.from, .validity.until
)]
pub(crate) struct DueAtOnce {
    validity: Validity,
    now: Timestamp,
}

/// Whether a certificate that has just arrived is valid for long enough. If it is not, neither would be the next
/// one, so that is not requested at once.
///
/// # Errors
///
/// If it is not.
pub(crate) fn arrived(validity: Validity, number: u64, now: Timestamp) -> Result<(), DueAtOnce> {
    match plan(Some(validity), number, now) {
        Plan::Wait(_) => Ok(()),
        Plan::Attest | Plan::Renew => Err(DueAtOnce { validity, now }),
    }
}

/// When to renew it: after 70 to 90 % of its life, as kubelets do.
pub(crate) fn renewal(validity: Validity, number: u64) -> Timestamp {
    let life = validity.until.duration_since(validity.from);
    let life = Duration::try_from(life).unwrap_or_default();
    let age = between(life / 10 * 7, life / 10 * 9, number);
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    validity.from.checked_add(age).unwrap_or(validity.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const YEAR: i64 = 365 * 24 * 3600;

    #[test]
    fn a_certificate_is_renewed_between_70_and_90_percent_of_its_life() {
        let validity = Validity { from: at(1000), until: at(2000) };
        assert_eq!([0, 1023].map(|number| renewal(validity, number)), [at(1700), at(1900)]);
        for (number, now, expected) in [
            (0, 1699, Plan::Wait(Duration::from_secs(1))),
            (0, 1700, Plan::Renew),
            (1023, 1899, Plan::Wait(Duration::from_secs(1))),
            (1023, 1900, Plan::Renew),
            (0, 1999, Plan::Renew),
            (0, 2000, Plan::Attest),
            (0, 9999, Plan::Attest),
        ] {
            assert_eq!(plan(Some(validity), number, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn it_looks_again_every_few_minutes_and_does_nothing_early_where_the_clock_is_behind() {
        let validity = Validity { from: at(1000), until: at(YEAR) };
        assert_eq!(plan(Some(validity), 0, at(1000)), Plan::Wait(LOOK));
        assert_eq!(plan(Some(validity), 0, at(0)), Plan::Wait(LOOK));
    }

    #[test]
    fn a_certificate_that_is_due_when_it_arrives_is_a_failure() {
        let validity = Validity { from: at(1000), until: at(2000) };
        for (now, lasts) in [(0, true), (1699, true), (1700, false), (1999, false), (2000, false)] {
            assert_eq!(arrived(validity, 0, at(now)).is_ok(), lasts, "{now}");
        }
        let told = arrived(validity, 0, at(2500)).unwrap_err().to_string();
        assert!(told.ends_with("at 1970-01-01T00:41:40Z: is the clock right?"), "{told}");
    }

    #[test]
    fn without_a_certificate_it_attests() {
        assert_eq!(plan(None, 7, at(0)), Plan::Attest);
        let inverted = Validity { from: at(2000), until: at(1000) };
        assert_eq!(plan(Some(inverted), 0, at(500)), Plan::Wait(LOOK), "of no life, from 2000 on");
    }
}
