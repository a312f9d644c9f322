//! An API server accepts what metal-runtime sends.

use e2e::cluster::{Cluster, eventually, unique};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use metal_api::{Endpoint, EndpointSpec, EndpointStatus};
use metal_runtime::{
    apply, apply_status, election::lease::Candidate, patch_annotations, patch_spec, record_status,
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn a_decision_on_a_stale_object_is_a_conflict_and_changes_nothing() {
    let client = Cluster::shared().await.unwrap().client().await.unwrap();
    let api = Api::<Endpoint>::all(client);
    let stale = apply(&api, &endpoint("192.0.2.1"), "test").await.unwrap();
    let status = |generation| EndpointStatus {
        observed_generation: Some(generation),
        ..EndpointStatus::default()
    };
    let fresh = apply_status(&api, &stale, &status(1), "test").await.unwrap();
    assert_eq!(fresh.status, Some(status(1)));

    let again = apply_status(&api, &stale, &status(2), "test").await.unwrap_err();
    assert!(matches!(&again, kube::Error::Api(answer) if answer.is_conflict()), "{again}");
    let spec = patch_spec(&api, &stale, &json!({ "ip": "192.0.2.2" }), "test").await.unwrap_err();
    assert!(matches!(&spec, kube::Error::Api(answer) if answer.is_conflict()), "{spec}");
    let now = api.get(&stale.name_any()).await.unwrap();
    assert_eq!((now.spec, now.status), (stale.spec, Some(status(1))));
}

#[tokio::test]
async fn what_a_backup_has_put_into_a_status_goes_when_it_is_not_said_any_more() {
    let client = Cluster::shared().await.unwrap().client().await.unwrap();
    let api = Api::<Endpoint>::all(client);
    let condition = |type_: &str, message: &str| Condition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: "Said".to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: Time("2026-01-01T00:00:00Z".parse().unwrap()),
    };
    let status = |said: &[(&str, &str)]| EndpointStatus {
        conditions: said.iter().map(|(type_, message)| condition(type_, message)).collect(),
        ..EndpointStatus::default()
    };
    for message in ["as it was", "another"] {
        let endpoint = apply(&api, &endpoint("192.0.2.1"), "test").await.unwrap();
        let both = [("A", "as it was"), ("B", "as it was")];
        let restored = Endpoint { status: Some(status(&both)), ..endpoint };
        let name = restored.name_any();
        let restored = api.replace_status(&name, &PostParams::default(), &restored).await.unwrap();
        // Both managers own the unchanged parts of it now.
        let said = status(&[("A", "as it was"), ("B", message)]);
        let seen = record_status(&api, &restored, &said, "test").await.unwrap();
        assert_eq!(seen.status, Some(said));
        for said in [status(&[("A", "as it was")]), status(&[])] {
            let now = api.get(&name).await.unwrap();
            record_status(&api, &now, &said, "test").await.unwrap();
            let now = api.get(&name).await.unwrap();
            assert_eq!(now.status.unwrap_or_default(), said, "{message}");
        }
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test]
async fn applying_takes_back_what_is_no_longer_said_and_merging_leaves_the_rest() {
    let client = Cluster::shared().await.unwrap().client().await.unwrap();
    let api = Api::<Endpoint>::all(client);
    let mut wanted = endpoint("192.0.2.1");
    let applied = apply(&api, &wanted, "test").await.unwrap();

    let annotations = BTreeMap::from([("example.com/a", Some("1")), ("example.com/b", Some("2"))]);
    let noted = patch_annotations(&api, &applied, &annotations, "other").await.unwrap();
    let annotations = BTreeMap::from([("example.com/a", None)]);
    let noted = patch_annotations(&api, &noted, &annotations, "other").await.unwrap();
    let left = BTreeMap::from([("example.com/b".to_owned(), "2".to_owned())]);
    assert_eq!(noted.annotations(), &left);

    wanted.spec.mac_address = None;
    let applied = apply(&api, &wanted, "test").await.unwrap();
    assert_eq!((applied.spec.mac_address.as_deref(), applied.annotations()), (None, &left));
}

#[tokio::test]
async fn of_two_candidates_one_leads_and_hands_over_when_it_is_done() {
    let cluster = Cluster::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let leases = Api::<Lease>::namespaced(cluster.client().await.unwrap(), &namespace);
    let candidate = |identity: &str| Candidate::new(leases.clone(), "operator", identity);
    let holder = async || {
        let lease = leases.get("operator").await?;
        anyhow::Ok(lease.spec.and_then(|spec| spec.holder_identity))
    };
    let mut first = candidate("first");
    timeout(LIMIT, first.lead()).await.unwrap();
    assert_eq!(holder().await.unwrap().as_deref(), Some("first"));

    let mut second = candidate("second");
    let hand_over = async {
        first.release().await;
        eventually(LIMIT, async || {
            let holder = holder().await?;
            anyhow::ensure!(holder.as_deref() == Some("second"), "held by {holder:?}");
            Ok(())
        })
        .await
        .unwrap();
    };
    // Concurrently: the release may come before or after the second one's first look.
    let (led, ()) = tokio::join!(timeout(LIMIT, second.lead()), hand_over);
    led.unwrap();
}

fn endpoint(ip: &str) -> Endpoint {
    let mac_address = Some("00:1a:2b:3c:4d:5e".to_owned());
    Endpoint::new(&unique("runtime"), EndpointSpec { mac_address, ip: Some(ip.to_owned()) })
}
