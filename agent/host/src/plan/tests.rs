use super::*;

const BOOT: &str = "boot-1";

#[test]
fn a_release_is_tried_checked_and_kept() {
    let mut state = State::default();
    let (v1, v2) = (release("v1"), release("v2"));
    assert_eq!(next(&state, None, BOOT), Step::Rest);
    assert_eq!(next(&state, Some(&v1), BOOT), Step::Begin);
    state.begin(v1.clone());
    // The agent was killed: the hook may or may not have run, and runs again.
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Hook(v1.clone()));
    state.hooked(HookResult::Done, BOOT);
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Check(v1.clone()));
    state.healthy(BOOT);
    assert_eq!(next(&state, Some(&v1), BOOT), Step::Rest);
    assert_eq!(next(&state, None, BOOT), Step::Rest, "nothing is taken away");
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Begin);
    let other = Release { image: "another".to_owned(), ..v1 };
    assert_eq!(next(&state, Some(&other), BOOT), Step::Begin, "made anew under the same name");
}

#[test]
fn nothing_is_checked_before_the_restart_that_the_hook_has_begun() {
    let mut state = State::default();
    state.begin(release("v1"));
    state.hooked(HookResult::Restarting, BOOT);
    assert_eq!(next(&state, None, BOOT), Step::AwaitRestart);
    state.not_restarted();
    assert_eq!(next(&state, None, BOOT), Step::Hook(release("v1")));
}

#[test]
fn a_machine_that_came_back_with_the_old_system_is_not_said_to_run_the_new_one() {
    let mut state = active("v1");
    state.begin(release("v2"));
    state.hooked(HookResult::Restarting, BOOT);
    // The hook says which system it is.
    assert_eq!(next(&state, None, "boot-2"), Step::Hook(release("v2")));
    state.hooked(HookResult::Done, "boot-2");
    assert_eq!(next(&state, None, "boot-2"), Step::Check(release("v2")));
}

#[test]
fn a_release_is_not_found_healthy_by_a_system_that_started_during_the_check() {
    let mut state = active("v1");
    state.begin(release("v2"));
    state.hooked(HookResult::Done, BOOT);
    assert_eq!(next(&state, None, BOOT), Step::Check(release("v2")));
    assert_eq!(next(&state, None, "boot-2"), Step::Hook(release("v2")), "which one is it?");
}

#[test]
fn after_a_restart_the_release_that_ran_is_looked_at_once() {
    let (v1, v2) = (release("v1"), release("v2"));
    let mut state = active("v1");
    state.failed = Some(Failed::of(&v2, "not healthy".to_owned(), true));
    let again = |state: &mut State, boot: &str| {
        assert_eq!(next(state, Some(&release("v2")), boot), Step::Confirm);
        state.confirm();
        assert_eq!(next(state, None, boot), Step::Hook(release("v1")));
        state.hooked(HookResult::Done, boot);
        assert_eq!(next(state, None, boot), Step::Check(release("v1")));
    };
    again(&mut state, "boot-2");
    state.healthy("boot-2");
    assert_eq!(next(&state, Some(&v2), "boot-2"), Step::Rest, "it is not tried for that");
    assert_eq!(state.failed.as_ref().unwrap().name, "v2");
    // If it is ill then, that is said, and looked at again after the next restart.
    state.failed = None;
    again(&mut state, "boot-3");
    state.fails("ill", "boot-3");
    assert_eq!((state.is_lost, next(&state, Some(&v1), "boot-3")), (true, Step::Rest));
    assert_eq!(state.failed.as_ref().unwrap().why, "ill");
    again(&mut state, "boot-4");
    state.healthy("boot-4");
    assert_eq!((state.is_lost, state.failed.clone()), (false, None));
    // Both are said.
    state.failed = Some(Failed::of(&v2, "not healthy".to_owned(), true));
    again(&mut state, "boot-5");
    state.fails("ill", "boot-5");
    let failed = state.failed.clone().unwrap();
    assert_eq!(failed.why, "not healthy; and v1 does not run after a restart: ill");
    assert_eq!((failed.name.as_str(), failed.rolled_back), ("v2", false));
    assert_eq!(next(&state, Some(&v2), "boot-5"), Step::Rest);
    again(&mut state, "boot-6");
    state.healthy("boot-6");
    assert_eq!(
        state.failed.as_ref().map(|it| (&*it.why, it.rolled_back)),
        Some(("not healthy", true))
    );
    // What could not be brought back is left to a person.
    state.is_lost = true;
    assert_eq!(next(&state, Some(&v2), "boot-7"), Step::Rest);
}

#[test]
fn a_system_that_gets_healthy_late_is_said_to_run() {
    let (v1, v2) = (release("v1"), release("v2"));
    let rolled_back = Failed::of(&v2, "not healthy".to_owned(), true);
    for failed in [None, Some(rolled_back)] {
        let mut state = State { failed: failed.clone(), ..active("v1") };
        state.confirm();
        state.hooked(HookResult::Done, "boot-2");
        state.fails("ill", "boot-2");
        assert!(state.is_lost && state.is_late("boot-2") && !state.is_late("boot-3"));
        assert_eq!(next(&state, Some(&v1), "boot-2") == Step::Rest, failed.is_none());
        state.recovers();
        assert_eq!(
            (state.is_lost, &state.failed, &state.active),
            (false, &failed, &Some(v1.clone()))
        );
        assert!(!state.is_late("boot-2"));
    }
    // Without the hook nobody knows what runs.
    let mut state = active("v1");
    state.confirm();
    state.fails("the hook ended with 1", "boot-2");
    assert!(state.is_lost && !state.is_late("boot-2"));
    // One that was brought back and needs longer than that.
    let mut state = active("v1");
    state.begin(v2.clone());
    state.fails("not healthy", BOOT);
    while let Step::Hook(_) | Step::Check(_) = next(&state, None, BOOT) {
        state.begins(Phase::Hook);
        state.hooked(HookResult::Done, BOOT);
    }
    assert_eq!(next(&state, None, BOOT), Step::GiveUp);
    state.give_up(BOOT);
    assert!(state.is_lost && state.is_late(BOOT));
    state.recovers();
    assert_eq!(state.failed, Some(Failed::of(&v2, "not healthy".to_owned(), true)));
    // Another release is not kept waiting.
    let mut state = active("v1");
    state.confirm();
    state.hooked(HookResult::Done, "boot-2");
    state.fails("ill", "boot-2");
    assert_eq!(next(&state, Some(&v2), "boot-2"), Step::Begin);
    state.begin(v2);
    assert!(!state.is_late("boot-2"));
}

#[test]
fn a_hook_that_restarts_a_machine_in_vain_does_so_three_times() {
    let mut state = active("v1");
    state.confirm();
    let mut restarts = 0;
    while let Step::Hook(_) = next(&state, None, &format!("boot-{restarts}")) {
        state.begins(Phase::Hook);
        state.hooked(HookResult::Restarting, &format!("boot-{restarts}"));
        restarts += 1;
    }
    assert_eq!((restarts, next(&state, None, "boot-3")), (3, Step::GiveUp));
    // Then it is left alone until somebody else restarts it.
    state.give_up("boot-3");
    assert_eq!(next(&state, None, "boot-3"), Step::Rest);
    // One in between that leads somewhere counts anew.
    let mut state = active("v1");
    state.begin(release("v2"));
    for boot in 0..4 {
        state.hooked(HookResult::Restarting, &format!("boot-{boot}"));
        state.hooked(HookResult::Done, &format!("boot-{boot}"));
    }
    assert_eq!(next(&state, None, "boot-3"), Step::Check(release("v2")));
}

#[test]
fn what_was_installed_is_looked_up_until_a_release_was_tried() {
    let mut state = State::default();
    assert!(state.is_new());
    state.installed(Some("image-v0".to_owned()), BOOT);
    // A person has updated it.
    assert!(state.is_new());
    state.installed(Some("image-v0.1".to_owned()), "boot-2");
    assert_eq!(next(&state, None, "boot-2"), Step::Rest);
    let (v0, v1) = (Release::installed("image-v0.1".to_owned()), release("v1"));
    assert_eq!(next(&state, Some(&v1), "boot-2"), Step::Begin);
    assert!(state.cuts_off(&v1) && !state.cuts_off(&v0));
    state.begin(v1.clone());
    assert!(!state.is_new());
    state.fails("not healthy", "boot-2");
    assert_eq!(next(&state, Some(&v1), "boot-2"), Step::Hook(v0.clone()));
    state.hooked(HookResult::Done, "boot-2");
    state.healthy("boot-2");
    let failed = state.failed.clone().unwrap();
    assert!(failed.rolled_back && failed.name == "v1" && !state.is_new());
    // The boot loader may have taken the other system.
    assert_eq!(next(&state, Some(&v1), "boot-3"), Step::Confirm);
    state.confirm();
    state.fails("gone", "boot-3");
    let why = state.failed.unwrap().why;
    assert!(
        why.ends_with("and the system that was installed does not run after a restart: gone"),
        "{why}"
    );
}

#[test]
fn a_release_made_again_under_its_name_is_another_one() {
    let mut state = active("v1");
    let again = Release { uid: "2".to_owned(), ..release("v1") };
    assert_eq!(next(&state, Some(&again), BOOT), Step::Begin);
    state.begin(again.clone());
    state.fails("not healthy", BOOT);
    assert_eq!(next(&state, Some(&again), BOOT), Step::Hook(release("v1")), "the one before");
    state.healthy(BOOT);
    assert_eq!(next(&state, Some(&again), BOOT), Step::Rest);
    let third = Release { uid: "3".to_owned(), ..again };
    assert_eq!(next(&state, Some(&third), BOOT), Step::Begin);
}

#[test]
fn a_release_that_was_restored_from_a_backup_is_the_one_that_it_was() {
    let of = |name: &str, uid: &str| Release {
        uid: uid.to_owned(),
        digest: format!("digest-{name}"),
        ..release(name)
    };
    let mut state = active("v1");
    state.active = Some(of("v1", "1"));
    state.failed = Some(Failed::of(&of("v2", "2"), "not healthy".to_owned(), true));
    for restored in [of("v1", "3"), of("v2", "4")] {
        assert_eq!(next(&state, Some(&restored), BOOT), Step::Rest, "{restored:?}");
        // What is said of it from now on is said of the object that is there.
        assert!(state.renames(&restored) && !state.renames(&restored));
    }
    let uids =
        (state.active.as_ref().unwrap().uid.as_str(), state.failed.as_ref().unwrap().uid.as_str());
    assert_eq!(uids, ("3", "4"));
    let other = Release { digest: "another".to_owned(), ..of("v1", "3") };
    assert_eq!(next(&state, Some(&other), BOOT), Step::Begin);
}

#[test]
fn a_release_that_is_not_healthy_is_not_tried_again_until_another_was() {
    let mut state = active("v1");
    let (v1, v2, v3) = (release("v1"), release("v2"), release("v3"));
    state.begin(v2.clone());
    state.fails("not healthy", BOOT);
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Hook(v1.clone()));
    state.hooked(HookResult::Done, BOOT);
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Check(v1.clone()));
    state.healthy(BOOT);
    let failed = Failed::of(&release("v2"), "not healthy".to_owned(), true);
    assert_eq!((&state.failed, &state.active), (&Some(failed), &Some(v1.clone())));
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Rest);
    assert_eq!(next(&state, Some(&v3), BOOT), Step::Begin);
    assert_eq!(next(&state, Some(&v1), BOOT), Step::Rest);
    state.begin(v3);
    state.healthy(BOOT);
    assert_eq!(next(&state, Some(&v2), BOOT), Step::Begin);
}

#[test]
fn a_release_that_restarts_the_machine_again_and_again_is_given_up() {
    let mut state = active("v1");
    state.begin(release("v2"));
    let mut begun = 0;
    while let Step::Hook(_) | Step::Check(_) = next(&state, None, BOOT) {
        state.begins(if begun > 1 { Phase::Check } else { Phase::Hook });
        begun += 1;
    }
    assert_eq!((begun, next(&state, None, BOOT)), (BEGINNINGS, Step::GiveUp));
    state.give_up(BOOT);
    assert_eq!(next(&state, None, BOOT), Step::Hook(release("v1")), "it is counted anew");
}

#[test]
fn a_release_before_that_does_not_come_back_is_given_up_and_said_to_be_lost() {
    let mut state = active("v1");
    state.begin(release("v2"));
    state.fails("not healthy within 5m", BOOT);
    let mut begun = 0;
    while let Step::Hook(_) | Step::Check(_) = next(&state, None, BOOT) {
        state.begins(Phase::Hook);
        state.fails("the hook ended with 1", BOOT);
        begun += 1;
    }
    assert_eq!((begun, next(&state, None, BOOT)), (BACK, Step::GiveUp));
    state.give_up(BOOT);
    let failed = state.failed.clone().unwrap();
    assert!(state.is_lost && !failed.rolled_back);
    let says = "not healthy within 5m; and v1 could not be brought back: the hook ended with 1";
    assert_eq!(failed.why, says);
    assert_eq!(next(&state, Some(&release("v2")), BOOT), Step::Rest);
    // A person may try the one before again, or another.
    assert_eq!(next(&state, Some(&release("v1")), BOOT), Step::Begin);
    state.begin(release("v1"));
    state.fails("still not", BOOT);
    assert_eq!((next(&state, Some(&release("v1")), BOOT), state.is_lost), (Step::Rest, true));
    state.begin(release("v3"));
    state.healthy(BOOT);
    assert_eq!((state.active, state.is_lost), (Some(release("v3")), false));
}

#[test]
fn without_anything_that_is_known_to_have_run_one_that_fails_has_failed() {
    let mut state = State::default();
    state.begin(release("v1"));
    state.fails("no hook", BOOT);
    let failed = Failed::of(&release("v1"), "no hook".to_owned(), false);
    assert_eq!((state.failed, state.work, state.is_lost), (Some(failed), None, false));
}

fn active(name: &str) -> State {
    State { active: Some(release(name)), boot: BOOT.to_owned(), ..State::default() }
}

pub(super) fn release(name: &str) -> Release {
    let image = format!("image-{name}");
    Release { name: name.to_owned(), image, ..Release::default() }
}
