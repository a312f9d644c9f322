//! Whether the machine that was read is that of the server.

use super::{
    super::{Change, Decision},
    fixture::{Scene, minutes},
};
use crate::{bmc::CredentialAnnotations, redfish::PowerState};
use metal_api::{BootState, LocalObjectReference, ServerState, condition};

#[test]
fn a_system_with_another_uuid_is_not_touched_and_not_recorded() {
    for power in [PowerState::On, PowerState::Off] {
        for mut scene in [Scene::new(), Scene::available(), Scene::reserved()] {
            let status = scene.server.status.clone().unwrap_or_default();
            scene.settings.enforce_first_boot = true;
            scene.settings.enforce_power_off = true;
            let system = scene.system();
            system.uuid = "38947555-7742-3448-3784-823347823835".parse().ok();
            system.power = power;
            system.model = Some("of somebody else".to_owned());
            for _ in 0..5 {
                scene.now += minutes(3);
                scene.refresh();
                scene.settle();
                assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
            }
            assert_eq!(scene.condition(condition::READY), ("False", "OtherSystem"));
            let now = scene.server.status.as_ref().unwrap();
            assert_eq!((&now.model, &now.power_state), (&status.model, &status.power_state));
            assert_eq!(&scene.state(), status.state.as_ref().unwrap_or(&ServerState::Initial));
        }
    }
}

#[test]
fn a_system_without_uuid_but_with_another_serial_number_is_not_touched() {
    for (own, its, is_another) in [
        (Some("SN 1"), Some("SN 2"), true),
        (Some("SN 1"), Some(" sn 1 "), false),
        (Some("SN 1"), Some("To be filled by O.E.M."), false),
        (Some("SN 1"), Some("0123456789"), false),
        (Some("1234567890"), Some("SN 1"), false),
        (Some("GBHSXYZ"), Some("GBHSXYW"), true),
        (Some("Not Specified"), Some("SN 2"), false),
        (Some("SN 1"), None, false),
        (None, Some("SN 2"), false),
    ] {
        let mut scene = Scene::available();
        scene.settings.enforce_power_off = true;
        let status = scene.server.status.as_mut().unwrap();
        status.serial_number = own.map(str::to_owned);
        let system = scene.system();
        (system.uuid, system.power) = (None, PowerState::On);
        system.serial_number = its.map(str::to_owned);
        scene.now += minutes(3);
        scene.refresh();
        scene.settle();
        let then = scene.decide();
        assert_eq!(matches!(then, Decision::Act(_)), !is_another, "{own:?} {its:?}: {then:?}");
        if is_another {
            assert_eq!(scene.condition(condition::READY), ("False", "OtherSystem"));
            let recorded = &scene.server.status.as_ref().unwrap().serial_number;
            assert_eq!(recorded.as_deref(), own, "it is not that of this server");
        } else if own == Some("SN 1") {
            let recorded = scene.server.status.as_ref().unwrap().serial_number.as_deref();
            assert!(recorded.unwrap().trim().eq_ignore_ascii_case("SN 1"), "{its:?} was recorded");
        }
    }
}

#[test]
fn a_system_with_a_default_uuid_is_not_touched_whatever_it_was_before() {
    for power in [PowerState::On, PowerState::Off] {
        for mut scene in [Scene::new(), Scene::available(), Scene::reserved()] {
            scene.settings.enforce_first_boot = true;
            scene.settings.enforce_power_off = true;
            let system = scene.system();
            (system.uuid, system.has_shipped_uuid, system.power) = (None, true, power);
            for _ in 0..5 {
                scene.now += minutes(3);
                scene.refresh();
                scene.settle();
                assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
            }
            assert_eq!(scene.condition(condition::READY), ("False", "UUIDNotUnique"));
        }
    }
}

#[test]
fn a_host_without_a_uuid_boots_nothing_from_the_network_or_a_medium_until_it_has_one() {
    for mut scene in [Scene::new(), Scene::in_discovery(BootState::Ready), Scene::reserved()] {
        let uuid = scene.system().uuid.take();
        let window = |scene: &Scene| scene.server.status.as_ref()?.boot_window.clone();
        if let Some(status) = &mut scene.server.status {
            status.boot_window = None;
        }
        for _ in 0..3 {
            scene.now += minutes(1);
            scene.refresh();
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
            assert_eq!(window(&scene), None);
        }
        assert_eq!(scene.condition(condition::READY), ("False", "UUIDNotReported"));
        scene.system().uuid = uuid;
        scene.refresh();
        scene.settle();
        assert!(window(&scene).is_some());
    }
}

#[test]
fn the_same_uuid_in_any_notation_is_the_same_machine() {
    for uuid in [
        None,
        Some("55759438-4277-4834-3784-823347823834"),
        Some("38947555-7742-3448-3784-823347823834"),
    ] {
        let mut scene = Scene::available();
        scene.server.spec.system_uuid = Some("{38947555-7742-3448-3784-823347823834}".to_owned());
        scene.system().uuid = uuid.map(|uuid: &str| uuid.parse().unwrap());
        scene.system().power = PowerState::On;
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Act(_)), "{uuid:?}");
    }
}

#[test]
fn a_server_without_a_uuid_is_nobodys_system() {
    for uuid in [None, Some(""), Some("abcd"), Some("00000000-0000-0000-0000-000000000000")] {
        for mut scene in [Scene::new(), Scene::available()] {
            scene.server.spec.system_uuid = uuid.map(str::to_owned);
            scene.system().power = PowerState::On;
            scene.now += minutes(1);
            scene.refresh();
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
            assert_eq!(scene.condition(condition::READY), ("False", "NoUUID"));
        }
    }
}

#[test]
fn the_first_certificate_of_a_bmc_without_an_object_is_recorded_before_anything_is_done() {
    let mut scene = Scene::new();
    scene.certificate = Some("sha256:aa".to_owned());
    let recorded = |scene: &Scene| {
        scene.server.status.as_ref().and_then(|it| it.bmc_certificate_fingerprint.clone())
    };
    assert!(matches!(scene.decide(), Decision::Record(_)));
    scene.record();
    assert_eq!(recorded(&scene), scene.certificate);
    let note = CredentialAnnotations::from([("key".into(), scene.certificate.clone())]);
    scene.note = Some(note.clone());
    assert_eq!(scene.decide(), Decision::Change(Change::Note(note)));
    scene.note = None;
    let accept = |pair: &str| format!("sha256:{}", pair.repeat(32));
    scene.certificate = Some(accept("aa"));
    scene.record();
    for (accepted, is_pinned) in [(accept("bb"), false), (accept("AA"), true)] {
        let accepted = (metal_api::annotation::ACCEPT_CERTIFICATE.to_owned(), accepted);
        scene.server.metadata.annotations = Some([accepted].into());
        let settle = Decision::Change(Change::SettleCertificate);
        assert_eq!(scene.decide() == settle, is_pinned);
    }
    scene.server.metadata.annotations = None;
    scene.server.spec.bmc_ref = Some(LocalObjectReference { name: "bmc-a".to_owned() });
    scene.record();
    assert_eq!(recorded(&scene), None, "the BMC has it");
}

#[test]
fn a_certificate_that_finds_no_room_is_told_until_it_is_stored() {
    let mut scene = Scene::available();
    for (unstored, told) in
        [(Some("no room"), ("False", "CertificateNotStored")), (None, ("True", "Succeeded"))]
    {
        scene.unstored = unstored.map(str::to_owned);
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.condition(condition::RECONCILED), told);
    }
}
