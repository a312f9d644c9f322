//! Claims that passes over servers cannot see.

use super::*;
use crate::server::look::Lookup;
use http::{Response, StatusCode};
use kube::{client::Body, core::error_boundary::InvalidObject};
use metal_api::{BoundClaim, ClaimReference};
use serde_json::json;
use std::convert::Infallible;

#[tokio::test]
async fn a_server_without_its_reference_is_not_given_away_while_its_claim_cannot_be_read() {
    let mut server = server();
    let some = |text: &str| Some(text.to_owned());
    let (namespace, name, uid) = ("tenant".to_owned(), "claim".to_owned(), "u".to_owned());
    let bound_claim = Some(BoundClaim { namespace, name, uid });
    server.status = Some(ServerStatus { bound_claim, ..ServerStatus::default() });
    let scene = Scene::new(server.clone(), None).await;
    assert!(missed_by(&scene.ctx, &server).is_none(), "it is gone");
    break_claim(&scene, "v").await;
    assert!(missed_by(&scene.ctx, &server).is_none(), "it is gone, and another one was made");
    break_claim(&scene, "u").await;
    let missed = missed_by(&scene.ctx, &server).unwrap();
    assert_eq!((missed.namespace(), missed.name_any()), (some("tenant"), "claim".to_owned()));
    server.status = None;
    assert!(missed_by(&scene.ctx, &server).is_none(), "it is another server's");
}

#[tokio::test]
async fn a_claim_is_gone_only_if_the_api_server_has_none_and_not_if_a_proxy_has_no_page() {
    let mut server = server();
    let (namespace, name) = ("tenant".to_owned(), "claim".to_owned());
    server.spec.server_claim_ref = Some(ClaimReference { namespace, name, uid: None });
    let mut scene = Scene::new(server.clone(), None).await;
    let mut lookups = Lookups::default();
    look::look(&scene.ctx, &server, Need::Claim, &mut lookups).await.unwrap();
    assert!(matches!(lookups.claim, Lookup::Live(None)));
    let proxy = tower::service_fn(async |_: http::Request<Body>| {
        let mut page = Response::new(Body::from(b"404 page not found".to_vec()));
        *page.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, Infallible>(page)
    });
    Arc::get_mut(&mut scene.ctx).unwrap().client = Client::new(proxy, "default");
    let mut lookups = Lookups::default();
    look::look(&scene.ctx, &server, Need::Claim, &mut lookups).await.unwrap_err();
    assert!(matches!(lookups.claim, Lookup::Cached));
}

#[tokio::test]
async fn a_server_that_is_deleted_waits_for_no_claim_where_their_definition_is_gone() {
    let mut server = server();
    let (namespace, name) = ("tenant".to_owned(), "claim".to_owned());
    server.spec.server_claim_ref = Some(ClaimReference { namespace, name, uid: None });
    let mut scene = Scene::new(server.clone(), None).await;
    let without_claims = tower::service_fn(async |request: http::Request<Body>| {
        let kind = json!({
            "name": "servers", "singularName": "server", "namespaced": false, "kind": "Server",
            "verbs": [],
        });
        let kinds = json!({ "groupVersion": "metal.ironcore.dev/v1alpha1", "resources": [kind] });
        let (code, answer) = match request.uri().path() {
            "/apis/metal.ironcore.dev/v1alpha1" => (StatusCode::OK, kinds.to_string()),
            _ => (StatusCode::NOT_FOUND, "404 page not found".to_owned()),
        };
        let mut response = Response::new(Body::from(answer.into_bytes()));
        *response.status_mut() = code;
        Ok::<_, Infallible>(response)
    });
    Arc::get_mut(&mut scene.ctx).unwrap().client = Client::new(without_claims, "default");
    let mut lookups = Lookups::default();
    look::look(&scene.ctx, &server, Need::Claim, &mut lookups).await.unwrap_err();
    server.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    look::look(&scene.ctx, &server, Need::Claim, &mut lookups).await.unwrap();
    assert!(matches!(lookups.claim, Lookup::Live(None)));
}

/// The watch shows the claim with this UID, which cannot be parsed.
async fn break_claim(scene: &Scene, uid: &str) {
    let [namespace, name, uid] = ["tenant", "claim", uid].map(|text| Some(text.to_owned()));
    let metadata = ObjectMeta { namespace, name, uid, ..ObjectMeta::default() };
    let broken = InvalidObject { error: "spec: too large".to_owned(), metadata };
    let broken = Event::InitApply(DeserializeGuard(Err(broken)));
    let list = [Event::Init, broken, Event::InitDone].map(Ok);
    scene.ctx.view.claims.follow(stream::iter(list)).await.unwrap_err();
}
