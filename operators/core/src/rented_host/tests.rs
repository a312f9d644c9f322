use super::{
    decide::{Named, Observation, decide},
    report::{HostReport, Outcome, record},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootRegistration, BootToken, BootTokenSpec, BootTokenStatus, Host, HostHardware, HostRelease,
    HostReleaseSpec, HostSpec, HostStatus, condition,
};
use metal_base::Decision;

#[test]
fn the_release_before_is_remembered_and_one_that_was_taken_away_as_well() {
    let mut host = host();
    for (active, requested, previous) in [
        (None, None, None),
        (Some("v1"), Some("v1"), None),
        (Some("v1"), Some("v1"), None),
        (Some("v2"), Some("v2"), Some("v1")),
        (Some("v1"), Some("v1"), Some("v2")),
        (None, None, Some("v1")),
    ] {
        // Whatever is requested runs, until something else is.
        let status = host.status.get_or_insert_default();
        status.running_release.clone_from(&status.requested_release);
        host.spec.active_release = active.map(str::to_owned);
        let release = active.map(|name| release(name, "web-1"));
        settle(&mut host, release.as_ref().map_or(Named::Missing, Named::Here));
        let status = host.status.clone().unwrap_or_default();
        let found = (status.requested_release.as_deref(), status.previous_release.as_deref());
        assert_eq!(found, (requested, previous), "{active:?}");
        let says = status.conditions.iter().any(|it| it.type_ == condition::RELEASE_FOUND);
        assert_eq!(says, active.is_some());
    }
}

#[test]
fn a_release_that_never_ran_is_no_release_to_go_back_to() {
    let mut host = host();
    for (active, running, previous) in [
        ("v1", None, None),
        ("v2", Some("v1"), Some("v1")),
        // It was rolled back.
        ("v3", Some("v1"), Some("v1")),
        ("v4", Some("v3"), Some("v3")),
    ] {
        host.status.get_or_insert_default().running_release = running.map(str::to_owned);
        host.spec.active_release = Some(active.to_owned());
        settle(&mut host, Named::Here(&release(active, "web-1")));
        let found = host.status.as_ref().unwrap().previous_release.as_deref();
        assert_eq!(found, previous, "{active}");
    }
}

#[test]
fn a_release_that_is_missing_or_of_another_host_is_said() {
    let mut host = host();
    host.spec.active_release = Some("v1".to_owned());
    let mut reason = |release: Named<'_>| {
        settle(&mut host, release);
        host.status.as_ref().unwrap().conditions[0].reason.clone()
    };
    assert_eq!(reason(Named::Missing), "NotFound");
    assert_eq!(reason(Named::Unreadable), "Unreadable");
    assert_eq!(reason(Named::Here(&release("v1", "web-2"))), "OtherHost");
    assert_eq!(reason(Named::Here(&release("v1", "web-1"))), "Found");
    let mut foreign = release("v1", "web-1");
    foreign.metadata.namespace = Some("other".to_owned());
    assert_eq!(reason(Named::Here(&foreign)), "OtherHost");
    reason(Named::Unreadable);
    let said = &host.status.as_ref().unwrap().conditions[0].message;
    assert!(
        said.contains("too many") && said.contains("delete"),
        "what is wrong may be others: {said}"
    );
}

#[test]
fn a_host_that_reports_all_the_time_is_written_once_a_minute_unless_something_changes() {
    let mut host = host();
    let report =
        |image: &str| HostReport { image: Some(image.to_owned()), ..HostReport::default() };
    let from = Some([192, 0, 2, 1].into());
    let written = |host: &Host, report: &HostReport, time| record(host, report, from, at(time));
    host.status = written(&host, &report("a"), 0);
    assert_eq!(host.status.as_ref().unwrap().address.as_deref(), Some("192.0.2.1"));
    assert_eq!(written(&host, &report("a"), 59), None);
    assert!(written(&host, &report("a"), 60).is_some());
    assert!(written(&host, &report("b"), 1).is_some());
    // A clock that was set back does not silence it.
    assert!(written(&host, &report("a"), -3600).is_some());
    // What it does not say stays as it was.
    let nothing = written(&host, &HostReport::default(), 60).unwrap();
    assert_eq!(nothing.running_image.as_deref(), Some("a"));
}

#[test]
fn of_which_release_something_is_said_is_known_by_its_uid() {
    let mut host = host();
    let said = |host: &Host, result: Option<Outcome>, uid: Option<&str>| {
        let of_uid = uid.map(str::to_owned);
        let report = HostReport { result, of: Some("v1".into()), of_uid, ..HostReport::default() };
        record(host, &report, None, at(0)).map(|it| it.reported_release_uid)
    };
    let active = Some(Outcome::Active);
    assert_eq!(said(&host, active, Some("a")), Some(Some("a".to_owned())));
    host.status =
        Some(HostStatus { reported_release_uid: Some("a".to_owned()), ..HostStatus::default() });
    assert_eq!(said(&host, active, Some("b")), Some(Some("b".to_owned())));
    assert_eq!(said(&host, active, None), Some(None), "an agent that does not say it");
    assert_eq!(said(&host, None, None), Some(Some("a".to_owned())), "nothing is said of one");
}

#[test]
fn of_which_release_something_is_said_is_a_field() {
    let report =
        |result, of: &str| HostReport { result, of: Some(of.into()), ..HostReport::default() };
    let mut host = host();
    host.status = record(&host, &report(Some(Outcome::Active), "v1"), None, at(0));
    let of = |host: &Host| host.status.as_ref().unwrap().reported_release.clone();
    assert_eq!(of(&host).as_deref(), Some("v1"));
    host.status = record(&host, &report(None, "v2"), None, at(60));
    assert_eq!(of(&host).as_deref(), Some("v1"), "the condition is still about that one");
    host.status = record(&host, &report(Some(Outcome::Failed), ""), None, at(120));
    assert_eq!(of(&host), None);
}

#[test]
fn how_an_activation_ended_is_a_condition_with_bounded_texts() {
    let mut host = host();
    for (outcome, status, reason) in [
        (Outcome::Activating, "False", "Activating"),
        (Outcome::Active, "True", "Active"),
        (Outcome::RolledBack, "False", "RolledBack"),
        (Outcome::Failed, "False", "Failed"),
    ] {
        let report = HostReport {
            result: Some(outcome),
            of: Some("v2".to_owned()),
            message: format!("a\n{}", "x".repeat(10_000)),
            ..HostReport::default()
        };
        host.status = record(&host, &report, None, at(0));
        let condition = &host.status.as_ref().unwrap().conditions[0];
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), (status, reason));
        assert!(condition.message.starts_with("v2: a x") && condition.message.len() < 600);
    }
}

#[test]
fn what_a_machine_said_when_it_registered_is_kept_and_not_taken_from_another_token() {
    let mut host = host();
    let token = |serial: &str, image: &str| {
        let serial = Some(serial.to_owned());
        let registration = BootRegistration {
            public_key: String::new(),
            at: Time(at(0)),
            address: None,
            hardware: HostHardware { serial, ..HostHardware::default() },
            host_uid: Some("uid".to_owned()),
        };
        let image = image.to_owned();
        let mut token = BootToken::new("web-1", BootTokenSpec { image, ..Default::default() });
        let registration = Some(registration);
        token.status = Some(BootTokenStatus { registration, ..BootTokenStatus::default() });
        token
    };
    let decided = |host: &Host, token: Option<&BootToken>| {
        decide(&Observation { host, release: Named::Missing, token, now: at(0) })
    };
    assert!(matches!(decided(&host, None), Decision::Rest(_)));
    let Decision::Record(status) = decided(&host, Some(&token("SN-1", "a/b"))) else {
        panic!("it is not recorded")
    };
    assert_eq!(status.hardware.as_ref().unwrap().serial.as_deref(), Some("SN-1"));
    assert_eq!(status.running_image.as_deref(), Some("a/b"), "it runs what was installed");
    host.status = Some(*status);
    for later in [None, Some(&token("SN-2", "a/c"))] {
        assert!(matches!(decided(&host, later), Decision::Rest(_)));
    }
    // What it says itself counts.
    let mut host = self::host();
    host.status.as_mut().unwrap().running_image = Some("a/d".to_owned());
    let Decision::Record(status) = decided(&host, Some(&token("SN-1", "a/b"))) else {
        panic!("it is not recorded")
    };
    assert_eq!(status.running_image.as_deref(), Some("a/d"));
}

fn settle(host: &mut Host, release: Named<'_>) {
    for _ in 0..3 {
        let seen = Observation { host, release, token: None, now: at(0) };
        let Decision::Record(status) = decide(&seen) else { return };
        host.status = Some(*status);
    }
    panic!("it does not settle")
}

fn host() -> Host {
    let spec = HostSpec { public_key: String::new(), active_release: None };
    let mut host = Host::new("web-1", spec);
    host.metadata.namespace = Some("org".to_owned());
    host.status = Some(HostStatus::default());
    host
}

fn release(name: &str, host: &str) -> HostRelease {
    let host_name = host.to_owned();
    let mut release =
        HostRelease::new(name, HostReleaseSpec { host_name, ..HostReleaseSpec::default() });
    release.metadata.namespace = Some("org".to_owned());
    release
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}
