//! A table for single decisions; the binding itself is tested on a real API server.

mod ambiguous;
mod told;

use super::*;
use crate::{failure::Failure, ownership::owned_by};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    Condition, LabelSelector, LabelSelectorRequirement, Time,
};
use metal_api::{
    BootState, ClaimPhase, ClaimReference, LocalObjectReference, ObjectReference, Power,
    PowerState, ServerBootConfigurationSpec, ServerBootConfigurationStatus, ServerClaimSpec,
    ServerSpec, ServerState, ServerStatus, Taint, TaintEffect, Toleration, TolerationOperator,
    annotation, condition, finalizer,
};

#[test]
fn new_claim_gets_its_finalizer_before_a_server() {
    let mut claim = claim();
    claim.metadata.finalizers = None;
    assert_eq!(decide_on(&claim, &[], &[free("a")], None), Decision::Change(Change::AddFinalizer));
}

#[test]
fn a_claim_that_is_deleted_is_released_whatever_it_says_and_then_left_alone() {
    let mut claim = claim();
    let ignore = (annotation::OPERATION.to_owned(), "ignore".to_owned());
    claim.metadata.annotations = Some([ignore].into());
    claim.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let decision = |claim: &ServerClaim| decide_on(claim, &[], &[free("a")], None);
    assert_eq!(decision(&claim), Decision::Change(Change::Release));
    claim.metadata.finalizers = Some(vec!["of.somebody/else".to_owned()]);
    assert!(matches!(decision(&claim), Decision::Rest(_)));
}

#[test]
fn free_server_is_bound_first_and_everything_else_follows_one_by_one() {
    let mut claim = claim();
    let server = free("a");
    let candidates = [Arc::clone(&server)];
    assert_eq!(
        decide_on(&claim, &[], &candidates, None),
        Decision::Change(Change::Bind(Arc::clone(&server)))
    );

    let bound = held(&server, ServerState::Available);
    let refer = Decision::Change(Change::ReferTo("a".to_owned()));
    assert_eq!(decide_on(&claim, std::slice::from_ref(&bound), &[], None), refer);
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let waiting = decide_on(&claim, &[bound], &[], None);
    assert_eq!(recorded(&waiting).phase, Some(ClaimPhase::Unbound));

    let reserved = held(&server, ServerState::Reserved);
    let configure = Decision::Change(Change::Configure("a".to_owned()));
    assert_eq!(decide_on(&claim, std::slice::from_ref(&reserved), &[], None), configure);
    let configuration = configuration(&claim);
    let boot = decide_on(&claim, std::slice::from_ref(&reserved), &[], Some(&configuration));
    assert_eq!(boot, Decision::Change(Change::Boot(Arc::clone(&reserved))));

    let mut referring = Server::clone(&reserved);
    referring.spec.boot_configuration_ref =
        Some(ObjectReference { namespace: "tenant".to_owned(), name: "claim".to_owned() });
    let last = decide_on(&claim, &[Arc::new(referring)], &[], Some(&configuration));
    assert_eq!(recorded(&last).phase, Some(ClaimPhase::Bound));
}

#[test]
fn a_boot_configuration_that_lost_its_owner_gets_it_again() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let mut configuration = configuration(&claim);
    let reserved = [held(&free("a"), ServerState::Reserved)];
    let decide = |it: &ServerBootConfiguration| decide_on(&claim, &reserved, &[], Some(it));
    assert!(matches!(decide(&configuration), Decision::Change(Change::Boot(_))));
    configuration.metadata.owner_references = None;
    assert_eq!(decide(&configuration), Decision::Change(Change::Configure("a".to_owned())));
}

#[test]
fn claim_without_server_says_how_many_do_not_fit_and_why() {
    let mut tainted = Server::clone(&free("a"));
    tainted.spec.taints = vec![taint("dedicated")];
    let mut cordoned = Server::clone(&free("b"));
    cordoned.spec.unclaimable = Some(true);
    let held = held(&free("c"), ServerState::Reserved);
    let candidates = [Arc::new(tainted), Arc::new(cordoned), held];
    let decision = decide_on(&claim(), &[], &candidates, None);
    let scheduled = &recorded(&decision).conditions[0];
    assert_eq!((&*scheduled.type_, &*scheduled.status), (condition::SCHEDULED, "False"));
    let message = "of 3 servers 1 are bound to another claim, 1 are unclaimable, 1 have a taint \
                   that the claim does not tolerate";
    assert_eq!(scheduled.message, message);
}

#[test]
fn named_server_that_does_not_exist_is_named() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "gone".to_owned() });
    let decision = decide_on(&claim, &[], &[], None);
    let message = &recorded(&decision).conditions[0].message;
    assert_eq!(message, "spec.serverRef: server gone not found");
}

#[test]
fn a_reference_that_somebody_dropped_while_the_claim_lives_is_written_again() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let phase = Some(ClaimPhase::Bound);
    claim.status = Some(ServerClaimStatus { phase, ..Default::default() });
    let of = |state: Option<ServerState>, power: PowerState| {
        let mut server = Server::clone(&free("a"));
        let status = ServerStatus { state, power_state: Some(power), ..ServerStatus::default() };
        server.status = Some(status);
        Arc::new(server)
    };
    for state in [None, Some(ServerState::Initial), Some(ServerState::Discovery)] {
        let server = of(state, PowerState::On);
        let bind = Decision::Change(Change::Bind(Arc::clone(&server)));
        assert_eq!(decide_on(&claim, &[], std::slice::from_ref(&server), None), bind);
    }
    // Somebody else has it by now.
    let other = held(&free("a"), ServerState::Reserved);
    let decision = decide_on(&claim, &[], &[other], None);
    assert_eq!(recorded(&decision).phase, Some(ClaimPhase::Unbound));
    // A claim that never had the server waits until it is free.
    claim.status = None;
    let decision = decide_on(&claim, &[], &[of(None, PowerState::On)], None);
    assert_eq!(recorded(&decision).phase, Some(ClaimPhase::Unbound));
}

#[test]
fn two_servers_that_name_one_claim_are_both_left_alone() {
    let holders =
        [held(&free("a"), ServerState::Reserved), held(&free("b"), ServerState::Reserved)];
    let decision = decide_on(&claim(), &holders, &[], None);
    assert_eq!(recorded(&decision).conditions[0].reason, "Ambiguous");
}

#[test]
fn a_taint_of_either_effect_keeps_claims_away_that_do_not_tolerate_it() {
    for effect in [None, Some(TaintEffect::NoBind), Some(TaintEffect::Evict)] {
        let mut server = Server::clone(&free("a"));
        server.spec.taints = vec![Taint { effect, ..taint("dedicated") }];
        let server = Arc::new(server);
        let mut claim = claim();
        let unfit = Err([(Mismatch::Tainted, 1)].into());
        assert_eq!(pick(&claim, std::slice::from_ref(&server)), unfit, "{effect:?}");
        claim.spec.tolerations =
            vec![Toleration { key: "dedicated".to_owned(), effect, ..Toleration::default() }];
        assert_eq!(pick(&claim, std::slice::from_ref(&server)), Ok(server.clone()), "{effect:?}");
    }
}

#[test]
fn selector_taints_and_power_all_count() {
    let mut claim = claim();
    let labels = [("rack".to_owned(), "r1".to_owned())];
    let selector =
        LabelSelector { match_labels: Some(labels.clone().into()), ..Default::default() };
    claim.spec.server_selector = Some(selector);
    assert_eq!(pick(&claim, &[free("a")]), Err([(Mismatch::Labels, 1)].into()));

    let mut server = Server::clone(&free("a"));
    server.metadata.labels = Some(labels.into());
    server.spec.taints = vec![taint("dedicated")];
    assert_eq!(pick(&claim, &[Arc::new(server.clone())]), Err([(Mismatch::Tainted, 1)].into()));
    claim.spec.tolerations = vec![Toleration {
        key: "dedicated".to_owned(),
        operator: Some(TolerationOperator::Exists),
        ..Toleration::default()
    }];
    server.status.as_mut().unwrap().power_state = Some(PowerState::On);
    assert_eq!(pick(&claim, &[Arc::new(server.clone())]), Err([(Mismatch::Power, 1)].into()));
    server.status.as_mut().unwrap().power_state = Some(PowerState::Off);
    assert!(pick(&claim, &[Arc::new(server)]).is_ok());
}

#[test]
fn expressions_of_a_selector_mean_what_they_mean_to_kubernetes() {
    let (with, without) = (labeled("rack", "r1"), free("b"));
    let mut claim = claim();
    for (operator, values, selects) in [
        ("In", &["r1", "r2"][..], [true, false]),
        ("In", &["r2"], [false, false]),
        ("NotIn", &["r1"], [false, true]),
        ("NotIn", &["r2"], [true, true]),
        ("Exists", &[], [true, false]),
        ("DoesNotExist", &[], [false, true]),
        // From another version: nothing is selected, rather than anything.
        ("Gt", &["1"], [false, false]),
    ] {
        let rule = LabelSelectorRequirement {
            key: "rack".to_owned(),
            operator: operator.to_owned(),
            values: (!values.is_empty())
                .then(|| values.iter().map(|it| (*it).to_owned()).collect()),
        };
        let selector =
            LabelSelector { match_expressions: Some(vec![rule]), ..LabelSelector::default() };
        claim.spec.server_selector = Some(selector);
        let picked = [&with, &without].map(|server| fits(&claim, server).is_ok());
        assert_eq!(picked, selects, "{operator} {values:?}");
    }
}

fn labeled(key: &str, value: &str) -> Arc<Server> {
    let mut server = Server::clone(&free("a"));
    server.metadata.labels = Some([(key.to_owned(), value.to_owned())].into());
    Arc::new(server)
}

#[test]
fn server_that_nobody_has_admitted_is_no_claims_whatever_that_tolerates() {
    let mut server = Server::clone(&free("a"));
    server.spec.taints = vec![taint(Taint::NOT_ADMITTED)];
    for effect in [None, Some(TaintEffect::NoBind), Some(TaintEffect::Evict)] {
        let mut claim = claim();
        claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
        server.spec.taints[0].effect = effect;
        claim.spec.tolerations = vec![Toleration {
            key: Taint::NOT_ADMITTED.to_owned(),
            operator: Some(TolerationOperator::Exists),
            ..Toleration::default()
        }];
        assert_eq!(pick(&claim, &[Arc::new(server.clone())]), Err([(Mismatch::Held, 1)].into()));
    }
    // It is not told what to boot if a claim already holds it, either.
    let reserved = held(&Arc::new(server), ServerState::Reserved);
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "a".to_owned() });
    let decision = decide_on(&claim, &[reserved], &[], None);
    let told = recorded(&decision).conditions.iter();
    let told = told.filter(|c| c.type_ == condition::BOOT_CONFIGURED).map(|c| c.reason.as_str());
    assert_eq!(told.collect::<Vec<_>>(), ["NotAdmitted"]);
}

#[test]
fn a_server_that_nobody_would_boot_is_not_picked() {
    let unfit = |edit: &dyn Fn(&mut Server)| {
        let mut server = Server::clone(&free("a"));
        edit(&mut server);
        pick(&claim(), &[Arc::new(server)]).map(drop)
    };
    let says = |server: &mut Server, type_: &str, status: &str| {
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: "Test".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        server.status.as_mut().unwrap().conditions.push(condition);
    };
    assert_eq!(unfit(&|server| says(server, condition::READY, "True")), Ok(()));
    let counted = |why| Err([(why, 1)].into());
    assert_eq!(unfit(&|it| says(it, condition::READY, "False")), counted(Mismatch::NotReady));
    assert_eq!(
        unfit(&|it| says(it, condition::BMC_REACHABLE, "False")),
        counted(Mismatch::NotReady)
    );
    let marked = |key: &str, value: &str| {
        let marks = Some([(key.to_owned(), value.to_owned())].into());
        unfit(&|server| server.metadata.annotations.clone_from(&marks))
    };
    assert_eq!(marked(annotation::OPERATION, "ignore"), counted(Mismatch::Ignored));
    assert_eq!(marked(annotation::PARKED, annotation::TRUE), counted(Mismatch::Parked));
    let maintained = unfit(&|server| {
        server.spec.server_maintenance_ref =
            Some(ObjectReference { namespace: "a".to_owned(), name: "b".to_owned() });
    });
    assert_eq!(maintained, counted(Mismatch::Maintained));
}

#[test]
fn a_claim_that_names_another_server_meanwhile_gives_the_first_one_back() {
    let mut claim = claim();
    claim.spec.server_ref = Some(LocalObjectReference { name: "b".to_owned() });
    let bound = held(&free("a"), ServerState::Available);
    let decision = decide_on(&claim, std::slice::from_ref(&bound), &[free("b")], None);
    assert_eq!(decision, Decision::Change(Change::LetGo(bound)));
    // A host may run on it.
    let reserved = held(&free("a"), ServerState::Reserved);
    let decision = decide_on(&claim, &[reserved], &[free("b")], None);
    let scheduled = &recorded(&decision).conditions[0];
    assert_eq!((&*scheduled.status, &*scheduled.reason), ("False", "Ambiguous"));
}

#[test]
fn what_fails_again_and_again_is_in_a_condition_whatever_step_it_is() {
    let mut claim = claim();
    let decide_after = |claim: &ServerClaim, repeated| {
        let failure = Failure { reason: "Write", text: "quota".to_owned(), repeated };
        let candidates = [free("a")];
        let seen = seen(claim, &[], &candidates, None);
        decide(&Observation { failure: Some(&failure), ..seen })
    };
    assert!(matches!(decide_after(&claim, false), Decision::Change(Change::Bind(_))));
    let decision = decide_after(&claim, true);
    let status = recorded(&decision);
    let failed = status.conditions.iter().find(|c| c.type_ == condition::RECONCILED).unwrap();
    assert_eq!((&*failed.status, &*failed.message), ("False", "quota"));
    claim.status = Some(status.clone());
    assert!(
        matches!(decide_after(&claim, true), Decision::Change(Change::Bind(_))),
        "it is tried again"
    );
}

#[test]
fn claims_of_the_same_moment_prefer_different_servers() {
    let servers: Vec<_> = (0..50).map(|n| free(&format!("server-{n}"))).collect();
    let picked: std::collections::BTreeSet<_> = (0..50)
        .map(|n| {
            let mut claim = claim();
            claim.metadata.uid = Some(format!("claim-{n}"));
            pick(&claim, &servers).unwrap().metadata.name.clone()
        })
        .collect();
    assert!(picked.len() > 20, "only {} different servers", picked.len());
}

fn decide_on(
    claim: &ServerClaim,
    holders: &[Arc<Server>],
    candidates: &[Arc<Server>],
    configuration: Option<&ServerBootConfiguration>,
) -> Decision {
    decide(&seen(claim, holders, candidates, configuration))
}

fn seen<'a>(
    claim: &'a ServerClaim,
    holders: &'a [Arc<Server>],
    candidates: &'a [Arc<Server>],
    configuration: Option<&'a ServerBootConfiguration>,
) -> Observation<'a> {
    let (withheld, failure, now) = (None, None, Timestamp::UNIX_EPOCH);
    Observation { claim, holders, candidates, withheld, configuration, failure, now }
}

fn recorded(decision: &Decision) -> &ServerClaimStatus {
    let Decision::Record(status) = decision else { panic!("{decision:?} is no record") };
    status
}

fn claim() -> ServerClaim {
    let spec = ServerClaimSpec {
        power: Power::On,
        image: "registry.example/os:1".to_owned(),
        ..ServerClaimSpec::default()
    };
    let mut claim = ServerClaim::new("claim", spec);
    claim.metadata.namespace = Some("tenant".to_owned());
    claim.metadata.uid = Some("claim-uid".to_owned());
    claim.metadata.finalizers = Some(vec![finalizer::SERVER_CLAIM.to_owned()]);
    claim
}

fn free(name: &str) -> Arc<Server> {
    let mut server = Server::new(name, ServerSpec::default());
    server.status = Some(ServerStatus {
        state: Some(ServerState::Available),
        power_state: Some(PowerState::Off),
        ..ServerStatus::default()
    });
    Arc::new(server)
}

fn held(server: &Server, state: ServerState) -> Arc<Server> {
    let mut server = server.clone();
    let (namespace, name) = ("tenant".to_owned(), "claim".to_owned());
    let uid = Some("claim-uid".to_owned());
    server.spec.server_claim_ref = Some(ClaimReference { namespace, name, uid });
    server.status.as_mut().unwrap().state = Some(state);
    Arc::new(server)
}

fn configuration(claim: &ServerClaim) -> ServerBootConfiguration {
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference { name: "a".to_owned() },
        image: Some(claim.spec.image.clone()),
        ignition_secret_ref: None,
    };
    let mut configuration = ServerBootConfiguration::new("claim", spec);
    configuration.metadata.namespace = Some("tenant".to_owned());
    configuration.metadata.owner_references = owned_by(claim);
    configuration.status = Some(ServerBootConfigurationStatus {
        state: Some(BootState::Ready),
        ..ServerBootConfigurationStatus::default()
    });
    configuration
}

fn taint(key: &str) -> Taint {
    Taint { key: key.to_owned(), ..Taint::default() }
}
