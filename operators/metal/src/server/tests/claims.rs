//! Claims that passes over servers cannot see.

use super::*;
use crate::server::look::Lookup;
use http::{Response, StatusCode};
use kube::{client::Body, core::error_boundary::InvalidObject};
use metal_api::{BoundClaim, ClaimReference};
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
    let mut asked = Asked::default();
    look::look(&scene.ctx, &server, Need::Claim, &mut asked).await.unwrap();
    assert!(matches!(asked.claim, Lookup::Asked(None)));
    let proxy = tower::service_fn(async |_: http::Request<Body>| {
        let mut page = Response::new(Body::from(b"404 page not found".to_vec()));
        *page.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, Infallible>(page)
    });
    Arc::get_mut(&mut scene.ctx).unwrap().client = Client::new(proxy, "default");
    let mut asked = Asked::default();
    look::look(&scene.ctx, &server, Need::Claim, &mut asked).await.unwrap_err();
    assert!(matches!(asked.claim, Lookup::Cached));
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
