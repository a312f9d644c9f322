use super::*;
use crate::testing::{UUID, configuration, http_config, lease, server};
use metal_api::BootState;
use serde_json::{Value, json};

const FORWARDED: &str = "x-forwarded-for";

#[tokio::test]
async fn a_machine_is_found_by_any_of_its_addresses() {
    for identifiers in ["10.1.1.1", "192.0.2.9, 02-00-00-AA-00-01", "::ffff:10.1.1.1"] {
        let got = ask_for(TestServer::with(Objects::ready_for_http()).await, identifiers).await;
        assert_eq!(got.status, 200, "{identifiers}");
        assert_eq!(got.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_str(&got.body).unwrap();
        let joined = identifiers.replace(", ", ",");
        let uki = "http://boot:8083/httpboot/uki.efi";
        assert_eq!(body, json!({"ClientIPs": joined, "SystemUUID": UUID, "UKIURL": uki}));
    }
}

#[tokio::test]
async fn who_a_proxy_names_with_a_port_is_the_same_machine() {
    for identifiers in ["10.1.1.1:51234", "\"10.1.1.1\"", "[::ffff:10.1.1.1]:443", "0200.00aa.0001"]
    {
        let got = ask_for(TestServer::with(Objects::ready_for_http()).await, identifiers).await;
        assert_eq!(got.status, 200, "{identifiers}");
    }
    // A machine with an invalid address never gets the default image.
    for identifiers in ["unknown", "10.1.1.1x", "_hidden, 192.0.2.9"] {
        let mut server = TestServer::with(Objects::ready_for_http()).await;
        server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
        assert_eq!(ask_for(server, identifiers).await.status, 400, "{identifiers}");
    }
}

#[tokio::test]
async fn whoever_is_not_trusted_asks_for_itself() {
    let (router, _cluster, _dir) = TestServer::with(Objects::ready_for_http()).await.router();
    let headers = [(FORWARDED, "10.1.1.1")];
    let got = ask(&router, Method::GET, "/httpboot", &headers, "192.0.2.1").await;
    assert_eq!(got.status, 500, "it is unknown, and there is no default");
    let got = ask(&router, Method::GET, "/httpboot", &[], "10.1.1.1").await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn whoever_names_another_machine_to_a_proxy_gets_nothing_of_it() {
    for (named, status) in [
        // The proxy has appended the client's address.
        ("10.1.1.1, 198.51.100.1", 500),
        ("02-00-00-AA-00-01, 198.51.100.1", 500),
        ("198.51.100.1, 02-00-00-AA-00-01", 400),
        // The machine itself.
        ("198.51.100.1, 10.1.1.1", 200),
    ] {
        let mut server = TestServer::with(Objects::ready_for_http()).await;
        // The addresses of machines are beside those of proxies here.
        server.state.trusted_proxies = vec!["10.0.0.0/24".parse().unwrap()];
        let (router, _cluster, _dir) = server.router();
        let headers = [(FORWARDED, named)];
        let got = ask(&router, Method::GET, "/httpboot", &headers, "10.0.0.2").await;
        assert_eq!(got.status, status, "{named}: {}", got.body);
    }
}

#[tokio::test]
async fn an_unknown_machine_gets_the_default_if_there_is_one() {
    let got = ask_for(TestServer::with(Objects::ready_for_http()).await, "192.0.2.9").await;
    let text = "HTTP boot is not configured (missing default UKI)\n";
    assert_eq!((got.status, got.body.as_str()), (500, text));

    let mut server = TestServer::with(Objects::ready_for_http()).await;
    server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
    let got = ask_for(server, "192.0.2.9").await;
    let body: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(body, json!({"ClientIPs": "192.0.2.9", "UKIURL": "http://a/uki.efi"}));
}

#[tokio::test]
async fn a_known_machine_never_gets_the_default() {
    let ready = Objects::ready_for_http();
    let not_ready = Objects {
        configurations: vec![configuration("claim", Some(BootState::Pending))],
        ..ready.clone()
    };
    let elsewhere = Objects { servers: vec![server("server", UUID, "other")], ..ready.clone() };
    let other = {
        let mut other = http_config("other");
        other.spec.system_uuid = Some("00000000-0000-0000-0000-000000000002".to_owned());
        other
    };
    let twins = Objects {
        http: vec![http_config("claim"), other],
        servers: vec![
            server("server", UUID, "claim"),
            server("twin", "00000000-0000-0000-0000-000000000002", "other"),
        ],
        configurations: vec![
            configuration("claim", Some(BootState::Ready)),
            configuration("other", Some(BootState::Ready)),
        ],
        ..Objects::default()
    };
    for (objects, status) in [(not_ready, 503), (elsewhere, 404), (twins, 500)] {
        let mut server = TestServer::with(objects).await;
        server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
        assert_eq!(ask_for(server, "10.1.1.1").await.status, status);
    }
    let mut server = TestServer::starting().await;
    server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
    assert_eq!(ask_for(server, "10.1.1.1").await.status, 503, "nobody is unknown yet");
}

/// A server with the address of a boot config that a person made, without the UUID.
fn by_hand_for_a_server(own: &Objects) -> Vec<Objects> {
    let mut hand = http_config("hand");
    hand.metadata.owner_references = None;
    hand.spec.system_uuid = None;
    let at = |address: &str| {
        let mut objects = own.clone();
        let mut hand = hand.clone();
        hand.spec.network_identifiers = vec![address.to_owned()];
        objects.http.push(hand);
        give(&mut objects.servers[0], MAC);
        objects.leases.push(lease("10.1.1.1", MAC));
        objects
    };
    vec![at(MAC), at("10.1.1.1")]
}

const MAC: &str = "02:00:00:aa:00:01";

fn give(server: &mut metal_api::Server, mac: &str) {
    let mac_address = mac.to_owned();
    let interface = metal_api::NetworkInterface { mac_address, ..Default::default() };
    server.status.get_or_insert_default().network_interfaces.push(interface);
}

#[tokio::test]
async fn what_was_made_by_hand_for_an_address_of_a_server_is_not_served() {
    let own = Objects { http: vec![], ..Objects::ready_for_http() };
    for objects in by_hand_for_a_server(&own) {
        for identifiers in ["10.1.1.1", &format!("10.1.1.1, {MAC}")] {
            let mut server = TestServer::with(objects.clone()).await;
            server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
            assert_eq!(ask_for(server, identifiers).await.status, 404, "{identifiers}");
        }
        // Nor if the server asks from its own address.
        let (router, _cluster, _dir) = TestServer::with(objects).await.router();
        let got = ask(&router, Method::GET, "/httpboot", &[], "10.1.1.1").await;
        assert_eq!(got.status, 404);
    }
}

#[tokio::test]
async fn what_was_made_by_hand_for_an_address_of_a_server_does_not_make_its_own_ambiguous() {
    for objects in by_hand_for_a_server(&Objects::ready_for_http()) {
        let got = ask_for(TestServer::with(objects).await, "10.1.1.1").await;
        assert_eq!(got.status, 200);
        let body: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(body["SystemUUID"], UUID);
    }
}

#[tokio::test]
async fn a_server_without_a_uki_never_gets_the_default() {
    let mut objects = Objects { http: vec![], ..Objects::ready_for_http() };
    give(&mut objects.servers[0], MAC);
    objects.leases.push(lease("10.1.1.1", MAC));
    for identifiers in [MAC, "10.1.1.1"] {
        let mut server = TestServer::with(objects.clone()).await;
        server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
        assert_eq!(ask_for(server, identifiers).await.status, 404, "{identifiers}");
    }
    // What nobody has admitted says nothing about the machines of others.
    let key = metal_api::Taint::NOT_ADMITTED.to_owned();
    objects.servers[0].spec.taints = vec![metal_api::Taint { key, ..Default::default() }];
    let mut server = TestServer::with(objects).await;
    server.state.default_uki = DefaultUki::Url("http://a/uki.efi".to_owned());
    assert_eq!(ask_for(server, MAC).await.status, 200);
}

#[tokio::test]
async fn an_address_that_a_server_had_before_does_not_lead_another_machine_to_its_boot() {
    let (own, other) = ("02:00:00:aa:00:02", "00000000-0000-0000-0000-000000000002");
    let mut objects = Objects::ready_for_http();
    let mut later = http_config("other");
    later.spec.system_uuid = Some(other.to_owned());
    later.spec.network_identifiers = vec![own.to_owned()];
    objects.http.push(later);
    objects.servers.push(server("other", other, "other"));
    let mut boots = configuration("other", Some(BootState::Ready));
    boots.spec.server_ref.name = "other".to_owned();
    objects.configurations.push(boots);
    // Its DHCP server names the address that it has now, which is in the inventory of another one, and its own.
    let got = ask_for(TestServer::with(objects.clone()).await, &format!("10.1.1.1, {own}")).await;
    let body: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(body["SystemUUID"], other);
    // Nor a machine that nothing is known of.
    let stranger = "10.1.1.1, 02:00:00:aa:00:03";
    assert_eq!(ask_for(TestServer::with(objects.clone()).await, stranger).await.status, 500);
    let both = format!("10.1.1.1, {MAC}");
    let got = ask_for(TestServer::with(objects).await, &both).await;
    let body: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(body["SystemUUID"], UUID);
}

#[tokio::test]
async fn a_default_image_that_cannot_be_had_is_an_error() {
    let mut server = TestServer::with(Objects::default()).await;
    server.state.default_uki = DefaultUki::Image("quay.io/a/b:1".to_owned());
    let got = ask_for(server, "10.1.1.1").await;
    assert_eq!((got.status, got.body.as_str()), (500, "Internal Server Error\n"));
}

async fn ask_for(server: TestServer, identifiers: &str) -> TestResponse {
    let (router, _cluster, _dir) = server.router();
    ask(&router, Method::GET, "/httpboot", &[(FORWARDED, identifiers)], "10.0.0.1").await
}
