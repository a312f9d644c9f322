//! What others have written on a configuration and its boot configs.

use super::*;

#[test]
fn a_peer_that_was_ready_is_taken_over_without_a_gap() {
    let mut world = World::new();
    let state = Some(BootState::Ready);
    world.configuration.status =
        Some(ServerBootConfigurationStatus { state, ..ServerBootConfigurationStatus::default() });
    assert_eq!(outdated(&world.configuration, BOTH, world.now), None);
    assert!(world.needs_image(BOTH));
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);
}

#[test]
fn a_boot_config_of_an_earlier_configuration_is_waited_for() {
    let mut world = World::new();
    world.settle(BOTH);
    world.configuration.metadata.uid = Some("uid-2".to_owned());
    world.configuration.status = None;
    assert_eq!(world.settle(BOTH), [""; 0], "it goes with its owner");
    (world.ipxe, world.http) = (None, None);
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);
}

#[test]
fn a_boot_config_that_does_not_go_is_told_and_keeps_no_other_way_from_being_offered() {
    let mut world = World::new();
    world.settle(BOTH);
    let deleted = Some(Time(Timestamp::UNIX_EPOCH));
    world.ipxe.as_mut().unwrap().metadata.deletion_timestamp = deleted;
    (world.configuration.status, world.http) = (None, None);
    world.now += SignedDuration::from_secs(59);
    assert_eq!(world.settle(BOTH), [""; 0], "it is about to go");
    world.now += SignedDuration::from_secs(1);
    assert_eq!(world.settle(BOTH), ["apply http", "Ready"]);
    assert!(world.shown().iter().any(|it| it.starts_with("IPXEBootReady=False/NameTaken")));
    world.ipxe = None;
    assert_eq!(world.settle(BOTH), ["apply ipxe", "Ready"]);
}

#[test]
fn a_slow_garbage_collector_is_waited_for_and_no_error_for_ten_minutes() {
    let taken = "IPXEBootReady=False/NameTaken";
    for is_collected in [true, false] {
        let mut world = World::new();
        world.configuration.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        world.settle(BOTH);
        world.configuration.metadata.uid = Some("uid-2".to_owned());
        (world.configuration.status, world.http) = (None, None);
        world.now += SignedDuration::from_secs(59);
        assert_eq!(world.settle(BOTH), [""; 0], "it is about to go");
        world.now += SignedDuration::from_secs(1);
        assert_eq!(world.settle(BOTH), ["Pending"], "and no other way is offered alone");
        assert!(world.shown().iter().any(|it| it.starts_with(taken)), "{:?}", world.shown());
        world.now += SignedDuration::from_secs(539);
        assert_eq!(world.settle(BOTH), [""; 0]);
        if is_collected {
            world.ipxe = None;
            assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);
            assert!(!world.shown().iter().any(|it| it.starts_with(taken)));
        } else {
            world.now += SignedDuration::from_secs(1);
            assert_eq!(world.settle(BOTH), ["apply http", "Ready"], "nobody collects it");
        }
    }
}

#[test]
fn a_boot_config_of_a_boot_configuration_of_another_name_is_left_alone_and_told() {
    let mut world = World::new();
    world.settle(BOTH);
    let mut other = world.configuration.clone();
    other.metadata.name = Some("other".to_owned());
    other.metadata.uid = Some("uid-of-other".to_owned());
    world.ipxe.as_mut().unwrap().metadata.owner_references = crate::ownership::owned_by(&other);
    world.configuration.status = None;
    assert_eq!(world.settle(BOTH), ["Ready"]);
    let said = "IPXEBootReady=False/NameTaken: a boot config of this name exists and belongs to \
                ServerBootConfiguration other: delete it";
    assert!(world.shown().contains(&said.to_owned()), "{:?}", world.shown());
}

#[test]
fn a_boot_config_of_somebody_else_is_left_alone() {
    let mut world = World::new();
    let owner = OwnerReference {
        kind: "Machine".to_owned(),
        name: "theirs".to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let mut theirs = IpxeBootConfig::new("claim", metal_api::IpxeBootConfigSpec::default());
    theirs.metadata.owner_references = Some(vec![owner]);
    world.ipxe = Some(theirs.clone());
    assert_eq!(world.settle(BOTH), ["apply http", "Ready"]);
    assert_eq!(world.ipxe, Some(theirs));
    let said = "IPXEBootReady=False/NameTaken: a boot config of this name exists and belongs to \
                Machine theirs: delete it";
    assert!(world.shown().contains(&said.to_owned()), "{:?}", world.shown());
    assert!(world.needs_image(BOTH));
    world.ipxe = None;
    assert_eq!(world.settle(BOTH), ["apply ipxe", "Ready"]);
}

#[test]
fn a_script_that_somebody_added_to_our_boot_config_stays() {
    let mut world = World::new();
    world.settle(BOTH);
    let script = Some(LocalObjectReference::new("script"));
    world.ipxe.as_mut().unwrap().spec.ipxe_script_secret_ref.clone_from(&script);
    assert_eq!(world.settle(BOTH), [""; 0]);
    assert_eq!(world.ipxe.unwrap().spec.ipxe_script_secret_ref, script);
}

#[test]
fn conditions_of_others_are_neither_written_nor_lost() {
    let mut world = World::new();
    let foreign = Condition {
        type_: condition::BOOT_STATE_RECEIVED.to_owned(),
        status: "True".to_owned(),
        reason: "BootStateReceived".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    world.settle(BOTH);
    let status = world.configuration.status.as_mut().unwrap();
    status.conditions.insert(0, foreign);
    world.image = Image::Settled;
    assert_eq!(world.settle(BOTH), [""; 0]);
}

#[test]
fn what_was_fetched_is_shown_on_the_configuration_of_a_tenant_too() {
    let fetched = |type_: &str, at| Condition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: "Delivered".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::from_second(at).unwrap()),
    };
    for (internal, expected) in [(false, vec!["Ready"]), (true, vec![])] {
        let mut world = World::new();
        if internal {
            let type_ = (annotation::TYPE.to_owned(), annotation::INTERNAL.to_owned());
            world.configuration.metadata.annotations = Some([type_].into());
        }
        world.settle(BOTH);
        world.image = Image::Settled;
        world.ipxe.as_mut().unwrap().status = Some(IpxeBootConfigStatus {
            conditions: vec![
                fetched(condition::IPXE_SCRIPT_FETCHED, 1),
                fetched(condition::IGNITION_DATA_FETCHED, 2),
            ],
            ..IpxeBootConfigStatus::default()
        });
        assert_eq!(world.settle(BOTH), expected);
        let status = world.configuration.status.as_ref().unwrap();
        let shown = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_);
        assert_eq!(shown(condition::IPXE_SCRIPT_FETCHED).is_some(), !internal);
        let at =
            shown(condition::IGNITION_DATA_FETCHED).map(|c| c.last_transition_time.0.as_second());
        assert_eq!(at, (!internal).then_some(2));
        assert_eq!(world.settle(BOTH), [""; 0], "once");
        // It is kept while the image is inspected again and cannot be fetched.
        world.image = Image::Failed(unavailable("gone"));
        world.settle(BOTH);
        let shown = world.shown();
        assert_eq!(shown.iter().any(|it| it.starts_with("IPXEScriptFetched")), !internal);
    }
}
