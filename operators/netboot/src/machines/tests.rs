use super::*;
use futures::stream;
use kube::{
    Resource,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use metal_api::{
    BootState, ServerBootConfigurationSpec, ServerBootConfigurationStatus, ServerSpec,
};
use metal_core::boot::decision::Reason;
use std::hash::Hash;

const UUID: &str = "00112233-4455-6677-8899-010203040506";
const SWAPPED: &str = "33221100-5544-7766-8899-010203040506";
const MAC: &str = "02:00:00:00:00:01";
const UKI: &str = "http://boot/uki.efi";

#[tokio::test]
async fn a_machine_is_found_by_its_uuid_in_either_byte_order_and_by_its_mac_address() {
    let machines = listed(vec![server("a", UUID, MAC)]).await;
    let uki = Boot::Assigned { uki: Some(UKI.to_owned()), script: false };
    for (uuid, mac) in
        [(Some(UUID), None), (Some(SWAPPED), None), (None, Some(MAC)), (Some(UKI), Some(MAC))]
    {
        assert_eq!(machines.boot_of(identity(uuid, mac)), uki, "{uuid:?} {mac:?}");
    }
    let stranger = identity(None, Some("02:00:00:00:00:02"));
    assert_eq!(machines.boot_of(stranger), Boot::Default);
}

#[tokio::test]
async fn until_everything_was_listed_the_configuration_file_counts() {
    let machines = Machines::default();
    list(&machines.servers, vec![server("a", UUID, MAC)]).await;
    assert_eq!(machines.boot_of(identity(Some(UUID), None)), Boot::Default);
}

#[tokio::test]
async fn a_server_that_refers_to_nothing_boots_nothing() {
    let (machines, idle) = with_an_idle_machine().await;
    assert_eq!(machines.boot_of(idle), Boot::Nothing(Reason::NotReferred));
}

#[tokio::test]
async fn twins_are_not_told_apart() {
    let twins = vec![server("a", UUID, MAC), server("b", UUID, "02:00:00:00:00:02")];
    let machines = listed(twins).await;
    let ambiguous = Boot::Nothing(Reason::Ambiguous);
    assert_eq!(machines.boot_of(identity(Some(UUID), Some(MAC))), ambiguous);
}

#[tokio::test]
async fn a_mac_address_that_contradicts_the_uuid_boots_nothing() {
    let other = ("123e4567-e89b-12d3-a456-426614174000", "02:00:00:00:00:02");
    let servers = vec![server("a", UUID, MAC), server("b", other.0, other.1)];
    let machines = listed(servers).await;
    let ambiguous = Boot::Nothing(Reason::Ambiguous);
    assert_eq!(machines.boot_of(identity(Some(UUID), Some(other.1))), ambiguous);
    assert_eq!(machines.boot_of(identity(Some(other.0), Some(MAC))), ambiguous);
    assert_eq!(machines.boot_of(identity(Some(SWAPPED), Some(other.1))), ambiguous);
    assert_eq!(machines.identity_conflicts.noted(), [["a", "b"], ["b", "a"], ["a", "b"]]);
    let new_interface = identity(Some(UUID), Some("02:00:00:00:00:99"));
    assert!(matches!(machines.boot_of(new_interface), Boot::Assigned { .. }));
}

#[tokio::test]
async fn a_uuid_that_many_boards_share_is_nobodys_and_the_mac_address_counts() {
    let shared = "03000200-0400-0500-0006-000700080009";
    let machines = listed(vec![server("a", shared, MAC)]).await;
    for written in [shared, "00020003-0004-0005-0006-000700080009"] {
        assert_eq!(machines.boot_of(identity(Some(written), None)), Boot::Default);
        let stranger = identity(Some(written), Some("02:00:00:00:00:02"));
        assert_eq!(machines.boot_of(stranger), Boot::Default);
        let own = machines.boot_of(identity(Some(written), Some(MAC)));
        assert!(matches!(own, Boot::Assigned { .. }));
    }
}

#[tokio::test]
async fn a_uuid_that_two_servers_have_in_different_byte_orders_boots_nothing() {
    let servers = vec![server("a", UUID, MAC), server("b", SWAPPED, "02:00:00:00:00:02")];
    let machines = listed(servers).await;
    let ambiguous = Boot::Nothing(Reason::Ambiguous);
    assert_eq!(machines.boot_of(identity(Some(UUID), None)), ambiguous);
}

#[tokio::test]
async fn what_boots_at_an_address_is_what_its_holder_boots() {
    let (machines, idle) = with_an_idle_machine().await;
    let address = Ipv4Addr::new(10, 77, 0, 9);
    assert_eq!(machines.boot_at(address), Boot::Default);
    machines.hold(address, Some(idle));
    assert_eq!(machines.boot_at(address), Boot::Nothing(Reason::NotReferred));
    machines.hold(address, None);
    assert_eq!(machines.boot_at(address), Boot::Default);
}

/// Machines, one of which boots nothing.
pub(crate) async fn with_an_idle_machine() -> (Machines, Identity) {
    let mut server = server("a", UUID, MAC);
    server.spec.boot_configuration_ref = None;
    (listed(vec![server]).await, identity(Some(UUID), None))
}

async fn listed(servers: Vec<Server>) -> Machines {
    let machines = Machines::default();
    let mut configuration =
        ServerBootConfiguration::new("work", ServerBootConfigurationSpec::default());
    configuration.metadata.uid = Some("uid".to_owned());
    configuration.status = Some(ServerBootConfigurationStatus {
        state: Some(BootState::Ready),
        ..ServerBootConfigurationStatus::default()
    });
    let owner = configuration.controller_owner_ref(&()).unwrap();
    let uki_url = Some(UKI.to_owned());
    let spec = HttpBootConfigSpec { uki_url, ..HttpBootConfigSpec::default() };
    let mut http = HttpBootConfig::new("work", spec);
    http.metadata.owner_references = Some(vec![owner]);
    prune_http(&mut http);
    for namespace in [&mut configuration.metadata.namespace, &mut http.metadata.namespace] {
        *namespace = Some("ns".to_owned());
    }
    list(&machines.servers, servers).await;
    list(&machines.configurations, vec![configuration]).await;
    list(&machines.http, vec![http]).await;
    list(&machines.ipxe, vec![]).await;
    machines
}

/// What a watch delivers at its start.
async fn list<K, Key>(index: &Index<K, Key>, objects: Vec<K>)
where
    K: Resource<DynamicType = ()> + Clone,
    Key: Eq + Hash,
{
    let mut events = vec![Event::Init];
    events.extend(objects.into_iter().map(|object| Event::InitApply(DeserializeGuard(Ok(object)))));
    events.push(Event::InitDone);
    let events = events.into_iter().map(Ok::<_, watcher::Error>);
    index.follow(stream::iter(events)).await.unwrap_err();
}

fn identity(uuid: Option<&str>, mac: Option<&str>) -> Identity {
    Identity {
        uuid: uuid.and_then(|text| text.parse().ok()),
        mac: mac.map(|text| text.parse().unwrap()),
    }
}

fn server(name: &str, uuid: &str, mac: &str) -> Server {
    let spec = ServerSpec {
        system_uuid: Some(uuid.to_owned()),
        boot_configuration_ref: Some(ObjectReference::new("ns", "work")),
        ..ServerSpec::default()
    };
    let mut server = Server::new(name, spec);
    let mac_address = mac.to_owned();
    let interface = NetworkInterface { mac_address, ..NetworkInterface::default() };
    let network_interfaces = vec![interface];
    server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
    prune_server(&mut server);
    server
}
