//! Refused credentials are remembered across restarts by the condition.
//!
//! Attempts are scheduled relative to the time of the condition, so that a succession of processes
//! makes no more attempts than a single one.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use metal_api::{Bmc, BmcSecret, BmcSecretSpec, BmcStatus, RefusedCredentials, Server, condition};

/// How soon to retry credentials that were refused. A changed secret triggers a pass at once.
pub const REFUSED: SignedDuration = SignedDuration::from_mins(30);
/// Reason of a BMC that refuses its credentials.
pub(super) const REASON: &str = "AuthenticationFailed";
/// Reason of a server that names its BMC itself, if that refuses its credentials.
pub(crate) const REASON_OF_SERVER: &str = "Unauthorized";

/// The message about refused credentials.
fn message(bmc: &Bmc) -> String {
    let name = &bmc.spec.bmc_secret_ref.name;
    format!("the BMC rejected the credentials: correct BMCSecret {name}")
}

/// The same, with what people overlook in these credentials.
pub(super) fn told(bmc: &Bmc, secret: Option<&BmcSecret>) -> String {
    let keys = [BmcSecretSpec::USERNAME, BmcSecretSpec::PASSWORD];
    let found = secret.and_then(|it| keys.into_iter().find_map(|key| overlooked(&it.spec, key)));
    let found = found.map(|it| format!(", where {it}")).unwrap_or_default();
    format!("{}{found}", message(bmc))
}

/// What may be wrong with a value. `stringData` is not merged into `data` as that of a Secret is, and
/// `echo` adds a line break to what is then encoded.
fn overlooked(spec: &BmcSecretSpec, key: &str) -> Option<String> {
    let value = spec.value(key)?;
    let text = spec.string_data.as_ref().and_then(|all| all.get(key));
    if text.is_some_and(|text| text != value) {
        return Some(format!("data.{key} takes precedence over another value in stringData.{key}"));
    }
    (value.trim() != value).then(|| format!("the {key} begins or ends with a space or line break"))
}

/// Identifies the credentials that are refused.
pub(super) fn refused(secret: Option<&BmcSecret>) -> Option<RefusedCredentials> {
    let meta = secret?.meta();
    Some(RefusedCredentials { name: meta.name.clone()?, generation: meta.generation? })
}

/// For how long a BMC must not be asked with these credentials, because it refused them when
/// another process asked.
pub fn refused_for(bmc: &Bmc, secret: &BmcSecret, now: Timestamp) -> Option<SignedDuration> {
    let status = bmc.status.as_ref()?;
    let ready = status.conditions.iter().find(|c| c.type_ == condition::READY)?;
    let is_same = ready.reason == REASON
        && ready.observed_generation == bmc.metadata.generation
        && match &status.refused_credentials {
            Some(refused) => Some(refused) == self::refused(Some(secret)).as_ref(),
            None => was_refused(bmc, secret, ready),
        };
    left(ready, secret, now).filter(|_| is_same)
}

/// The same without the field, which clients drop that do not know it: then it is only certain for
/// a secret that was never changed. Before the field existed, the message named the generation.
fn was_refused(bmc: &Bmc, secret: &BmcSecret, ready: &Condition) -> bool {
    let generation = secret.metadata.generation;
    let older = generation.map(|it| format!("{} (generation {it})", message(bmc)));
    generation == Some(1) || older.as_ref() == Some(&ready.message)
}

/// The same for the BMC that a server names itself. The version of the secret is not recorded, so
/// it is only certain for one that was never changed.
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

/// Whether other credentials are refused than those that the recorded refusal is about.
pub(super) fn is_news(
    status: &BmcStatus,
    refused: Option<&RefusedCredentials>,
    secret: Option<&BmcSecret>,
) -> bool {
    let ready = status.conditions.iter().find(|c| c.type_ == condition::READY);
    let is_newer = ready.zip(secret).is_some_and(|(ready, secret)| is_newer(secret, ready));
    let known = status.refused_credentials.as_ref();
    is_newer || known.is_some_and(|known| Some(known) != refused)
}

/// When credentials were created.
pub(super) fn created(secret: &BmcSecret) -> Option<Timestamp> {
    secret.meta().creation_timestamp.as_ref().map(|created| created.0)
}

/// Whether credentials were created after others were refused.
fn is_newer(secret: &BmcSecret, refusal: &Condition) -> bool {
    created(secret).is_some_and(|created| created > refusal.last_transition_time.0)
}

/// The time until the next attempt, unless the credentials are newer than the refusal.
fn left(refusal: &Condition, secret: &BmcSecret, now: Timestamp) -> Option<SignedDuration> {
    let is_refused = refusal.status == "False" && !is_newer(secret, refusal);
    is_refused.then(|| rest(refusal.last_transition_time.0, now))
}

/// How long credentials that are refused since then are left alone.
pub fn rest(since: Timestamp, now: Timestamp) -> SignedDuration {
    let passed = now.duration_since(since);
    // From the future: the clock was set back.
    if passed.is_negative() {
        return REFUSED;
    }
    REFUSED - SignedDuration::from_secs(passed.as_secs() % REFUSED.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use metal_api::{BmcSpec, LocalObjectReference};

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

    /// What the status contains, and whether credentials of generations 1, 3 and 4 are held back.
    type Case = (&'static str, fn(&mut BmcStatus), [bool; 3]);

    #[test]
    fn which_credentials_were_refused_is_known_by_the_field_or_by_the_message_of_before() {
        const OLDER: &str =
            "the BMC rejected the credentials: correct BMCSecret bmc-1 (generation 3)";
        let cases: [Case; 4] = [
            ("as recorded", |_| {}, [false, true, false]),
            (
                "by an older version",
                |status| {
                    status.refused_credentials = None;
                    status.conditions[0].message = OLDER.to_owned();
                },
                [true, true, false],
            ),
            ("field dropped", |status| status.refused_credentials = None, [true, false, false]),
            (
                "of another secret",
                |status| {
                    let refused = status.refused_credentials.as_mut().unwrap();
                    refused.name = "other".to_owned();
                },
                [false, false, false],
            ),
        ];
        for (what, edit, held_back) in cases {
            let mut bmc = refusing(3);
            edit(bmc.status.as_mut().unwrap());
            let is_held = |generation| refused_for(&bmc, &secret(generation, 0), at(11)).is_some();
            assert_eq!([1, 3, 4].map(is_held), held_back, "{what}");
        }
    }

    #[test]
    fn what_people_overlook_in_refused_credentials_is_told_without_their_values() {
        let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        for (data, text, expected) in [
            (Some("old"), Some("new"), "data.password takes precedence"),
            (Some("hunter2\n"), None, "the password begins or ends with"),
            (None, Some(" hunter2"), "the password begins or ends with"),
            (Some("hunter2"), Some("hunter2"), ""),
            (None, None, ""),
        ] {
            let mut credentials = secret(3, 0);
            let password = || BmcSecretSpec::PASSWORD.to_owned();
            credentials.spec.data = data.map(|data| [(password(), bytes(data))].into());
            credentials.spec.string_data = text.map(|text| [(password(), text.to_owned())].into());
            let bmc = refusing(3);
            let told = told(&bmc, Some(&credentials));
            let more = told.strip_prefix(&message(&bmc)).unwrap();
            assert!(more.contains(expected) && more.is_empty() == expected.is_empty(), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("old"), "{told}");
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn secret(generation: i64, created: i64) -> BmcSecret {
        let mut secret = BmcSecret::new("bmc-1", BmcSecretSpec::default());
        secret.metadata.generation = Some(generation);
        secret.metadata.creation_timestamp = Some(Time(at(created)));
        secret
    }

    /// A BMC that has been refusing this generation of its secret since minute 10.
    fn refusing(generation: i64) -> Bmc {
        let mut bmc = Bmc::new("bmc-1", BmcSpec::default());
        bmc.spec.bmc_secret_ref = LocalObjectReference { name: "bmc-1".to_owned() };
        bmc.metadata.generation = Some(7);
        let ready = Condition {
            type_: condition::READY.to_owned(),
            status: "False".to_owned(),
            reason: REASON.to_owned(),
            message: message(&bmc),
            last_transition_time: Time(at(10)),
            observed_generation: Some(7),
        };
        let refused_credentials = refused(Some(&secret(generation, 0)));
        let conditions = vec![ready];
        bmc.status = Some(BmcStatus { conditions, refused_credentials, ..BmcStatus::default() });
        bmc
    }
}
