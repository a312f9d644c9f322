use super::*;
use crate::{
    config_ref::Kind,
    testing::{NAMESPACE, UUID, configuration, ipxe, server},
};
use metal_api::{BootState, IpxeBootConfig, LocalObjectReference, SystemUuid};
use metal_core::boot::config::Fetched;

#[tokio::test]
async fn a_machine_that_says_nothing_is_told_to_say_its_uuid() {
    let got = TestServer::starting().await.get("/ipxe/").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(got.body.starts_with("#!ipxe\nset ipxe-svc http://boot:8082\nchain "), "{}", got.body);
    let got = TestServer::starting().await.get("/ipxe").await;
    assert_eq!((got.status, got.header("location")), (301, Some("/ipxe/")));
}

#[tokio::test]
async fn without_an_address_of_its_own_ipxe_is_disabled() {
    for path in ["/ipxe/", &format!("/ipxe/{UUID}")] {
        let mut server = TestServer::with(Objects::ready_for_ipxe()).await;
        server.state.urls.service = None;
        let got = server.get(path).await;
        assert_eq!((got.status, got.body.as_str()), (503, "iPXE is disabled\n"));
    }
}

#[tokio::test]
async fn a_server_gets_its_script_with_a_token_whatever_the_case_of_its_uuid() {
    let swapped = UUID.parse::<SystemUuid>().unwrap().byte_orders().nth(1).unwrap().to_string();
    for uuid in [UUID.to_owned(), UUID.to_uppercase(), swapped] {
        let got =
            TestServer::with(Objects::ready_for_ipxe()).await.get(&format!("/ipxe/{uuid}")).await;
        assert_eq!(got.status, 200, "{uuid}");
        assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(got.header("cache-control"), Some("no-store"));
        assert!(got.body.contains("set kernel-url http://boot:8082/kernel\n"), "{}", got.body);
        let config = "ignition.config.url=${ipxe-svc}/ignition/t/";
        assert!(got.body.contains(config) && got.body.contains(&format!("/{UUID} ")));
    }
}

#[tokio::test]
async fn a_machine_that_is_to_boot_otherwise_gets_no_script() {
    for (method, status) in [("ipxe", 200), ("http", 404), ("disk", 404), ("none", 404), ("?", 404)]
    {
        let mut objects = Objects::ready_for_ipxe();
        let annotation = (metal_api::annotation::BOOT_METHOD.to_owned(), method.to_owned());
        objects.servers[0].metadata.annotations = Some([annotation].into());
        let got = TestServer::with(objects).await.get(&format!("/ipxe/{UUID}")).await;
        assert_eq!(got.status, status, "{method}");
    }
}

#[tokio::test]
async fn a_script_is_known_before_it_is_fetched() {
    let (router, _cluster, _dir) = TestServer::with(Objects::ready_for_ipxe()).await.router();
    let path = format!("/ipxe/{UUID}");
    let got = ask(&router, Method::HEAD, &path, &[], "10.0.0.1").await;
    let whole = get(&router, &path).await;
    assert_eq!((got.status, got.body.as_str()), (200, ""));
    assert_eq!(got.header("content-length"), Some(whole.body.len().to_string().as_str()));
}

#[tokio::test]
async fn before_all_is_listed_a_machine_is_told_to_ask_again() {
    let got = TestServer::starting().await.get(&format!("/ipxe/{UUID}")).await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("5")));
    // A list that is still missing may contain the one that counts.
    let server = TestServer::starting().await;
    crate::testing::list(&server.state.view.ipxe, vec![ipxe("claim")]).await;
    assert_eq!(server.get(&format!("/ipxe/{UUID}")).await.status, 503);
}

#[tokio::test]
async fn who_is_refused_gets_the_status_of_the_reason() {
    let ready = Objects::ready_for_ipxe();
    let pending =
        |state| Objects { configurations: vec![configuration("claim", state)], ..ready.clone() };
    let elsewhere = Objects { servers: vec![server("server", UUID, "other")], ..ready.clone() };
    let twins = Objects {
        servers: vec![server("server", UUID, "claim"), server("twin", UUID, "claim")],
        ..ready.clone()
    };
    let gone = Objects { configurations: vec![], ..ready.clone() };
    let made_again = Objects {
        configurations: vec![{
            let mut configuration = configuration("claim", Some(BootState::Ready));
            configuration.metadata.uid = Some("another".to_owned());
            configuration
        }],
        ..ready.clone()
    };
    let injected = Objects { ipxe: vec![injecting()], ..ready.clone() };
    let cases = [
        (Objects::default(), 404, "Resource Not Found\n"),
        (elsewhere, 404, "Resource Not Found\n"),
        (gone, 404, "Resource Not Found\n"),
        (made_again, 404, "Resource Not Found\n"),
        (twins, 500, "Internal Server Error\n"),
        (injected, 500, "Internal Server Error\n"),
        (pending(None), 503, "not ready\n"),
        (pending(Some(BootState::Pending)), 503, "not ready\n"),
        (pending(Some(BootState::Error)), 503, "not ready\n"),
    ];
    for (at, (objects, status, body)) in cases.into_iter().enumerate() {
        let got = TestServer::with(objects).await.get(&format!("/ipxe/{UUID}")).await;
        assert_eq!((got.status, got.body.as_str()), (status, body), "case {at}");
    }
}

#[tokio::test]
async fn ipxe_waits_in_the_window_for_what_is_not_ready_and_never_goes_on_to_the_disk() {
    for state in [None, Some(BootState::Pending), Some(BootState::Error)] {
        let server = TestServer::with(not_ready(state)).await;
        let answers = server.state.answers.clone();
        let (router, _cluster, _dir) = server.router();
        for (asked, next, is_last) in [
            ("", "?waited=1", false),
            ("?waited=14", "?waited=15", false),
            ("?waited=15", "?waited=15", true),
        ] {
            let got = by_ipxe(&router, asked).await;
            assert_eq!(got.status, 200, "iPXE runs no script of another status");
            assert!(
                got.body.contains(&format!("/ipxe/{UUID}{next} || goto again")),
                "{}",
                got.body
            );
            assert_eq!(got.body.contains("poweroff"), is_last, "{}", got.body);
            assert!(!got.body.contains("exit") && !got.body.contains("kernel"), "{}", got.body);
        }
        let waits = Answer { endpoint: "ipxe", status: 200, reason: "NotReady" };
        assert_eq!(answers.get_or_create(&waits).get(), 3);
    }
}

#[tokio::test]
async fn nobody_waits_for_what_is_not_ready_but_ipxe_of_a_server_in_its_window() {
    type Spoil = fn(&mut Objects);
    let spoils: [(u16, u16, Spoil); 4] = [
        (200, 503, |it| window::lost(&mut it.servers[0])),
        (200, 503, |it| {
            window::window(&mut it.servers[0]).boot_configuration_ref.name = "other".into();
        }),
        (404, 404, |it| it.servers[0].spec.boot_configuration_ref = None),
        (404, 404, |it| {
            let disk = (metal_api::annotation::BOOT_METHOD.to_owned(), "disk".to_owned());
            it.servers[0].metadata.annotations = Some([disk].into());
        }),
    ];
    for outside in [OutsideWindow::Refuse, OutsideWindow::Answer] {
        for (at, (closed, open, spoil)) in spoils.into_iter().enumerate() {
            let mut objects = not_ready(None);
            spoil(&mut objects);
            let mut server = TestServer::with(objects).await;
            server.state.outside = outside;
            let (router, _cluster, _dir) = server.router();
            let status = if outside == OutsideWindow::Refuse { closed } else { open };
            let got = by_ipxe(&router, "").await;
            assert_eq!(got.status, status, "{outside:?} {at}");
            assert!(!got.body.contains("waited"), "{outside:?} {at}");
        }
    }
    let (router, _cluster, _dir) = TestServer::with(not_ready(None)).await.router();
    assert_eq!(get(&router, &format!("/ipxe/{UUID}?waited=1")).await.status, 503);
}

/// It would repeat its request for as long as it is told to (`Retry-After`), and a host that has restarted on
/// its own would never come up from its disk.
#[tokio::test]
async fn outside_of_the_window_ipxe_goes_on_to_the_disk_in_the_end_whatever_is_ready() {
    for state in [None, Some(BootState::Error), Some(BootState::Ready)] {
        let mut objects = not_ready(state);
        window::lost(&mut objects.servers[0]);
        let (router, _cluster, _dir) = TestServer::with(objects).await.router();
        let first = by_ipxe(&router, "").await;
        assert_eq!((first.status, first.header("retry-after")), (200, None));
        assert!(first.body.contains("?closed=1 "), "{}", first.body);
        let last = by_ipxe(&router, "?closed=15").await;
        assert!(last.body.ends_with("exit 1\n"), "{}", last.body);
    }
}

#[tokio::test]
async fn ipxe_that_waits_boots_what_is_ready_and_is_switched_off_if_nothing_will_be() {
    let (router, _cluster, _dir) = TestServer::with(Objects::ready_for_ipxe()).await.router();
    let got = by_ipxe(&router, "?waited=7").await;
    assert!(got.body.contains("set kernel-url "), "{}", got.body);
    // Its window has closed; it is to boot something else.
    let spoils: [fn(&mut Objects); 2] = [
        |it| window::lost(&mut it.servers[0]),
        |it| it.servers[0].spec.boot_configuration_ref = None,
    ];
    for spoil in spoils {
        let mut objects = Objects::ready_for_ipxe();
        spoil(&mut objects);
        let (router, _cluster, _dir) = TestServer::with(objects).await.router();
        let got = by_ipxe(&router, "?waited=7").await;
        assert!(got.body.contains("?waited=8 ") && !got.body.contains("exit"), "{}", got.body);
        assert!(by_ipxe(&router, "?waited=15").await.body.contains("poweroff"));
    }
}

#[tokio::test]
async fn ipxe_waits_in_the_window_for_a_script_that_cannot_be_had() {
    let injected = Objects { ipxe: vec![injecting()], ..Objects::ready_for_ipxe() };
    for (objects, reason) in
        [(own_script(), "Unusable"), (injected, "Unusable"), (own_script(), "Unavailable")]
    {
        let server = TestServer::with(objects.clone()).await;
        if reason == "Unavailable" {
            server.cluster.go_down();
        }
        let answers = server.state.answers.clone();
        let (router, _cluster, _dir) = server.router();
        let got = by_ipxe(&router, "").await;
        assert!(got.body.contains("?waited=1 ") && !got.body.contains("exit"), "{}", got.body);
        let waits = Answer { endpoint: "ipxe", status: 200, reason };
        assert_eq!(answers.get_or_create(&waits).get(), 1);
        // Where there are no windows, it may be to boot its disk.
        let mut server = TestServer::with(objects).await;
        server.state.outside = OutsideWindow::Answer;
        if reason == "Unavailable" {
            server.cluster.go_down();
        }
        let (router, _cluster, _dir) = server.router();
        assert!(by_ipxe(&router, "").await.status >= 500);
    }
}

#[tokio::test]
async fn ipxe_that_waits_takes_no_delay_from_who_asks_only_once() {
    let mut server = TestServer::with(not_ready(None)).await;
    server.state.patience = Duration::from_mins(1);
    let (router, _cluster, _dir) = server.router();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let got = by_ipxe(&router, "?waited=1").await;
    assert!(got.body.contains("?waited=2 "), "{}", got.body);
    assert!(begun.elapsed() < Duration::from_secs(1));
    by_ipxe(&router, "").await;
    assert!(begun.elapsed() >= Duration::from_mins(1));
}

#[tokio::test]
async fn what_becomes_ready_in_a_moment_is_served_to_who_asks_only_once() {
    let mut server = TestServer::with(not_ready(Some(BootState::Pending))).await;
    server.state.patience = Duration::from_mins(1);
    let view = Arc::clone(&server.state.view);
    let (router, _cluster, _dir) = server.router();
    let path = format!("/ipxe/{UUID}");
    tokio::time::pause();
    let asked = get(&router, &path);
    let made_ready = async {
        sleep(Duration::from_secs(1)).await;
        let mut ready = configuration("claim", Some(BootState::Ready));
        ready.metadata.resource_version = Some("8".to_owned());
        crate::testing::list(&view.configurations, vec![ready]).await;
    };
    let (got, ()) = tokio::join!(asked, made_ready);
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_config_made_by_hand_serves_a_machine_that_is_no_server_and_no_other() {
    let hand = |state: Option<BootState>| {
        let mut config = by_hand("hand");
        config.status = state.map(|state| metal_api::IpxeBootConfigStatus {
            state: Some(state),
            conditions: vec![],
        });
        config
    };
    let path = format!("/ipxe/{UUID}");
    for (state, status) in
        [(None, 200), (Some(BootState::Ready), 200), (Some(BootState::Error), 503)]
    {
        let objects = Objects { ipxe: vec![hand(state)], ..Objects::default() };
        assert_eq!(TestServer::with(objects).await.get(&path).await.status, status);
    }
    let two = Objects { ipxe: vec![by_hand("one"), by_hand("two")], ..Objects::default() };
    assert_eq!(TestServer::with(two).await.get(&path).await.status, 500);
    let stolen = Objects {
        ipxe: vec![by_hand("hand")],
        servers: vec![server("server", UUID, "claim")],
        ..Objects::default()
    };
    assert_eq!(TestServer::with(stolen).await.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_script_of_its_own_is_handed_out_as_it_is() {
    let path = format!("/ipxe/{UUID}");
    let server = TestServer::with(own_script()).await;
    server.cluster.put_secret("script", &[("ipxe-script", "#!ipxe\nshell\n")]);
    let got = server.get(&path).await;
    assert_eq!((got.status, got.body.as_str()), (200, "#!ipxe\nshell\n"));

    let missing = TestServer::with(own_script()).await;
    assert_eq!(missing.get(&path).await.status, 500);
    let empty = TestServer::with(own_script()).await;
    empty.cluster.put_secret("script", &[("other", "x")]);
    assert_eq!(empty.get(&path).await.status, 500);
    let down = TestServer::with(own_script()).await;
    down.cluster.go_down();
    assert_eq!(down.get(&path).await.status, 503);
}

#[tokio::test]
async fn a_script_that_was_handed_out_is_noted_and_the_api_server_is_not_asked() {
    let server = TestServer::with(Objects::ready_for_ipxe()).await;
    let fetches = Arc::clone(&server.state.fetches);
    let (router, cluster, _dir) = server.router();
    for _ in 0..3 {
        assert_eq!(get(&router, &format!("/ipxe/{UUID}")).await.status, 200);
    }
    let config = ConfigRef::new(Kind::Ipxe, (NAMESPACE.into(), "claim".into()));
    let noted = fetches.of(&config, Some("claim-config-uid"));
    assert_eq!(noted, Fetched { script: true, ignition: false });
    assert_eq!((cluster.reads(), cluster.take().len()), (0, 0));
}

#[tokio::test]
async fn who_only_looks_at_a_script_has_not_fetched_it() {
    let server = TestServer::with(Objects::ready_for_ipxe()).await;
    let fetches = Arc::clone(&server.state.fetches);
    let (router, _cluster, _dir) = server.router();
    let got = ask(&router, Method::HEAD, &format!("/ipxe/{UUID}"), &[], "10.0.0.1").await;
    assert_eq!(got.status, 200);
    let config = ConfigRef::new(Kind::Ipxe, (NAMESPACE.into(), "claim".into()));
    assert_eq!(fetches.of(&config, Some("claim-config-uid")), Fetched::default());
}

/// A server in the window of a boot that is not ready.
fn not_ready(state: Option<BootState>) -> Objects {
    let configurations = vec![configuration("claim", state)];
    Objects { configurations, ..Objects::ready_for_ipxe() }
}

async fn by_ipxe(router: &Router, query: &str) -> TestResponse {
    let agent = [("user-agent", "iPXE/1.21.1+ (g1234)")];
    ask(router, Method::GET, &format!("/ipxe/{UUID}{query}"), &agent, "10.0.0.1").await
}

fn own_script() -> Objects {
    let mut objects = Objects::ready_for_ipxe();
    objects.ipxe[0].spec.ipxe_script_secret_ref = Some(LocalObjectReference::new("script"));
    objects
}

fn by_hand(name: &str) -> IpxeBootConfig {
    let mut config = ipxe(name);
    config.metadata.owner_references = None;
    config
}

fn injecting() -> IpxeBootConfig {
    let mut config = ipxe("claim");
    config.spec.kernel_url = "http://a/kernel\nshell".to_owned();
    config
}
