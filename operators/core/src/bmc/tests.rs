mod restored;

use super::*;
use crate::{
    macdb::MacDb,
    redfish::{Credentials, ManagerReading, PowerState, Scheme, SystemReading, Unreachable},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BmcSecret, BmcSecretSpec, BmcSpec, InlineAccess, LocalObjectReference, annotation, condition,
};

const UUID: &str = "38947555-7742-3448-3784-823347823834";
const OTHER: &str = "38947555-7742-3448-3784-823347823835";

#[test]
fn bmc_is_read_then_recorded_then_its_system_becomes_a_server() {
    let mut scene = Scene::new();
    scene.reading = None;
    assert_eq!(scene.decide(), Decision::Look(()));
    scene.reading = Some(Ok(said(Some(UUID))));
    scene.record();
    let server = scene.created().remove(0);
    assert_eq!(server.metadata.name.as_deref(), Some("bmc-1-system-0"));
    assert_eq!(server.spec.system_uuid.as_deref(), Some(UUID));
    assert!(server.metadata.owner_references.is_some() && server.metadata.finalizers.is_some());
    scene.servers = vec![Arc::new(server)];
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn server_of_a_bmc_that_no_person_made_is_held_where_new_ones_are() {
    let taints = |holds_new, maker: Option<&str>| {
        let mut scene = Scene::new();
        scene.holds_new = holds_new;
        let label = maker.map(|maker| (annotation::MANAGED_BY.to_owned(), maker.to_owned()));
        let rack = ("rack".to_owned(), "r1".to_owned());
        scene.bmc.metadata.labels = Some(label.into_iter().chain([rack.clone()]).collect());
        scene.record();
        let server = scene.created().remove(0);
        assert_eq!(server.metadata.labels, Some([rack].into()), "it did not make the server");
        assert_eq!(server.spec.is_held(), !server.spec.taints.is_empty());
        server.spec.taints.into_iter().map(|taint| taint.key).collect::<Vec<_>>()
    };
    for maker in ["metal-operator", "netboot"] {
        assert_eq!(taints(true, Some(maker)), ["bloomery.dev/not-admitted"]);
        assert_eq!(taints(false, Some(maker)), [""; 0]);
    }
    assert_eq!(taints(true, None), [""; 0]);
    assert_eq!(taints(true, Some("helm")), [""; 0]);
}

#[test]
fn server_is_found_by_its_uuid_whatever_its_name_and_position() {
    let mut scene = Scene::new();
    scene.record();
    let mut server = scene.created().remove(0);
    server.metadata.name = Some("by-hand".to_owned());
    server.spec.system_uri = Some("/redfish/v1/Systems/old".to_owned());
    scene.servers = vec![Arc::new(server)];
    let Decision::Change(Change::Update { server, system_uri, .. }) = scene.decide() else {
        panic!()
    };
    assert_eq!(server.metadata.name.as_deref(), Some("by-hand"));
    assert_eq!(system_uri, "/redfish/v1/Systems/1");
}

#[test]
fn system_without_uuid_and_one_that_another_bmc_has_are_told_and_left_out() {
    let mut scene = Scene::new();
    scene.reading = Some(Ok(said(None)));
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));

    let mut scene = Scene::new();
    scene.record();
    let mut server = scene.created().remove(0);
    server.spec.bmc_ref = Some(LocalObjectReference { name: "other".to_owned() });
    scene.servers = vec![Arc::new(server)];
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn every_system_of_a_bmc_becomes_a_server_at_once() {
    let mut scene = Scene::new();
    scene.reading = Some(Ok(systems(&[(1, UUID), (2, OTHER), (2, OTHER)])));
    scene.record();
    let foreign = server_name("bmc-1", 0);
    scene.servers = vec![Arc::new(Server::new(&foreign, metal_api::ServerSpec::default()))];
    let created = scene.created();
    let names: Vec<_> = created.iter().map(|it| it.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["bmc-1-system-1", "bmc-1-system-2"]);
    let uuids: Vec<_> = created.iter().map(|it| it.spec.system_uuid.as_deref().unwrap()).collect();
    assert_eq!(uuids, [UUID, OTHER]);
    scene.servers.extend(created.into_iter().map(Arc::new));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn systems_of_one_bmc_with_one_uuid_are_told_apart_by_nobody_and_the_server_there_is_stays() {
    let mut scene = Scene::new();
    scene.record();
    let server = scene.created().remove(0);
    let mut alone = Scene::new();
    for scene in [&mut scene, &mut alone] {
        scene.reading = Some(Ok(systems(&[(2, UUID), (1, UUID), (3, OTHER)])));
    }
    scene.servers = vec![Arc::new(server)];
    for (mut scene, kept) in [(scene, "server bmc-1-system-0 stays that of"), (alone, "none")] {
        scene.record();
        let created = scene.created();
        assert_eq!(created.len(), 1, "the third is another one");
        scene.servers.extend(created.into_iter().map(Arc::new));
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
        let message = scene.message(condition::SYSTEMS_KNOWN);
        assert!(message.contains("Systems/2 and /redfish/v1/Systems/1 of this BMC"), "{message}");
        assert!(message.contains(kept) && message.contains("BIOS"), "{message}");
        assert!(!message.contains("delete"), "{message}");
    }
}

#[test]
fn a_system_whose_uuid_has_changed_is_told_and_becomes_no_second_server() {
    let mut scene = Scene::new();
    scene.record();
    let known = scene.created().remove(0);
    let unset = |server: &mut Server| server.spec.system_uuid = Some(String::new());
    let slash = |server: &mut Server| server.spec.system_uri.as_mut().unwrap().push('/');
    for edit in [|_: &mut Server| (), unset, slash] {
        let mut server = known.clone();
        edit(&mut server);
        scene.servers = vec![Arc::new(server)];
        scene.reading = Some(Ok(said(Some(OTHER))));
        scene.bmc.status = None;
        scene.record();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
        let message = scene.message(condition::SYSTEMS_KNOWN);
        let fix = format!("set spec.systemUUID of server bmc-1-system-0 to {OTHER}");
        assert!(message.contains(&fix), "{message}");
    }
}

#[test]
fn a_uuid_in_the_other_byte_order_is_that_of_the_server_there_is() {
    for bmc in ["bmc-1", "victim"] {
        let mut scene = Scene::new();
        scene.record();
        let mut server = scene.created().remove(0);
        server.spec.bmc_ref = Some(LocalObjectReference { name: bmc.to_owned() });
        scene.servers = vec![Arc::new(server)];
        scene.reading = Some(Ok(said(Some("55759438-4277-4834-3784-823347823834"))));
        if bmc == "victim" {
            scene.record();
            assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
        }
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    }
}

#[test]
fn systems_that_change_places_take_their_servers_along_before_a_new_one_is_welcome() {
    let mut scene = Scene::new();
    scene.record();
    let server = scene.created().remove(0);
    scene.servers = vec![Arc::new(server.clone())];
    // The known one is in second place now, and a new one in first place.
    scene.reading = Some(Ok(systems(&[(1, OTHER), (2, UUID)])));
    if matches!(scene.decide(), Decision::Record(_)) {
        scene.record();
    }
    let Decision::Change(Change::Update { server: moved, system_uri, .. }) = scene.decide() else {
        panic!()
    };
    assert_eq!(moved.metadata.name, server.metadata.name);
    let mut moved = server;
    moved.spec.system_uri = Some(system_uri);
    scene.servers = vec![Arc::new(moved)];
    assert_eq!(scene.created()[0].spec.system_uuid.as_deref(), Some(OTHER));
}

#[test]
fn the_system_of_a_server_that_cannot_be_read_becomes_no_second_one() {
    let mut scene = Scene::new();
    scene.unreadable = vec!["bmc-1-system-0".to_owned()];
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(scene.message(condition::SYSTEMS_KNOWN).contains("bmc-1-system-0"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.unreadable.clear();
    scene.record();
    assert_eq!(scene.created().len(), 1);
}

#[test]
fn no_advice_about_a_shared_uuid_is_to_delete_a_server() {
    let mut scene = Scene::new();
    scene.record();
    let ours = scene.created().remove(0);
    let mut other = ours.clone();
    other.metadata.name = Some("other".to_owned());
    other.spec.bmc_ref = None;
    for servers in [vec![other.clone()], vec![ours, other]] {
        scene.servers = servers.into_iter().map(Arc::new).collect();
        scene.record();
        let message = scene.message(condition::SYSTEMS_KNOWN);
        assert!(message.contains("server other of no BMC object"), "{message}");
        assert!(message.contains("BIOS") && !message.contains("delete"), "{message}");
        scene.bmc.status.as_mut().unwrap().conditions.retain(|c| c.type_ == condition::READY);
    }
}

#[test]
fn what_is_known_of_a_bmc_is_noted_beside_its_credentials_and_a_word_for_it_counts_once() {
    let mut scene = Scene::new();
    scene.secret = Some(secret());
    let accepted = (annotation::ACCEPT_ADDRESS.to_owned(), "127.1.0.1".to_owned());
    scene.bmc.metadata.annotations = Some([accepted].into());
    scene.record();
    let Decision::Change(Change::Note(note)) = scene.decide() else { panic!() };
    assert_eq!(note[annotation::KNOWN_ADDRESS].as_deref(), Some("127.1.0.1"));
    let note = note.into_iter().filter_map(|(key, value)| Some((key.into_owned(), value?)));
    scene.secret.as_mut().unwrap().metadata.annotations = Some(note.collect());
    assert_eq!(scene.decide(), Decision::Change(Change::Settle));
    scene.bmc.metadata.annotations = None;
    assert_eq!(scene.created().len(), 1);
}

/// A BMC that never answered, and whose Endpoint is gone.
fn forsaken() -> Scene {
    let mut scene = Scene::new();
    scene.reading = None;
    scene.bmc.spec.access = None;
    let endpoint = LocalObjectReference { name: "gone".to_owned() };
    scene.bmc.spec.endpoint_ref = Some(endpoint);
    let label = (annotation::MANAGED_BY.to_owned(), "metal-operator".to_owned());
    scene.bmc.metadata.labels = Some([label].into());
    let database = "macPrefixes:\n- macPrefix: aabbcc\n  protocol: Redfish\n  port: 443\n  \
                    type: bmc\n  defaultCredentials: [{ username: foo, password: bar }]\n";
    scene.database = Some(MacDb::parse(database).unwrap());
    scene
}

/// What is done with it after an hour.
fn in_an_hour(mut scene: Scene) -> Decision {
    scene.record();
    assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    scene.now += SignedDuration::from_hours(1);
    scene.decide()
}

#[test]
fn what_was_made_for_an_endpoint_that_is_gone_is_removed_unless_it_has_ever_answered() {
    let gone = |edit: fn(&mut Scene)| {
        let mut scene = forsaken();
        edit(&mut scene);
        in_an_hour(scene)
    };
    assert_eq!(gone(|_| ()), Decision::Change(Change::Collect { credentials: false }));
    for kept in [
        gone(|scene| scene.bmc.metadata.labels = None),
        gone(|scene| {
            let ip = Some("127.1.0.1".to_owned());
            scene.bmc.status = Some(BmcStatus { ip, ..BmcStatus::default() });
        }),
        gone(|scene| {
            scene.servers = vec![Arc::new(Server::new("a", metal_api::ServerSpec::default()))];
        }),
    ] {
        assert!(matches!(kept, Decision::Rest(_)), "{kept:?}");
    }
}

#[test]
fn a_bmc_that_was_restored_before_its_endpoint_waits_for_it() {
    let mut scene = forsaken();
    scene.record();
    assert_eq!(scene.condition(condition::ENDPOINT_FOUND), ("False", "EndpointMissing"));
    scene.now += SignedDuration::from_mins(59);
    assert_eq!(scene.decide(), Decision::Rest(SignedDuration::from_mins(1)));
    let ip = Some("127.1.0.1".to_owned());
    scene.bmc.spec.access = Some(InlineAccess { ip, ..InlineAccess::default() });
    scene.reading = Some(Ok(said(Some(UUID))));
    scene.now = Timestamp::UNIX_EPOCH;
    scene.record();
    assert_eq!(scene.condition(condition::ENDPOINT_FOUND), ("True", "Found"));
}

#[test]
fn credentials_that_a_person_or_a_bmc_has_touched_are_never_collected() {
    let collected = |edit: fn(&mut BmcSecret)| {
        let (mut scene, mut secret) = (forsaken(), secret());
        let label = (annotation::MANAGED_BY.to_owned(), "metal-operator".to_owned());
        secret.metadata.labels = Some([label].into());
        edit(&mut secret);
        scene.secret = Some(secret);
        let Decision::Change(Change::Collect { credentials }) = in_an_hour(scene) else { panic!() };
        credentials
    };
    assert!(collected(|_| ()));
    assert!(!collected(|secret| secret.metadata.labels = None));
    assert!(!collected(|secret| {
        let rotated = ("password".to_owned(), "rotated".to_owned());
        secret.spec.string_data.as_mut().unwrap().extend([rotated]);
    }));
    assert!(!collected(|secret| {
        let note = (annotation::KNOWN_CERTIFICATE.to_owned(), "sha256:aa".to_owned());
        secret.metadata.annotations = Some([note].into());
    }));
}

#[test]
fn a_bmc_that_once_refused_us_has_answered_for_good() {
    for refusal in [
        Unreachable::Unauthorized,
        Unreachable::SessionsFull("full".to_owned()),
        Unreachable::Misbehaving("too long".to_owned()),
    ] {
        let mut scene = forsaken();
        let endpoint = scene.bmc.spec.endpoint_ref.take();
        let ip = Some("127.1.0.1".to_owned());
        scene.bmc.spec.access = Some(InlineAccess { ip, ..InlineAccess::default() });
        scene.reading = Some(Err(refusal));
        scene.record();
        scene.reading = Some(Err(Unreachable::NoAnswer("timed out".to_owned())));
        scene.record();
        (scene.bmc.spec.access, scene.bmc.spec.endpoint_ref) = (None, endpoint);
        scene.reading = None;
        assert!(matches!(in_an_hour(scene), Decision::Rest(_)));
    }
}

#[test]
fn who_has_never_answered_is_asked_ever_more_slowly() {
    let wait = |age: i64, ip: Option<&str>| {
        let mut scene = Scene::new();
        scene.reading = Some(Err(Unreachable::NoAnswer("timed out".to_owned())));
        let created = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(age);
        scene.bmc.metadata.creation_timestamp = Some(Time(created));
        scene.bmc.status = ip.map(|ip| BmcStatus { ip: Some(ip.to_owned()), ..Default::default() });
        scene.record();
        let Decision::Rest(time) = scene.decide() else { panic!() };
        time.as_secs()
    };
    for (age, seconds) in [(0, 30), (60, 30), (400, 100), (100_000, 600)] {
        assert_eq!(wait(age, None), seconds, "{age}");
        assert_eq!(wait(age, Some("127.1.0.1")), 30);
    }
}

#[test]
fn silent_bmc_and_wrong_password_are_told_apart() {
    for (why, reason) in [
        (Unreachable::NoAnswer("timed out".to_owned()), "ConnectionFailed"),
        (Unreachable::Unauthorized, "AuthenticationFailed"),
        (Unreachable::SessionsFull("HTTP 503".to_owned()), "SessionLimitExceeded"),
        (Unreachable::Misbehaving("too long".to_owned()), "Misbehaving"),
    ] {
        let mut scene = Scene::new();
        scene.reading = Some(Err(why));
        scene.record();
        assert_eq!(scene.condition(condition::READY), ("False", reason));
        assert!(matches!(scene.decide(), Decision::Rest(_)));
    }
}

#[test]
fn bmc_that_misbehaved_is_read_last_after_a_restart() {
    let mut scene = Scene::new();
    scene.reading = Some(Err(Unreachable::Misbehaving("too long".to_owned())));
    scene.record();
    scene.reading = None;
    assert_eq!(scene.decide(), Decision::Rest(SignedDuration::from_mins(10)));
    scene.bmc.metadata.generation = Some(2);
    assert_eq!(scene.decide(), Decision::Look(()), "somebody has changed it");
}

#[test]
fn after_a_start_only_bmcs_whose_servers_are_all_known_are_read_later() {
    let mut scene = Scene::new();
    scene.record();
    let server = scene.created().remove(0);
    scene.reading = None;
    assert_eq!(scene.decide(), Decision::Look(()));
    scene.servers = vec![Arc::new(server)];
    let mut waits = vec![];
    for index in 0..100 {
        scene.bmc.metadata.name = Some(format!("bmc-{index}"));
        let decision = scene.decide();
        if let Decision::Rest(wait) = decision {
            waits.push(wait);
        } else {
            assert_eq!(decision, Decision::Look(()));
        }
    }
    assert!(waits.iter().all(|wait| *wait <= SignedDuration::from_secs(10)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 50, "{waits:?}");
}

#[test]
fn bmc_without_systems_or_manager_is_connected_and_says_so() {
    let mut scene = Scene::new();
    let remarks = vec!["/redfish/v1/Systems: HTTP 404".to_owned()];
    let said = Answers { systems: vec![], remarks, ..said(None) };
    scene.bmc.status = Some(BmcStatus { model: Some("known".to_owned()), ..BmcStatus::default() });
    scene.reading = Some(Ok(said));
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("True", "Connected"));
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "NoSystems"));
    let status = scene.bmc.status.as_ref().unwrap();
    assert_eq!(status.model.as_deref(), Some("known"), "what a manager has said stays");
    let known = status.conditions.iter().find(|c| c.type_ == condition::SYSTEMS_KNOWN).unwrap();
    assert!(known.message.contains("/redfish/v1/Systems: HTTP 404"), "{}", known.message);
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn system_that_offers_no_reset_becomes_no_server() {
    let mut scene = Scene::new();
    let mut board = said(Some(UUID));
    board.systems[0].lacks_reset = true;
    scene.reading = Some(Ok(board));
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn what_is_missing_to_reach_a_bmc_is_named_with_its_field() {
    let (bmc, secret) = (bmc(), secret());
    let reach = |bmc: &Bmc, secret: Option<&BmcSecret>| {
        destination(bmc, None, secret, Scheme::Http).map_err(|missing| missing.reason)
    };
    assert!(reach(&bmc, Some(&secret)).is_ok());
    assert_eq!(reach(&bmc, None), Err("SecretMissing"));
    assert_eq!(
        reach(&bmc, Some(&BmcSecret::new("bmc-1", BmcSecretSpec::default()))),
        Err("SecretIncomplete")
    );
    let changed = |edit: fn(&mut Bmc)| {
        let mut bmc = bmc.clone();
        edit(&mut bmc);
        reach(&bmc, Some(&secret)).unwrap_err()
    };
    assert_eq!(changed(|bmc| bmc.spec.access = None), "NoAddress");
    assert_eq!(changed(|bmc| bmc.spec.protocol.port = 0), "InvalidPort");
    assert_eq!(changed(|bmc| bmc.spec.protocol.name = "IPMI".into()), "UnknownProtocol");
    assert_eq!(changed(|bmc| bmc.spec.protocol.scheme = Some("ftp".into())), "UnknownScheme");
    let endpoint = |bmc: &mut Bmc| {
        bmc.spec.access = None;
        bmc.spec.endpoint_ref = Some(LocalObjectReference { name: "gone".to_owned() });
    };
    assert_eq!(changed(endpoint), "EndpointMissing");
}

#[test]
fn secret_that_may_be_on_its_way_is_not_missed_at_once() {
    let mut bmc = bmc();
    bmc.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let at = |second| {
        decide(&Observation {
            bmc: &bmc,
            destination: destination(&bmc, None, None, Scheme::Http),
            secret: None,
            database: None,
            mac_address: None,
            reading: None,
            servers: &[],
            same_uuid: &[],
            unreadable: &[],
            namespace: "manager",
            holds_new: false,
            failure: None,
            started: Timestamp::UNIX_EPOCH,
            now: Timestamp::from_second(second).unwrap(),
        })
    };
    assert_eq!(at(1), Decision::Rest(SignedDuration::from_secs(2)));
    for second in [-1, 3] {
        assert!(matches!(at(second), Decision::Record(_)));
    }
}

#[test]
fn time_that_the_api_server_cuts_to_seconds_is_recorded_once() {
    let mut scene = Scene::new();
    let mut said = said(Some(UUID));
    said.manager.last_reset = Some(Timestamp::from_nanosecond(1_500_000_001).unwrap());
    scene.reading = Some(Ok(said));
    scene.record();
    let stored = serde_json::to_value(&scene.bmc).unwrap();
    scene.bmc = serde_json::from_value(stored).unwrap();
    assert!(matches!(scene.decide(), Decision::Change(Change::Create(_))));
}

struct Scene {
    bmc: Bmc,
    reading: Option<Result<Answers, Unreachable>>,
    servers: Vec<Arc<Server>>,
    unreadable: Vec<String>,
    secret: Option<BmcSecret>,
    database: Option<MacDb>,
    holds_new: bool,
    now: Timestamp,
}

impl Scene {
    fn new() -> Self {
        Self {
            bmc: bmc(),
            reading: Some(Ok(said(Some(UUID)))),
            servers: vec![],
            unreadable: vec![],
            secret: None,
            database: None,
            holds_new: false,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn decide(&self) -> Decision {
        let at = Timestamp::UNIX_EPOCH;
        let reading = self.reading.clone().map(|result| Reading::new(at, result, None));
        decide(&Observation {
            bmc: &self.bmc,
            destination: destination(&self.bmc, None, Some(&secret()), Scheme::Http),
            secret: self.secret.as_ref(),
            database: self.database.as_ref(),
            mac_address: None,
            reading: reading.as_ref(),
            servers: &self.servers,
            same_uuid: &self.servers,
            unreadable: &self.unreadable,
            namespace: "manager",
            holds_new: self.holds_new,
            failure: None,
            started: at,
            now: self.now,
        })
    }

    fn record(&mut self) {
        let decision = self.decide();
        let Decision::Record(status) = decision else { panic!("{decision:?} is no record") };
        self.bmc.status = Some(*status);
    }

    /// The servers to create.
    fn created(&self) -> Vec<Server> {
        let decision = self.decide();
        let Decision::Change(Change::Create(servers)) = decision else {
            panic!("{decision:?} creates nothing")
        };
        servers
    }

    fn message(&self, type_: &str) -> &str {
        let conditions = &self.bmc.status.as_ref().unwrap().conditions;
        &conditions.iter().find(|c| c.type_ == type_).unwrap().message
    }

    fn condition(&self, type_: &str) -> (&str, &str) {
        let conditions = &self.bmc.status.as_ref().unwrap().conditions;
        let found = conditions.iter().find(|c| c.type_ == type_).unwrap();
        (&found.status, &found.reason)
    }
}

fn said(uuid: Option<&str>) -> Answers {
    let systems = vec![system(1, uuid)];
    Answers { manager: ManagerReading::default(), systems, certificate: None, remarks: vec![] }
}

fn systems(all: &[(u32, &str)]) -> Answers {
    let systems = all.iter().map(|(number, uuid)| system(*number, Some(uuid))).collect();
    Answers { systems, ..said(None) }
}

fn system(number: u32, uuid: Option<&str>) -> SystemReading {
    SystemReading {
        uri: format!("/redfish/v1/Systems/{number}"),
        uuid: uuid.map(|uuid| uuid.parse().unwrap()),
        power: PowerState::Off,
        ..SystemReading::default()
    }
}

fn bmc() -> Bmc {
    let mut bmc = Bmc::new("bmc-1", BmcSpec::default());
    bmc.metadata.uid = Some("bmc-uid".to_owned());
    bmc.spec.protocol.name = "Redfish".into();
    bmc.spec.protocol.port = 8000;
    let ip = Some("127.1.0.1".to_owned());
    bmc.spec.access = Some(InlineAccess { ip, ..InlineAccess::default() });
    bmc
}

fn secret() -> BmcSecret {
    let credentials = Credentials { username: "foo".to_owned(), password: "bar".to_owned() };
    let values = [("username", credentials.username), ("password", credentials.password)];
    let string_data = values.map(|(key, value)| (key.to_owned(), value)).into();
    let spec = BmcSecretSpec { string_data: Some(string_data), ..BmcSecretSpec::default() };
    BmcSecret::new("bmc-1", spec)
}
