//! What a host says of the release that it is to run.

use kube::ResourceExt;
use metal_api::{Host, HostRelease, HostStatus, condition};

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is not done, and this is what is known.
    Waits(String),
    /// The release runs, and is healthy.
    Active,
    /// The server has not found it: why.
    Missing(String),
    /// It does not run: why.
    Failed(String),
}

/// How far a host is with the release that was activated. What was reported about an earlier one of
/// its name does not count.
pub(super) fn progress(host: &Host, made: &HostRelease) -> Progress {
    let name = made.name_any();
    let release = name.as_str();
    if host.spec.active_release.as_deref() != Some(release) {
        let other = host.spec.active_release.as_deref().unwrap_or("none");
        return Progress::Failed(format!("another release was activated meanwhile: {other}"));
    }
    let status = host.status.clone().unwrap_or_default();
    let condition = |of: &str| status.conditions.iter().find(|it| it.type_ == of);
    if let Some(found) = condition(condition::RELEASE_FOUND)
        && found.status == "False"
        && status.requested_release.as_deref() == Some(release)
        && made
            .metadata
            .creation_timestamp
            .as_ref()
            .is_none_or(|at| found.last_transition_time >= *at)
    {
        let why = format!("{}: {}", found.reason, found.message);
        let is_missing = found.reason == "NotFound";
        return if is_missing { Progress::Missing(why) } else { Progress::Failed(why) };
    }
    // An older agent says no UID.
    let uid = status.reported_release_uid.as_ref();
    let is_of_it = uid.is_none_or(|uid| made.metadata.uid.as_ref() == Some(uid));
    let said = condition(condition::RELEASE_ACTIVE)
        .filter(|_| is_of_it)
        .and_then(|it| Some((it.reason.as_str(), said_of(release, &status, &it.message)?)));
    match said {
        None if status.last_seen.is_none() => {
            Progress::Waits("the host has never reported".to_owned())
        }
        None => Progress::Waits("the host has not taken it yet".to_owned()),
        Some(("Active", _)) => Progress::Active,
        Some((reason @ ("Failed" | "RolledBack"), message)) => {
            Progress::Failed(format!("{reason}: {message}"))
        }
        Some((reason, "")) => Progress::Waits(reason.to_owned()),
        Some((reason, message)) => Progress::Waits(format!("{reason}: {message}")),
    }
}

/// What the message of `ReleaseActive` says, if it is about this release. It begins with the name of
/// the release; a server without the field says which one it is nowhere else.
fn said_of<'a>(release: &str, status: &HostStatus, message: &'a str) -> Option<&'a str> {
    let rest = message.strip_prefix(release);
    let rest = rest.and_then(|it| if it.is_empty() { Some(it) } else { it.strip_prefix(": ") });
    match &status.reported_release {
        Some(of) => (of == release).then(|| rest.unwrap_or(message)),
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{Condition, Time},
        jiff::Timestamp,
    };
    use metal_api::{HostReleaseSpec, HostSpec};

    #[test]
    fn only_what_a_host_says_of_this_release_counts() {
        let waits = |text: &str| Progress::Waits(text.to_owned());
        let failed = |text: &str| Progress::Failed(text.to_owned());
        for (reason, message, expected) in [
            ("Active", "web-v2", Progress::Active),
            ("Activating", "web-v2", waits("Activating")),
            ("Activating", "web-v2: fetching", waits("Activating: fetching")),
            ("RolledBack", "web-v2: not healthy", failed("RolledBack: not healthy")),
            ("Failed", "web-v2: no hook", failed("Failed: no hook")),
            ("Active", "web-v1", waits("the host has not taken it yet")),
            ("Active", "web-v22", waits("the host has not taken it yet")),
            ("RolledBack", "", waits("the host has not taken it yet")),
        ] {
            let host = host(condition::RELEASE_ACTIVE, "False", reason, message);
            assert_eq!(progress(&host, &made("web-v2")), expected, "{reason} {message}");
        }
        let never = Host { status: None, ..host("x", "", "", "") };
        assert_eq!(progress(&never, &made("web-v2")), waits("the host has never reported"));
    }

    #[test]
    fn the_field_says_which_release_it_is_about_whatever_the_message_is() {
        let waits = |text: &str| Progress::Waits(text.to_owned());
        for (of, message, expected) in [
            ("web-v2", "web-v2: fetching", waits("Activating: fetching")),
            ("web-v2", "fetching", waits("Activating: fetching")),
            ("web-v2", "", waits("Activating")),
            ("web-v1", "web-v2: fetching", waits("the host has not taken it yet")),
        ] {
            let mut host = host(condition::RELEASE_ACTIVE, "False", "Activating", message);
            host.status.as_mut().unwrap().reported_release = Some(of.to_owned());
            assert_eq!(progress(&host, &made("web-v2")), expected, "{of} {message}");
        }
    }

    #[test]
    fn what_was_said_of_another_release_of_the_same_name_does_not_count() {
        let mut active = host(condition::RELEASE_ACTIVE, "True", "Active", "web-v2");
        for (uid, expected) in [
            (Some("uid-of-other"), Progress::Waits("the host has not taken it yet".to_owned())),
            (Some("uid"), Progress::Active),
            (None, Progress::Active),
        ] {
            active.status.as_mut().unwrap().reported_release_uid = uid.map(str::to_owned);
            assert_eq!(progress(&active, &made("web-v2")), expected, "{uid:?}");
        }
        // It was made after the server had seen none of its name.
        let found = host(condition::RELEASE_FOUND, "False", "NotFound", "there is none");
        let mut late = made("web-v2");
        late.metadata.creation_timestamp = Some(Time(Timestamp::from_second(1).unwrap()));
        assert!(matches!(progress(&found, &late), Progress::Waits(_)));
    }

    fn made(name: &str) -> HostRelease {
        let mut made = HostRelease::new(name, HostReleaseSpec::default());
        made.metadata.uid = Some("uid".to_owned());
        made
    }

    #[test]
    fn a_release_that_another_replaces_or_that_is_gone_is_not_waited_for() {
        let found = host(condition::RELEASE_FOUND, "False", "NotFound", "there is none");
        let gone = progress(&found, &made("web-v2"));
        assert_eq!(gone, Progress::Missing("NotFound: there is none".to_owned()));
        let other = host(condition::RELEASE_FOUND, "False", "OtherHost", "it is for another");
        let other = progress(&other, &made("web-v2"));
        assert_eq!(other, Progress::Failed("OtherHost: it is for another".to_owned()));
        assert!(matches!(progress(&found, &made("web-v1")), Progress::Failed(_)));
    }

    fn host(type_: &str, status: &str, reason: &str, message: &str) -> Host {
        let active_release = Some("web-v2".to_owned());
        let mut host = Host::new("web", HostSpec { public_key: String::new(), active_release });
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        host.status = Some(HostStatus {
            last_seen: Some(Time(Timestamp::UNIX_EPOCH)),
            requested_release: Some("web-v2".to_owned()),
            conditions: vec![condition],
            ..HostStatus::default()
        });
        host
    }
}
