//! Which operations there are, and who is served for them.

use super::{
    super::*,
    fixture::{Scene, cordoned, node},
};
use metal_api::{MachineOperationStep::*, MachineOperationsStatus, MachineRedfish, condition};
use metal_core::{
    bmc::Missing,
    machine_identity::{BmcAddress, bmc_address, system_uri},
    redfish::{PowerState, Scheme, Unreachable},
};

#[test]
fn an_installer_is_there_only_between_power_off_and_its_callback() {
    for (step, is_there) in [
        (Draining, false),
        (PoweringOff, false),
        (PoweringOn, true),
        (Installing, true),
        (Finishing, false),
        (Failed, false),
        (Other("Later".to_owned()), false),
    ] {
        let scene = Scene::asks(3, 2).at(step.clone());
        assert_eq!(installs(&scene.machine, scene.now.into()), is_there.then_some(2), "{step}");
        let scene = Scene::asks(3, 0).at(step);
        assert_eq!(installs(&scene.machine, scene.now.into()), None);
    }
    let scene = Scene::asks(3, 2);
    assert_eq!(installs(&scene.machine, scene.now.into()), None, "nothing has begun");
}

#[test]
fn a_callback_ends_the_installation_that_it_was_handed_out_for_and_no_other() {
    let scene = Scene::asks(3, 2).at(Installing);
    assert_eq!(installed(&scene.machine, Some(1), None, scene.now.into()), Callback::Stale);
    for counter in [None, Some(2)] {
        let mut scene = scene.clone();
        let Callback::Record(status) = installed(&scene.machine, counter, None, scene.now.into())
        else {
            unreachable!("{counter:?}")
        };
        scene.machine.status = Some(*status);
        let operations = scene.machine.status.clone().unwrap().operations.unwrap();
        assert_eq!((operations.reboot_counter, operations.repave_counter), (Some(3), Some(2)));
        assert_eq!(scene.reason(condition::REPAVED), Some("Succeeded"));
        assert_eq!(installs(&scene.machine, scene.now.into()), None);
        assert_eq!(installed(&scene.machine, counter, None, scene.now.into()), Callback::Nothing);
        assert!(matches!(scene.settle(), Decision::Rest(_)));
        assert_eq!(scene.current(), None);
    }
    for step in [Draining, PoweringOff, Failed] {
        let scene = Scene::asks(3, 2).at(step);
        assert_eq!(installed(&scene.machine, None, None, scene.now.into()), Callback::Nothing);
    }
}

#[test]
fn why_an_installer_fails_is_why_its_attempt_is_over() {
    let mut scene = Scene::asks(1, 1).at(Installing);
    let json = r#"{"phase":"failed","message":"no disk fits"}"#;
    let failed = serde_json::from_str(json).unwrap();
    *scene.status() = reported(&scene.machine, 1, &failed, scene.now.into()).unwrap();
    scene.settle();
    assert_eq!(scene.reason(condition::REPAVED), Some("InstallFailed"));
    scene.done.here = Some(INSTALL);
    scene.settle();
    let current = scene.current().unwrap();
    assert_eq!((current.attempt, current.reason.as_deref()), (2, Some("InstallTimedOut")));
    assert!(current.message.as_deref().unwrap().ends_with("for 30 minutes: no disk fits"));
}

#[test]
fn an_installer_that_says_nothing_is_started_again_three_times_and_then_given_up() {
    let mut scene = Scene::asks(1, 1).at(Installing);
    for attempt in 1..=ATTEMPTS {
        assert_eq!(scene.current().unwrap().attempt, attempt);
        assert!(matches!(scene.settle(), Decision::Rest(_)));
        scene.done.here = Some(INSTALL);
        let next = scene.settle();
        scene.done = Done::default();
        if attempt == ATTEMPTS {
            assert!(matches!(next, Decision::Rest(_)));
            break;
        }
        assert_eq!(scene.step(), Some("PoweringOff"));
        scene.sees(PowerState::Off);
        scene.settle();
        scene.sees(PowerState::On);
        scene.settle();
        assert_eq!(scene.reason(condition::REPAVED), Some("Pending"));
    }
    assert_eq!(scene.step(), Some("Failed"));
    assert_eq!(scene.reason(condition::READY), Some("InstallTimedOut"));
    assert_eq!(scene.reason(condition::REPAVED), Some("InstallTimedOut"));
    // A reboot that is asked for now is one, and does not install what was given up.
    scene.machine.spec.operations.as_mut().unwrap().reboot_counter = Some(2);
    scene.settle();
    assert_eq!(scene.current().unwrap().repave_counter, None);
    scene.machine.spec.operations.as_mut().unwrap().repave_counter = Some(2);
    scene.settle();
    assert_eq!(scene.current().unwrap().repave_counter, Some(2));
}

#[test]
fn a_machine_that_is_new_or_has_lost_its_status_is_neither_rebooted_nor_installed() {
    for node in [None, Some(node("10.0.0.7"))] {
        let mut scene = Scene::asks(5, 4);
        scene.machine.status = None;
        scene.node = node;
        assert_eq!(
            (pending(&scene.machine), installs(&scene.machine, scene.now.into())),
            (Pending::default(), None)
        );
        assert_eq!(
            scene.settle(),
            Decision::Look(Need::Certificate),
            "the BMC is pinned all the same"
        );
        let operations = scene.machine.status.clone().unwrap().operations.unwrap();
        assert_eq!((operations.reboot_counter, operations.repave_counter), (Some(5), Some(4)));
        assert_eq!((operations.current, pending(&scene.machine)), (None, Pending::default()));
    }
}

#[test]
fn without_a_bmc_a_lost_status_gives_nobody_an_installer() {
    let mut scene = Scene::asks(5, 4);
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    scene.machine.status = None;
    assert_eq!(installs(&scene.machine, scene.now.into()), None);
    assert_eq!(installed(&scene.machine, None, None, scene.now.into()), Callback::Nothing);
    scene.settle();
    assert_eq!(installs(&scene.machine, scene.now.into()), None);
    scene.machine.spec.operations.as_mut().unwrap().repave_counter = Some(5);
    scene.settle();
    assert_eq!(installs(&scene.machine, scene.now.into()), Some(5));
}

#[test]
fn a_machine_without_a_bmc_waits_for_a_person_and_says_so() {
    let mut scene = Scene::asks(1, 1);
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("NoBMC"));
    assert_eq!(installs(&scene.machine, scene.now.into()), Some(1));
    let Callback::Record(status) = installed(&scene.machine, None, None, scene.now.into()) else {
        unreachable!()
    };
    scene.machine.status = Some(*status);
    scene.settle();
    assert_eq!(pending(&scene.machine), Pending::default());
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"));
}

#[test]
fn pods_move_away_first_and_have_so_much_time_and_no_more() {
    let mut scene = Scene::asks(1, 0);
    scene.status().operations = Some(MachineOperationsStatus::default());
    scene.node = Some(node("10.0.0.1"));
    assert_eq!(scene.settle(), Decision::Change(Change::Cordon));
    scene.node = Some(cordoned(node("10.0.0.1"), true));
    assert_eq!(scene.settle(), Decision::Look(Need::Pods));
    scene.pods = Some(3);
    assert_eq!(scene.settle(), Decision::Change(Change::Evict));
    scene.done.draining = Some(DRAIN);
    assert!(matches!(scene.settle(), Decision::Act(_)));
    assert_eq!(scene.step(), Some("PoweringOff"));
}

#[test]
fn pods_that_a_drain_has_left_are_told_once_and_evicted_again() {
    let mut scene = Scene::asks(1, 0);
    scene.status().operations = Some(MachineOperationsStatus::default());
    scene.node = Some(cordoned(node("10.0.0.1"), true));
    assert_eq!(scene.settle(), Decision::Look(Need::Pods));
    (scene.pods, scene.left) = (Some(1), vec!["tenant/web".to_owned()]);
    assert_eq!(scene.settle(), Decision::Change(Change::Evict), "one write, and on with it");
    let message = scene.status().message.clone().unwrap();
    assert!(message.ends_with("pods that are left: tenant/web"), "{message}");
}

#[test]
fn a_node_takes_pods_again_unless_somebody_else_has_cordoned_it() {
    for (by_us, expected) in [(true, Some(Change::Uncordon)), (false, None)] {
        let mut scene = Scene::asks(0, 0);
        scene.node = Some(cordoned(node("10.0.0.1"), by_us));
        let next = scene.settle();
        assert_eq!(matches!(next, Decision::Change(_)), expected.is_some(), "{next:?}");
    }
}

#[test]
fn a_node_of_the_same_name_without_an_address_of_the_machine_is_left_alone() {
    let mut scene = Scene::asks(1, 1);
    scene.status().operations = Some(MachineOperationsStatus::default());
    scene.node = Some(cordoned(node("10.0.0.7"), true));
    assert!(matches!(scene.settle(), Decision::Act(_)), "it is not drained");
    scene.sees(PowerState::Off);
    assert!(matches!(scene.settle(), Decision::Act(_)), "it is not deleted");
}

#[test]
fn nobody_logs_in_before_the_certificate_is_recorded() {
    let mut scene = Scene::asks(1, 0);
    scene.status().redfish = None;
    scene.reading = None;
    assert_eq!(scene.settle(), Decision::Look(Need::Certificate));
    scene.certificate = Some(Err("TCP connection failed".to_owned()));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("NoAnswer"));
    scene.certificate = Some(Ok("aa:bb".to_owned()));
    let Decision::Record(status) = scene.decide() else { unreachable!() };
    assert_eq!(status.redfish.as_ref().unwrap().cert_fingerprint.as_deref(), Some("aa:bb"));
    scene.machine.status = Some(*status);
    assert_eq!(scene.settle(), Decision::Look(Need::System));
}

#[test]
fn another_certificate_is_told_and_only_the_one_that_a_person_vouches_for_is_taken() {
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let new = "ab:".repeat(31) + "ab";
    let trouble = ReadError::CertificateDiffers(new.clone());
    scene.reading = Some((SignedDuration::ZERO, Err(trouble)));
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("CertificateDiffers"));
    let vouch = |scene: &mut Scene, text: &str| {
        let annotation = (annotation::ACCEPT_CERTIFICATE.to_owned(), text.to_owned());
        scene.machine.metadata.annotations = Some([annotation].into());
        scene.settle()
    };
    let pinned = |scene: &mut Scene| scene.status().redfish.clone().unwrap().cert_fingerprint;
    assert!(matches!(vouch(&mut scene, "any"), Decision::Rest(_)));
    assert_eq!(pinned(&mut scene).as_deref(), Some(super::fixture::PINNED));
    assert_eq!(
        vouch(&mut scene, &new.to_ascii_uppercase()),
        Decision::Change(Change::Settle { annotation: annotation::ACCEPT_CERTIFICATE })
    );
    assert_eq!(pinned(&mut scene), Some(new));
}

#[test]
fn a_bmc_that_says_nothing_is_waited_for_and_nothing_is_done() {
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    for (trouble, reason) in [
        (ReadError::Silent(Unreachable::NoAnswer("TCP connection failed".to_owned())), "NoAnswer"),
        (ReadError::Silent(Unreachable::Unauthorized), "Unauthorized"),
        (
            ReadError::Unusable(Missing {
                reason: "PasswordMissing",
                message: "set it".to_owned(),
            }),
            "PasswordMissing",
        ),
    ] {
        scene.reading = Some((SignedDuration::ZERO, Err(trouble.clone())));
        assert_eq!(scene.settle(), Decision::Rest(SILENT), "{trouble:?}");
        assert_eq!(scene.reason(condition::BMC_REACHABLE), Some(reason));
        scene.reading = Some((SILENT, Err(trouble)));
        assert_eq!(scene.settle(), Decision::Look(Need::System));
    }
}

#[test]
fn credentials_count_as_refused_since_they_were_and_not_since_the_trouble_before() {
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    for trouble in [Unreachable::NoAnswer("timed out".to_owned()), Unreachable::Unauthorized] {
        scene.now += SignedDuration::from_mins(1);
        scene.reading = Some((SignedDuration::ZERO, Err(ReadError::Silent(trouble))));
        scene.settle();
        let all = &scene.machine.status.as_ref().unwrap().conditions;
        let told = all.iter().find(|it| it.type_ == condition::BMC_REACHABLE).unwrap();
        assert_eq!(told.last_transition_time.0, scene.now, "{}", told.reason);
    }
}

#[test]
fn refused_credentials_are_told_with_the_secret_that_has_them() {
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    let redfish = scene.machine.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap();
    redfish.password_ref.namespace = "metalman-bmcs".to_owned();
    redfish.password_ref.name = "node-01".to_owned();
    let trouble = ReadError::Silent(Unreachable::Unauthorized);
    scene.reading = Some((SignedDuration::ZERO, Err(trouble)));
    scene.settle();
    let all = &scene.machine.status.as_ref().unwrap().conditions;
    let told = all.iter().find(|it| it.type_ == condition::BMC_REACHABLE).unwrap();
    assert!(told.message.ends_with("Secret metalman-bmcs/node-01"), "{}", told.message);
}

#[test]
fn of_two_machines_with_one_system_neither_is_switched_off() {
    let mut scene = Scene::asks(1, 1).at(PoweringOff);
    scene.sharing = vec!["b".to_owned()];
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("SystemShared"));
}

#[test]
fn a_url_names_an_address_and_a_port_and_nothing_else() {
    let of = |url: &str, plain_http| {
        let redfish = MachineRedfish { url: url.to_owned(), ..MachineRedfish::default() };
        bmc_address(&redfish, plain_http)
            .map(|it| format!("{} {} {}", it.scheme, it.host, it.port))
            .map_err(|it| it.reason)
    };
    for (url, expected) in [
        ("https://192.0.2.9", Ok("https 192.0.2.9 443")),
        (" HTTPS://192.0.2.9:8443/ ", Ok("https 192.0.2.9 8443")),
        ("https://[2001:db8::9]:444", Ok("https 2001:db8::9 444")),
        ("https://[2001:db8::9]", Ok("https 2001:db8::9 443")),
        ("https://bmc-1.example", Ok("https bmc-1.example 443")),
        ("http://192.0.2.9", Err("PlainHTTP")),
        ("192.0.2.9", Err("InvalidURL")),
        ("ftp://192.0.2.9", Err("InvalidURL")),
        ("https://", Err("InvalidURL")),
        ("https://admin@192.0.2.9", Err("InvalidURL")),
        ("https://192.0.2.9:0", Err("InvalidURL")),
        ("https://192.0.2.9:65536", Err("InvalidURL")),
        ("https://192.0.2.9/redfish", Err("InvalidURL")),
        ("https://192.0.2.9?x", Err("InvalidURL")),
        ("https://[192.0.2.9]", Err("InvalidURL")),
    ] {
        assert_eq!(of(url, false), expected.map(str::to_owned), "{url}");
    }
    assert_eq!(of("http://192.0.2.9", true), Ok("http 192.0.2.9 80".to_owned()));
    assert_eq!(of("http://bmc-1.example", true), Err("NameNotConfirmed"));
}

#[test]
fn a_system_is_the_one_that_is_named_or_the_only_one() {
    let of = |id: Option<&str>| {
        let device_id = id.map(str::to_owned);
        system_uri(&MachineRedfish { device_id, ..MachineRedfish::default() })
            .map_err(|it| it.reason)
    };
    assert_eq!(of(None), Ok(Some("/redfish/v1/Systems/1".to_owned())));
    assert_eq!(
        of(Some("System.Embedded.1")),
        Ok(Some("/redfish/v1/Systems/System.Embedded.1".to_owned()))
    );
    assert_eq!(of(Some("")), Ok(None));
    for wrong in ["..", "1/../2", "a?b", "a#b", "a%2fb", &"x".repeat(129)] {
        assert_eq!(of(Some(wrong)), Err("InvalidDeviceID"), "{wrong}");
    }
}

#[test]
fn an_empty_password_is_never_sent() {
    let redfish = MachineRedfish::default();
    let place =
        || BmcAddress { scheme: Scheme::Https, host: "192.0.2.9".parse().unwrap(), port: 443 };
    for wrong in [None, Some(&b""[..]), Some(b"\n"), Some(b"\xff")] {
        let refused = destination(&redfish, place(), wrong).unwrap_err();
        assert_eq!(refused.reason, "PasswordMissing", "{wrong:?}");
    }
    let found = destination(&redfish, place(), Some(b"secret\n")).unwrap();
    assert_eq!(found.credentials.password, "secret");
}

#[test]
fn a_certificate_that_waits_for_the_address_of_a_node_is_told_with_what_to_do() {
    let mut scene = Scene::asks(0, 0);
    let mut silent = node("10.0.0.1");
    silent.status.as_mut().unwrap().addresses = None;
    let mut told = |asks, node: &k8s_openapi::api::core::v1::Node| {
        let known = Known { asks, ..Known::default() };
        let (machine, now) = (&scene.machine, scene.now);
        let seen = Observation { machine, twins: &[], node: Some(node), known, now, steady: now };
        if let Decision::Record(status) = crate::decide(&seen) {
            scene.machine.status = Some(*status);
        }
        scene.reason(condition::NODE_OWNED).map(str::to_owned)
    };
    assert_eq!(told(false, &silent), None, "nobody waits for that");
    assert_eq!(told(true, &silent).as_deref(), Some("AddressUnknown"));
    assert_eq!(told(true, &node("10.0.0.1")).as_deref(), Some("Own"));
}
