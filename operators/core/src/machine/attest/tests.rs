use super::*;
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
    let tpm = MachineTpmStatus { ek_public_key: Some("another".to_owned()) };
    known.status = Some(MachineStatus { tpm: Some(tpm), ..MachineStatus::default() });
    for (machine, expected) in
        [(known, Refusal::KeyDiffers), (machine(Some("another")), Refusal::KeyNotExpected)]
    {
        let verdict = present(&machine, Certificate::Trusted);
        assert!(matches!(verdict, Verdict::Refused(it, Some(_)) if it == expected), "{verdict:?}");
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
    let presented = Presented { pem: "ours", fingerprint: "ours", certificate };
    judge(machine, presented, compare, Timestamp::UNIX_EPOCH)
}

fn machine(ek_hash: Option<&str>) -> Machine {
    let ek_hash = ek_hash.map(ToOwned::to_owned);
    let attestation = Some(MachineAttestation { ek_hash, ..MachineAttestation::default() });
    let pxe = metal_api::MachinePxe { attestation, ..metal_api::MachinePxe::default() };
    Machine::new("a", metal_api::MachineSpec { pxe: Some(pxe), ..Default::default() })
}
