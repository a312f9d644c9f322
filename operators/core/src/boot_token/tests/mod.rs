mod bindings;
mod boots;
mod claims;
mod disk_images;
mod passes;
mod scripts;
mod tpms;

use super::{
    decide::{Change, Observation, decide},
    fetch::{fetch, is_current, may_install},
    installer::is_word,
    login::NoLogin,
    progress::{InstallReport, record},
    register::{Next, Registrant, created, register},
    script::{Boots, Stage2},
    second_script::{Claim, claim},
    *,
};
use crate::rented_host::PublicKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootBinding, BootInstaller, BootPullSecret, BootStep, BootTokenSpec, Host, HostHardware,
    HostSpec, condition,
};
use metal_base::Decision;
use std::net::IpAddr;

#[test]
fn a_token_ends_by_its_time_by_a_person_or_by_a_registration_and_never_opens_again() {
    let token = token();
    assert_eq!(phase(&token, at(0)), BootTokenPhase::Issued);
    assert_eq!(phase(&token, at(3599)), BootTokenPhase::Issued);
    assert_eq!(phase(&token, at(3600)), BootTokenPhase::Expired);
    let mut revoked = token.clone();
    revoked.spec.revoked = true;
    assert_eq!(phase(&revoked, at(0)), BootTokenPhase::Revoked);
    let mut deleted = token.clone();
    deleted.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(phase(&deleted, at(0)), BootTokenPhase::Revoked);
    let mut unreadable = token.clone();
    unreadable.spec.ttl = "soon".to_owned();
    assert_eq!(phase(&unreadable, at(0)), BootTokenPhase::Expired);
    let consumed = registered(&installed(token), &key(1), 10);
    assert_eq!(phase(&consumed, at(99_999)), BootTokenPhase::Consumed);
    // Words that somebody wrote into the status open nothing.
    let mut claimed = revoked;
    claimed.status = Some(BootTokenStatus {
        phase: Some(BootTokenPhase::Installing),
        ..BootTokenStatus::default()
    });
    assert_eq!(phase(&claimed, at(0)), BootTokenPhase::Revoked);
}

#[test]
fn a_token_that_is_restored_ends_as_it_would_have_and_one_that_was_over_stays_so() {
    let created = |second, mut token: BootToken| {
        token.metadata.creation_timestamp = Some(Time(at(second)));
        token
    };
    let mut bounded = token();
    bounded.spec.not_after = Some(Time(at(3600)));
    let restored = created(3000, bounded);
    assert_eq!(phase(&restored, at(3599)), BootTokenPhase::Issued);
    assert_eq!(phase(&restored, at(3600)), BootTokenPhase::Expired);
    let mut early = token();
    early.spec.not_after = Some(Time(at(60)));
    assert_eq!(expiry(&early), Some(at(60)));
    // With its status, when it would have ended is known without that.
    let mut recorded = token();
    settle(&mut recorded, None, 0);
    let mut restored = created(3000, recorded);
    settle(&mut restored, None, 3001);
    let expires = restored.status.as_ref().unwrap().expires_at.clone();
    assert_eq!(
        (expires, phase(&restored, at(3600))),
        (Some(Time(at(3600))), BootTokenPhase::Expired)
    );
    for over in [BootTokenPhase::Consumed, BootTokenPhase::Revoked] {
        let status = BootTokenStatus { phase: Some(over), ..BootTokenStatus::default() };
        let restored = BootToken { status: Some(status), ..token() };
        assert_eq!(phase(&restored, at(0)), over);
        assert!(fetch(&restored, None, None, at(0)).is_err(), "{over:?}");
    }
}

#[test]
fn a_clock_that_was_wrong_for_a_minute_expires_nothing_for_ever() {
    for token in [token(), boot(&token(), "192.0.2.1", 0), installed(token())] {
        let (mut seen, day) = (token.clone(), 86_400);
        let before = phase(&token, at(20));
        settle(&mut seen, None, day);
        assert_eq!(seen.status.as_ref().unwrap().phase, Some(BootTokenPhase::Expired));
        settle(&mut seen, None, 20);
        let after = seen.status.as_ref().unwrap().phase;
        assert_eq!((after, phase(&seen, at(20))), (Some(before), before));
    }
}

#[test]
fn once_a_machine_is_installed_no_other_boot_voids_that_and_nothing_more_is_fetched() {
    let done = installed(token());
    assert_eq!(phase(&done, at(20)), BootTokenPhase::Installed);
    assert_eq!(fetch(&done, None, from("192.0.2.9"), at(20)), Err(Refusal::Installed));
    assert_eq!(is_current(&done, 1, at(20)), Err(Refusal::Installed));
    let report = |step| InstallReport { step, message: String::new() };
    assert_eq!(record(&done, 1, &report(BootStep::Done), at(20)), Ok(None), "said twice");
    let again = record(&done, 1, &report(BootStep::Writing), at(20));
    assert_eq!(again, Err(Refusal::Installed));
}

#[test]
fn a_report_of_each_step_is_kept_and_more_of_one_step_only_seldom() {
    let booted = boot(&token(), "192.0.2.1", 0);
    let said = |step, message: &str| InstallReport { step, message: message.to_owned() };
    let writing = said(BootStep::Writing, "a\nb\u{1b}[2J");
    let status = record(&booted, 1, &writing, at(1)).unwrap().unwrap();
    assert_eq!(status.phase, Some(BootTokenPhase::Installing));
    assert_eq!(status.progress.as_ref().unwrap().message, "a b [2J");
    let mut booted = booted;
    booted.status = Some(status);
    assert_eq!(record(&booted, 1, &said(BootStep::Writing, "c"), at(10)), Ok(None));
    assert!(record(&booted, 1, &said(BootStep::Writing, "c"), at(11)).unwrap().is_some());
    assert!(record(&booted, 1, &said(BootStep::Failed, "d"), at(2)).unwrap().is_some());
    // That the same is said again shows that the installation goes on.
    assert_eq!(record(&booted, 1, &writing, at(200)), Ok(None));
    let again = record(&booted, 1, &writing, at(241)).unwrap().unwrap();
    assert_eq!(again.progress.unwrap().at, Time(at(241)));
    assert_eq!(record(&booted, 2, &writing, at(2)), Err(Refusal::Superseded));
    let long = said(BootStep::Failed, &"x".repeat(10_000));
    let long = record(&booted, 1, &long, at(2)).unwrap().unwrap().progress.unwrap().message;
    assert!(long.len() <= 512);
}

#[test]
fn one_key_consumes_a_token_and_is_told_yes_however_often_it_asks() {
    let token = installed(token());
    let (ours, theirs) = (key(1), key(2));
    let hardware = HostHardware::default();
    let ask = |token: &BootToken, host: Option<&Host>, key, attempt| {
        let claimant = Registrant { attempt, ..claims(key, &hardware) };
        register(token, host, &claimant, at(30))
    };
    assert_eq!(ask(&token, None, &ours, 2), Err(Refusal::Superseded));
    // First it is recorded,
    let Next::Record(status) = ask(&token, None, &ours, 1).unwrap() else { panic!("no record") };
    let mut consumed = token.clone();
    consumed.status = Some(*status);
    assert_eq!(ask(&consumed, None, &theirs, 1), Err(Refusal::Consumed));
    // then the Host is created,
    let Next::Create(host) = ask(&consumed, None, &ours, 1).unwrap() else { panic!("no Host") };
    assert_eq!(host.spec.public_key, ours.pem());
    assert_eq!(host.metadata.namespace.as_deref(), Some("org"));
    // and then its UID is recorded, also if somebody else did so.
    let mut there = (*host).clone();
    there.metadata.uid = Some("uid-of-host".to_owned());
    let adopt = ask(&consumed, Some(&there), &ours, 1);
    assert_eq!(adopt, Ok(Next::Adopt("uid-of-host".to_owned())));
    consumed.status = created(&consumed, "uid-of-host");
    assert_eq!(created(&consumed, "another"), None);
    assert_eq!(ask(&consumed, Some(&there), &ours, 1), Ok(Next::Done));
    assert_eq!(ask(&consumed, Some(&there), &theirs, 1), Err(Refusal::Consumed));
    // A Host that somebody has deleted does not come back, and its successor is another one.
    assert_eq!(ask(&consumed, None, &ours, 1), Err(Refusal::HostDeleted));
    there.metadata.uid = Some("another".to_owned());
    assert_eq!(ask(&consumed, Some(&there), &ours, 1), Err(Refusal::HostDeleted));
}

#[test]
fn the_name_of_a_host_with_another_key_is_not_taken_over() {
    let (ours, theirs) = (key(1), key(2));
    let host = host(&theirs);
    let (token, hardware) = (installed(token()), HostHardware::default());
    let claimant = claims(&ours, &hardware);
    let refusal = Err(Refusal::HostNameTaken("web-1".to_owned()));
    assert_eq!(register(&token, Some(&host), &claimant, at(30)), refusal);
    let consumed = registered(&token, &ours, 30);
    assert_eq!(register(&consumed, Some(&host), &claimant, at(30)), refusal);
}

#[test]
fn a_machine_that_missed_its_yes_gets_it_for_a_day_after_the_token_has_expired() {
    let consumed = registered(&installed(token()), &key(1), 30);
    let (ours, hardware) = (key(1), HostHardware::default());
    let claimant = claims(&ours, &hardware);
    let late = register(&consumed, None, &claimant, at(3601));
    assert!(matches!(late, Ok(Next::Create(_))), "{late:?}");
    let unheard = register(&installed(token()), None, &claimant, at(4 * 3600));
    assert_eq!(unheard, Err(Refusal::Expired), "it has never registered");
    assert_eq!(kept_until(&token()), Some(at(3600 + 86_400)));
}

#[test]
fn the_default_template_is_rendered_without_any_secret_that_lasts() {
    let mut token = token();
    token.spec.target_disk = Some(metal_api::MachineTargetDisk {
        serial: Some("it's".to_owned()),
        min_size_gib: Some(100),
        rotational: Some(false),
        ..metal_api::MachineTargetDisk::default()
    });
    let urls = kickstart::Urls { base: "https://h/c/abc", server: "https://h" };
    let of = |template: &str, token: &BootToken| {
        kickstart::render("default", template.as_bytes(), token, urls)
    };
    let text = of(kickstart::DEFAULT, &token).unwrap();
    let image = &token.spec.image;
    assert!(text.contains(&format!("ostreecontainer --url={image} --transport=registry\n")));
    assert!(text.contains(r"serial='it'\''s' wwn='' rotational='0'"), "{text}");
    assert!(text.contains("min='100' max=''"));
    assert!(!text.contains(&token.spec.token_sha256));
    // Whatever was fetched survives a loss of power once the URL is void.
    let place = |what: &str| text.rfind(what).unwrap();
    assert!(place("/credential'") < place("\nsync\n") && place("\nsync\n") < place("\"Done\""));
    // How long it asks does not depend on a clock that is set meanwhile.
    assert!(!text.contains("((SECONDS"), "{text}");
    assert!(of("{{.Secret}}", &token).is_err());
    assert!(of("{{range", &token).is_err());
    // What pulls it takes no reference with a tag and a digest.
    let pinned = token.spec.image.clone();
    token.spec.image = pinned.replace("base@", "base:v1@");
    assert_eq!(of(kickstart::DEFAULT, &token).unwrap(), text);
    token.spec.image = pinned.replace("quay.io/", "quay.io:5000/");
    assert!(of(kickstart::DEFAULT, &token).unwrap().contains("--url=quay.io:5000/example/base@"));
    token.spec.image = "a\nrootpw x".to_owned();
    assert!(of(kickstart::DEFAULT, &token).is_err());
}

fn token() -> BootToken {
    let spec = BootTokenSpec {
        token_sha256: secret::place(&secret::text("org", &[1; 32])).unwrap().hash,
        host_name: "web-1".to_owned(),
        ttl: "1h".to_owned(),
        image: format!("quay.io/example/base@sha256:{}", "a".repeat(64)),
        ..BootTokenSpec::default()
    };
    let mut token = BootToken::new("web-1", spec);
    token.metadata.namespace = Some("org".to_owned());
    token.metadata.creation_timestamp = Some(Time(at(0)));
    token
}

/// A boot from this address, of a machine that says nothing about itself.
fn boot(token: &BootToken, address: &str, time: i64) -> BootToken {
    boot_of(token, &HostHardware::default(), address, time)
}

/// A boot of this machine, with both scripts at once.
fn boot_of(token: &BootToken, said: &HostHardware, address: &str, time: i64) -> BootToken {
    let proposal = fetch(token, None, from(address), at(time)).unwrap().proposal;
    let claimant = second_script::Claimant { proposal, said, from: from(address) };
    let claimed = claim(token, None, &claimant, at(time));
    let Ok(Claim::Record(status)) = claimed else { panic!("no boot: {claimed:?}") };
    BootToken { status: Some(*status), ..token.clone() }
}

/// What a machine with this interface says.
fn with_mac(last: u8) -> HostHardware {
    let mac_addresses = vec![format!("02:00:00:00:00:{last:02x}")];
    HostHardware { mac_addresses, ..HostHardware::default() }
}

fn installed(token: BootToken) -> BootToken {
    let booted = boot(&token, "192.0.2.1", 0);
    let done = InstallReport { step: BootStep::Done, message: String::new() };
    let status = record(&booted, 1, &done, at(10)).unwrap();
    BootToken { status, ..token }
}

fn registered(token: &BootToken, key: &PublicKey, time: i64) -> BootToken {
    let hardware = HostHardware::default();
    let claimant = claims(key, &hardware);
    let Ok(Next::Record(status)) = register(token, None, &claimant, at(time)) else {
        panic!("not recorded")
    };
    BootToken { status: Some(*status), ..token.clone() }
}

/// A machine of the first boot that has proved no more than its key.
fn claims<'a>(key: &'a PublicKey, hardware: &'a HostHardware) -> Registrant<'a> {
    Registrant { key, attempt: 1, hardware, address: None, endorsement: None }
}

fn host(key: &PublicKey) -> Host {
    let spec = HostSpec { public_key: key.pem(), active_release: None };
    let mut host = Host::new("web-1", spec);
    host.metadata.namespace = Some("org".to_owned());
    host.metadata.uid = Some("uid-of-theirs".to_owned());
    host
}

fn installer() -> BootInstaller {
    BootInstaller {
        kernel_url: Some("http://mirror/vmlinuz".to_owned()),
        initrd_url: Some("http://mirror/initrd".to_owned()),
        stage2_url: Some("http://mirror/os/".to_owned()),
        ..BootInstaller::default()
    }
}

/// Passes until nothing is recorded any more.
fn settle(token: &mut BootToken, host: Option<&Host>, time: i64) {
    for _ in 0..4 {
        let Decision::Record(status) = pass(token, host, time) else { return };
        token.status = Some(*status);
    }
    panic!("it does not settle")
}

fn pass(token: &BootToken, host: Option<&Host>, time: i64) -> decide::Decision {
    decide(&seen(token, host, &installer(), time))
}

fn seen<'a>(
    token: &'a BootToken,
    host: Option<&'a Host>,
    installer: &'a BootInstaller,
    time: i64,
) -> Observation<'a> {
    Observation {
        token,
        is_ambiguous: false,
        host,
        is_host_unreadable: false,
        installer: Some(installer),
        refusal_of: &|image| Some(format!("{image} is not allowed")),
        no_template: None,
        names_installer: false,
        no_login: None,
        failure: None,
        now: at(time),
    }
}

/// Any point will do: whether it is on the curve shows with a signature.
fn key(number: u8) -> PublicKey {
    PublicKey::of_point(&[&[4][..], &[number; 64]].concat()).unwrap()
}

fn from(address: &str) -> Option<IpAddr> {
    address.parse().ok()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}
