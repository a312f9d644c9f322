//! Who is woken because an object cannot be parsed, or could never be and is gone.

use super::*;
use kube::api::ObjectMeta;
use metal_api::BoundClaim;

#[tokio::test]
async fn an_object_that_could_never_be_read_is_woken_when_it_is_deleted() {
    let view = world().await;
    let meta = named("a");
    let change = Change::Unreadable { meta: &meta, error: "spec: too large", old: None };
    assert!(wakes_of_server(&view, &change).contains(&WakeTarget::Server("a".to_owned())));
}

#[tokio::test]
async fn whoever_says_that_an_object_cannot_be_read_is_woken_when_it_is_gone() {
    let view = world().await;
    let of_bmc = |name: &str| show(&wakes_of_bmc(&view, &gone(&named(name))));
    assert_eq!(of_bmc("bmc-1"), ["endpoint bmc-1", "server held", "server spare"]);
    assert_eq!(of_bmc("other"), ["endpoint other"]);
    let woken = show(&endpoint(&view, &gone(&named("e1"))));
    assert_eq!(woken, ["bmc bmc-1", "server held", "server spare"]);
    let woken = show(&secret(&view, &gone(&named("secret-2"))));
    assert_eq!(woken, ["server inline"]);
    let woken = show(&wakes_of_server(&view, &gone(&named("spare"))));
    assert!(woken.contains(&"claim tenant/named".to_owned()), "{woken:?}");
}

#[tokio::test]
async fn a_server_that_waits_for_a_claim_without_a_reference_is_woken_by_that_claim() {
    let view = View::default();
    let (namespace, name) = ("tenant".to_owned(), "holder".to_owned());
    let mut waiting = server("waiting", "bmc-1");
    let bound = BoundClaim { namespace, name, uid: "u".to_owned() };
    waiting.status.as_mut().unwrap().bound_claim = Some(bound);
    let mut referring = waiting.clone();
    referring.metadata.name = Some("referring".to_owned());
    referring.spec.server_claim_ref = Some(reference("another"));
    list(&view.servers, vec![waiting, referring]).await;
    let expected = ["claim tenant/holder", "server waiting"];
    let mut meta = named("holder");
    meta.namespace = Some("tenant".to_owned());
    assert_eq!(show(&wakes_of_claim(&view, &gone(&meta))), expected);
    let again = claim("holder", |_| {});
    assert_eq!(show(&wakes_of_claim(&view, &created(&again).get())), expected, "it can be read");
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// An object that could never be parsed is gone.
fn gone<K>(meta: &ObjectMeta) -> Change<'_, K> {
    Change::Unreadable { meta, error: metal_runtime::index::GONE, old: None }
}
