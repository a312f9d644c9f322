//! Which boots begin, and what they are given.

use super::*;

#[test]
fn each_boot_voids_what_the_one_before_was_given_and_a_repeated_request_is_no_boot() {
    let (ours, from_it) = (with_mac(1), from("192.0.2.1"));
    let first = boot_of(&token(), &ours, "192.0.2.1", 0);
    let asks = |proposal, time| {
        let claimant = second_script::Claimant { proposal, said: &ours, from: from_it };
        claim(&first, None, &claimant, at(time))
    };
    assert_eq!(asks(1, 600), Ok(Claim::Answer { attempt: 1 }));
    assert_eq!(asks(1, 4000), Ok(Claim::Answer { attempt: 1 }), "it began in time");
    assert_eq!(is_current(&first, 1, at(9)), Ok(()));
    let second = boot_of(&first, &ours, "192.0.2.1", 1);
    assert_eq!(second.status.as_ref().unwrap().attempts, Some(2));
    assert_eq!(is_current(&second, 1, at(1)), Err(Refusal::Superseded));
    assert_eq!(is_current(&second, 2, at(1)), Ok(()));
    let late = second_script::Claimant { proposal: 1, said: &ours, from: from_it };
    assert_eq!(claim(&second, None, &late, at(2)), Err(Refusal::Superseded));
    assert_eq!(is_current(&token(), 0, at(0)), Err(Refusal::Superseded), "nothing has booted");
    assert_eq!(fetch(&first, None, from_it, at(3600)), Err(Refusal::Expired));
    assert_eq!(asks(2, 3600), Err(Refusal::Expired));
}

#[test]
fn an_installation_that_began_in_time_is_finished_after_the_token_has_expired() {
    let hour = 3600;
    let late = boot(&token(), "192.0.2.1", hour - 60);
    assert_eq!(fetch(&late, None, from("192.0.2.1"), at(hour)), Err(Refusal::Expired));
    let until = hour - 60 + 4 * hour;
    assert_eq!(deadline(&late), Some(at(until)));
    assert_eq!(may_install(&late, None, 1, at(until - 1)), Ok(()));
    assert_eq!(may_install(&late, None, 1, at(until)), Err(Refusal::Expired));
    let said = |step| InstallReport { step, message: String::new() };
    let done = record(&late, 1, &said(BootStep::Done), at(until - 9)).unwrap();
    let done = BootToken { status: done, ..late.clone() };
    let (ours, hardware) = (key(1), HostHardware::default());
    let claimant = claims(&ours, &hardware);
    let registered = register(&done, None, &claimant, at(until - 1));
    assert!(matches!(registered, Ok(Next::Record(_))), "{registered:?}");
    assert_eq!(register(&done, None, &claimant, at(until)), Err(Refusal::Expired));
    // The controller does not end it before, and a person does at once.
    let mut kept = late.clone();
    settle(&mut kept, None, until - 1);
    assert_eq!(kept.status.as_ref().unwrap().phase, Some(BootTokenPhase::Fetched));
    let mut revoked = late.clone();
    revoked.spec.revoked = true;
    assert_eq!(may_install(&revoked, None, 1, at(hour)), Err(Refusal::Revoked));
    // A clock that was ahead as the boot began gives no more time.
    let mut ahead = late;
    ahead.status.as_mut().unwrap().fetched_at = Some(Time(at(99 * hour)));
    assert_eq!(deadline(&ahead), Some(at(5 * hour)));
}

#[test]
fn nothing_is_installed_for_a_name_that_another_host_has() {
    let (other, booted) = (host(&key(2)), boot(&token(), "192.0.2.1", 0));
    let refusal = Refusal::HostNameTaken("web-1".to_owned());
    assert_eq!(fetch(&token(), Some(&other), None, at(0)), Err(refusal.clone()));
    assert_eq!(may_install(&booted, None, 1, at(1)), Ok(()));
    assert_eq!(may_install(&booted, Some(&other), 1, at(1)), Err(refusal));
}

#[test]
fn what_the_schema_takes_for_a_word_is_one_at_boot() {
    let crds = metal_api::all_crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == "BootToken").unwrap();
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    let installer = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"]["installer"];
    let pattern = |schema: &serde_json::Value| {
        regex::Regex::new(schema["pattern"].as_str().unwrap()).unwrap()
    };
    let argument = pattern(&installer["properties"]["arguments"]["items"]);
    let url = pattern(&installer["properties"]["stage2URL"]);
    for character in (0..=255_u8).map(char::from) {
        let word = is_word(&character.to_string());
        assert_eq!(argument.is_match(&character.to_string()), word, "{character:?}");
        assert_eq!(url.is_match(&format!("http://{character}")), word, "{character:?}");
    }
}
