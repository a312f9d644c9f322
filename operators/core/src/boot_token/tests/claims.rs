//! Whose boot begins, and what it ends.

use super::*;
use crate::boot_token::second_script::{Claimant, QUIET};

/// A machine asks for its second script, with the first that it has just got.
fn asks(token: &BootToken, said: &HostHardware, time: i64) -> Result<Claim, Refusal> {
    let proposal = fetch(token, None, None, at(time))?.proposal;
    claim(token, None, &Claimant { proposal, said, from: from("192.0.2.9") }, at(time))
}

/// A machine whose installer has said this last.
fn installing(step: BootStep, time: i64) -> BootToken {
    let booted = boot_of(&token(), &with_mac(1), "192.0.2.1", 0);
    let report = InstallReport { step, message: String::new() };
    BootToken { status: record(&booted, 1, &report, at(time)).unwrap(), ..booted }
}

fn quiet() -> i64 {
    QUIET.as_secs()
}

#[test]
fn a_url_that_is_opened_by_others_ends_no_installation() {
    let mut opened = token();
    for time in [0, 1, 3000] {
        let fetched = fetch(&opened, None, from("192.0.2.7"), at(time)).unwrap();
        assert_eq!(fetched.proposal, 1);
        assert_eq!(fetched.opened.is_some(), time == 0, "it is recorded once");
        opened.status = fetched.opened.map(|it| *it).or(opened.status);
    }
    let status = opened.status.as_ref().unwrap();
    assert_eq!((status.attempts, status.phase), (None, Some(BootTokenPhase::Fetched)));
    assert_eq!(status.fetched_from.as_deref(), Some("192.0.2.7"));
    assert_eq!(deadline(&opened), Some(at(3600)), "that gives no more time");
    for token in [boot(&token(), "192.0.2.1", 0), installing(BootStep::Writing, 10)] {
        let fetched = fetch(&token, None, from("192.0.2.7"), at(20)).unwrap();
        assert_eq!((fetched.proposal, fetched.opened), (2, None));
        assert_eq!(may_install(&token, None, 1, at(20)), Ok(()));
    }
}

#[test]
fn a_machine_that_is_not_the_one_of_the_binding_ends_no_installation_of_the_right_one() {
    let mut token = installing(BootStep::Failed, 10);
    let mac_address = Some("02:00:00:00:00:01".to_owned());
    token.spec.binding = Some(BootBinding { mac_address, ..BootBinding::default() });
    assert!(matches!(asks(&token, &with_mac(2), 3000), Err(Refusal::Unfit(_))));
    assert!(matches!(asks(&token, &with_mac(1), 3000), Ok(Claim::Record(_))));
}

#[test]
fn an_installation_that_is_heard_of_is_ended_by_its_own_machine_alone() {
    let other = with_mac(2);
    let refused = |token: &BootToken, time| match asks(token, &other, time) {
        Err(Refusal::InUse(whose)) => whose.contains("02:00:00:00:00:01"),
        Ok(Claim::Record(_)) => false,
        unexpected => panic!("{unexpected:?}"),
    };
    let booted = boot_of(&token(), &with_mac(1), "192.0.2.1", 0);
    assert!(refused(&booted, quiet() - 1) && !refused(&booted, quiet()));
    let writes = installing(BootStep::Writing, 600);
    assert!(refused(&writes, 600 + quiet() - 1) && !refused(&writes, 600 + quiet()));
    assert!(!refused(&installing(BootStep::Failed, 600), 601));
    // One that has the first script of the same boot comes second.
    let second = Claimant { proposal: 1, said: &other, from: None };
    assert!(matches!(claim(&booted, None, &second, at(1)), Err(Refusal::InUse(_))));
    assert_eq!(claim(&booted, None, &second, at(quiet())), Err(Refusal::Superseded));
    // One that says nothing may be any machine.
    assert!(matches!(asks(&booted, &HostHardware::default(), 1), Err(Refusal::InUse(_))));
    // A clock that was ahead keeps nobody from it.
    let mut ahead = booted;
    ahead.status.as_mut().unwrap().fetched_at = Some(Time(at(90_000)));
    assert!(!refused(&ahead, 10));
}

#[test]
fn a_machine_that_restarts_begins_anew_at_once() {
    let token = installing(BootStep::Writing, 10);
    let Ok(Claim::Record(status)) = asks(&token, &with_mac(1), 11) else { panic!("no boot") };
    assert_eq!((status.attempts, status.progress.as_ref()), (Some(2), None));
    assert_eq!(status.phase, Some(BootTokenPhase::Fetched));
    assert_eq!(status.machine, Some(with_mac(1)));
}

#[test]
fn a_machine_is_the_same_by_an_interface_and_not_if_it_has_another_serial_number_or_uuid() {
    const UUID: &str = "38947555-7742-3448-3784-82334782383a";
    const SWAPPED: &str = "55759438-4277-4834-3784-82334782383a";
    let machine = |serial: &str, uuid: &str, macs: &[&str]| {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let mac_addresses = macs.iter().map(|mac| format!("02:00:00:00:00:{mac}")).collect();
        HostHardware { serial: text(serial), system_uuid: text(uuid), mac_addresses }
    };
    let first = machine("SN-1", UUID, &["01", "02"]);
    let token = boot_of(&token(), &first, "192.0.2.1", 0);
    for (said, is_same) in [
        (first.clone(), true),
        (machine("sn-1", SWAPPED, &["02", "03"]), true),
        (machine("", "", &["02"]), true),
        (machine("SN-1", UUID, &[]), true),
        (machine("", UUID, &[]), true),
        (machine("SN-1", UUID, &["03"]), false),
        (machine("SN-2", UUID, &["01"]), false),
        (machine("SN-1", "38947555-7742-3448-3784-82334782383b", &["01"]), false),
        (machine("", "", &["03"]), false),
    ] {
        let asked = asks(&token, &said, 1);
        assert_eq!(matches!(asked, Ok(Claim::Record(_))), is_same, "{said:?}: {asked:?}");
    }
    // What many machines say is said by another one as well.
    let many = machine("0123456789", "", &[]);
    let token = boot_of(&super::token(), &many, "192.0.2.1", 0);
    let asked = asks(&token, &many, 1);
    assert!(!matches!(asked, Ok(Claim::Record(_))), "{asked:?}");
}

#[test]
fn of_two_machines_behind_one_address_only_one_installs() {
    let (one, other) = (with_mac(1), with_mac(2));
    let ask = |token: &BootToken, said: &HostHardware, time| {
        claim(token, None, &Claimant { proposal: 1, said, from: from("192.0.2.1") }, at(time))
    };
    let mut token = token();
    let Ok(Claim::Record(status)) = ask(&token, &one, 0) else { panic!("no boot") };
    token.status = Some(*status);
    assert_eq!(ask(&token, &one, 1), Ok(Claim::Answer { attempt: 1 }));
    assert!(matches!(ask(&token, &other, 1), Err(Refusal::InUse(_))));
}

#[test]
fn a_machine_that_only_says_to_be_installed_does_not_keep_a_token_from_the_one_with_its_tpm() {
    let mut done = installing(BootStep::Done, 10);
    let ask = |token: &BootToken, said: u8, time| {
        claim(token, None, &Claimant { proposal: 2, said: &with_mac(said), from: None }, at(time))
    };
    let late = 10 + quiet();
    assert_eq!(ask(&done, 2, late), Err(Refusal::Installed));
    assert_eq!(fetch(&done, None, None, at(late)), Err(Refusal::Installed));
    let ek_hash = Some("ab".repeat(32));
    done.spec.binding = Some(BootBinding { ek_hash, ..BootBinding::default() });
    assert!(fetch(&done, None, None, at(late)).is_ok());
    assert_eq!(ask(&done, 1, late), Err(Refusal::Installed), "it is left to its disk");
    assert_eq!(ask(&done, 2, late - 1), Err(Refusal::Installed), "the first may yet register");
    let Ok(Claim::Record(status)) = ask(&done, 2, late) else { panic!("no boot") };
    assert_eq!(status.attempts, Some(2));
    let next = BootToken { status: Some(*status), ..done };
    assert_eq!(may_install(&next, None, 2, at(late)), Ok(()));
}
