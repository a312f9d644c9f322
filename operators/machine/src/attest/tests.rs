use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{MachineAttestation, annotation};

const WHY: &str = "none of the roots has signed it";

#[test]
fn where_roots_are_asked_the_first_key_is_pinned_with_a_certificate_only() {
    let new = machine(None);
    for certificate in [Certificate::NotAsked, Certificate::Trusted] {
        let Verdict::Admitted(Some(status)) = present(&new, certificate) else { panic!() };
        assert_eq!(pinned(&status), Some("ours"));
    }
    for (certificate, refusal, reason) in [
        (Certificate::Missing, Refusal::CertificateMissing, "CertificateMissing"),
        (Certificate::Refused(WHY), Refusal::CertificateRefused, "CertificateRefused"),
    ] {
        let Verdict::Refused(because, Some(told)) = present(&new, certificate) else { panic!() };
        assert_eq!((because, pinned(&told)), (refusal, None));
        let condition = refused(&told).unwrap();
        assert_eq!((condition.reason.as_str(), Refusal::of(condition)), (reason, Some(refusal)));
        let says_why = condition.message.ends_with(&format!("({WHY})"));
        assert_eq!(says_why, refusal == Refusal::CertificateRefused, "{}", condition.message);
        // It costs one write, and whoever comes with a certificate is still the first.
        let attacked = Machine { status: Some(*told), ..new.clone() };
        assert_eq!(present(&attacked, certificate), Verdict::Refused(refusal, None));
        let Verdict::Admitted(Some(status)) = present(&attacked, Certificate::Trusted) else {
            panic!()
        };
        assert_eq!((pinned(&status), refused(&status)), (Some("ours"), None));
    }
}

#[test]
fn a_key_that_is_pinned_or_that_a_person_names_needs_no_certificate() {
    let Verdict::Admitted(Some(status)) = present(&machine(None), Certificate::Trusted) else {
        panic!()
    };
    let known = Machine { status: Some(*status), ..machine(None) };
    let mut accepted = machine(None);
    let annotation = (annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), "ours".to_owned());
    accepted.metadata.annotations = Some([annotation].into());
    for certificate in [Certificate::Missing, Certificate::Refused(WHY)] {
        assert_eq!(present(&known, certificate), Verdict::Admitted(None));
        for named in [machine(Some("ours")), accepted.clone()] {
            let Verdict::Admitted(Some(status)) = present(&named, certificate) else { panic!() };
            assert_eq!(pinned(&status), Some("ours"));
        }
    }
}

#[test]
fn a_certificate_makes_no_other_key_that_of_the_machine() {
    let mut known = machine(None);
    let ek_public_key = Some("another".to_owned());
    let tpm = MachineTpmStatus { ek_public_key, ..MachineTpmStatus::default() };
    known.status = Some(MachineStatus { tpm: Some(tpm), ..MachineStatus::default() });
    for (machine, expected) in
        [(known, Refusal::KeyDiffers), (machine(Some("another")), Refusal::KeyNotExpected)]
    {
        let verdict = present(&machine, Certificate::Trusted);
        assert!(matches!(verdict, Verdict::Refused(it, Some(_)) if it == expected), "{verdict:?}");
    }
}

#[test]
fn a_first_key_is_not_taken_on_trust_while_a_node_is_at_work_that_is_older_than_the_status() {
    let mut known = machine(None);
    let lease = metal_api::MachineLease { ipv4: "10.0.0.1".to_owned(), ..Default::default() };
    known.spec.pxe.as_mut().unwrap().dhcp_leases = vec![lease];
    let counted = |since| {
        let mut machine = known.clone();
        machine.status.get_or_insert_default().operations.get_or_insert_default().counted_since =
            since;
        machine
    };
    let judged = |machine: &Machine, node: Option<&Node>| {
        let compare = |_: &str| Compared::Same;
        let certificate = Certificate::Trusted;
        let presented = Presented { pem: "ours", fingerprint: "ours", certificate, holder: None };
        Claimed { machine, node }.judge(presented, compare, Timestamp::UNIX_EPOCH)
    };
    let is_lost = |machine: &Machine, node: Option<&Node>| {
        matches!(judged(machine, node), Verdict::Refused(Refusal::PinMissing, Some(_)))
    };
    let lost = counted(Some(time(100)));
    let at_work = node(99, "True", "10.0.0.1");
    assert!(is_lost(&lost, Some(&at_work)));
    assert!(is_lost(&known, Some(&at_work)), "nothing is counted yet");
    // It joins anew, for the first time, or after its status was begun; or the Node is another's.
    for node in [
        None,
        Some(node(99, "Unknown", "10.0.0.1")),
        Some(node(101, "True", "10.0.0.1")),
        Some(node(99, "True", "10.0.0.7")),
    ] {
        assert!(!is_lost(&lost, node.as_ref()), "{node:?}");
    }
    // A person names the key, in either way.
    let mut named = lost.clone();
    let attestation = MachineAttestation { ek_hash: Some("ours".to_owned()), ..Default::default() };
    named.spec.pxe.as_mut().unwrap().attestation = Some(attestation);
    let mut accepted = lost;
    let annotation = (annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), "ours".to_owned());
    accepted.metadata.annotations = Some([annotation].into());
    for machine in [named, accepted] {
        assert!(matches!(judged(&machine, Some(&at_work)), Verdict::Admitted(Some(_))));
    }
}

#[test]
fn the_key_of_another_machine_is_not_taken_on_trust_or_by_its_certificate() {
    let judged = |machine: &Machine, certificate| {
        let presented =
            Presented { pem: "ours", fingerprint: "ours", certificate, holder: Some("node-02") };
        let compare = |_: &str| Compared::Same;
        Claimed { machine, node: None }.judge(presented, compare, Timestamp::UNIX_EPOCH)
    };
    for certificate in [Certificate::NotAsked, Certificate::Trusted, Certificate::Missing] {
        let Verdict::Refused(Refusal::KeyOfAnother, Some(told)) =
            judged(&machine(None), certificate)
        else {
            panic!("{certificate:?}")
        };
        let condition = refused(&told).unwrap();
        assert_eq!((condition.reason.as_str(), pinned(&told)), ("KeyOfAnother", None));
        assert!(condition.message.ends_with("(node-02)"), "{}", condition.message);
        // A person says so, in either way, or it was pinned before.
        let mut accepted = machine(None);
        let annotation = (annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), "yes".to_owned());
        accepted.metadata.annotations = Some([annotation].into());
        let Verdict::Refused(_, Some(told)) = judged(&accepted, certificate) else { panic!() };
        let message = &refused(&told).unwrap().message;
        assert!(message.ends_with("is not of that form"), "{message}");
        let annotation = (annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), "ours".to_owned());
        accepted.metadata.annotations = Some([annotation].into());
        let mut known = machine(None);
        let ek_public_key = Some("ours".to_owned());
        known.status.get_or_insert_default().tpm =
            Some(MachineTpmStatus { ek_public_key, ..MachineTpmStatus::default() });
        for machine in [machine(Some("ours")), accepted, known] {
            assert!(matches!(judged(&machine, certificate), Verdict::Admitted(_)));
        }
    }
}

#[test]
fn what_is_told_has_no_gaps_and_says_what_to_do() {
    for certificate in [Certificate::Missing, Certificate::Refused(WHY)] {
        let Verdict::Refused(_, Some(told)) = present(&machine(None), certificate) else {
            panic!()
        };
        let message = &refused(&told).unwrap().message;
        assert!(!message.contains("  ") && message.contains("ekHash"), "{message}");
    }
    let Verdict::Refused(_, Some(told)) = present(&machine(Some("x")), Certificate::NotAsked)
    else {
        panic!()
    };
    assert!(!refused(&told).unwrap().message.contains("  "));
}

fn present(machine: &Machine, certificate: Certificate<'_>) -> Verdict {
    let compare = |pin: &str| if pin == "ours" { Compared::Same } else { Compared::Differs };
    let presented = Presented { pem: "ours", fingerprint: "ours", certificate, holder: None };
    Claimed { machine, node: None }.judge(presented, compare, Timestamp::UNIX_EPOCH)
}

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn node(made: i64, ready: &str, ip: &str) -> Node {
    let node = serde_json::json!({
        "metadata": {"name": "a", "creationTimestamp": time(made)},
        "status": {
            "addresses": [{"type": "InternalIP", "address": ip}],
            "conditions": [{"type": "Ready", "status": ready}],
        },
    });
    serde_json::from_value(node).unwrap()
}

fn machine(ek_hash: Option<&str>) -> Machine {
    let ek_hash = ek_hash.map(ToOwned::to_owned);
    let attestation = Some(MachineAttestation { ek_hash, ..MachineAttestation::default() });
    let pxe = metal_api::MachinePxe { attestation, ..metal_api::MachinePxe::default() };
    Machine::new("a", metal_api::MachineSpec { pxe: Some(pxe), ..Default::default() })
}
