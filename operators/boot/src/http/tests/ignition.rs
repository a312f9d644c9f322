use super::*;
use crate::{
    config_ref::Kind,
    testing::{NAMESPACE, UUID, configuration},
};
use jiff::Timestamp;
use metal_api::{BootState, LocalObjectReference};
use metal_core::{
    boot::config::Fetched,
    capability::{Claims, Purpose, issue},
};
use tokio::time::advance;

const BUTANE: &str = "{variant: fcos, version: 1.3.0, systemd: {units: [{name: a.service}]}}";

#[tokio::test]
async fn the_url_in_the_script_fetches_the_ignition() {
    let (router, _cluster, _dir) = TestServer::with(Objects::ready_for_ipxe()).await.router();
    let script = get(&router, &format!("/ipxe/{UUID}")).await.body;
    let (_, url) = script.split_once("ignition.config.url=${ipxe-svc}").unwrap();
    let got = get(&router, url.split(' ').next().unwrap()).await;
    assert_eq!((got.status, got.body.as_str()), (200, crate::testing::IGNITION));
    assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn butane_is_translated_ignition_checked_and_everything_else_handed_on() {
    let cases = [
        (vec![("format", "fcos\n"), ("ignition", BUTANE)], 200, "{\"ignition\":"),
        (vec![("format", "fcos"), ("ignition", "storage: {disks: []}")], 500, "Internal"),
        (vec![("format", "raw"), ("ignition", BUTANE)], 200, "{variant"),
        (vec![("ignition", "anything")], 200, "anything"),
        (vec![("ignition", "#cloud-config\n{}")], 200, "#cloud-config"),
        (vec![("ignition", r#"{"ignition":{"version":"2.2.0"}}"#)], 200, "{\"ignition\""),
        (vec![("format", "ignition"), ("ignition", r#"{"ignition":{}}"#)], 500, "Internal"),
        (vec![("ignition", r#"{"storage":{"files":[],}}"#)], 500, "Internal"),
        (vec![("other", "x")], 404, "Resource Not Found"),
    ];
    for (entries, status, begins) in cases {
        let server = TestServer::with(Objects::ready_for_ipxe()).await;
        server.cluster.put_secret("ignition", &entries);
        let path = server.path(&claims());
        let got = server.get(&path).await;
        assert_eq!(got.status, status, "{entries:?}");
        assert!(got.body.starts_with(begins), "{}", got.body);
    }
}

#[tokio::test]
async fn a_boot_without_ignition_or_secret_is_not_found() {
    let mut objects = Objects::ready_for_ipxe();
    objects.ipxe[0].spec.ignition_secret_ref = None;
    let server = TestServer::with(objects).await;
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 404);

    let mut objects = Objects::ready_for_ipxe();
    objects.ipxe[0].spec.ignition_secret_ref = Some(LocalObjectReference::new("gone"));
    let server = TestServer::with(objects).await;
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 404);

    let server = TestServer::with(Objects::default()).await;
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_boot_config_is_looked_at_again_whose_host_finds_no_ignition() {
    for (secret, is_owned, looks) in [("gone", true, 1), ("gone", false, 0), ("", true, 0)] {
        let (mut objects, mut claims) = (Objects::ready_for_ipxe(), claims());
        objects.ipxe[0].spec.ignition_secret_ref = Some(LocalObjectReference::new(secret));
        if !is_owned {
            let mut ipxe = objects.ipxe;
            ipxe[0].metadata.owner_references = None;
            objects = Objects { ipxe, ..Objects::default() };
            (claims.server, claims.boot) = (UUID.to_owned(), "claim-config-uid".to_owned());
        }
        let server = TestServer::with(objects).await;
        let (fetches, path) = (Arc::clone(&server.state.fetches), server.path(&claims));
        assert_eq!(server.get(&path).await.status, 404);
        assert_eq!(fetches.queue.len(), looks, "{secret:?}");
    }
}

/// That of the firmware, which may be that of many boards, or none.
#[tokio::test]
async fn a_token_opens_its_ignition_whatever_uuid_stands_behind_it() {
    for uuid in
        ["03000200-0400-0500-0006-000700080009", "11111111-2222-3333-4444-555555555555", "unknown"]
    {
        let server = TestServer::with(Objects::ready_for_ipxe()).await;
        let path = server.path(&claims()).replace(UUID, uuid);
        let got = server.get(&path).await;
        assert_eq!((got.status, got.body.as_str()), (200, crate::testing::IGNITION), "{uuid}");
        let server = TestServer::with(Objects::ready_for_ipxe()).await;
        assert_eq!(server.get(&format!("/ignition/{uuid}")).await.status, 404, "without a token");
    }
}

#[tokio::test]
async fn only_the_token_of_this_very_boot_opens() {
    let good = claims();
    let cases = [
        Claims { boot: "earlier-uid".to_owned(), ..good.clone() },
        Claims { server: "other".to_owned(), ..good.clone() },
        Claims { purpose: Purpose::Registration, ..good.clone() },
        Claims { expires: Timestamp::now() - Duration::from_secs(1), ..good },
    ];
    for claims in cases {
        let server = TestServer::with(Objects::ready_for_ipxe()).await;
        let path = server.path(&claims);
        let got = server.get(&path).await;
        assert_eq!((got.status, got.body.as_str()), (403, "Forbidden\n"), "{claims:?}");
    }
    let foreign = Key::new(&[8; Key::MIN]).unwrap();
    let foreign = issue(&foreign, &claims()).unwrap();
    for token in [foreign.as_str(), "", "AAAA", "%00"] {
        let server = TestServer::with(Objects::ready_for_ipxe()).await;
        let got = server.get(&format!("/ignition/t/{token}/{UUID}")).await;
        assert_eq!(got.status, 403, "{token}");
    }
}

#[tokio::test]
async fn a_uuid_alone_opens_only_where_no_script_of_ours_could_carry_a_token() {
    use ByUuid::{Always, Never, Unscripted};
    let mut own_script = Objects::ready_for_ipxe();
    own_script.ipxe[0].spec.ipxe_script_secret_ref = Some(LocalObjectReference::new("script"));
    let mut dual = Objects::ready_for_ipxe();
    dual.http = Objects::ready_for_http().http;
    let cases = [
        (Objects::ready_for_ipxe(), Unscripted, 403),
        (Objects::ready_for_ipxe(), Always, 200),
        (Objects::ready_for_http(), Unscripted, 200),
        (Objects::ready_for_http(), Never, 403),
        (own_script.clone(), Unscripted, 200),
        (own_script, Never, 403),
        (dual.clone(), Unscripted, 403),
        (dual.clone(), Always, 200),
        (for_http(dual), Unscripted, 200),
    ];
    for (at, (objects, by_uuid, status)) in cases.into_iter().enumerate() {
        for path in ["/ignition", "/ignition/some/where"] {
            let mut server = TestServer::with(objects.clone()).await;
            server.state.by_uuid = by_uuid;
            let got = server.get(&format!("{path}/{}", UUID.to_uppercase())).await;
            assert_eq!(got.status, status, "case {at}");
        }
    }
}

#[tokio::test]
async fn a_boot_that_asks_too_often_has_to_wait() {
    let mut server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.state.fetch_limit = FetchLimit::new(2, Duration::from_mins(30));
    let path = server.path(&claims());
    let (router, _cluster, _dir) = server.router();
    for status in [200, 200, 429] {
        assert_eq!(get(&router, &path).await.status, status);
    }
    assert_eq!(get(&router, &path).await.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn what_a_machine_did_not_get_is_no_fetch_of_its_boot() {
    let mut server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.state.fetch_limit = FetchLimit::new(2, Duration::from_mins(30));
    let path = server.path(&claims());
    let (router, cluster, _dir) = server.router();
    cluster.go_down();
    for _ in 0..5 {
        assert_eq!(get(&router, &path).await.status, 503);
    }
    cluster.come_back();
    for status in [200, 200, 429] {
        assert_eq!(get(&router, &path).await.status, status);
    }
}

#[tokio::test]
async fn what_is_not_ready_or_not_known_yet_is_asked_for_again() {
    let server = TestServer::starting().await;
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 503);

    let configurations = vec![configuration("claim", Some(BootState::Error))];
    let objects = Objects { configurations, ..Objects::ready_for_ipxe() };
    let server = TestServer::with(objects).await;
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 503);

    let server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.cluster.go_down();
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 503);
}

#[tokio::test]
async fn a_secret_is_read_once_and_again_when_it_has_changed() {
    let server = TestServer::with(Objects::ready_for_ipxe()).await;
    let path = server.path(&claims());
    let secrets = Arc::clone(&server.state.secrets);
    let (router, cluster, _dir) = server.router();
    for _ in 0..5 {
        assert_eq!(get(&router, &path).await.body, crate::testing::IGNITION);
    }
    assert_eq!(cluster.reads(), 1);
    cluster.put_secret("ignition", &[("ignition", "new")]);
    secrets.forget_unless(&(NAMESPACE.to_owned(), "ignition".to_owned()), None);
    assert_eq!(get(&router, &path).await.body, "new");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_served_while_the_api_server_is_silent_and_read_again_after() {
    let server = TestServer::with(Objects::ready_for_ipxe()).await;
    let path = server.path(&claims());
    let secrets = Arc::clone(&server.state.secrets);
    let (router, cluster, _dir) = server.router();
    assert_eq!(get(&router, &path).await.body, crate::testing::IGNITION);
    cluster.go_down();
    for _ in 0..10 {
        advance(Duration::from_secs(31)).await;
        let got = get(&router, &path).await;
        assert_eq!((got.status, got.body.as_str()), (200, crate::testing::IGNITION));
    }
    cluster.come_back();
    cluster.put_secret("ignition", &[("ignition", "new")]);
    advance(Duration::from_secs(31)).await;
    assert_eq!(get(&router, &path).await.body, "new");

    // A Secret that has changed is not served as it was.
    cluster.go_down();
    secrets.forget_unless(&(NAMESPACE.to_owned(), "ignition".to_owned()), Some("later"));
    assert_eq!(get(&router, &path).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_nobody_watches_is_read_again_when_a_machine_asks() {
    let server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.state.secrets.set_watched(false);
    let path = server.path(&claims());
    let (router, cluster, _dir) = server.router();
    assert_eq!(get(&router, &path).await.body, crate::testing::IGNITION);
    cluster.put_secret("ignition", &[("ignition", "new")]);
    advance(Duration::from_secs(1)).await;
    assert_eq!(get(&router, &path).await.body, "new");
    cluster.go_down();
    advance(Duration::from_mins(1)).await;
    assert_eq!(get(&router, &path).await.body, "new");
}

#[tokio::test]
async fn an_ignition_that_was_handed_out_is_noted() {
    let server = TestServer::with(Objects::ready_for_http()).await;
    let fetches = Arc::clone(&server.state.fetches);
    let path = server.path(&claims());
    assert_eq!(server.get(&path).await.status, 200);
    let config = ConfigRef::new(Kind::Http, (NAMESPACE.into(), "claim".into()));
    let noted = fetches.of(&config, Some("claim-config-uid"));
    assert_eq!(noted, Fetched { script: false, ignition: true });
    assert_eq!(fetches.of(&config, Some("another")), Fetched::default());
}

#[tokio::test]
async fn who_only_looks_at_an_ignition_has_not_fetched_it() {
    let mut server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.state.fetch_limit = FetchLimit::new(2, Duration::from_mins(30));
    let fetches = Arc::clone(&server.state.fetches);
    let path = server.path(&claims());
    let (router, _cluster, _dir) = server.router();
    for _ in 0..20 {
        let got = ask(&router, Method::HEAD, &path, &[], "10.0.0.1").await;
        assert_eq!((got.status, got.body.as_str()), (200, ""));
    }
    let config = ConfigRef::new(Kind::Ipxe, (NAMESPACE.into(), "claim".into()));
    assert_eq!(fetches.of(&config, Some("claim-config-uid")), Fetched::default());
    for status in [200, 200, 429] {
        assert_eq!(get(&router, &path).await.status, status);
    }
    assert!(fetches.of(&config, Some("claim-config-uid")).ignition);
}

#[tokio::test]
async fn a_stranger_cannot_use_up_the_fetches_of_a_boot() {
    let mut server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.state.by_uuid = ByUuid::Always;
    let path = server.path(&claims());
    let (router, _cluster, _dir) = server.router();
    for stranger in [&path, &format!("/ignition/{UUID}")] {
        for _ in 0..25 {
            for method in [Method::HEAD, Method::GET] {
                ask(&router, method, stranger, &[], "192.0.2.1").await;
            }
        }
        assert_eq!(ask(&router, Method::GET, stranger, &[], "192.0.2.1").await.status, 429);
        assert_eq!(get(&router, stranger).await.status, 200);
    }
}

fn for_http(mut objects: Objects) -> Objects {
    let method = (metal_api::annotation::BOOT_METHOD.to_owned(), "http".to_owned());
    objects.servers[0].metadata.annotations = Some([method].into());
    objects
}

impl TestServer {
    fn path(&self, claims: &Claims) -> String {
        let token = issue(&self.state.key().unwrap(), claims).unwrap();
        format!("/ignition/t/{}/{UUID}", token.as_str())
    }
}

fn claims() -> Claims {
    Claims {
        purpose: Purpose::Ignition,
        server: "server".to_owned(),
        boot: "claim-uid".to_owned(),
        expires: Timestamp::now() + Duration::from_mins(5),
    }
}
