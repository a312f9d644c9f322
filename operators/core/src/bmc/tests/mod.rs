mod restored;
mod systems;
mod unanswered;

use super::*;
use crate::{
    failure::Failure,
    macdb::MacDb,
    redfish::{Credentials, ManagerReading, Scheme, Unreachable},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
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
    assert_eq!(scene.decide(), Decision::Change(Change::Settle(annotation::ACCEPT_ADDRESS)));
    scene.bmc.metadata.annotations = None;
    assert_eq!(scene.created().len(), 1);
}

#[test]
fn a_word_for_a_certificate_counts_until_the_bmc_has_presented_it() {
    let mut scene = Scene::new();
    let [old, new] = ["aa", "bb"].map(|pair| format!("sha256:{}", pair.repeat(32)));
    let accept = (annotation::ACCEPT_CERTIFICATE.to_owned(), new.to_ascii_uppercase());
    let accept = (accept.0, accept.1.replace("SHA", "sha"));
    scene.bmc.metadata.annotations = Some([accept].into());
    let settle = Decision::Change(Change::Settle(annotation::ACCEPT_CERTIFICATE));
    for (certificate, is_settled) in [(None, false), (Some(old), false), (Some(new), true)] {
        scene.reading = Some(Ok(Answers { certificate, ..said(Some(UUID)) }));
        scene.record();
        assert_eq!(scene.decide() == settle, is_settled);
    }
}

#[test]
fn a_mac_address_is_recorded_in_the_form_that_the_schema_takes_or_not_at_all() {
    const FORM: &str = "aa:bb:cc:00:00:01";
    for (written, expected) in [
        ("aabbcc000001", Some(FORM)),
        ("aabb.cc00.0001", Some(FORM)),
        ("AA-BB-CC-00-00-01", Some(FORM)),
        ("bmc", None),
    ] {
        let mut scene = Scene::new();
        scene.mac_address = Some(written.to_owned());
        scene.record();
        assert_eq!(scene.bmc.status.as_ref().unwrap().mac_address.as_deref(), expected);
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
fn a_bmc_that_is_silent_for_longer_than_that_counts_is_told_as_silent() {
    let mut scene = Scene::new();
    scene.reading = Some(Err(Unreachable::NoAnswer("timed out".to_owned())));
    (scene.took, scene.now) =
        (SignedDuration::from_mins(2), scene.now + SignedDuration::from_mins(2));
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "ConnectionFailed"));
    assert_eq!(scene.decide(), Decision::Rest(SignedDuration::from_secs(30)));
}

#[test]
fn what_fails_again_and_again_before_a_bmc_was_read_is_in_a_condition() {
    let mut scene = Scene::new();
    scene.reading = None;
    let failure =
        |repeated| Failure { reason: "Deadline", text: "pass timed out".to_owned(), repeated };
    scene.failure = Some(failure(false));
    assert_eq!(scene.decide(), Decision::Look(()), "a single failure costs no write");
    scene.failure = Some(failure(true));
    scene.record();
    assert_eq!(scene.condition(condition::RECONCILED), ("False", "Deadline"));
    let status = scene.bmc.status.as_ref().unwrap();
    assert_eq!((status.conditions.len(), status.observed_generation), (1, None));
    assert_eq!(scene.decide(), Decision::Look(()), "it is tried again");
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
            verification: Verification::Pinned,
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
fn time_that_is_cut_to_seconds_or_that_a_bmc_computes_from_its_uptime_is_recorded_once() {
    let mut scene = Scene::new();
    let mut said = said(Some(UUID));
    said.manager.last_reset = Some(Timestamp::from_nanosecond(1_500_000_001).unwrap());
    scene.reading = Some(Ok(said.clone()));
    scene.record();
    let stored = serde_json::to_value(&scene.bmc).unwrap();
    scene.bmc = serde_json::from_value(stored).unwrap();
    said.manager.last_reset = Some(Timestamp::from_second(3).unwrap());
    scene.reading = Some(Ok(said));
    assert!(matches!(scene.decide(), Decision::Change(Change::Create(_))));
}

#[test]
fn a_bmc_that_is_accessed_by_http_though_there_are_authorities_says_so() {
    use Verification::{Authorities, Off, Pinned};
    for (scheme, verification, is_told) in [
        ("http", Authorities, true),
        ("https", Authorities, false),
        ("http", Pinned, false),
        ("http", Off, false),
    ] {
        let mut scene = Scene::new();
        scene.verification = verification;
        scene.bmc.spec.protocol.scheme = Some(scheme.into());
        scene.record();
        assert_eq!(scene.condition(condition::READY), ("True", "Connected"));
        let message = scene.message(condition::READY);
        assert_eq!(message.contains("--bmc-ca-file"), is_told, "{scheme} {verification:?}");
        assert_eq!(message.is_empty(), !is_told, "{scheme} {verification:?}");
    }
}

#[test]
fn conditions_of_a_bmc_that_only_ironcore_keeps_up_go() {
    let mut scene = Scene::new();
    scene.record();
    let conditions = &mut scene.bmc.status.as_mut().unwrap().conditions;
    let own = conditions.clone();
    let theirs = ["Reset", "example.com/Mine"]
        .map(|type_| Condition { type_: type_.to_owned(), ..own[0].clone() });
    conditions.extend(theirs.clone());
    scene.record();
    let left = &scene.bmc.status.as_ref().unwrap().conditions;
    assert_eq!(*left, [own, vec![theirs[1].clone()]].concat());
}

struct Scene {
    bmc: Bmc,
    verification: Verification,
    reading: Option<Result<Answers, Unreachable>>,
    servers: Vec<Arc<Server>>,
    unreadable: Vec<String>,
    secret: Option<BmcSecret>,
    mac_address: Option<String>,
    database: Option<MacDb>,
    holds_new: bool,
    took: SignedDuration,
    failure: Option<Failure>,
    now: Timestamp,
}

impl Scene {
    fn new() -> Self {
        Self {
            bmc: bmc(),
            verification: Verification::Pinned,
            reading: Some(Ok(said(Some(UUID)))),
            servers: vec![],
            unreadable: vec![],
            secret: None,
            mac_address: None,
            database: None,
            holds_new: false,
            took: SignedDuration::ZERO,
            failure: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn decide(&self) -> Decision {
        let at = Timestamp::UNIX_EPOCH;
        let reading = self.reading.clone();
        let reading = reading.map(|result| BmcReading::new(at, self.took, result, None));
        decide(&Observation {
            bmc: &self.bmc,
            destination: destination(&self.bmc, None, Some(&secret()), Scheme::Http),
            verification: self.verification,
            secret: self.secret.as_ref(),
            database: self.database.as_ref(),
            mac_address: self.mac_address.clone(),
            reading: reading.as_ref(),
            servers: &self.servers,
            same_uuid: &self.servers,
            unreadable: &self.unreadable,
            namespace: "manager",
            holds_new: self.holds_new,
            failure: self.failure.as_ref(),
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

fn system(number: u32, uuid: Option<&str>) -> FoundSystem {
    let (uri, uuid) = (format!("/redfish/v1/Systems/{number}"), uuid.map(|it| it.parse().unwrap()));
    FoundSystem { uri, uuid, lacks_reset: false }
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
