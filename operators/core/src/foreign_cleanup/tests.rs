use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use metal_api::{
    ObjectReference, Server, ServerClaim, ServerClaimSpec, ServerMaintenance,
    ServerMaintenanceSpec, ServerReadinessRule, ServerReadinessRuleSpec, ServerSpec, Taint,
    TaintEffect, annotation,
};
use strum::IntoEnumIterator;

#[test]
fn an_object_that_is_deleted_loses_the_finalizer_of_its_kind_and_no_other() {
    for kind in Kind::iter().filter(|kind| kind.finalizer().is_some()) {
        let meta = deleted(&[kind.finalizer().unwrap(), "example.com/mine"]);
        let rest = remaining(kind, &meta).unwrap_or_else(|| panic!("{kind:?} keeps it"));
        assert_eq!(rest.finalizers, Some(vec!["example.com/mine".to_owned()]), "{kind:?}");
        assert_eq!(rest.owner_references, None, "{kind:?}");
    }
}

#[test]
fn every_finalizer_of_the_group_is_taken_off_by_somebody() {
    // Their own controllers remove these.
    let own = [finalizer::SERVER, finalizer::SERVER_CLAIM];
    let here: Vec<_> = Kind::iter().filter_map(Kind::finalizer).collect();
    let source = include_str!("../../../../crds/src/finalizer.rs");
    let all: Vec<_> = source.split('"').filter(|text| text.contains(".dev/")).collect();
    assert_eq!(all.len(), 15);
    for name in all {
        assert!(own.contains(&name) || here.contains(&name), "nobody takes {name} off");
    }
}

#[test]
fn an_object_that_lives_keeps_its_finalizers() {
    for kind in Kind::iter() {
        let finalizers = kind.finalizer().into_iter().map(str::to_owned).collect();
        let meta = ObjectMeta { finalizers: Some(finalizers), ..ObjectMeta::default() };
        assert_eq!(remaining(kind, &meta), None, "{kind:?}");
    }
    assert_eq!(remaining(Kind::Endpoint, &deleted(&["example.com/mine"])), None);
}

#[test]
fn an_endpoint_owns_no_bmc_and_no_secret_and_other_owners_stay() {
    let meta = |owners: Vec<OwnerReference>| ObjectMeta {
        owner_references: Some(owners),
        ..ObjectMeta::default()
    };
    let endpoint = || owner("Endpoint", "metal.ironcore.dev/v1alpha1");
    let newer = || owner("Endpoint", "metal.ironcore.dev/v1beta1");
    let theirs = || owner("Endpoint", "example.com/v1");
    for kind in [Kind::Bmc, Kind::BmcSecret] {
        let rest = remaining(kind, &meta(vec![endpoint(), theirs(), newer()])).unwrap();
        assert_eq!(rest.owner_references, Some(vec![theirs()]));
        assert_eq!(rest.finalizers, None);
        assert_eq!(remaining(kind, &meta(vec![theirs()])), None);
    }
    assert_eq!(remaining(Kind::BiosSettings, &meta(vec![endpoint()])), None);
}

#[test]
fn a_maintenance_holds_the_server_that_names_it() {
    let mut server = Server::new("server-a", ServerSpec::default());
    assert!(!holds(&server, "metal", "update"));
    server.spec.server_maintenance_ref = Some(ObjectReference::new("metal", "update"));
    assert!(holds(&server, "metal", "update"));
    assert!(!holds(&server, "other", "update"));
    assert!(!holds(&server, "metal", "another"));
}

#[test]
fn a_locator_led_is_turned_off_with_the_maintenance_that_has_turned_it_on() {
    let led = |name: &str| Some(metal_api::IndicatorLed::from(name));
    for (of_server, of_maintenance, is_turned_off) in [
        (led("Lit"), led("Lit"), true),
        (led("Blinking"), led("Blinking"), true),
        (led("Lit"), led("Blinking"), false),
        (led("Lit"), None, false),
        (led("Off"), led("Off"), false),
        (None, led("Lit"), false),
    ] {
        let spec = ServerSpec { indicator_led: of_server.clone(), ..ServerSpec::default() };
        let server = Server::new("server-a", spec);
        let spec =
            ServerMaintenanceSpec { locator_led: of_maintenance.clone(), ..Default::default() };
        let maintenance = ServerMaintenance::new("update", spec);
        let found = must_turn_off_led(&server, &maintenance);
        assert_eq!(found, is_turned_off, "{of_server:?} {of_maintenance:?}");
    }
}

#[test]
fn a_claim_is_asked_no_longer_when_the_last_maintenance_of_its_server_goes() {
    let mut claim = ServerClaim::new("claim-a", ServerClaimSpec::default());
    assert_eq!(labels_to_remove(&claim, &[]), Vec::<&str>::new());
    claim.metadata.labels = Some(
        [(annotation::MAINTENANCE_NEEDED, "true"), ("example.com/mine", "true")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    );
    assert_eq!(labels_to_remove(&claim, &[]), [annotation::MAINTENANCE_NEEDED]);
    let other = ServerMaintenance::new("another", ServerMaintenanceSpec::default());
    assert_eq!(labels_to_remove(&claim, &[&other]), Vec::<&str>::new());
}

#[test]
fn a_rule_that_goes_takes_its_taint_from_the_servers_it_selects() {
    let server = tainted(&[taint("not-ready", None), taint("mine", None)]);
    let rest = taints_without(&server, &rule("a", "not-ready", "red"), &[]);
    assert_eq!(rest, Some(vec![taint("mine", None)]));
    // An effect that is not given is the default one.
    let server = tainted(&[taint("not-ready", Some(TaintEffect::NoBind))]);
    assert_eq!(taints_without(&server, &rule("a", "not-ready", "red"), &[]), Some(vec![]));
}

#[test]
fn a_taint_stays_that_another_rule_wants_or_that_the_rule_did_not_put_there() {
    let server = tainted(&[taint("not-ready", None)]);
    let going = rule("a", "not-ready", "red");
    let twin = rule("b", "not-ready", "red");
    let elsewhere = rule("c", "not-ready", "blue");
    assert_eq!(taints_without(&server, &going, &[&twin]), None);
    assert_eq!(taints_without(&server, &going, &[&elsewhere]), Some(vec![]));
    assert_eq!(taints_without(&server, &elsewhere, &[]), None);
    assert_eq!(taints_without(&server, &rule("d", "another", "red"), &[]), None);
    let evicts = tainted(&[taint("not-ready", Some(TaintEffect::Evict))]);
    assert_eq!(taints_without(&evicts, &going, &[]), None);
}

fn deleted(finalizers: &[&str]) -> ObjectMeta {
    ObjectMeta {
        deletion_timestamp: Some(Time(jiff::Timestamp::UNIX_EPOCH)),
        finalizers: Some(finalizers.iter().map(|&name| name.to_owned()).collect()),
        ..ObjectMeta::default()
    }
}

fn owner(kind: &str, api_version: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: "endpoint-a".to_owned(),
        uid: "1".to_owned(),
        ..OwnerReference::default()
    }
}

fn taint(key: &str, effect: Option<TaintEffect>) -> Taint {
    Taint { key: key.to_owned(), value: None, effect }
}

fn tainted(taints: &[Taint]) -> Server {
    let mut server = Server::new("server-a", ServerSpec::default());
    server.metadata.labels = Some([("color".to_owned(), "red".to_owned())].into());
    server.spec.taints = taints.to_vec();
    server
}

fn rule(name: &str, key: &str, color: &str) -> ServerReadinessRule {
    let server_selector = LabelSelector {
        match_labels: Some([("color".to_owned(), color.to_owned())].into()),
        ..LabelSelector::default()
    };
    let spec = ServerReadinessRuleSpec {
        taint: taint(key, None),
        server_selector,
        ..ServerReadinessRuleSpec::default()
    };
    ServerReadinessRule::new(name, spec)
}
