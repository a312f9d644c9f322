//! What metal-runtime sends is what an API server takes.

use e2e::cluster::{Cluster, eventually, unique};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use metal_api::{Endpoint, EndpointSpec, EndpointStatus};
use metal_runtime::{apply, apply_status, lease::Candidate, patch_annotations, patch_spec};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_mins(1);

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
    // Both at once: the release may come before or after the second one's first look.
    let (led, ()) = tokio::join!(timeout(LIMIT, second.lead()), hand_over);
    led.unwrap();
}

fn endpoint(ip: &str) -> Endpoint {
    let mac_address = Some("00:1a:2b:3c:4d:5e".to_owned());
    Endpoint::new(&unique("runtime"), EndpointSpec { mac_address, ip: Some(ip.to_owned()) })
}
