use super::*;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use metal_api::{
    MachineGivenUp, MachineLease, MachineOperation, MachineOperationStep, MachineOperationsStatus,
    MachinePhase, MachinePxe, MachineRedfish, MachineSpec, MachineStatus,
};

#[test]
fn a_counter_is_raised_above_everything_that_it_was_at() {
    // spec, done and given up of the reboots; what a reboot makes of it.
    for (wanted, done, given_up, expected) in [
        (None, Some(0), None, 1),
        (Some(4), Some(4), None, 5),
        // Somebody has asked before, and metalman has not seen it.
        (Some(6), Some(4), None, 7),
        // A counter that is lower than what was done asks for nothing.
        (Some(1), Some(9), None, 10),
        (Some(5), Some(4), Some(7), 8),
    ] {
        let mut machine = machine();
        machine.spec.operations =
            Some(MachineOperations { reboot_counter: wanted, repave_counter: Some(3) });
        let given_up =
            given_up.map(|it| MachineGivenUp { reboot_counter: Some(it), repave_counter: None });
        machine.status = Some(MachineStatus {
            operations: Some(MachineOperationsStatus {
                reboot_counter: done,
                repave_counter: Some(3),
                given_up,
                ..MachineOperationsStatus::default()
            }),
            ..MachineStatus::default()
        });
        let reboot = raised(&machine, Request::Reboot, Manual::Nobody).unwrap();
        assert_eq!(reboot, counters(expected, Some(3)));
        let repave = raised(&machine, Request::Repave, Manual::Nobody).unwrap();
        assert_eq!(repave, counters(expected, Some(4)));
        // What is asked for by it is pending then.
        machine.spec.operations = Some(repave);
        let pending = operations::pending(&machine);
        assert_eq!((pending.reboot, pending.repave), (Some(expected), Some(4)));
    }
}

#[test]
fn nothing_is_asked_of_a_machine_that_would_not_do_it() {
    let raised = |edit: &dyn Fn(&mut Machine)| {
        let mut machine = counted();
        edit(&mut machine);
        raised(&machine, Request::Repave, Manual::Nobody)
    };
    assert_eq!(raised(&|it| it.spec.pxe = None), Err(Refusal::NotByNetwork));
    let at = |it: &mut Machine| it.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(raised(&at), Err(Refusal::Deleted));
    let whose = "machines without a site".to_owned();
    assert_eq!(raised(&|it| it.status = None), Err(Refusal::NotCounted(whose)));
    let of_site = |it: &mut Machine| {
        it.status = None;
        it.metadata.labels =
            Some([("unbounded-cloud.io/site".to_owned(), "rack-a".to_owned())].into());
    };
    assert_eq!(raised(&of_site), Err(Refusal::NotCounted("the site rack-a".to_owned())));
    let ambiguous = |it: &mut Machine| told(it, "Ready", "False", "Ambiguous", "b has it too");
    assert!(matches!(raised(&ambiguous), Err(Refusal::Unusable { .. })));
    // What was said of an older object does not count.
    let mended = |it: &mut Machine| {
        ambiguous(it);
        it.metadata.generation = Some(2);
    };
    assert!(raised(&mended).is_ok());
    let exhausted = |it: &mut Machine| it.spec.operations = Some(counters(i64::MAX, None));
    assert_eq!(raised(&exhausted), Err(Refusal::Exhausted));
}

#[test]
fn without_a_bmc_a_person_is_needed_for_an_installation_and_a_reboot_is_not_counted() {
    let mut machine = counted();
    machine.spec.pxe.as_mut().unwrap().redfish = None;
    let raised = |request, by_hand| raised(&machine, request, by_hand);
    assert_eq!(raised(Request::Repave, Manual::Nobody), Err(Refusal::RepaveByHand));
    assert_eq!(raised(Request::Repave, Manual::Somebody), Ok(counters(1, Some(1))));
    for by_hand in [Manual::Nobody, Manual::Somebody] {
        assert_eq!(raised(Request::Reboot, by_hand), Err(Refusal::RebootByHand));
    }
}

#[test]
fn a_reboot_is_refused_that_would_carry_out_a_repave_which_was_staged_before() {
    let mut machine = counted();
    machine.spec.operations =
        Some(MachineOperations { reboot_counter: None, repave_counter: Some(1) });
    let reboot = |machine: &Machine| raised(machine, Request::Reboot, Manual::Nobody);
    assert_eq!(reboot(&machine), Err(Refusal::Staged(1)));
    assert_eq!(raised(&machine, Request::Repave, Manual::Nobody), Ok(counters(1, Some(2))));
    // Both were asked for: another reboot overwrites nothing more.
    let mut both = machine.clone();
    both.spec.operations = Some(counters(1, Some(1)));
    assert_eq!(reboot(&both), Ok(counters(2, Some(1))));
    machine.status.as_mut().unwrap().operations.as_mut().unwrap().repave_counter = Some(1);
    assert_eq!(reboot(&machine), Ok(counters(1, Some(1))), "it is taken back");
}

#[test]
fn a_repave_is_done_when_another_node_is_ready() {
    let (mut machine, old) = (counted(), node("old", "boot-1", true));
    let asked = ask(&mut machine, Request::Repave, Some(&old));
    let is = |machine: &Machine, node: Option<&Node>| progress(machine, node, &asked);
    assert!(waits(&is(&machine, Some(&old))).contains("the site rack-a has not seen it"));
    see(&mut machine, "Draining", 0, 0);
    assert!(waits(&is(&machine, Some(&old))).starts_with("Rebooting: repave 1"));
    // The host is on, and the installer runs.
    see(&mut machine, "Installing", 1, 0);
    told(&mut machine, "Repaved", "False", "Pending", "image=i");
    assert!(waits(&is(&machine, None)).contains("Repaved Pending: image=i"));
    // What was set for it is being taken away.
    see(&mut machine, "Finishing", 1, 1);
    waits(&is(&machine, Some(&node("new", "boot-2", true))));
    see(&mut machine, "Done", 1, 1);
    assert!(waits(&is(&machine, None)).contains("there is no Node yet"));
    assert!(waits(&is(&machine, Some(&old))).contains("from before"));
    assert!(waits(&is(&machine, Some(&node("old", "boot-2", true)))).contains("from before"));
    assert!(waits(&is(&machine, Some(&node("new", "boot-2", false)))).contains("not ready"));
    assert_eq!(is(&machine, Some(&node("new", "boot-2", true))), Progress::Done);
}

#[test]
fn a_node_with_none_of_its_addresses_is_kept_and_counts_when_it_has_booted_again() {
    let mut old = node("old", "boot-1", true);
    old.status.as_mut().unwrap().addresses = None;
    let mut machine = counted();
    let asked = ask(&mut machine, Request::Repave, Some(&old));
    see(&mut machine, "Done", 1, 1);
    waits(&progress(&machine, Some(&old), &asked));
    let mut now = old.clone();
    now.status.as_mut().unwrap().node_info.as_mut().unwrap().boot_id = "boot-2".to_owned();
    assert_eq!(progress(&machine, Some(&now), &asked), Progress::Done);
}

#[test]
fn a_reboot_is_done_when_the_node_has_booted_again() {
    let (mut machine, before) = (counted(), node("a", "boot-1", true));
    let asked = ask(&mut machine, Request::Reboot, Some(&before));
    see(&mut machine, "Done", 1, 0);
    // The cluster has not noticed yet that it was away.
    waits(&progress(&machine, Some(&before), &asked));
    waits(&progress(&machine, Some(&node("a", "boot-2", false)), &asked));
    waits(&progress(&machine, None, &asked));
    for after in [node("a", "boot-2", true), node("b", "", true)] {
        assert_eq!(progress(&machine, Some(&after), &asked), Progress::Done);
    }
    // A kubelet that does not say when it has booted, and a machine that is no Node.
    for before in [Some(node("a", "", true)), None] {
        let mut machine = counted();
        let asked = ask(&mut machine, Request::Reboot, before.as_ref());
        see(&mut machine, "Done", 1, 0);
        assert_eq!(progress(&machine, before.as_ref(), &asked), Progress::Done);
    }
}

#[test]
fn what_was_given_up_is_told_with_its_reason_and_what_was_before_is_not() {
    let mut machine = counted();
    let operations = machine.status.as_mut().unwrap().operations.as_mut().unwrap();
    operations.given_up = Some(MachineGivenUp { reboot_counter: Some(2), repave_counter: None });
    told(&mut machine, "Ready", "False", "PowerOffFailed", "given up");
    let asked = ask(&mut machine, Request::Repave, None);
    assert_eq!(asked.counters, counters(3, Some(1)));
    waits(&progress(&machine, None, &asked));
    see(&mut machine, "Draining", 0, 0);
    waits(&progress(&machine, None, &asked));
    see(&mut machine, "Failed", 3, 0);
    let operations = machine.status.as_mut().unwrap().operations.as_mut().unwrap();
    operations.given_up = Some(MachineGivenUp { reboot_counter: Some(2), repave_counter: Some(1) });
    let current = operations.current.as_mut().unwrap();
    current.reason = Some("InstallTimedOut".to_owned());
    current.message = Some("look at\nits console\u{1b}[2J".to_owned());
    let message = "look at its console [2J".to_owned();
    let reason = "InstallTimedOut".to_owned();
    assert_eq!(progress(&machine, None, &asked), Progress::GivenUp { reason, message });
}

#[test]
fn a_machine_that_is_nobodys_or_another_now_is_given_up() {
    let reason = |edit: &dyn Fn(&mut Machine)| {
        let mut machine = counted();
        let asked = ask(&mut machine, Request::Repave, None);
        see(&mut machine, "Draining", 0, 0);
        edit(&mut machine);
        match progress(&machine, None, &asked) {
            Progress::GivenUp { reason, .. } => reason,
            Progress::Waits(line) | Progress::NeedsPerson { message: line, .. } => panic!("{line}"),
            Progress::Done => panic!("done"),
        }
    };
    assert_eq!(reason(&|it| it.metadata.uid = Some("other".to_owned())), "Replaced");
    let at = |it: &mut Machine| it.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(reason(&at), "Deleted");
    assert_eq!(reason(&|it| told(it, "Ready", "False", "Ambiguous", "")), "Ambiguous");
    let differs = |it: &mut Machine| told(it, "TPMVerified", "False", "KeyDiffers", "");
    assert_eq!(reason(&differs), "KeyDiffers");
}

#[test]
fn a_tpm_that_was_refused_before_may_be_vouched_for_meanwhile() {
    let mut machine = counted();
    told(&mut machine, "TPMVerified", "False", "KeyDiffers", "");
    let asked = ask(&mut machine, Request::Repave, None);
    see(&mut machine, "Installing", 1, 0);
    waits(&progress(&machine, None, &asked));
}

#[test]
fn what_only_a_person_resolves_is_reported_and_the_rest_is_waited_for() {
    let mut machine = counted();
    let asked = ask(&mut machine, Request::Reboot, None);
    see(&mut machine, "PoweringOff", 0, 0);
    let mut says = |reason: &str, generation| {
        told(&mut machine, "BMCReachable", "False", reason, "a\nb");
        let conditions = &mut machine.status.as_mut().unwrap().conditions;
        conditions.last_mut().unwrap().observed_generation = generation;
        progress(&machine, None, &asked)
    };
    assert!(waits(&says("NoAnswer", asked.generation)).contains("BMCReachable NoAnswer: a b"));
    assert!(waits(&says("Unauthorized", Some(1))).contains("BMCReachable Unauthorized"));
    let (reason, message) = ("Unauthorized".to_owned(), "a b".to_owned());
    let needs = Progress::NeedsPerson { reason, message };
    assert_eq!(says("Unauthorized", asked.generation), needs);
}

#[test]
fn a_request_that_was_taken_for_one_of_a_backup_is_given_up_and_told() {
    let mut machine = counted();
    let asked = ask(&mut machine, Request::Repave, None);
    see(&mut machine, "", 1, 1);
    told(&mut machine, "OperationsDone", "True", "Adopted", "increase it again");
    let mut seen = |generation| {
        let conditions = &mut machine.status.as_mut().unwrap().conditions;
        conditions.last_mut().unwrap().observed_generation = generation;
        progress(&machine, None, &asked)
    };
    let (reason, message) = ("Adopted".to_owned(), "increase it again".to_owned());
    assert_eq!(seen(asked.generation), Progress::GivenUp { reason, message });
    waits(&seen(Some(1)));
}

#[test]
fn a_repave_of_a_machine_whose_name_a_node_of_another_has_needs_a_person_and_a_reboot_does_not() {
    for (request, needs_person) in [(Request::Repave, true), (Request::Reboot, false)] {
        let mut machine = counted();
        let asked = ask(&mut machine, request, None);
        see(&mut machine, "PoweringOff", 0, 0);
        told(&mut machine, "NodeOwned", "False", "NodeOfAnother", "rename it");
        let conditions = &mut machine.status.as_mut().unwrap().conditions;
        conditions.last_mut().unwrap().observed_generation = asked.generation;
        let seen = progress(&machine, None, &asked);
        if needs_person {
            let (reason, message) = ("NodeOfAnother".to_owned(), "rename it".to_owned());
            assert_eq!(seen, Progress::NeedsPerson { reason, message });
        } else {
            assert!(waits(&seen).contains("NodeOwned NodeOfAnother: rename it"));
        }
    }
}

#[test]
fn a_line_is_one_line_of_limited_length() {
    let mut machine = counted();
    let asked = ask(&mut machine, Request::Reboot, None);
    see(&mut machine, "PoweringOff", 0, 0);
    told(&mut machine, "BMCReachable", "False", "NoAnswer", &"a\nb".repeat(1000));
    let line = waits(&progress(&machine, None, &asked));
    assert!(line.len() <= 400 && !line.contains('\n'), "{line}");
}

fn waits(progress: &Progress) -> String {
    match progress {
        Progress::Waits(line) => line.clone(),
        Progress::Done | Progress::NeedsPerson { .. } | Progress::GivenUp { .. } => {
            panic!("{progress:?}")
        }
    }
}

/// Asks for it, and returns what was asked.
fn ask(machine: &mut Machine, request: Request, node: Option<&Node>) -> RaisedRequest {
    machine.metadata.labels =
        Some([("unbounded-cloud.io/site".to_owned(), "rack-a".to_owned())].into());
    machine.spec.operations = Some(raised(machine, request, Manual::Nobody).unwrap());
    machine.metadata.generation = Some(2);
    RaisedRequest::new(request, machine, node)
}

/// metalman has seen it, and is at this step.
fn see(machine: &mut Machine, step: &str, reboots: i64, repaves: i64) {
    let is_done = step == "Done";
    let (condition, asked) =
        (if is_done { "True" } else { "False" }, machine.spec.operations.clone());
    told(machine, "OperationsDone", condition, step, "");
    let status = machine.status.as_mut().unwrap();
    status.observed_generation = machine.metadata.generation;
    status.phase = Some(MachinePhase::Rebooting);
    status.message = Some("repave 1, attempt 1".to_owned());
    let operations = status.operations.as_mut().unwrap();
    operations.reboot_counter = Some(reboots);
    operations.repave_counter = Some(repaves);
    operations.current = (!is_done).then(|| MachineOperation {
        reboot_counter: asked.as_ref().and_then(|it| it.reboot_counter),
        repave_counter: asked.as_ref().and_then(|it| it.repave_counter),
        step: MachineOperationStep::from(step),
        attempt: 1,
        since: Time(Timestamp::UNIX_EPOCH),
        progress: None,
        boot_override: false,
        reason: None,
        message: None,
    });
}

fn told(machine: &mut Machine, type_: &str, status: &str, reason: &str, message: &str) {
    let conditions = &mut machine.status.as_mut().unwrap().conditions;
    conditions.retain(|it| it.type_ != type_);
    conditions.push(Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    });
}

fn counters(reboot: i64, repave: Option<i64>) -> MachineOperations {
    MachineOperations { reboot_counter: Some(reboot), repave_counter: repave }
}

fn node(uid: &str, boot: &str, is_ready: bool) -> Node {
    let ready = NodeCondition {
        type_: "Ready".to_owned(),
        status: if is_ready { "True" } else { "False" }.to_owned(),
        ..NodeCondition::default()
    };
    let address = NodeAddress { address: "10.0.0.11".to_owned(), type_: "InternalIP".to_owned() };
    let mut node = Node::default();
    node.metadata.uid = Some(uid.to_owned());
    node.status = Some(NodeStatus {
        conditions: Some(vec![ready]),
        addresses: Some(vec![address]),
        node_info: Some(NodeSystemInfo { boot_id: boot.to_owned(), ..NodeSystemInfo::default() }),
        ..NodeStatus::default()
    });
    node
}

/// A Machine with a BMC that metalman has seen and counted.
fn counted() -> Machine {
    let mut machine = machine();
    machine.status = Some(MachineStatus {
        observed_generation: Some(1),
        operations: Some(MachineOperationsStatus {
            reboot_counter: Some(0),
            repave_counter: Some(0),
            ..MachineOperationsStatus::default()
        }),
        ..MachineStatus::default()
    });
    machine
}

fn machine() -> Machine {
    let lease = MachineLease { ipv4: "10.0.0.11".to_owned(), ..MachineLease::default() };
    let pxe = MachinePxe {
        redfish: Some(MachineRedfish::default()),
        dhcp_leases: vec![lease],
        ..MachinePxe::default()
    };
    let mut machine = Machine::new("a", MachineSpec { pxe: Some(pxe), ..MachineSpec::default() });
    machine.metadata.uid = Some("1".to_owned());
    machine.metadata.generation = Some(1);
    machine
}
