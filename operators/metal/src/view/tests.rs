//! Which objects seem to be the same machine.

use super::*;
use crate::{server::tests::list, wakes::WakeTarget};
use kube::{
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::watcher::Event,
};
use metal_api::{
    BmcAccess, BmcSpec, BmcStatus, EndpointSpec, InlineAccess, LocalObjectReference, MachineLease,
    MachinePxe, MachineRedfish, MachineSpec, NetworkInterface, Processor, Protocol,
    ServerClaimSpec, ServerSpec, ServerStatus, Taint, annotation,
};
use metal_runtime::index::Change;

const IP: &str = "192.0.2.9";
const URI: &str = "/redfish/v1/Systems/1";
const UUID: &str = "38947555-7742-3448-3784-823347823834";
const SWAPPED: &str = "55759438-4277-4834-3784-823347823834";
const OTHER: &str = "38947555-7742-3448-3784-823347823835";

#[tokio::test]
async fn two_servers_of_one_system_are_both_left_alone() {
    let inline = |mut server: Server| {
        let access =
            BmcAccess { protocol: protocol(), address: IP.to_owned(), ..Default::default() };
        (server.spec.bmc, server.spec.bmc_ref) = (Some(access), None);
        server
    };
    let cases = [
        (server("b", OTHER, URI, "bmc-1"), "at one BMC"),
        (server("b", OTHER, "/redfish/v1/Systems/1/", "bmc-1"), "in another spelling"),
        (server("b", OTHER, URI, "bmc-2"), "at the BMC object of the same address"),
        (server("b", OTHER, URI, "bmc-3"), "by its Endpoint"),
        (inline(server("b", OTHER, URI, "")), "without BMC object"),
        (server("b", UUID, "/redfish/v1/Systems/2", "elsewhere"), "by UUID"),
        (server("b", SWAPPED, "/redfish/v1/Systems/2", "elsewhere"), "in the other byte order"),
        (server("b", "38947555774234483784823347823834", "", "elsewhere"), "in another notation"),
    ];
    for (other, what) in cases {
        let own = server("a", UUID, URI, "bmc-1");
        let view = world(vec![own.clone(), other.clone()]).await;
        let at = Some((IP.parse().unwrap(), 443));
        assert_eq!(view.twins(&own, at.clone()), ["b"], "{what}");
        let its = at
            .clone()
            .filter(|_| other.spec.bmc_ref.as_ref().is_none_or(|it| it.name != "elsewhere"));
        assert_eq!(view.twins(&other, its), ["a"], "{what}");
    }
}

#[tokio::test]
async fn twins_that_were_recorded_remain_while_it_is_not_known_where_the_bmc_is() {
    // Only their BMC says that they are the same system.
    let mut own = server("a", UUID, URI, "bmc-1");
    let twins = vec!["b".to_owned(), "gone".to_owned()];
    own.status = Some(ServerStatus { twins, ..ServerStatus::default() });
    let view = world(vec![own.clone(), server("b", OTHER, URI, "bmc-3")]).await;
    assert_eq!(view.twins(&own, None), ["b"]);
    let elsewhere = Some(("192.0.2.200".parse().unwrap(), 443));
    assert_eq!(view.twins(&own, elsewhere), [""; 0], "it is known that they are not");
}

#[tokio::test]
async fn a_twin_that_cannot_be_read_still_makes_a_server_ambiguous() {
    let at = || Some((IP.parse().unwrap(), 443));
    let own = server("a", UUID, URI, "bmc-1");
    let of_the_bmc = server("b", OTHER, URI, "bmc-1");
    for other in [server("b", UUID, "", "elsewhere"), of_the_bmc] {
        let view = world(vec![own.clone(), other.clone()]).await;
        feed(&view, [Event::Apply(unreadable(&other))]).await;
        assert_eq!(view.twins(&own, at()), ["b"]);
        let list = [Event::InitApply(DeserializeGuard(Ok(own.clone())))];
        let list = list.into_iter().chain([Event::InitApply(unreadable(&other))]);
        feed(&view, [Event::Init].into_iter().chain(list).chain([Event::InitDone])).await;
        assert_eq!(view.twins(&own, at()), ["b"], "it is still there in a new list");
        feed(&view, [Event::Delete(unreadable(&other))]).await;
        assert_eq!(view.twins(&own, at()), [""; 0]);
    }
    // A process that could never read it knows what another one has recorded.
    let strange = server("b", UUID, "", "elsewhere");
    let view = world(vec![own.clone()]).await;
    feed(&view, [Event::Apply(unreadable(&strange))]).await;
    assert_eq!(view.twins(&own, at()), [""; 0]);
    let mut told = own.clone();
    let message = "spec.systemUUID, or spec.systemURI at the same BMC, is also used by b: if these \
                   are different machines, set";
    let ready = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
        type_: condition::READY.to_owned(),
        status: "False".to_owned(),
        reason: "Ambiguous".to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            Timestamp::UNIX_EPOCH,
        ),
    };
    told.status = Some(ServerStatus { conditions: vec![ready], ..ServerStatus::default() });
    assert_eq!(view.twins(&told, at()), ["b"]);
    // And when that changes, it is looked at again.
    list(&view.servers, vec![told]).await;
    let gone = Arc::new(strange);
    let woken = crate::wakes::server(&view, &Change::Removed(&gone));
    assert!(woken.contains(&WakeTarget::Server("a".to_owned())), "{woken:?}");
}

fn unreadable(server: &Server) -> DeserializeGuard<Server> {
    let metadata = server.metadata.clone();
    DeserializeGuard(Err(InvalidObject { error: "spec.power".to_owned(), metadata }))
}

async fn feed(view: &View, events: impl IntoIterator<Item = Event<DeserializeGuard<Server>>>) {
    let events = futures::stream::iter(events.into_iter().map(Ok).collect::<Vec<_>>());
    view.servers.follow(events).await.unwrap_err();
}

#[tokio::test]
async fn a_server_with_a_network_interface_of_a_machine_of_metalman_knows_it() {
    let lease = |mac: &str| MachineLease { mac: mac.to_owned(), ..MachineLease::default() };
    let dhcp_leases = vec![lease("02:00:00:00:00:01"), lease("02:00:00:00:00:02")];
    let pxe = Some(MachinePxe { dhcp_leases, ..MachinePxe::default() });
    let machine = Machine::new("node-01", MachineSpec { pxe, ..MachineSpec::default() });
    let with = |mac: &str| {
        let mut server = server("a", UUID, URI, "bmc-1");
        let mac_address = mac.to_owned();
        let interface = NetworkInterface { mac_address, ..NetworkInterface::default() };
        let network_interfaces = vec![interface];
        server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
        server
    };
    let (same, other) = (with("02-00-00-00-00-02"), with("02:00:00:00:00:03"));
    let view = world(vec![same.clone()]).await;
    assert_eq!(view.machines_of(&same, None), [""; 0]);
    list(&view.machines, vec![machine.clone()]).await;
    assert_eq!(view.machines_of(&same, None), ["node-01"]);
    assert_eq!(view.machines_of(&other, None), [""; 0]);
    let woken = crate::wakes::machine(&view, &Change::Removed(&Arc::new(machine)));
    assert_eq!(woken, [WakeTarget::Server("a".to_owned())].into(), "it is woken when that changes");
}

#[tokio::test]
async fn a_uuid_that_anybody_can_tell_by_dhcp_stops_no_server_whose_interfaces_are_known() {
    let lease = MachineLease { mac: "02:00:00:00:00:0b".to_owned(), ..MachineLease::default() };
    let pxe = Some(MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() });
    let mut machine = Machine::new("node-01", MachineSpec { pxe, ..MachineSpec::default() });
    machine.status.get_or_insert_default().system_uuid = Some(UUID.to_owned());
    let unseen = server("a", UUID, URI, "bmc-1");
    let with = |mac: &str| {
        let mut server = unseen.clone();
        let mac_address = mac.to_owned();
        let interface = NetworkInterface { mac_address, ..NetworkInterface::default() };
        server.status.get_or_insert_default().network_interfaces = vec![interface];
        server
    };
    let view = world(vec![unseen.clone()]).await;
    list(&view.machines, vec![machine]).await;
    assert_eq!(view.machines_of(&with("02:00:00:00:00:0a"), None), [""; 0]);
    assert_eq!(view.machines_of(&with("02:00:00:00:00:0b"), None), ["node-01"]);
    assert_eq!(view.machines_of(&unseen, None), ["node-01"], "nothing else is known of it");
}

#[tokio::test]
async fn a_server_at_the_bmc_of_a_machine_is_not_switched() {
    let machine = |id: &str| {
        let (url, device_id) = (format!("https://{IP}"), Some(id.to_owned()));
        let redfish = Some(MachineRedfish { url, device_id, ..MachineRedfish::default() });
        let pxe = Some(MachinePxe { redfish, ..MachinePxe::default() });
        Machine::new("node-01", MachineSpec { pxe, ..MachineSpec::default() })
    };
    // Nobody has read its UUID, and it has not reported its network interfaces.
    let own = server("a", UUID, URI, "bmc-1");
    let view = world(vec![own.clone()]).await;
    let at = |host: &str| Some((host.parse().unwrap(), 443));
    list(&view.machines, vec![machine("1")]).await;
    assert_eq!(view.machines_of(&own, at(IP)), ["node-01"]);
    assert_eq!(view.machines_of(&own, at(&format!("::ffff:{IP}"))), ["node-01"]);
    assert_eq!(view.machines_of(&own, at("192.0.2.10")), [""; 0]);
    let woken = crate::wakes::machine(&view, &Change::Removed(&Arc::new(machine("1"))));
    assert_eq!(woken, [WakeTarget::Server("a".to_owned())].into(), "it is woken when that changes");
    list(&view.machines, vec![machine("2")]).await;
    assert_eq!(view.machines_of(&own, at(IP)), [""; 0], "another system of the BMC");
}

#[tokio::test]
async fn systems_at_other_uris_or_bmcs_are_other_machines() {
    let own = server("a", UUID, URI, "bmc-1");
    let mut held = server("b", UUID, URI, "bmc-1");
    let key = Taint::NOT_ADMITTED.to_owned();
    held.spec.taints = vec![Taint { key, value: None, effect: None }];
    let others = vec![
        own.clone(),
        held.clone(),
        server("c", OTHER, "/redfish/v1/Systems/2", "bmc-1"),
        server("d", OTHER, URI, "elsewhere"),
        server("e", "", URI, "elsewhere"),
        server("f", "", URI, "elsewhere"),
    ];
    let view = world(others.clone()).await;
    let at = Some((IP.parse().unwrap(), 443));
    assert_eq!(view.twins(&own, at.clone()), [""; 0]);
    assert_eq!(view.twins(&held, at), ["a"], "it is the one that waits");
    assert_eq!(view.twins(&others[4], None), [""; 0], "no UUID is no identity");
}

#[tokio::test]
async fn two_endpoints_with_one_address_are_both_left_alone() {
    let endpoint = |name: &str, maker: Option<&str>| {
        let ip = Some(IP.to_owned());
        let mut endpoint = Endpoint::new(name, EndpointSpec { ip, ..EndpointSpec::default() });
        let label = maker.map(|maker| (annotation::MANAGED_BY.to_owned(), maker.to_owned()));
        endpoint.metadata.labels = Some(label.into_iter().collect());
        endpoint
    };
    let bmc = |name: &str, ip: Option<&str>| {
        let endpoint_ref = Some(LocalObjectReference { name: name.to_owned() });
        let mut bmc = Bmc::new(name, BmcSpec { endpoint_ref, ..BmcSpec::default() });
        bmc.status = Some(BmcStatus { ip: ip.map(str::to_owned), ..BmcStatus::default() });
        bmc
    };
    let of = |maker, answers| async move {
        let view = View::default();
        let (a, b) = (endpoint("a", Some("netboot")), endpoint("b", maker));
        list(&view.endpoints, vec![a.clone(), b.clone()]).await;
        list(&view.bmcs, vec![bmc("a", Some(IP)), bmc("b", answers)]).await;
        (view.endpoints_at(&a), view.endpoints_at(&b))
    };
    let both = (vec!["b".to_owned()], vec!["a".to_owned()]);
    assert_eq!(of(None, None).await, both);
    assert_eq!(of(Some("netboot"), Some("192.0.2.10")).await, both, "it was elsewhere");
    // A BMC that takes another's address, and is not trusted, does not affect the other.
    assert_eq!(of(Some("netboot"), None).await, (vec![], both.1));
}

#[tokio::test]
async fn an_endpoint_is_known_by_its_mac_address_however_that_is_written() {
    let mac = EndpointKey::Mac(MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]));
    let notations = ["aabbcc000001", "AA-BB-CC-00-00-01", "aabb.cc00.0001", "aa:bb:cc:00:00:01"];
    for (text, known) in notations.map(|it| (it, 1)).into_iter().chain([("aabb:cc00:0001", 0)]) {
        let view = View::default();
        let spec = EndpointSpec { mac_address: Some(text.to_owned()), ..EndpointSpec::default() };
        list(&view.endpoints, vec![Endpoint::new("a", spec)]).await;
        assert_eq!(view.endpoints.get(&mac).len(), known, "{text}");
    }
}

#[tokio::test]
async fn claims_of_one_namespace_have_a_bound_and_those_of_others_are_kept() {
    let claim = |namespace: &str, name: &str, mib: usize| {
        let image = "x".repeat(mib << 20);
        let mut claim = ServerClaim::new(name, ServerClaimSpec { image, ..Default::default() });
        claim.metadata.namespace = Some(namespace.to_owned());
        claim
    };
    let view = View::default();
    list(&view.claims, [claim("a", "1", 60), claim("a", "2", 4), claim("b", "1", 4)]).await;
    let is_kept = |namespace, name| view.claims.named(Some(namespace), name).is_some();
    assert!(is_kept("a", "1") && !is_kept("a", "2") && is_kept("b", "1"));
    assert!(view.claims.is_withdrawn(Some("a"), "2"), "it is let go when it is deleted");
}

#[tokio::test]
async fn servers_with_the_same_processors_take_the_memory_for_them_once() {
    let with_processor = |name: &str, id: &str| {
        let processor = Processor { id: id.to_owned(), ..Processor::default() };
        let mut server = server(name, UUID, URI, "bmc-1");
        let processors = vec![processor].into();
        server.status = Some(ServerStatus { processors, ..ServerStatus::default() });
        server
    };
    let servers = [("a", "1"), ("b", "1"), ("c", "2")];
    let view = world(servers.map(|(name, id)| with_processor(name, id)).into()).await;
    let of = |name: &str| {
        let server = view.servers.named(None, name).unwrap();
        server.status.clone().unwrap().processors
    };
    let mut written = with_processor("d", "1");
    written.metadata.resource_version = Some("9".to_owned());
    assert!(view.servers.wrote(written));
    assert!(std::ptr::eq(of("a").as_ptr(), of("b").as_ptr()));
    assert!(std::ptr::eq(of("a").as_ptr(), of("d").as_ptr()));
    assert!(!std::ptr::eq(of("a").as_ptr(), of("c").as_ptr()));
    assert_eq!(of("c")[0].id, "2");
}

fn protocol() -> Protocol {
    Protocol { port: 443, ..Protocol::default() }
}

fn server(name: &str, uuid: &str, uri: &str, bmc: &str) -> Server {
    let spec = ServerSpec {
        system_uuid: Some(uuid.to_owned()),
        system_uri: Some(uri.to_owned()),
        bmc_ref: Some(LocalObjectReference { name: bmc.to_owned() }),
        ..ServerSpec::default()
    };
    Server::new(name, spec)
}

/// A view with three BMC objects for one address.
async fn world(servers: Vec<Server>) -> View {
    let view = View::default();
    let bmc = |name: &str| Bmc::new(name, BmcSpec { protocol: protocol(), ..BmcSpec::default() });
    let access = |mut bmc: Bmc| {
        bmc.spec.access = Some(InlineAccess { ip: Some(IP.to_owned()), ..InlineAccess::default() });
        bmc
    };
    let mut third = bmc("bmc-3");
    third.spec.endpoint_ref = Some(LocalObjectReference { name: "e".to_owned() });
    let spec = EndpointSpec { ip: Some(format!("::ffff:{IP}")), ..EndpointSpec::default() };
    list(&view.endpoints, vec![Endpoint::new("e", spec)]).await;
    list(&view.bmcs, vec![access(bmc("bmc-1")), access(bmc("bmc-2")), third]).await;
    list(&view.servers, servers).await;
    view
}
