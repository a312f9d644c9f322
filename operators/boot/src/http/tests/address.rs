//! The addresses from which machines may fetch what they boot.

use super::{
    window::{linked, lost, offering, paths},
    *,
};
use crate::testing::{
    UUID, http_config, ipxe, key, lease, lease_all, registry::TestRegistry, server,
};
use jiff::Timestamp;
use metal_api::{DhcpLease, NetworkInterface, annotation};
use metal_core::capability::{Claims, Purpose, issue};
use tokio::time::Instant;

const MAC: &str = "02:00:00:AA:00:01";
const OURS: &str = "192.0.2.77";
const STRANGER: &str = "192.0.2.78";

#[tokio::test]
async fn a_server_gets_what_it_boots_at_its_own_address_and_nobody_else_does() {
    let registry = TestRegistry::start().await;
    let leased =
        vec![lease(OURS, MAC), lease("2001:db8::77", MAC), lease(STRANGER, "02:00:00:00:00:02")];
    for (addresses, stranger) in [(Addresses::Leased, 403), (Addresses::Any, 200)] {
        let mut server = offering(&registry, leasing(&registry, leased.clone()).await).await;
        (server.state.by_uuid, server.state.addresses) = (ByUuid::Always, addresses);
        let state = paths(&server, &registry).await;
        let answers = server.state.answers.clone();
        let (router, _cluster, _dir) = server.router();
        for path in state.iter().filter(|path| *path != "/httpboot") {
            let from = async |peer, forwarded: &[(&str, &str)]| {
                ask(&router, Method::GET, path, forwarded, peer).await
            };
            // The last one is made from the MAC address.
            for ours in [OURS, "::ffff:192.0.2.77", "2001:db8::77", "2001:db8::ff:feaa:1"] {
                assert_eq!(from(ours, &[]).await.status, 200, "{path} from {ours}");
            }
            for other in [STRANGER, "198.51.100.1", "2001:db8::78", "fe80::1", "10.0.0.1"] {
                assert_eq!(from(other, &[]).await.status, stranger, "{path} from {other}");
            }
            let proxied = [("x-forwarded-for", OURS)];
            assert_eq!(from("10.0.0.1", &proxied).await.status, 200, "{path}");
            assert_eq!(from(STRANGER, &proxied).await.status, stranger, "not trusted: {path}");
            let spoofed = [("x-forwarded-for", "192.0.2.77, 192.0.2.78")];
            assert_eq!(from("10.0.0.1", &spoofed).await.status, stranger, "{path}");
        }
        let refused = Answer { endpoint: "ignition", status: 403, reason: "OtherAddress" };
        assert_eq!(answers.get_or_create(&refused).get() > 0, stranger == 403);
    }
}

#[tokio::test]
async fn who_asks_from_elsewhere_is_told_what_is_told_outside_of_the_window() {
    let registry = TestRegistry::start().await;
    let mut told = vec![];
    for is_open in [true, false] {
        let mut objects = leasing(&registry, vec![lease(OURS, MAC)]).await;
        if !is_open {
            lost(&mut objects.servers[0]);
        }
        let mut server = offering(&registry, objects).await;
        server.state.by_uuid = ByUuid::Always;
        let state = [format!("/ipxe/{UUID}"), format!("/ignition/{UUID}")];
        let link = paths(&server, &registry).await.pop().unwrap();
        let (router, _cluster, _dir) = server.router();
        for path in state.iter().chain([&link]) {
            for agent in ["iPXE/1.21.1+", "UefiHttpBoot/1.0"] {
                let headers = [("user-agent", agent)];
                let got = ask(&router, Method::GET, path, &headers, STRANGER).await;
                let is_script = path.starts_with("/ipxe/") && agent.starts_with("iPXE");
                assert_eq!(got.status, if is_script { 200 } else { 403 }, "{path}");
                told.push((got.status, got.body, format!("{:?}", got.headers)));
            }
        }
    }
    let (open, closed) = told.split_at(told.len() / 2);
    for (open, closed) in open.iter().zip(closed) {
        // The URL differs each time, but is in neither answer.
        assert_eq!(open, closed);
    }
}

#[tokio::test]
async fn who_is_refused_waits_as_long_whether_the_window_is_open_or_not() {
    for is_open in [true, false] {
        let mut objects = Objects { leases: vec![lease(OURS, MAC)], ..ours() };
        if !is_open {
            lost(&mut objects.servers[0]);
        }
        let mut server = TestServer::with(objects).await;
        server.state.patience = Duration::from_millis(300);
        let (router, _cluster, _dir) = server.router();
        let begun = Instant::now();
        let got = ask(&router, Method::GET, &format!("/ipxe/{UUID}"), &[], STRANGER).await;
        assert_eq!(got.status, 403);
        assert!(begun.elapsed() >= Duration::from_millis(300), "{is_open}");
    }
}

#[tokio::test]
async fn a_machine_that_has_just_got_another_address_is_not_refused() {
    let mut server = TestServer::with(Objects { leases: vec![lease(OURS, MAC)], ..ours() }).await;
    server.state.patience = Duration::from_mins(1);
    let view = Arc::clone(&server.state.view);
    let (router, _cluster, _dir) = server.router();
    let path = format!("/ipxe/{UUID}");
    tokio::time::pause();
    let asked = ask(&router, Method::GET, &path, &[], STRANGER);
    let given = async {
        sleep(Duration::from_secs(1)).await;
        lease_all(&view, vec![lease(OURS, MAC), lease(STRANGER, MAC)]).await;
    };
    let (got, ()) = tokio::join!(asked, given);
    assert_eq!(got.status, 200);
}

/// It may be the machine, whose disk may have the system of somebody else, or a stranger with its UUID.
#[tokio::test]
async fn ipxe_at_an_unknown_address_gives_up_after_the_window_only_and_is_not_switched_off() {
    for (is_open, is_ready) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut objects = Objects { leases: vec![lease(OURS, MAC)], ..ours() };
        if !is_ready {
            objects.configurations[0].status = None;
        }
        if !is_open {
            lost(&mut objects.servers[0]);
        }
        let (router, _cluster, _dir) = TestServer::with(objects).await.router();
        let first = by_ipxe(&router, "").await;
        assert!(first.contains("?closed=1 ") && !first.contains("waited"), "{first}");
        let last = by_ipxe(&router, "?closed=15").await;
        assert_eq!(last.contains("?closed=15 "), is_open, "{last}");
        assert_eq!(last.ends_with("exit 1\n"), !is_open, "{last}");
        assert!(!last.contains("poweroff"), "{last}");
        let path = format!("/ipxe/{UUID}");
        assert_eq!(ask(&router, Method::GET, &path, &[], STRANGER).await.status, 403);
    }
}

#[tokio::test]
async fn ipxe_of_another_server_does_not_wait_for_the_boot_of_this_one() {
    for is_ready in [true, false] {
        let mut objects = ours();
        if !is_ready {
            objects.configurations[0].status = None;
        }
        let mut other = server("other", "00000000-0000-0000-0000-000000000002", "other");
        other.status.as_mut().unwrap().network_interfaces = vec![interface("02:00:00:AA:00:02")];
        objects.servers.push(other);
        objects.leases = vec![lease(OURS, MAC), lease(STRANGER, "02:00:00:AA:00:02")];
        let (router, _cluster, _dir) = TestServer::with(objects).await.router();
        let last = by_ipxe(&router, "?closed=15").await;
        assert!(last.ends_with("exit 1\n"), "{last}");
    }
}

#[tokio::test]
async fn what_asks_again_by_itself_takes_no_delay_from_who_asks_only_once() {
    let leases = vec![lease(OURS, MAC)];
    let mut objects = Objects { leases: leases.clone(), ..ours() };
    lost(&mut objects.servers[0]);
    let mut server = TestServer::with(objects).await;
    server.state.patience = Duration::from_mins(1);
    let (closed, _cluster, _dir) = server.router();
    let mut objects = Objects { leases, ..ours() };
    objects.configurations[0].status = None;
    let mut server = TestServer::with(objects).await;
    server.state.patience = Duration::from_mins(1);
    server.state.by_uuid = ByUuid::Always;
    let (not_ready, _other_cluster, _other_dir) = server.router();
    tokio::time::pause();
    let begun = Instant::now();
    let (script, agent) = (format!("/ipxe/{UUID}"), [("user-agent", "iPXE/1.21.1")]);
    let again = format!("{script}?closed=3");
    let got = ask(&closed, Method::GET, &again, &agent, OURS).await;
    assert!(got.body.contains("?closed=4 "), "{}", got.body);
    let ignition = format!("/ignition/{UUID}");
    assert_eq!(ask(&not_ready, Method::GET, &ignition, &[], OURS).await.status, 503);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    ask(&closed, Method::GET, &script, &agent, OURS).await;
    assert!(begun.elapsed() >= Duration::from_mins(1));
    // Ignition gives up when it is refused.
    assert_eq!(ask(&closed, Method::GET, &ignition, &[], OURS).await.status, 403);
    assert!(begun.elapsed() >= Duration::from_mins(2));
}

#[tokio::test]
async fn who_asks_for_refusals_only_holds_few_connections_with_them() {
    let mut server = TestServer::with(Objects { leases: vec![lease(OURS, MAC)], ..ours() }).await;
    server.state.patience = Duration::from_mins(1);
    server.state.delays = Delays::new(10, 2);
    let (router, _cluster, _dir) = server.router();
    let path = format!("/ipxe/{UUID}");
    tokio::time::pause();
    let begun = Instant::now();
    let refused = async |from| {
        assert_eq!(ask(&router, Method::GET, &path, &[], from).await.status, 403);
        begun.elapsed()
    };
    let first = async { tokio::join!(refused(STRANGER), refused(STRANGER)) };
    let then = async { tokio::join!(refused(STRANGER), refused("198.51.100.1")) };
    let (delayed, (at_once, other)) = tokio::join!(first, then);
    let patience = Duration::from_mins(1);
    assert!(delayed.0 >= patience && delayed.1 >= patience && other >= patience);
    assert_eq!(at_once, Duration::ZERO);
}

#[tokio::test]
async fn where_no_lease_is_known_anybody_asks() {
    let old = {
        let mut old = lease(OURS, MAC);
        old.spec.held_until.0 = Timestamp::now() - Duration::from_secs(1);
        old
    };
    let of_nobody = [lease(OURS, "id-00ff"), lease(OURS, "02:00:00:00:00:02")].map(|it| vec![it]);
    for leases in [vec![], vec![old]].into_iter().chain(of_nobody) {
        let server = TestServer::with(Objects { leases: leases.clone(), ..ours() }).await;
        let (router, _cluster, _dir) = server.router();
        let got = ask(&router, Method::GET, &format!("/ipxe/{UUID}"), &[], STRANGER).await;
        assert_eq!(got.status, 200, "{leases:?}");
    }
}

#[tokio::test]
async fn no_server_asks_for_another_one_that_has_no_lease_yet() {
    let mut objects = ours();
    let mut other = server("other", "00000000-0000-0000-0000-000000000002", "other");
    other.status.as_mut().unwrap().network_interfaces = vec![interface("02:00:00:AA:00:02")];
    objects.servers.push(other);
    objects.leases =
        vec![lease(STRANGER, "02:00:00:AA:00:02"), lease("192.0.2.79", "02:00:00:AA:00:03")];
    let server = TestServer::with(objects).await;
    let (router, _cluster, _dir) = server.router();
    // The last one may be an interface that the inventory lacks.
    for (peer, status) in [(STRANGER, 403), (OURS, 200), ("192.0.2.79", 200)] {
        let got = ask(&router, Method::GET, &format!("/ipxe/{UUID}"), &[], peer).await;
        assert_eq!(got.status, status, "{peer}");
    }
}

#[tokio::test]
async fn who_takes_the_mac_address_of_a_machine_does_not_keep_it_out() {
    // netboot gives both the same address in one subnet, and different ones in two.
    let leases = vec![lease("198.51.100.1", MAC), lease(OURS, MAC)];
    let server = TestServer::with(Objects { leases, ..ours() }).await;
    let (router, _cluster, _dir) = server.router();
    let got = ask(&router, Method::GET, &format!("/ipxe/{UUID}"), &[], OURS).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_mac_address_that_several_servers_have_binds_none_of_them() {
    let mut objects = ours();
    let mut twin = server("twin", "00000000-0000-0000-0000-000000000002", "other");
    twin.status.as_mut().unwrap().network_interfaces = interfaces();
    objects.servers.push(twin);
    objects.leases = vec![lease(OURS, MAC)];
    let server = TestServer::with(objects).await;
    let (router, _cluster, _dir) = server.router();
    let got = ask(&router, Method::GET, &format!("/ipxe/{UUID}"), &[], STRANGER).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn a_dhcp_server_that_is_trusted_asks_for_the_machine_that_it_names() {
    let http = vec![http_config("claim")];
    let objects = Objects { http, ipxe: vec![], leases: vec![lease(OURS, MAC)], ..ours() };
    let server = TestServer::with(objects).await;
    let (router, _cluster, _dir) = server.router();
    for (named, status) in [
        ("10.1.1.1, 02:00:00:aa:00:01", 200),
        ("02-00-00-AA-00-01", 200),
        ("10.1.1.1, 192.0.2.77", 200),
        ("10.1.1.1", 403),
    ] {
        let headers = [("x-forwarded-for", named)];
        let got = ask(&router, Method::GET, "/httpboot", &headers, "10.0.0.1").await;
        assert_eq!(got.status, status, "{named}");
    }
    // Identified by an address in its inventory that it no longer has.
    assert_eq!(ask(&router, Method::GET, "/httpboot", &[], "10.1.1.1").await.status, 403);
}

#[tokio::test]
async fn what_was_made_by_hand_is_for_the_addresses_that_it_names() {
    let mut config = http_config("hand");
    config.metadata.owner_references = None;
    let mut script = ipxe("hand");
    script.metadata.owner_references = None;
    script.spec.system_ips = vec!["192.0.2.80".to_owned()];
    let objects = Objects { http: vec![config], ipxe: vec![script], ..Objects::default() };
    let mut server = TestServer::with(Objects { leases: vec![lease(OURS, MAC)], ..objects }).await;
    server.state.by_uuid = ByUuid::Always;
    let (router, _cluster, _dir) = server.router();
    let got = ask(&router, Method::GET, "/httpboot", &[], "10.1.1.1").await;
    assert_eq!(got.status, 200, "{}", got.body);
    let got = ask(&router, Method::GET, &format!("/ipxe/{UUID}"), &[], STRANGER).await;
    assert_eq!(got.status, 200, "nobody knows its MAC address");
}

#[tokio::test]
async fn a_bmc_reads_a_medium_from_its_own_address_and_the_host_its_ignition_from_that_of_the_host()
{
    let registry = TestRegistry::start().await;
    let mut objects = leasing(&registry, vec![lease(OURS, MAC)]).await;
    objects.ipxe.clear();
    let method = (annotation::BOOT_METHOD.to_owned(), "virtual-media".to_owned());
    objects.servers[0].metadata.annotations = Some([method].into());
    let server = offering(&registry, objects).await;
    let boot = server.state.view.configurations.all()[0].metadata.uid.clone().unwrap();
    let claims = |purpose| Claims {
        purpose,
        server: "server".to_owned(),
        boot: boot.clone(),
        expires: Timestamp::now() + Duration::from_mins(5),
    };
    let medium = issue(&key(), &claims(Purpose::Medium)).unwrap();
    let ignition = issue(&key(), &claims(Purpose::Ignition)).unwrap();
    let (router, _cluster, _dir) = server.router();
    let medium = format!("/media/{}.iso", medium.as_str());
    assert_eq!(ask(&router, Method::HEAD, &medium, &[], "198.51.100.9").await.status, 200);
    let ignition = format!("/ignition/t/{}/{UUID}", ignition.as_str());
    assert_eq!(ask(&router, Method::GET, &ignition, &[], OURS).await.status, 200);
    assert_eq!(ask(&router, Method::GET, &ignition, &[], "198.51.100.9").await.status, 403);
}

#[tokio::test]
async fn strangers_behind_a_proxy_do_not_use_up_the_fetches_of_a_machine_behind_it() {
    let mut server = TestServer::with(Objects::ready_for_ipxe()).await;
    server.state.by_uuid = ByUuid::Always;
    server.state.fetch_limit = FetchLimit::new(2, Duration::from_mins(30));
    let (router, _cluster, _dir) = server.router();
    let path = format!("/ignition/{UUID}");
    for behind in [STRANGER, OURS] {
        for status in [200, 200, 429] {
            let headers = [("x-forwarded-for", behind)];
            let got = ask(&router, Method::GET, &path, &headers, "10.0.0.1").await;
            assert_eq!(got.status, status, "{behind}");
        }
    }
}

/// The script that iPXE gets at the address of a stranger.
async fn by_ipxe(router: &Router, query: &str) -> String {
    let agent = [("user-agent", "iPXE/1.21.1+")];
    ask(router, Method::GET, &format!("/ipxe/{UUID}{query}"), &agent, STRANGER).await.body
}

/// A server with one interface, which boots by iPXE.
fn ours() -> Objects {
    let mut objects = Objects::ready_for_ipxe();
    objects.servers[0].status.as_mut().unwrap().network_interfaces = interfaces();
    objects
}

/// A server with one interface that boots an image of the registry.
async fn leasing(registry: &TestRegistry, leases: Vec<DhcpLease>) -> Objects {
    let mut objects = Objects { leases, ..linked(registry).await };
    objects.servers[0].status.as_mut().unwrap().network_interfaces = interfaces();
    objects
}

fn interfaces() -> Vec<NetworkInterface> {
    vec![interface(MAC)]
}

fn interface(mac: &str) -> NetworkInterface {
    NetworkInterface { mac_address: mac.to_owned(), ..NetworkInterface::default() }
}
