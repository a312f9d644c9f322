//! Tokens that are bound to a TPM.

use super::*;

#[test]
fn a_token_that_is_bound_to_a_tpm_is_consumed_only_by_a_machine_that_has_proved_it() {
    let mut token = installed(token());
    let ek_hash = Some("AB".repeat(32));
    token.spec.binding = Some(BootBinding { ek_hash, ..BootBinding::default() });
    let (ours, hardware) = (key(1), HostHardware::default());
    let ask = |endorsement: Option<&str>| {
        let claimant = Registrant { endorsement, ..claims(&ours, &hardware) };
        register(&token, None, &claimant, at(30))
    };
    let (right, other) = ("ab".repeat(32), "cd".repeat(32));
    assert!(matches!(ask(Some(&right)), Ok(Next::Record(_))));
    for (proved, says) in [(None, "has not proved"), (Some(&*other), &*other)] {
        let Err(Refusal::Unfit(why)) = ask(proved) else { panic!("{proved:?} is not refused") };
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn a_proof_is_for_one_key_of_one_tpm() {
    let (one, other) = ("ab".repeat(32), "cd".repeat(32));
    let proof = tpm::subject(&key(1), &one);
    assert_eq!(proof, tpm::subject(&key(1), &one.to_uppercase()));
    assert_ne!(proof, tpm::subject(&key(2), &one));
    assert_ne!(proof, tpm::subject(&key(1), &other));
}
