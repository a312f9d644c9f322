use super::*;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use metal_api::{
    BootWindow, HttpBootConfigSpec, IpxeBootConfigSpec, ServerBootConfigurationSpec,
    ServerBootConfigurationStatus, ServerSpec, ServerStatus,
};

const UKI: &str = "http://boot:8083/httpboot/a/sha256-b.efi";
const SERVER_UUID: &str = "0b3e2f6c-1111-2222-3333-444455556666";
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A server and its boot configs.
struct World {
    server: Server,
    configuration: ServerBootConfiguration,
    http: Option<HttpBootConfig>,
    ipxe: Option<IpxeBootConfig>,
}

#[test]
fn a_server_gets_what_its_configuration_offers() {
    let mut world = World::new();
    assert_eq!(world.decide(), assigned(Some(UKI), true));
    world.ipxe = None;
    assert_eq!(world.decide(), assigned(Some(UKI), false));
    world.http = None;
    assert_eq!(world.decide(), assigned(None, false));
}

#[test]
fn a_server_that_is_to_boot_nothing_gets_nothing() {
    let world = World::new();
    let alone = CandidateServer { configuration: None, ..world.candidate() };
    assert_eq!(
        decide(&KnownServers::Servers(vec![alone]), NOW),
        Boot::Nothing(Reason::NotReferred)
    );
    for state in [None, Some(BootState::Pending), Some(BootState::Error)] {
        let mut world = World::new();
        world.configuration.status = Some(ServerBootConfigurationStatus {
            state,
            ..ServerBootConfigurationStatus::default()
        });
        assert_eq!(world.decide(), Boot::Nothing(Reason::NotReady));
    }
}

#[test]
fn a_server_in_its_window_waits_for_what_is_not_ready() {
    for (server, boot, http, script) in [
        (None, None, true, true),
        (Some("ipxe"), None, false, true),
        (Some("http"), None, true, false),
        (Some("disk"), Some("network-always"), true, true),
    ] {
        for state in [None, Some(BootState::Pending), Some(BootState::Error)] {
            let mut world = World::waiting(state);
            annotate(&mut world.server.metadata, server);
            annotate(&mut world.configuration.metadata, boot);
            let decided = world.decide();
            let uuid = SERVER_UUID.parse().ok();
            assert_eq!(decided, Boot::Waits { http, script, uuid }, "{server:?} {boot:?}");
            assert_eq!((decided.awaits_http(), decided.has_script()), (http, script));
            assert_eq!(decided.loaded(Some("a"), Some("b")), None);
            let own = script.then(|| format!("http://a/{SERVER_UUID}"));
            assert_eq!(decided.script(Some("http://a/${uuid}")).map(Cow::into_owned), own);
        }
    }
}

#[test]
fn nobody_waits_outside_of_the_window_or_by_another_method_or_for_nothing() {
    type Spoil = fn(&mut World);
    let spoils: [(Reason, Spoil); 8] = [
        (Reason::NotReady, |it| it.window().closes = Time(NOW)),
        (Reason::NotReady, |it| it.window().boot_configuration_ref.name = "other".to_owned()),
        (Reason::NotReady, |it| it.window().boot_configuration_uid = Some("earlier".to_owned())),
        (Reason::NotReady, |it| it.server.status = None),
        (Reason::NotReady, |it| (it.http, it.ipxe) = (None, None)),
        (Reason::OtherMethod, |it| annotate(&mut it.server.metadata, Some("disk"))),
        (Reason::OtherMethod, |it| annotate(&mut it.server.metadata, Some("virtual-media"))),
        (Reason::UnknownMethod, |it| annotate(&mut it.server.metadata, Some("floppy"))),
    ];
    for (at, (reason, spoil)) in spoils.into_iter().enumerate() {
        let mut world = World::waiting(Some(BootState::Pending));
        spoil(&mut world);
        assert_eq!(world.decide(), Boot::Nothing(reason), "{at}");
    }
}

#[test]
fn the_method_of_a_boot_comes_before_that_of_the_server() {
    let nothing = Boot::Nothing(Reason::OtherMethod);
    for (server, boot, expected) in [
        (Some("Http"), None, assigned(Some(UKI), false)),
        (Some("ipxe"), None, assigned(None, true)),
        (Some("disk"), None, nothing.clone()),
        (Some("none"), Some("HTTP"), assigned(Some(UKI), false)),
        (Some("http"), Some("disk"), nothing.clone()),
        (None, Some("None"), nothing.clone()),
        (None, Some(""), assigned(Some(UKI), true)),
        (Some("virtual-media"), None, nothing.clone()),
        (Some("floppy"), None, Boot::Nothing(Reason::UnknownMethod)),
    ] {
        let mut world = World::new();
        annotate(&mut world.server.metadata, server);
        annotate(&mut world.configuration.metadata, boot);
        assert_eq!(world.decide(), expected, "{server:?} {boot:?}");
    }
}

#[test]
fn a_server_asks_for_its_script_by_its_own_uuid_whatever_its_firmware_knows() {
    let boot = World::new().decide();
    let own = format!("http://boot:8082/ipxe/{SERVER_UUID}");
    let script = |boot: &Boot, url: &'static str| boot.script(Some(url)).map(Cow::into_owned);
    assert_eq!(script(&boot, "http://boot:8082/ipxe/${uuid}"), Some(own));
    assert_eq!(script(&boot, "http://a/${mac:hexhyp}").as_deref(), Some("http://a/${mac:hexhyp}"));
    assert_eq!(script(&Boot::Default, "http://a/${uuid}").as_deref(), Some("http://a/${uuid}"));
    assert_eq!(boot.script(None), None);
    assert_eq!(script(&assigned(None, false), "http://a/${uuid}"), None);
    let nobodys = Boot::Assigned { uki: None, script: true, uuid: None };
    assert_eq!(script(&nobodys, "http://a/${uuid}").as_deref(), Some("http://a/${uuid}"));
    let long = format!("http://a/{}/${{uuid}}", "a".repeat(MAX_URL - 20));
    assert_eq!(boot.script(Some(&long)).as_deref(), Some(long.as_str()), "it fits unexpanded only");
}

#[test]
fn what_somebody_else_made_under_the_same_name_is_not_booted() {
    let mut world = World::new();
    for meta in
        [&mut world.http.as_mut().unwrap().metadata, &mut world.ipxe.as_mut().unwrap().metadata]
    {
        meta.owner_references.as_mut().unwrap()[0].uid = "other".to_owned();
    }
    assert_eq!(world.decide(), assigned(None, false));
}

#[test]
fn two_servers_with_one_identity_are_never_guessed() {
    let (one, other) = (World::new(), World::new());
    let both = KnownServers::Servers(vec![one.candidate(), other.candidate()]);
    assert_eq!(decide(&both, NOW), Boot::Nothing(Reason::Ambiguous));
}

#[test]
fn nobodys_machine_and_one_that_we_cannot_know_get_what_the_file_has() {
    assert_eq!(decide(&KnownServers::Servers(vec![]), NOW), Boot::Default);
    assert_eq!(decide(&KnownServers::Nothing, NOW), Boot::Default);
    assert!(Boot::Default.has_script());
    assert_eq!(Boot::Default.uki(Some("a")), Some("a"));
    assert_eq!(Boot::Nothing(Reason::NotReady).uki(Some("a")), None);
}

#[test]
fn during_a_maintenance_its_own_configuration_counts() {
    let mut server = World::new().server;
    let fix = ObjectReference::new("ns", "fix");
    server.spec.maintenance_boot_configuration_ref = Some(fix.clone());
    assert_eq!(current(&server), Some(&ObjectReference::new("ns", "work")));
    let state = Some(ServerState::Maintenance);
    server.status = Some(ServerStatus { state, ..ServerStatus::default() });
    assert_eq!(current(&server), Some(&fix));
    assert_eq!(current(&Server::new("a", ServerSpec::default())), None);

    // Nobody has admitted it.
    let key = metal_api::Taint::NOT_ADMITTED.to_owned();
    server.spec.taints = vec![metal_api::Taint { key, ..metal_api::Taint::default() }];
    for (state, boots) in [
        (Some(ServerState::Initial), true),
        (Some(ServerState::Discovery), true),
        (Some(ServerState::Reserved), false),
        (Some(ServerState::Maintenance), false),
        (Some(ServerState::Available), false),
        (None, false),
    ] {
        server.status = Some(ServerStatus { state, ..ServerStatus::default() });
        assert_eq!(current(&server).is_some(), boots, "{:?}", server.status);
    }
}

fn assigned(uki: Option<&str>, script: bool) -> Boot {
    Boot::Assigned { uki: uki.map(str::to_owned), script, uuid: SERVER_UUID.parse().ok() }
}

fn annotate(meta: &mut ObjectMeta, method: Option<&str>) {
    let pair = |method: &str| (annotation::BOOT_METHOD.to_owned(), method.to_owned());
    meta.annotations = Some(method.map(pair).into_iter().collect());
}

#[test]
fn of_two_urls_or_a_url_and_a_server_none_is_booted() {
    let url: BootUrl = "https://hosts.example.org/api/ipxe/metal_ipxe_1".parse().unwrap();
    let refused = Some(Boot::Nothing(Reason::Ambiguous));
    assert!(!format!("{:?}", Boot::Url(url.clone())).contains("metal_ipxe"));
    assert_eq!(by_url(&[], 1), None);
    assert_eq!(by_url(std::slice::from_ref(&url), 0), Some(Boot::Url(url.clone())));
    assert_eq!(by_url(std::slice::from_ref(&url), 1), refused);
    assert_eq!(by_url(&[url.clone(), url], 0), refused, "also if they are equal");
}

impl World {
    fn new() -> Self {
        let reference = ObjectReference::new("ns", "work");
        let spec = ServerSpec {
            system_uuid: Some(SERVER_UUID.to_owned()),
            boot_configuration_ref: Some(reference),
            ..ServerSpec::default()
        };
        let mut configuration =
            ServerBootConfiguration::new("work", ServerBootConfigurationSpec::default());
        configuration.metadata.uid = Some("uid".to_owned());
        configuration.status = Some(ServerBootConfigurationStatus {
            state: Some(BootState::Ready),
            ..ServerBootConfigurationStatus::default()
        });
        let owners = vec![configuration.controller_owner_ref(&()).unwrap()];
        let uki_url = Some(UKI.to_owned());
        let spec_http = HttpBootConfigSpec { uki_url, ..HttpBootConfigSpec::default() };
        let mut http = HttpBootConfig::new("work", spec_http);
        http.metadata.owner_references = Some(owners.clone());
        let mut ipxe = IpxeBootConfig::new("work", IpxeBootConfigSpec::default());
        ipxe.metadata.owner_references = Some(owners);
        let server = Server::new("a", spec);
        Self { server, configuration, http: Some(http), ipxe: Some(ipxe) }
    }

    /// A server in the window of a boot that is in this state.
    fn waiting(state: Option<BootState>) -> Self {
        let mut world = Self::new();
        world.configuration.metadata.namespace = Some("ns".to_owned());
        world.configuration.status.as_mut().unwrap().state = state;
        let boot_window = Some(BootWindow {
            boot_configuration_ref: ObjectReference::new("ns", "work"),
            boot_configuration_uid: Some("uid".to_owned()),
            opened: Time(NOW),
            closes: Time(NOW + SignedDuration::from_mins(30)),
        });
        world.server.status = Some(ServerStatus { boot_window, ..ServerStatus::default() });
        world
    }

    fn window(&mut self) -> &mut BootWindow {
        self.server.status.as_mut().unwrap().boot_window.as_mut().unwrap()
    }

    fn candidate(&self) -> CandidateServer<'_> {
        CandidateServer {
            server: &self.server,
            configuration: Some(&self.configuration),
            http: self.http.as_ref(),
            ipxe: self.ipxe.as_ref(),
        }
    }

    fn decide(&self) -> Boot {
        decide(&KnownServers::Servers(vec![self.candidate()]), NOW)
    }
}
