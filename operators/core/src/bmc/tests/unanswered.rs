//! BMCs that have never answered.

use super::*;

/// A BMC that never answered, and whose Endpoint is gone.
fn orphaned() -> Scene {
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
        let mut scene = orphaned();
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
    let mut scene = orphaned();
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
        let (mut scene, mut secret) = (orphaned(), secret());
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
        let mut scene = orphaned();
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
fn refused_credentials_rest_since_they_were_refused_and_not_since_the_trouble_before() {
    let at = |minute| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
    let mut scene = Scene::new();
    scene.reading = Some(Err(Unreachable::NoAnswer("timed out".to_owned())));
    scene.record();
    scene.reading = Some(Err(Unreachable::Unauthorized));
    // Created while the BMC was silent, created again, and changed.
    for (created, generation, now) in [(5, 1, 6), (10, 1, 11), (10, 2, 13)] {
        let mut secret = secret();
        secret.metadata.creation_timestamp = Some(Time(at(created)));
        secret.metadata.generation = Some(generation);
        scene.secret = Some(secret.clone());
        scene.now = at(now);
        scene.record();
        let rest = refused_for(&scene.bmc, &secret, at(now + 1));
        assert_eq!(rest, Some(SignedDuration::from_mins(29)), "{created} {generation}");
        scene.now = at(now + 1);
        assert!(matches!(scene.decide(), Decision::Rest(_)), "it is recorded once");
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
