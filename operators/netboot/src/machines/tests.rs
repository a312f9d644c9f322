use super::*;
use jiff::SignedDuration;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time};
use metal_api::{
    BootState, BootWindow, Machine, MachineLease, MachinePxe, MachineSpec,
    ServerBootConfigurationSpec, ServerBootConfigurationStatus, ServerSpec,
};
use metal_core::boot::decision::Reason;
use metal_runtime::testing::list;

const UUID: &str = "00112233-4455-6677-8899-010203040506";
const SWAPPED: &str = "33221100-5544-7766-8899-010203040506";
const MAC: &str = "02:00:00:00:00:01";
const UKI: &str = "http://boot/uki.efi";

#[tokio::test]
async fn a_machine_is_found_by_its_uuid_in_either_byte_order_and_by_its_mac_address() {
    let machines = listed(vec![server("a", UUID, MAC)]).await;
    let uki = Boot::Assigned { uki: Some(UKI.to_owned()), script: false, uuid: UUID.parse().ok() };
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
async fn a_server_waits_in_its_window_for_what_is_not_ready_and_at_no_other_time() {
    let waits = Boot::Waits { http: true, script: false, uuid: UUID.parse().ok() };
    for (hours, expected) in [(1, waits), (-1, Boot::Nothing(Reason::NotReady))] {
        let mut server = server("a", UUID, MAC);
        let now = Timestamp::now();
        server.status.as_mut().unwrap().boot_window = Some(BootWindow {
            boot_configuration_ref: ObjectReference::new("ns", "work"),
            boot_configuration_uid: Some("uid".to_owned()),
            opened: Time(now - SignedDuration::from_hours(2)),
            closes: Time(now + SignedDuration::from_hours(hours)),
        });
        prune_server(&mut server);
        let machines = listed_with(vec![server], BootState::Pending).await;
        assert_eq!(machines.boot_of(identity(Some(UUID), None)), expected);
    }
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
    assert_eq!(
        noted(&machines),
        [["Server a", "Server b"], ["Server b", "Server a"], ["Server a", "Server b"]]
    );
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
async fn a_mac_address_of_two_servers_does_not_contradict_the_uuid_of_one_of_them() {
    let other = server("b", "123e4567-e89b-12d3-a456-426614174000", MAC);
    let machines = listed(vec![server("a", UUID, MAC), other]).await;
    let own = machines.boot_of(identity(Some(UUID), Some(MAC)));
    assert!(matches!(own, Boot::Assigned { .. }), "{own:?}");
    let ambiguous = Boot::Nothing(Reason::Ambiguous);
    assert_eq!(machines.boot_of(identity(None, Some(MAC))), ambiguous);
}

#[tokio::test]
async fn a_server_that_nobody_has_admitted_stops_no_boot_url_and_no_machine_by_its_mac_address() {
    let mut stranger = server("stranger", "123e4567-e89b-12d3-a456-426614174000", OTHER);
    let key = metal_api::Taint::NOT_ADMITTED.to_owned();
    stranger.spec.taints = vec![metal_api::Taint { key, ..metal_api::Taint::default() }];
    let status = stranger.status.as_mut().unwrap();
    for mac_address in [MAC, THIRD].map(str::to_owned) {
        let interface = NetworkInterface { mac_address, ..NetworkInterface::default() };
        status.network_interfaces.push(interface);
    }
    let servers = vec![server("a", UUID, MAC), stranger];
    let machines = with_urls(servers, vec![url("web-1", OTHER, URL)], vec![]).await;
    assert_eq!(machines.boot_of(identity(None, Some(OTHER))), Boot::Url(URL.parse().unwrap()));
    assert_eq!(machines.boot_of(identity(None, Some(THIRD))), Boot::Default, "it is no Server");
    let own = machines.boot_of(identity(Some(UUID), Some(MAC)));
    assert!(matches!(own, Boot::Assigned { .. }), "{own:?}");
    assert!(noted(&machines).is_empty());
}

#[tokio::test]
async fn a_uuid_that_two_servers_have_in_different_byte_orders_boots_nothing() {
    let servers = vec![server("a", UUID, MAC), server("b", SWAPPED, "02:00:00:00:00:02")];
    let machines = listed(servers).await;
    let ambiguous = Boot::Nothing(Reason::Ambiguous);
    assert_eq!(machines.boot_of(identity(Some(UUID), None)), ambiguous);
}

#[tokio::test]
async fn a_machine_that_is_no_server_boots_its_url_and_nobody_else_does() {
    let machines =
        with_urls(vec![server("a", UUID, MAC)], vec![url("web-1", OTHER, URL)], vec![]).await;
    assert_eq!(machines.boot_of(identity(None, Some(OTHER))), Boot::Url(URL.parse().unwrap()));
    assert!(matches!(machines.boot_of(identity(None, Some(MAC))), Boot::Assigned { .. }));
    assert_eq!(machines.boot_of(identity(None, Some("02:00:00:00:00:03"))), Boot::Default);
    assert!(noted(&machines).is_empty());
}

#[tokio::test]
async fn a_url_of_a_server_or_a_machine_or_with_another_url_boots_nothing_and_all_are_told() {
    let ambiguous = Boot::Nothing(Reason::Ambiguous);
    let (one, other) = (url("web-1", OTHER, URL), url("web-2", OTHER, URL));
    for (servers, urls, joining, told) in [
        (
            vec![server("a", UUID, OTHER)],
            vec![one.clone()],
            vec![],
            &["Secret urls/web-1", "Server a"],
        ),
        (
            vec![],
            vec![one.clone()],
            vec![machine("node-1", OTHER)],
            &["Secret urls/web-1", "Machine node-1"],
        ),
        (vec![], vec![one.clone(), other], vec![], &["Secret urls/web-1", "Secret urls/web-2"]),
    ] {
        let machines = with_urls(servers, urls, joining).await;
        assert_eq!(machines.boot_of(identity(None, Some(OTHER))), ambiguous);
        let notices = machines.notices.take();
        assert!(!notices[0].note.contains("metal_ipxe"), "{}", notices[0].note);
        let mut names: Vec<_> = notices[0].about.iter().map(notices::named).collect();
        names.sort_by_key(|name| told.iter().position(|told| told == name));
        assert_eq!(names, told);
    }
    // A server that boots from another interface, but has the UUID.
    let server = server("a", UUID, MAC);
    let machines = with_urls(vec![server], vec![one], vec![]).await;
    assert_eq!(machines.boot_of(identity(Some(UUID), Some(OTHER))), ambiguous);
}

#[tokio::test]
async fn without_urls_a_machine_of_metalman_and_a_secret_that_cannot_be_used_change_nothing() {
    let broken = url("web-1", OTHER, "https://h/ metal_ipxe_1");
    let machines =
        with_urls(vec![server("a", UUID, MAC)], vec![broken], vec![machine("node-1", MAC)]).await;
    assert!(matches!(machines.boot_of(identity(None, Some(MAC))), Boot::Assigned { .. }));
    assert_eq!(machines.boot_of(identity(None, Some(OTHER))), Boot::Default);
    assert!(noted(&machines).is_empty());
}

#[tokio::test]
async fn until_the_urls_were_listed_the_configuration_file_counts() {
    let mut machines = listed(vec![server("a", UUID, MAC)]).await;
    machines.urls = Some(BootUrls::of("urls".to_owned()));
    assert_eq!(machines.boot_of(identity(None, Some(MAC))), Boot::Default);
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

const OTHER: &str = "02:00:00:00:00:02";
const THIRD: &str = "02:00:00:00:00:03";
const URL: &str = "https://hosts.example.org/api/ipxe/metal_ipxe_1";

/// The names of the objects of each queued notice.
fn noted(machines: &Machines) -> Vec<Vec<String>> {
    let notices = machines.notices.take();
    notices.iter().map(|notice| notice.about.iter().map(notices::named).collect()).collect()
}

async fn with_urls(servers: Vec<Server>, urls: Vec<Secret>, joining: Vec<Machine>) -> Machines {
    let boot_urls = BootUrls::of("urls".to_owned());
    list(&boot_urls.secrets, urls).await;
    list(&boot_urls.machines, joining).await;
    let machines = listed(servers).await;
    Machines { urls: Some(boot_urls), ..machines }
}

fn url(name: &str, mac: &str, url: &str) -> Secret {
    let value = |text: &str| ByteString(text.as_bytes().to_vec());
    let data = [("mac".to_owned(), value(mac)), ("url".to_owned(), value(url))];
    let mut secret = Secret { data: Some(data.into()), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.namespace = Some("urls".to_owned());
    secret
}

fn machine(name: &str, mac: &str) -> Machine {
    let lease = MachineLease { mac: mac.to_owned(), ..MachineLease::default() };
    let pxe = MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() };
    Machine::new(name, MachineSpec { pxe: Some(pxe), ..MachineSpec::default() })
}

async fn listed(servers: Vec<Server>) -> Machines {
    listed_with(servers, BootState::Ready).await
}

/// Servers, and a boot configuration in this state.
async fn listed_with(servers: Vec<Server>, state: BootState) -> Machines {
    let machines = Machines::default();
    let mut configuration =
        ServerBootConfiguration::new("work", ServerBootConfigurationSpec::default());
    configuration.metadata.uid = Some("uid".to_owned());
    configuration.status = Some(ServerBootConfigurationStatus {
        state: Some(state),
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
