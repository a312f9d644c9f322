use super::{super::*, *};
use crate::tests::machine;
use metal_api::{MachineAttestation, MachinePcr, MachineTpmStatus, condition};

/// The only value of PCR 7 that is allowed, and another one.
const GOOD: &str = "aa";
const BAD: &str = "bb";

#[test]
fn what_is_new_or_gone_since_the_last_boot_that_was_allowed_is_told() {
    let before = [(3, "EV_A", "1"), (4, "EV_B", "2"), (9, "EV_C", "3"), (10, "EV_C", "3")];
    let machine = booted(&before);
    let since = "since the last boot that was allowed";
    for (now, told) in [
        (
            &[(3, "EV_A", "1"), (5, "EV_B", "7"), (9, "EV_C", "3"), (10, "EV_C", "3")][..],
            format!(": new {since} #5 EV_B, gone EV_B"),
        ),
        (
            &[
                (3, "EV_A", "1"),
                (4, "EV_B", "2"),
                (9, "EV_C", "3"),
                (10, "EV_C", "3"),
                (11, "EV_C", "3"),
            ],
            format!(": new {since} #11 EV_C"),
        ),
        (&[(3, "EV_A", "1"), (9, "EV_C", "3")], format!(": gone {since} EV_B, EV_C")),
        (
            &[(9, "EV_C", "3"), (10, "EV_C", "3"), (11, "EV_B", "2"), (12, "EV_A", "1")],
            ": the events of the last boot that was allowed, in another order".to_owned(),
        ),
    ] {
        assert_eq!(refused(&machine, &logged(now)), format!("PCR 7 is bb{told}"));
    }
}

#[test]
fn without_a_boot_that_was_allowed_the_events_of_the_pcr_are_told_by_runs_of_their_types() {
    let machine = asking();
    let events = [(1, "EV_A", "1"), (2, "EV_A", "2"), (4, "EV_A", "3"), (6, "EV_B", "4")];
    let told = "PCR 7 is bb, by the events #1 to #4 EV_A, #6 EV_B";
    assert_eq!(refused(&machine, &logged(&events)), told);
    assert_eq!(refused(&machine, &logged(&[])), "PCR 7 is bb, and nothing was measured into it");
}

#[test]
fn a_log_that_does_not_lead_to_the_value_is_told_of_and_explains_nothing() {
    let mut log = logged(&[(1, "EV_A", "1")]);
    log.leads = false;
    let told = "PCR 7 is bb, to which its event log does not lead";
    assert_eq!(refused(&asking(), &log), told);
    let unreadable = judge(&asking(), BAD, EventLog::Unreadable("why"));
    assert_eq!(message(&unreadable), "PCR 7 is bb; the event log cannot be read: why");
    assert_eq!(message(&judge(&asking(), BAD, EventLog::Missing)), "PCR 7 is bb");
}

#[test]
fn values_decide_and_a_log_changes_nothing_about_that() {
    let (mut log, other) = (logged(&[(1, "EV_A", "1")]), BTreeMap::new());
    for leads in [true, false] {
        log.leads = leads;
        let all = [(7, log.clone())].into();
        for log in [EventLog::Read(&all), EventLog::Read(&other), EventLog::Unreadable("why")] {
            assert!(matches!(judge(&asking(), GOOD, log), Verdict::Admitted(_)));
            assert!(matches!(judge(&asking(), BAD, log), Verdict::Refused(..)));
        }
    }
}

#[test]
fn what_was_measured_is_kept_of_a_boot_that_is_allowed_only() {
    let events = [(1, "EV_A", "0123456789abcdef0123"), (2, "EV_B", "2")];
    let machine = booted(&events);
    let kept = kept_of(&machine).to_vec();
    let wanted = ["EV_A 0123456789abcdef", "EV_B 2"].map(ToOwned::to_owned);
    assert_eq!(kept, [MachineMeasured { index: 7, events: wanted.into() }]);
    let other = [(7, logged(&[(1, "EV_A", "9")]))].into();
    let Verdict::Refused(_, Some(refused)) = judge(&machine, BAD, EventLog::Read(&other)) else {
        panic!()
    };
    assert_eq!(refused.tpm.unwrap().measured, kept);
    // A log that does not lead to the value, none, and one in which only types are others.
    let mut false_log = logged(&[(1, "EV_A", "9")]);
    false_log.leads = false;
    let types = [(1, "EV_X", "0123456789abcdef0123"), (2, "EV_Y", "2")];
    for log in [false_log, logged(&types)] {
        let all = [(7, log)].into();
        assert_eq!(judge(&machine, GOOD, EventLog::Read(&all)), Verdict::Admitted(None));
    }
    assert_eq!(judge(&machine, GOOD, EventLog::Missing), Verdict::Admitted(None));
    // Another boot that is allowed, and one that measures more than is kept.
    let all = [(7, logged(&[(1, "EV_A", "9")]))].into();
    let Verdict::Admitted(Some(status)) = judge(&machine, GOOD, EventLog::Read(&all)) else {
        panic!()
    };
    assert_eq!(status.tpm.unwrap().measured[0].events, ["EV_A 9"]);
    let many: Vec<_> = (0..=KEPT).map(|number| (number, "EV_A", "9")).collect();
    let all = [(7, logged(&many))].into();
    let Verdict::Admitted(Some(status)) = judge(&machine, GOOD, EventLog::Read(&all)) else {
        panic!()
    };
    assert!(status.tpm.unwrap().measured.is_empty());
}

#[test]
fn what_is_told_is_short_whatever_a_log_has() {
    let kind = "EV_".repeat(1000);
    let many: Vec<_> = (0..2000).map(|number| (number, kind.as_str(), "9")).collect();
    let log = logged(&many);
    let told = refused(&booted(&[(1, "EV_A", "1")]), &log);
    assert!(told.len() < 600 && told.contains(" and 1992 more"), "{told}");
    let mixed: Vec<_> = (0..2000)
        .map(|number| (number, if number % 2 == 0 { "EV_A" } else { "EV_B" }, "9"))
        .collect();
    let told = refused(&asking(), &logged(&mixed));
    assert!(told.len() < 200 && told.ends_with("#7 EV_B and 1992 more"), "{told}");
}

/// A Machine that asks for PCR 7, whose key is pinned.
fn asking() -> Machine {
    let mut machine = machine("a", 1);
    let pcrs = vec![MachinePcr { index: 7, sha256: vec![GOOD.to_owned()] }];
    let attestation = MachineAttestation { pcrs, ..MachineAttestation::default() };
    machine.spec.pxe.get_or_insert_default().attestation = Some(attestation);
    let status = machine.status.get_or_insert_default();
    status.tpm = Some(MachineTpmStatus::default());
    machine
}

/// The same after a boot that was allowed.
fn booted(events: &[(usize, &str, &str)]) -> Machine {
    let mut machine = asking();
    let all = [(7, logged(events))].into();
    let Verdict::Admitted(Some(status)) = judge(&machine, GOOD, EventLog::Read(&all)) else {
        panic!()
    };
    machine.status = Some(*status);
    machine
}

fn logged(events: &[(usize, &str, &str)]) -> Logged {
    let event = |(number, kind, digest): &(usize, &str, &str)| LoggedEvent {
        number: *number,
        kind: (*kind).to_owned(),
        digest: (*digest).to_owned(),
    };
    Logged { leads: true, events: events.iter().map(event).collect() }
}

fn kept_of(machine: &Machine) -> &[MachineMeasured] {
    &machine.status.as_ref().unwrap().tpm.as_ref().unwrap().measured
}

fn judge(machine: &Machine, value: &str, log: EventLog<'_>) -> Verdict {
    let values = [(7, value.to_owned())].into();
    judge_boot(machine, Measured::Values(&values, log), Timestamp::UNIX_EPOCH)
}

/// What is told of a boot with this log that is not allowed.
fn refused(machine: &Machine, log: &Logged) -> String {
    let all = [(7, log.clone())].into();
    message(&judge(machine, BAD, EventLog::Read(&all)))
}

/// What is in parentheses in the message.
fn message(verdict: &Verdict) -> String {
    let Verdict::Refused(Refusal::PcrDiffers, Some(status)) = verdict else { panic!() };
    let mut all = status.conditions.iter();
    let message = &all.find(|it| it.type_ == condition::BOOT_VERIFIED).unwrap().message;
    let (_, told) = message.split_once('(').unwrap();
    told.strip_suffix(')').unwrap().to_owned()
}
