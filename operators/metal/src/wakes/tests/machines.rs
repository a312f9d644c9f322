//! Who is woken because objects may mean the same machine.

use super::*;

#[tokio::test]
async fn whoever_shares_an_identity_or_is_missed_by_a_claim_is_woken() {
    let view = View::default();
    let named = |name: &str| Some(LocalObjectReference { name: name.to_owned() });
    let at = |name: &str| {
        let ip = Some("192.0.2.7".to_owned());
        Endpoint::new(name, metal_api::EndpointSpec { ip, ..Default::default() })
    };
    let of = |name: &str, endpoint: &str| {
        Bmc::new(name, BmcSpec { endpoint_ref: named(endpoint), ..BmcSpec::default() })
    };
    let in_place = |name: &str, bmc: &str, uuid: &str| {
        let mut server = fresh(name, bmc);
        server.spec.system_uuid = Some(uuid.to_owned());
        server.spec.system_uri = Some("/redfish/v1/Systems/1".to_owned());
        server
    };
    let (first, second) = (in_place("s1", "b1", UUID), in_place("s2", "b2", "another"));
    list(&view.endpoints, vec![at("e1"), at("e2")]).await;
    list(&view.bmcs, vec![of("b1", "e1"), of("b2", "e2")]).await;
    list(&view.servers, vec![first, second.clone()]).await;
    let moved = changed(&at("e2"), |it| it.spec.ip = Some("192.0.2.8".to_owned()));
    let with_claim = claim("c", |it| it.spec.server_ref = named("s1"));
    let changes: [(&str, Wakes, &[&str]); 4] = [
        ("a second server", wakes_of_server(&view, &created(&second).get()), &["server s1"]),
        ("which goes", wakes_of_server(&view, &removed(&second).get()), &["server s1"]),
        ("an address", endpoint(&view, &moved.get()), &["endpoint e1", "bmc b1", "server s1"]),
        ("a claim", wakes_of_claim(&view, &removed(&with_claim).get()), &["server s1"]),
    ];
    for (what, woken, expected) in changes {
        let woken = show(&woken);
        assert!(expected.iter().all(|it| woken.iter().any(|one| one == it)), "{what}: {woken:?}");
    }
}

#[tokio::test]
async fn whoever_comes_to_an_address_or_leaves_it_wakes_the_servers_there() {
    const THERE: &str = "192.0.2.9";
    let view = View::default();
    let named = |name: &str| Some(LocalObjectReference { name: name.to_owned() });
    let at = |ip: &str| {
        let ip = Some(ip.to_owned());
        Endpoint::new("e1", metal_api::EndpointSpec { ip, ..Default::default() })
    };
    let with_access = |name: &str, ip: &str| {
        let access = metal_api::InlineAccess { ip: Some(ip.to_owned()), ..Default::default() };
        Bmc::new(name, BmcSpec { access: Some(access), ..BmcSpec::default() })
    };
    let in_place = |name: &str, bmc: Option<&str>, address: Option<&str>| {
        let mut server = fresh(name, "");
        server.spec.bmc_ref = bmc.and_then(named);
        server.spec.system_uuid = Some(name.to_owned());
        server.spec.system_uri = Some("/redfish/v1/Systems/1".to_owned());
        server.spec.bmc = address.map(|address| BmcAccess {
            bmc_secret_ref: LocalObjectReference::default(),
            protocol: serde_json::from_str(r#"{"name":"Redfish","port":8000}"#).unwrap(),
            address: address.to_owned(),
        });
        server
    };
    let of_endpoint = Bmc::new("b1", BmcSpec { endpoint_ref: named("e1"), ..BmcSpec::default() });
    let inline = in_place("inline", None, Some(THERE));
    list(&view.endpoints, vec![at(THERE)]).await;
    list(&view.bmcs, vec![of_endpoint.clone(), with_access("b2", THERE)]).await;
    list(
        &view.servers,
        vec![
            in_place("s1", Some("b1"), None),
            in_place("s2", Some("b2"), None),
            inline.clone(),
            in_place("named", None, Some("BMC.example.")),
            in_place("elsewhere", None, Some("192.0.2.10")),
        ],
    )
    .await;
    let comes = changed(&at("192.0.2.7"), |it| it.spec = at(THERE).spec);
    let leaves = changed(&at(THERE), |it| it.spec = at("192.0.2.7").spec);
    let moved = changed(&in_place("inline", None, Some("192.0.2.7")), |it| {
        it.spec = inline.spec.clone();
    });
    let port = changed(&inline, |it| {
        it.spec.bmc.as_mut().unwrap().protocol.port = 443;
    });
    let other = in_place("other", None, Some("bmc.EXAMPLE"));
    let cases: [(&str, Wakes, &[&str]); 8] = [
        ("an Endpoint comes", endpoint(&view, &comes.get()), &["inline", "s1", "s2"]),
        ("an Endpoint leaves", endpoint(&view, &leaves.get()), &["inline", "s1", "s2"]),
        ("a BMC comes", wakes_of_bmc(&view, &created(&of_endpoint).get()), &["inline", "s1", "s2"]),
        (
            "a BMC leaves",
            wakes_of_bmc(&view, &removed(&with_access("b3", THERE)).get()),
            &["inline", "s1", "s2"],
        ),
        ("a server comes", wakes_of_server(&view, &moved.get()), &["inline", "s1", "s2"]),
        ("by another port", wakes_of_server(&view, &port.get()), &["inline", "s1", "s2"]),
        (
            "a server leaves",
            wakes_of_server(&view, &removed(&inline).get()),
            &["inline", "s1", "s2"],
        ),
        ("a host name", wakes_of_server(&view, &created(&other).get()), &["named", "other"]),
    ];
    for (what, woken, expected) in cases {
        let servers = show(&woken);
        let servers: Vec<_> = servers.iter().filter_map(|it| it.strip_prefix("server ")).collect();
        assert_eq!(servers, expected, "{what}");
    }
}
