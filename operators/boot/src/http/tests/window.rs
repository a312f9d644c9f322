//! What machines get in their boot window, and nobody gets outside of it.

use super::*;
use crate::{
    blob_refs::blobs,
    config_ref::{ConfigRef, Kind},
    testing::{UUID, ipxe, registry::TestRegistry},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootWindow, LocalObjectReference, Server};
use metal_core::{
    boot::url,
    capability::{Claims, Purpose, issue, issue_short, verify},
};

pub(super) const UKI: &[u8] = b"a unified kernel image, more or less";
const BOOT: &str = "5a9de2f0-aaaa-bbbb-cccc-0123456789ab";

#[tokio::test]
async fn outside_of_its_window_a_server_gets_neither_script_nor_ignition_nor_link() {
    let registry = TestRegistry::start().await;
    for (name, spoil) in CLOSED {
        let mut objects = dual(&registry).await;
        spoil(&mut objects.servers[0]);
        let mut server = offering(&registry, objects).await;
        server.state.by_uuid = ByUuid::Always;
        let state = paths(&server, &registry).await;
        let (router, _cluster, _dir) = server.router();
        for path in &state {
            let asked = [("x-forwarded-for", "10.1.1.1")];
            let got = ask(&router, Method::GET, path, &asked, "10.0.0.1").await;
            assert_eq!(got.status, 403, "{name}: {path}");
            assert!(got.body.contains("the boot window of this machine is closed"), "{}", got.body);
            assert_eq!(got.header("retry-after"), None);
        }
    }
}

#[tokio::test]
async fn in_its_window_a_server_gets_all_of_it_and_outside_where_that_is_wanted() {
    let registry = TestRegistry::start().await;
    for outside in [OutsideWindow::Refuse, OutsideWindow::Answer] {
        let mut objects = dual(&registry).await;
        if outside == OutsideWindow::Answer {
            lost(&mut objects.servers[0]);
        }
        let mut server = offering(&registry, objects).await;
        (server.state.by_uuid, server.state.outside) = (ByUuid::Always, outside);
        let state = paths(&server, &registry).await;
        let (router, _cluster, _dir) = server.router();
        for path in &state {
            let asked = [("x-forwarded-for", "10.1.1.1")];
            let got = ask(&router, Method::GET, path, &asked, "10.0.0.1").await;
            assert_eq!(got.status, 200, "{outside:?}: {path}");
        }
    }
}

#[tokio::test]
async fn ipxe_is_told_why_it_gets_nothing_and_asks_slowly() {
    let mut objects = Objects::ready_for_ipxe();
    lost(&mut objects.servers[0]);
    let server = TestServer::with(objects).await;
    let answers = server.state.answers.clone();
    let (router, _cluster, _dir) = server.router();
    let agent = [("user-agent", "iPXE/1.21.1+ (g1234)")];
    let path = format!("/ipxe/{}", UUID.to_uppercase());
    let got = ask(&router, Method::GET, &path, &agent, "10.0.0.1").await;
    assert_eq!(got.status, 200, "iPXE runs no script of another status");
    assert!(got.body.starts_with("#!ipxe\n") && got.body.contains("boot window is closed"));
    assert!(got.body.contains(&format!("/ipxe/{UUID}?closed=1")), "{}", got.body);
    assert!(!got.body.contains("/ignition/") && !got.body.contains("kernel"), "{}", got.body);
    let last = ask(&router, Method::GET, &format!("{path}?closed=15"), &agent, "10.0.0.1").await;
    assert!(last.body.ends_with("exit 1\n"), "{}", last.body);
    let refused = Answer { endpoint: "ipxe", status: 200, reason: "OutsideBootWindow" };
    assert_eq!(answers.get_or_create(&refused).get(), 2);
}

#[tokio::test]
async fn a_window_that_has_lasted_long_enough_is_closed_whatever_the_clock_on_the_wall_says() {
    let mut objects = Objects::ready_for_ipxe();
    // As if the clock had been set back by an hour since it was opened.
    let opened = Timestamp::now() + Duration::from_hours(1);
    let its = window(&mut objects.servers[0]);
    (its.opened, its.closes) = (Time(opened), Time(opened + Duration::from_millis(50)));
    let (router, _cluster, _dir) = TestServer::with(objects).await.router();
    let refused = async {
        loop {
            let got = get(&router, &format!("/ipxe/{UUID}")).await;
            if got.status == 403 {
                return got.body;
            }
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(refused.contains("the boot window of this machine is closed"), "{refused}");
}

#[tokio::test]
async fn no_token_outlives_the_window_of_its_boot() {
    let mut objects = Objects::ready_for_ipxe();
    let closes = Timestamp::now() + Duration::from_mins(3);
    window(&mut objects.servers[0]).closes = Time(closes);
    let server = TestServer::with(objects).await;
    let key = server.state.key().unwrap();
    let script = server.get(&format!("/ipxe/{UUID}")).await.body;
    let (_, rest) = script.split_once("/ignition/t/").unwrap();
    let token = rest.split('/').next().unwrap();
    let claims = verify(&[key], token, Purpose::Ignition, Timestamp::now()).unwrap();
    assert_eq!(claims.expires.as_second(), closes.as_second());
}

#[tokio::test]
async fn the_link_to_a_uki_opens_that_uki_and_the_ignition_without_a_uuid_being_enough() {
    let registry = TestRegistry::start().await;
    let server = offering(&registry, linked(&registry).await).await;
    let (router, _cluster, _dir) = server.router();
    let asked = [("x-forwarded-for", "10.1.1.1")];
    let got = ask(&router, Method::GET, "/httpboot", &asked, "10.0.0.1").await;
    let answer: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    let link = answer["UKIURL"].as_str().unwrap();
    // DHCP has no room for a longer URL.
    assert!(link.len() < 255, "{link}");
    let path = link.strip_prefix("http://boot:8083").unwrap();
    let uki = get(&router, path).await;
    assert_eq!((uki.status, uki.body.as_bytes()), (200, UKI));
    assert_eq!(uki.header("content-type"), Some("application/efi"));
    let (_, rest) = path.split_once("/httpboot/t/").unwrap();
    let token = rest.split('/').next().unwrap();
    let ignition = get(&router, &format!("/ignition/t/{token}/{UUID}")).await;
    assert_eq!((ignition.status, ignition.body.as_str()), (200, crate::testing::IGNITION));
    assert_eq!(get(&router, &format!("/ignition/{UUID}")).await.status, 403);
}

#[tokio::test]
async fn a_base_with_a_slash_at_its_end_leads_to_the_same_uki() {
    let registry = TestRegistry::start().await;
    let server = offering(&registry, linked(&registry).await).await;
    let link = server.state.view.http.all()[0].spec.uki_url.clone().unwrap();
    let path = link.strip_prefix("http://boot:8083").unwrap();
    let doubled = path.replacen("/httpboot/", "/httpboot//", 1);
    assert_eq!(server.get(&doubled).await.status, 200, "{doubled}");
}

#[tokio::test]
async fn a_link_without_a_token_to_the_uki_of_a_server_opens_only_while_the_server_boots_it() {
    let registry = TestRegistry::start().await;
    let cases: [(u16, SpoilAll); 5] = [
        (200, |_| {}),
        (404, |it| it.servers[0].spec.boot_configuration_ref = None),
        (404, |it| {
            let disk = (metal_api::annotation::BOOT_METHOD.to_owned(), "disk".to_owned());
            it.servers[0].metadata.annotations = Some([disk].into());
        }),
        (503, |it| it.configurations[0].status = None),
        (500, |it| it.servers.push(crate::testing::server("twin", UUID, "claim"))),
    ];
    for (status, spoil) in cases {
        let mut objects = dual(&registry).await;
        objects.ipxe.clear();
        spoil(&mut objects);
        let server = offering(&registry, objects).await;
        let link = server.state.view.http.all()[0].spec.uki_url.clone().unwrap();
        let path = link.strip_prefix("http://boot:8083").unwrap().to_owned();
        assert_eq!(server.get(&path).await.status, status);
    }
}

#[tokio::test]
async fn a_link_is_for_the_uki_of_one_boot_of_one_server() {
    let registry = TestRegistry::start().await;
    let other = registry.push_blob("os", b"another").await.to_string();
    let server = offering(&registry, linked(&registry).await).await;
    let config = ConfigRef::new(Kind::Http, ("tenant".to_owned(), "other".to_owned()));
    let other = url::uki("http://boot:8083/httpboot", &registry.image("os"), &other);
    server.state.blob_refs.set(config, blobs([other.as_str()]));
    let own = server.state.view.http_of(UUID.parse().unwrap())[0].spec.uki_url.clone().unwrap();
    let short = |claims: Claims| issue_short(&server.state.key().unwrap(), &claims).unwrap();
    let good = uki_claims();
    let expired = Timestamp::now() - Duration::from_secs(1);
    let another = "5a9de2f0-aaaa-bbbb-cccc-0123456789ac".to_owned();
    let cases = [
        (url::with_token(&own, short(good.clone()).as_str()), 200),
        (url::with_token(&other, short(good.clone()).as_str()), 404),
        (url::with_token(&own, short(Claims { server: "b".into(), ..good.clone() }).as_str()), 403),
        (url::with_token(&own, short(Claims { boot: another, ..good.clone() }).as_str()), 403),
        (url::with_token(&own, short(Claims { expires: expired, ..good.clone() }).as_str()), 403),
        (
            url::with_token(
                &own,
                short(Claims { purpose: Purpose::Ignition, ..good.clone() }).as_str(),
            ),
            403,
        ),
        (url::with_token(&own, "x"), 403),
    ];
    let (router, _cluster, _dir) = server.router();
    for (link, status) in cases {
        let path = link.strip_prefix("http://boot:8083").unwrap();
        assert_eq!(get(&router, path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_machine_that_is_no_server_has_no_window_and_gets_what_was_made_for_it_by_hand() {
    let mut config = ipxe("hand");
    config.metadata.owner_references = None;
    let objects = Objects { ipxe: vec![config], ..Objects::default() };
    let got = TestServer::with(objects).await.get(&format!("/ipxe/{UUID}")).await;
    assert_eq!(got.status, 200);
    assert!(got.body.contains("/ignition/t/"), "{}", got.body);
}

type SpoilAll = fn(&mut Objects);

type Spoil = fn(&mut Server);

/// Servers that must not boot now.
const CLOSED: [(&str, Spoil); 4] = [
    ("lost", lost),
    ("over", |server| window(server).closes = Time(Timestamp::now())),
    ("of another boot", |server| {
        window(server).boot_configuration_ref.name = "other".to_owned();
    }),
    ("of an earlier one", |server| {
        window(server).boot_configuration_uid = Some("earlier".to_owned());
    }),
];

pub(super) fn lost(server: &mut Server) {
    server.status.as_mut().unwrap().boot_window = None;
}

pub(super) fn window(server: &mut Server) -> &mut BootWindow {
    server.status.as_mut().unwrap().boot_window.as_mut().unwrap()
}

/// Everything that a server may fetch, requested with a valid token.
pub(super) async fn paths(server: &TestServer, registry: &TestRegistry) -> Vec<String> {
    let claims = Claims {
        purpose: Purpose::Ignition,
        server: "server".to_owned(),
        boot: BOOT.to_owned(),
        expires: Timestamp::now() + Duration::from_mins(5),
    };
    let token = issue(&server.state.key().unwrap(), &claims).unwrap();
    let link = issue_short(&server.state.key().unwrap(), &uki_claims()).unwrap();
    let digest = registry.push_blob("os", UKI).await.to_string();
    let uki = url::uki("http://x/httpboot", &registry.image("os"), &digest);
    let path = |url: &str| url.strip_prefix("http://x").unwrap().to_owned();
    vec![
        format!("/ipxe/{UUID}"),
        format!("/ignition/{UUID}"),
        format!("/ignition/t/{}/{UUID}", token.as_str()),
        format!("/ignition/t/{}/{UUID}", link.as_str()),
        "/httpboot".to_owned(),
        path(&uki),
        format!("/image?imageName={}&layerDigest={digest}&version=1", registry.image("os")),
        path(&url::with_token(&uki, link.as_str())),
    ]
}

pub(super) fn uki_claims() -> Claims {
    Claims {
        purpose: Purpose::Uki,
        server: "server".to_owned(),
        boot: BOOT.to_owned(),
        expires: Timestamp::now() + Duration::from_hours(24),
    }
}

/// A server that boots an image of the registry with a kernel and a UKI.
pub(super) async fn dual(registry: &TestRegistry) -> Objects {
    let digest = registry.push_blob("os", UKI).await.to_string();
    let http = Objects::ready_for_http().http;
    let mut objects = Objects { http, ..Objects::ready_for_ipxe() };
    let url = url::uki("http://boot:8083/httpboot", &registry.image("os"), &digest);
    objects.http[0].spec.uki_url = Some(url);
    objects.configurations[0].metadata.uid = Some(BOOT.to_owned());
    window(&mut objects.servers[0]).boot_configuration_uid = Some(BOOT.to_owned());
    for owners in [
        &mut objects.ipxe[0].metadata.owner_references,
        &mut objects.http[0].metadata.owner_references,
    ] {
        owners.as_mut().unwrap()[0].uid = BOOT.to_owned();
    }
    objects
}

/// The same, with the URL that the operator writes.
pub(super) async fn linked(registry: &TestRegistry) -> Objects {
    let mut objects = dual(registry).await;
    let spec = &mut objects.http[0].spec;
    let key = crate::testing::key();
    let token = issue_short(&key, &uki_claims()).unwrap();
    spec.uki_url = Some(url::with_token(spec.uki_url.as_deref().unwrap(), token.as_str()));
    spec.ignition_secret_ref = Some(LocalObjectReference::new("ignition"));
    objects
}

pub(super) async fn offering(registry: &TestRegistry, objects: Objects) -> TestServer {
    let uki = objects.http[0].spec.uki_url.clone();
    let mut server = TestServer::with(objects).await;
    server.state.images = resolver(&[registry.address.as_str()]);
    let config = ConfigRef::new(Kind::Http, ("tenant".to_owned(), "claim".to_owned()));
    server.state.blob_refs.set(config, blobs(uki.as_deref()));
    server
}
