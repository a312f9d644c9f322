//! Claims of which it is not known which host they have.

use super::*;

#[test]
fn a_claim_whose_host_is_not_known_says_nothing_of_it_and_keeps_its_phase() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let mut server = Server::clone(&held(&free("a"), ServerState::Reserved));
    server.spec.boot_configuration_ref =
        Some(ObjectReference { namespace: "tenant".to_owned(), name: "claim".to_owned() });
    let server = Arc::new(server);
    let configuration = configuration(&claim);
    let bound = decide_on(&claim, std::slice::from_ref(&server), &[], Some(&configuration));
    claim.status = Some(recorded(&bound).clone());
    let other = held(&free("b"), ServerState::Reserved);
    let mut moved = claim.clone();
    moved.spec.server_ref = Some(LocalObjectReference { name: "b".to_owned() });
    for (claim, holders) in [(&claim, vec![Arc::clone(&server), other]), (&moved, vec![server])] {
        let decision = decide_on(claim, &holders, &[], Some(&configuration));
        let status = recorded(&decision);
        let types: Vec<_> = status.conditions.iter().map(|c| (&*c.type_, &*c.status)).collect();
        assert_eq!(types, [(condition::SCHEDULED, "False")]);
        assert_eq!(status.phase, Some(ClaimPhase::Bound), "a host may be running");
    }
}
