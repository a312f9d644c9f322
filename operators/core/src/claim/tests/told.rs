//! What a claim says that waits for a person.

use super::*;

#[test]
fn a_server_that_is_named_and_exists_is_never_said_not_to_be_there() {
    let says = |named: bool, withheld| {
        let mut claim = claim();
        claim.spec.server_ref = named.then(|| LocalObjectReference { name: "a".to_owned() });
        let decision = decide(&Observation { withheld, ..seen(&claim, &[], &[], None) });
        recorded(&decision).conditions[0].message.clone()
    };
    for (named, withheld, text) in [
        (true, None, "spec.serverRef: server a not found"),
        (true, Some(Withheld::OfAnother), "spec.serverRef: server a is bound to another claim"),
        (false, Some(Withheld::OfAnother), "all servers are bound to other claims"),
        (false, None, "there are no servers"),
    ] {
        assert_eq!(says(named, withheld), text);
    }
    assert!(says(true, Some(Withheld::Unreadable)).contains("server a cannot be parsed"));
}

#[test]
fn a_selector_that_selects_nothing_whatever_the_labels_is_told() {
    let mut claim = claim();
    for (operator, values, is_told) in
        [("in", Some(vec!["r1".to_owned()]), true), ("In", None, true), ("Exists", None, false)]
    {
        let (key, operator) = ("rack".to_owned(), operator.to_owned());
        let rule = LabelSelectorRequirement { key, operator, values };
        let rules = Some(vec![rule]);
        let selector = LabelSelector { match_expressions: rules, ..LabelSelector::default() };
        claim.spec.server_selector = Some(selector);
        let decision = decide_on(&claim, &[], &[free("a")], None);
        let message = &recorded(&decision).conditions[0].message;
        assert_eq!(
            message.starts_with("spec.serverSelector selects nothing"),
            is_told,
            "{message}"
        );
    }
}

#[test]
fn a_claim_whose_server_cannot_be_read_any_longer_keeps_its_phase() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    for (phase, withheld, told) in [
        (Some(ClaimPhase::Bound), Some(Withheld::Unreadable), ClaimPhase::Bound),
        (None, Some(Withheld::Unreadable), ClaimPhase::Unbound),
        (Some(ClaimPhase::Bound), None, ClaimPhase::Unbound),
    ] {
        claim.status = Some(ServerClaimStatus { phase, ..ServerClaimStatus::default() });
        let decision = decide(&Observation { withheld, ..seen(&claim, &[], &[], None) });
        assert_eq!(recorded(&decision).phase, Some(told));
    }
}

#[test]
fn a_boot_configuration_of_somebody_else_with_the_name_of_the_claim_is_told() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let reserved = [held(&free("a"), ServerState::Reserved)];
    let mut other = claim.clone();
    other.metadata.uid = Some("uid-of-another".to_owned());
    let mut theirs = configuration(&other);
    theirs.spec.image = Some("registry.example/another:1".to_owned());
    let decision = decide_on(&claim, &reserved, &[], Some(&theirs));
    let mut told = recorded(&decision).conditions.iter();
    let told = told.find(|c| c.type_ == condition::BOOT_CONFIGURED).unwrap();
    assert_eq!((&*told.status, &*told.reason), ("False", "NameTaken"));
    let start = "ServerBootConfiguration tenant/claim exists, and belongs to ServerClaim claim";
    assert!(told.message.starts_with(start), "{}", told.message);
    theirs.metadata.owner_references = owned_by(&claim);
    let decision = decide_on(&claim, &reserved, &[], Some(&theirs));
    assert_eq!(decision, Decision::Change(Change::Configure("a".to_owned())));
}

#[test]
fn a_claim_says_what_keeps_its_server_from_having_its_power() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let configuration = configuration(&claim);
    let says = |state: ServerState, type_: &str, reason: &str| {
        let mut server = Server::clone(&held(&free("a"), state));
        server.spec.boot_configuration_ref = Some(ObjectReference::new("tenant", "claim"));
        server.status.as_mut().unwrap().conditions = vec![Condition {
            type_: condition::READY.to_owned(),
            status: "False".to_owned(),
            reason: reason.to_owned(),
            message: "10.0.0.1 allows nothing".to_owned(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }];
        let decision = decide_on(&claim, &[Arc::new(server)], &[], Some(&configuration));
        let mut told = recorded(&decision).conditions.iter();
        told.find(|c| c.type_ == type_).unwrap().message.clone()
    };
    let powered = |reason| says(ServerState::Reserved, condition::POWERED, reason);
    let waits = "desired power state is On, actual is Off";
    assert_eq!(powered("NoBootSource"), format!("{waits}: server a is not ready: NoBootSource"));
    assert_eq!(["WaitingForPowerOn", "EjectingMedium"].map(powered), [waits; 2]);
    assert_eq!(
        says(ServerState::Available, condition::BOOT_CONFIGURED, "WaitingForPowerOff"),
        "server a is not in the state Reserved yet: WaitingForPowerOff"
    );
}
