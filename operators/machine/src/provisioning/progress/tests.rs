use super::*;
use metal_api::MachineSpec;

#[test]
fn cloud_init_runs_and_succeeds_with_its_last_stage() {
    let mut machine = machine();
    for (event, expected) in [
        (event("init-local", "start", ""), ("False", "Running")),
        (event("init-local/search-NoCloud", "finish", "SUCCESS"), ("False", "Running")),
        (event("init-local", "finish", "success"), ("False", "Running")),
        (event("modules-config/config-x", "finish", "WARN"), ("False", "Running")),
        (event("modules-final", "start", ""), ("False", "Running")),
        (event("modules-final/config-runcmd", "finish", "SUCCESS"), ("False", "Running")),
        (event("modules-final", "finish", "SUCCESS"), ("True", "Succeeded")),
        (event("modules-final", "finish", "FAIL"), ("True", "Succeeded")),
    ] {
        tell(&mut machine, &event, 0);
        assert_eq!(state(&machine), expected, "{event:?}");
    }
}

#[test]
fn a_stage_costs_one_write_and_not_one_for_each_event() {
    let mut machine = machine();
    assert!(tell(&mut machine, &event("init-local", "start", ""), 0));
    for name in ["init-local", "init-network", "modules-config", "modules-final"] {
        assert!(!tell(&mut machine, &event(name, "start", ""), 1));
        assert!(!tell(&mut machine, &event(&format!("{name}/x"), "finish", "SUCCESS"), 1));
    }
    assert!(!tell(&mut machine, &event("x", "unknown", ""), 1));
}

#[test]
fn what_failed_is_not_mended_by_what_succeeds_later() {
    let mut machine = machine();
    tell(&mut machine, &event("init-local", "start", ""), 0);
    let failed =
        Event { description: "running\nx".into(), ..event("modules-config", "finish", "FAIL") };
    tell(&mut machine, &failed, 1);
    assert_eq!(state(&machine), ("False", "Failed"));
    let message = &machine.status.as_ref().unwrap().conditions[0].message;
    assert_eq!(message, "modules-config: FAIL: running x");
    for event in [event("modules-final", "start", ""), event("modules-final", "finish", "SUCCESS")]
    {
        assert!(!tell(&mut machine, &event, 2));
    }
    // A machine that starts from the beginning is different.
    tell(&mut machine, &event("init-local", "start", ""), 3);
    assert_eq!(state(&machine), ("False", "Running"));
}

#[test]
fn what_takes_too_long_is_said_once_and_may_still_end() {
    let mut machine = machine();
    tell(&mut machine, &event("init-local", "start", ""), 0);
    let minutes = PATIENCE.as_mins();
    tell(&mut machine, &event("modules-final", "start", ""), minutes - 1);
    assert_eq!(
        deadline(machine.status.as_ref().unwrap()),
        Some(at(minutes)),
        "since its beginning"
    );
    assert_eq!(expired(&mut machine, minutes - 1), ("False", "Running"));
    assert_eq!(expired(&mut machine, minutes), ("Unknown", "TimedOut"));
    assert_eq!(deadline(machine.status.as_ref().unwrap()), None);
    assert!(!tell(&mut machine, &event("modules-final/x", "start", ""), minutes + 1));
    tell(&mut machine, &event("modules-final", "finish", "SUCCESS"), minutes + 2);
    assert_eq!(state(&machine), ("True", "Succeeded"));
}

#[test]
fn a_message_has_a_bound() {
    let mut machine = machine();
    let long = "é".repeat(5000);
    let event = Event { name: long.clone(), description: long, ..event("", "finish", "FAIL") };
    tell(&mut machine, &event, 0);
    assert!(machine.status.unwrap().conditions[0].message.len() <= 1024);
}

fn tell(machine: &mut Machine, event: &Event, minutes: i64) -> bool {
    let new = with_condition(machine, event, at(minutes));
    let is_news = new.is_some();
    machine.status = new.or(machine.status.take());
    is_news
}

fn expired(machine: &mut Machine, minutes: i64) -> (&'static str, &'static str) {
    let mut status = machine.status.clone().unwrap();
    expire(&mut status, machine, at(minutes));
    machine.status = Some(status);
    state(machine)
}

fn state(machine: &Machine) -> (&'static str, &'static str) {
    let known = ["True", "False", "Unknown", RUNNING, FAILED, SUCCEEDED, TIMED_OUT];
    let word = |text: &str| known.into_iter().find(|it| *it == text).unwrap();
    let condition = condition(machine.status.as_ref().unwrap()).unwrap();
    (word(&condition.status), word(&condition.reason))
}

fn event(name: &str, kind: &str, result: &str) -> Event {
    let [name, kind, result] = [name, kind, result].map(str::to_owned);
    Event { name, kind, result, description: String::new() }
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

fn machine() -> Machine {
    Machine::new("a", MachineSpec::default())
}
