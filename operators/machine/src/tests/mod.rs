mod same_hardware;

use super::{
    attest::{
        Certificate, Claimed, Compared, MachineLookupError, Presented, Refusal, Verdict, pinned,
        whose,
    },
    *,
};
use k8s_openapi::{
    api::core::v1::{NodeAddress, NodeCondition, NodeStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use metal_api::{
    MachineAttestation, MachineLease, MachinePxe, MachineSpec, MachineSsh, MachineTpmStatus,
    annotation,
};
use metal_core::{
    dice::SeededRng,
    machine_identity::{Address, addresses},
};
use std::sync::Arc;

#[test]
fn how_far_a_machine_is_follows_from_what_is_there() {
    let twin = Twin { address: Address::Ip([10, 0, 0, 1].into()), name: "other".to_owned() };
    let (ready, waiting) = (node(true), node(false));
    let mut another = node(true);
    let (type_, address) = ("InternalIP".to_owned(), "10.0.0.7".to_owned());
    another.status.as_mut().unwrap().addresses = Some(vec![NodeAddress { address, type_ }]);
    for (machine, twins, node, phase, reason) in vec![
        (machine("a", 1), vec![], None, "Pending", "NotAttested"),
        (attested("a", 1), vec![], None, "Joining", "NoNode"),
        (attested("a", 1), vec![], Some(&waiting), "Joining", "NodeNotReady"),
        (attested("a", 1), vec![], Some(&ready), "Ready", "NodeReady"),
        // A node that joined in another way is a node all the same.
        (machine("a", 1), vec![], Some(&ready), "Ready", "NodeReady"),
        // One of another machine is not, unless this one has attested: then it has joined by another network.
        (machine("a", 1), vec![], Some(&another), "Failed", "NodeOfAnother"),
        (attested("a", 1), vec![], Some(&another), "Ready", "NodeReady"),
        (attested("a", 1), vec![twin.clone()], Some(&ready), "Failed", "Ambiguous"),
        (without_leases(), vec![], None, "Failed", "InvalidLease"),
        (machine("default", 1), vec![], None, "Failed", "NameReserved"),
        (
            with_lease("a", "10.0.0.256", "02:00:00:00:00:01"),
            vec![],
            None,
            "Failed",
            "InvalidLease",
        ),
        (with_lease("a", "10.0.0.1", "02:00:00:00:00"), vec![], None, "Failed", "InvalidLease"),
        (refused("a", 1), vec![], None, "Failed", "KeyDiffers"),
        (refused("a", 1), vec![], Some(&waiting), "Failed", "KeyDiffers"),
        // Whoever presents a key at its address does not take a node away.
        (refused("a", 1), vec![], Some(&ready), "Ready", "NodeReady"),
    ] {
        let status = recorded(&machine, &twins, node);
        let condition = status.conditions.iter().find(|it| it.type_ == "Ready").unwrap();
        let seen = (status.phase.as_ref().unwrap().as_str(), condition.reason.as_str());
        assert_eq!(seen, (phase, reason), "{machine:?}");
        assert_eq!(condition.status == "True", phase == "Ready");
        assert_eq!(status.message.as_deref(), Some(condition.message.as_str()));
        let is_its = node.is_some() && reason != "NodeOfAnother";
        assert_eq!(status.node_ref.is_some(), is_its);
    }
}

#[test]
fn a_machine_of_somebody_else_is_left_alone() {
    let mut by_ssh = machine("a", 1);
    by_ssh.spec.pxe = None;
    by_ssh.spec.ssh = Some(MachineSsh::default());
    assert_eq!(decide(&observation(&by_ssh, &[], None)), Decision::Rest(RESYNC));
    // One that both look after has its phase from the other.
    let mut both = machine("a", 1);
    both.spec.ssh = Some(MachineSsh::default());
    let status = recorded(&both, &[], None);
    assert_eq!((status.phase, status.message), (None, None));
    assert!(status.conditions.iter().any(|it| it.type_ == "Ready"));
}

#[test]
fn an_address_is_that_of_one_machine_or_of_none() {
    let one = Arc::new(machine("a", 1));
    let never = |_: &Machine| false;
    assert_eq!(whose(&[], never), Err(MachineLookupError::Unknown));
    assert_eq!(whose(std::slice::from_ref(&one), never), Ok(&one));
    assert_eq!(whose(std::slice::from_ref(&one), |_| true), Err(MachineLookupError::Ambiguous));
    let two = [Arc::clone(&one), Arc::new(machine("b", 1))];
    assert_eq!(whose(&two, never), Err(MachineLookupError::Ambiguous));
    let mut going = machine("a", 1);
    going.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(whose(&[Arc::new(going)], never), Err(MachineLookupError::Unknown));
}

#[test]
fn the_first_key_is_pinned_and_no_other_is_taken_afterwards() {
    let new = machine("a", 1);
    let Verdict::Admitted(Some(pin)) = present(&new, "ours") else { unreachable!("{new:?}") };
    assert_eq!(pinned(&pin), Some("ours"));
    let known = Machine { status: Some(*pin), ..new };
    assert_eq!(present(&known, "ours"), Verdict::Admitted(None), "nothing is written again");
    let Verdict::Refused(_, Some(told)) = present(&known, "theirs") else { unreachable!() };
    assert_eq!(pinned(&told), Some("ours"));
    assert_eq!(attest::refused(&told).unwrap().reason, "KeyDiffers");
    let attacked = Machine { status: Some(*told), ..known };
    assert_eq!(present(&attacked, "theirs"), Verdict::Refused(Refusal::KeyDiffers, None));
    assert_eq!(
        present(&attacked, "more"),
        Verdict::Refused(Refusal::KeyDiffers, None),
        "key after key costs one write"
    );
    let Verdict::Admitted(Some(back)) = present(&attacked, "ours") else { unreachable!() };
    assert_eq!(attest::refused(&back), None);
}

#[test]
fn a_machine_that_names_its_key_pins_no_other_and_takes_no_annotation() {
    let named = |mut machine: Machine, hash: &str| {
        let attestation =
            MachineAttestation { ek_hash: Some(hash.to_owned()), ..MachineAttestation::default() };
        machine.spec.pxe.get_or_insert_default().attestation = Some(attestation);
        machine
    };
    // Whoever is first is not taken for it.
    let new = named(machine("a", 1), "ours");
    let Verdict::Refused(_, Some(told)) = present(&new, "theirs") else { panic!() };
    assert_eq!(pinned(&told), None);
    assert_eq!(attest::refused(&told).unwrap().reason, "KeyDiffers");
    let attacked = Machine { status: Some(*told), ..new };
    assert_eq!(present(&attacked, "theirs"), Verdict::Refused(Refusal::KeyNotExpected, None));
    let Verdict::Admitted(Some(status)) = present(&attacked, "ours") else { panic!() };
    assert_eq!((pinned(&status), attest::refused(&status)), (Some("ours"), None));
    let known = Machine { status: Some(*status), ..attacked };
    assert_eq!(present(&known, "ours"), Verdict::Admitted(None));

    // Another key is named: it replaces the pin, and the one before gets nothing.
    let mut renamed = named(known, "OTHER");
    let accepted = (annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), "theirs".to_owned());
    renamed.metadata.annotations = Some([accepted].into());
    for refused in ["ours", "theirs"] {
        let Verdict::Refused(_, Some(told)) = present(&renamed, refused) else {
            panic!("{refused}")
        };
        assert_eq!(pinned(&told), Some("ours"));
    }
    let Verdict::Admitted(Some(status)) = present(&renamed, "other") else { panic!() };
    assert_eq!(pinned(&status), Some("other"));
}

#[test]
fn a_person_vouches_for_one_other_key() {
    let accept = |text: &str| {
        let mut machine = attested("a", 1);
        let accepted = (annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), text.to_owned());
        machine.metadata.annotations = Some([accepted].into());
        machine
    };
    let Verdict::Admitted(Some(status)) = present(&accept("theirs"), "theirs") else { panic!() };
    assert_eq!(pinned(&status), Some("theirs"));
    assert!(matches!(present(&accept("theirs"), "others"), Verdict::Refused(..)));
    assert!(matches!(present(&accept(""), "theirs"), Verdict::Refused(..)));
}

#[test]
fn a_pin_that_nobody_can_read_is_not_replaced_by_a_stranger() {
    let mut machine = attested("a", 1);
    machine.status.as_mut().unwrap().tpm.as_mut().unwrap().ek_public_key = Some("junk".to_owned());
    let Verdict::Refused(_, Some(told)) = present(&machine, "theirs") else { unreachable!() };
    assert_eq!(attest::refused(&told).unwrap().reason, "PinUnreadable");
    assert_eq!(pinned(&told), Some("junk"));
    // An empty one is none: so it is reset.
    machine.status.as_mut().unwrap().tpm.as_mut().unwrap().ek_public_key = Some(" \n".to_owned());
    assert!(matches!(present(&machine, "theirs"), Verdict::Admitted(Some(_))));
}

#[test]
fn whatever_happens_a_pass_settles_and_a_pin_stays() {
    let mut dice = SeededRng(1);
    for _ in 0..2_000 {
        let (mut machine, mut pin) = (machine("a", 1), None::<String>);
        for _ in 0..20 {
            let (ready, shares) = (dice.roll(3), dice.roll(4) == 0);
            let node = (ready > 0).then(|| node(ready == 1));
            let twin = Twin { address: Address::Ip([10, 0, 0, 1].into()), name: "b".to_owned() };
            let twins = if shares { vec![twin] } else { vec![] };
            // A pass, which may be lost before its write.
            let decision = decide(&observation(&machine, &twins, node.as_ref()));
            if let (Decision::Record(status), true) = (decision, dice.roll(4) > 0) {
                machine.status = Some(*status);
                let again = decide(&observation(&machine, &twins, node.as_ref()));
                assert_eq!(again, Decision::Rest(RESYNC), "it settles after one write");
                let is_ready = machine.status.as_ref().unwrap().phase == Some(MachinePhase::Ready);
                assert_eq!(is_ready, ready == 1 && !shares);
            }
            // Somebody presents a key; a write of the verdict may be lost, too.
            let key = ["one", "two", "three"][dice.roll(3)];
            match present(&machine, key) {
                Verdict::Admitted(news) => {
                    assert!(pin.as_deref().is_none_or(|pin| pin == key), "{pin:?} {key}");
                    if let (Some(status), true) = (news, dice.roll(4) > 0) {
                        machine.status = Some(*status);
                        pin = Some(key.to_owned());
                    }
                }
                Verdict::Refused(_, news) => {
                    assert!(pin.as_deref().is_some_and(|pin| pin != key), "{pin:?} {key}");
                    machine.status = news.map(|it| *it).or(machine.status);
                }
            }
            assert_eq!(machine.status.as_ref().and_then(pinned), pin.as_deref());
        }
    }
}

#[test]
fn a_site_has_its_machines_and_its_lease_and_nobody_else_those_without_one() {
    assert_eq!(site::selector(Some("rack-a")), "unbounded-cloud.io/site=rack-a");
    assert_eq!(site::selector(None), "!unbounded-cloud.io/site");
    assert_eq!(
        (site::lease(Some("rack-a")), site::lease(None)),
        ("metalman-rack-a".into(), "metalman".into())
    );
}

fn present(machine: &Machine, key: &str) -> Verdict {
    let compare = |pin: &str| match pin {
        "junk" => Compared::Unreadable,
        pin if pin == key => Compared::Same,
        _ => Compared::Differs,
    };
    let certificate = Certificate::NotAsked;
    let presented = Presented { pem: key, fingerprint: key, certificate, holder: None };
    Claimed { machine, node: None }.judge(presented, compare, Timestamp::UNIX_EPOCH)
}

fn recorded(machine: &Machine, twins: &[Twin], node: Option<&Node>) -> MachineStatus {
    let decision = decide(&observation(machine, twins, node));
    let Decision::Record(status) = decision else { unreachable!("{decision:?}") };
    *status
}

fn observation<'a>(
    machine: &'a Machine,
    twins: &'a [Twin],
    node: Option<&'a Node>,
) -> Observation<'a> {
    let known = Known::default();
    Observation {
        machine,
        twins,
        node,
        known,
        now: Timestamp::UNIX_EPOCH,
        steady: Timestamp::UNIX_EPOCH,
    }
}

fn holders(all: &[Machine], address: Address) -> Vec<Arc<Machine>> {
    let has = |machine: &&Machine| addresses(machine).contains(&address);
    all.iter().filter(has).cloned().map(Arc::new).collect()
}

fn refused(name: &str, number: u8) -> Machine {
    let mut machine = attested(name, number);
    let Verdict::Refused(_, Some(status)) = present(&machine, "theirs") else { unreachable!() };
    machine.status = Some(*status);
    machine
}

fn attested(name: &str, number: u8) -> Machine {
    let mut machine = machine(name, number);
    let ek_public_key = Some("ours".to_owned());
    let tpm = Some(MachineTpmStatus { ek_public_key, ..MachineTpmStatus::default() });
    machine.status = Some(MachineStatus { tpm, ..MachineStatus::default() });
    machine
}

fn without_leases() -> Machine {
    let mut machine = machine("a", 1);
    machine.spec.pxe.as_mut().unwrap().dhcp_leases.clear();
    machine
}

pub(super) fn machine(name: &str, number: u8) -> Machine {
    with_lease(name, &format!("10.0.0.{number}"), &format!("02:00:00:00:00:{number:02x}"))
}

fn with_lease(name: &str, ipv4: &str, mac: &str) -> Machine {
    let (ipv4, mac, subnet_mask) = (ipv4.to_owned(), mac.to_owned(), "255.255.255.0".to_owned());
    let lease = MachineLease { ipv4, mac, subnet_mask, ..MachineLease::default() };
    let pxe = MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() };
    Machine::new(name, MachineSpec { pxe: Some(pxe), ..MachineSpec::default() })
}

fn node(is_ready: bool) -> Node {
    let ready = NodeCondition {
        type_: "Ready".to_owned(),
        status: if is_ready { "True" } else { "Unknown" }.to_owned(),
        ..NodeCondition::default()
    };
    let mut node = Node::default();
    node.metadata.name = Some("a".to_owned());
    node.status = Some(NodeStatus { conditions: Some(vec![ready]), ..NodeStatus::default() });
    node
}
