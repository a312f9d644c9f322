//! Booting from a medium.

use super::{
    fixture::{medium_url, seconds},
    *,
};
use crate::{
    capability::{Claims, Purpose},
    redfish::{ImageUrl, MediaSlot},
};

#[test]
fn a_medium_is_recorded_then_inserted_then_read_back_then_booted_from() {
    let mut scene = in_discovery();
    scene.media = None;
    assert_eq!(scene.decide(), Decision::Look(Need::Media));
    scene.media = Some(vec![cd(false, None)]);
    scene.record();
    assert_eq!(scene.condition(condition::MEDIUM_INSERTED), ("True", "VirtualMedia"));
    let Decision::Act(insert @ Step::InsertMedium { .. }) = scene.decide() else { panic!() };
    let Step::InsertMedium { slot, image } = insert.clone() else { panic!() };
    assert_eq!(slot, "/cd");

    // Inserted is not enough: it must be our medium, or have just been inserted if the BMC shows
    // nothing.
    scene.media = Some(vec![cd(true, Some("http://elsewhere/other.iso"))]);
    assert_eq!(scene.decide(), Decision::Act(insert.clone()));
    scene.media = Some(vec![cd(true, None)]);
    assert_eq!(scene.decide(), Decision::Act(insert.clone()));
    scene.carried_out(insert);
    let arm = Step::BootOnce { source: BootSource::Cd, mode: Some(BootMode::Uefi) };
    assert_eq!(scene.decide(), Decision::Act(arm.clone()));
    let shown = format!("//boot:80/{}", image.file());
    scene.media = Some(vec![cd(true, Some(&shown))]);
    assert_eq!(scene.decide(), Decision::Act(arm.clone()));
    scene.carried_out(arm);
    let system = scene.system();
    (system.boot.enabled, system.boot.target) = (BootEnabled::Once, Some(BootSource::Cd));
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

#[test]
fn a_medium_whose_url_is_shown_in_part_counts_for_who_was_told() {
    let mut scene = in_discovery();
    scene.media = Some(vec![cd(false, None)]);
    scene.record();
    let Decision::Act(insert) = scene.decide() else { panic!() };
    scene.media = Some(vec![cd(true, Some("http://boot/media..."))]);
    assert_eq!(scene.decide(), Decision::Act(insert.clone()), "it may be of another boot");
    scene.carried_out(insert);
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn a_medium_is_for_who_asks_for_it_or_can_do_nothing_else() {
    let both = vec![BootSource::Pxe, BootSource::UefiHttp, BootSource::Cd];
    for (method, allowable, medium) in [
        (None, both.clone(), false),
        (Some("virtual-media"), both, true),
        (None, vec![BootSource::Usb], true),
        (None, vec![], false),
        (Some("Virtual-Media"), vec![], true),
    ] {
        let mut scene = in_discovery();
        scene.system().boot.allowable = allowable.clone();
        scene.media = None;
        if let Some(method) = method {
            scene.annotate(annotation::BOOT_METHOD, method);
        }
        let asks = scene.decide() == Decision::Look(Need::Media);
        assert_eq!(asks, medium, "{method:?} {allowable:?}");
    }
}

#[test]
fn a_medium_is_booted_from_usbcd_where_the_bmc_has_it() {
    use BootSource::{Cd, Hdd, Usb, UsbCd};
    for (allowable, source) in [
        (vec![Hdd, Cd, UsbCd, Usb], UsbCd),
        (vec![UsbCd], UsbCd),
        (vec![Cd, Usb], Cd),
        (vec![Usb], Usb),
    ] {
        let mut scene = in_discovery();
        scene.system().boot.allowable = allowable;
        scene.media = Some(vec![cd(false, None)]);
        scene.record();
        let Decision::Act(Step::InsertMedium { image, .. }) = scene.decide() else { panic!() };
        scene.media = Some(vec![cd(true, Some(image.as_str()))]);
        let arm = Step::BootOnce { source, mode: Some(BootMode::Uefi) };
        assert_eq!(scene.decide(), Decision::Act(arm.clone()));
        scene.carried_out(arm);
        let boot = &mut scene.system().boot;
        (boot.enabled, boot.target) = (BootEnabled::Once, Some(source));
        assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
    }
}

#[test]
fn what_keeps_a_host_from_its_medium_is_told() {
    let told = |edit: fn(&mut Scene)| {
        let mut scene = in_discovery();
        edit(&mut scene);
        scene.now += seconds(20);
        scene.refresh();
        scene.record();
        let conditions = &scene.server.status.as_ref().unwrap().conditions;
        let ready = conditions.iter().find(|c| c.type_ == condition::READY).unwrap();
        assert_eq!(ready.reason, "NoBootSource");
        ready.message.clone()
    };
    assert!(told(|scene| scene.settings.virtual_media = false).contains("--virtual-media-url"));
    assert!(told(|scene| scene.media = Some(vec![])).contains("none of the 0 virtual media slots"));
    let floppy = |scene: &mut Scene| scene.annotate(annotation::BOOT_METHOD, "floppy");
    assert!(told(floppy).contains("virtual-media, disk"));
    let bios = |scene: &mut Scene| {
        scene.system().boot.allowable_modes = vec![BootMode::Legacy];
        scene.annotate(annotation::BOOT_METHOD, "virtual-media");
    };
    assert!(told(bios).contains("virtual media require UEFI"));
}

#[test]
fn a_medium_that_was_not_booted_in_time_is_replaced_by_a_new_one() {
    let mut scene = in_discovery();
    scene.record();
    let Decision::Act(first) = scene.decide() else { panic!() };
    scene.now += minutes(25);
    scene.refresh();
    scene.record();
    let Decision::Act(second) = scene.decide() else { panic!() };
    assert_ne!(first, second);
    assert!(matches!(second, Step::InsertMedium { .. }));
}

#[test]
fn a_server_is_available_only_when_its_medium_is_seen_to_be_gone() {
    let mut scene = in_discovery();
    scene.record();
    let Decision::Act(Step::InsertMedium { image, .. }) = scene.decide() else { panic!() };
    let ours = MediaSlot { image: Some(image), ..cd(true, None) };
    scene.report_for("uid-1.1");
    scene.server.spec.boot_configuration_ref = None;
    scene.configuration = None;
    scene.now += seconds(3);
    scene.refresh();
    scene.media = Some(vec![cd(true, Some("http://a/tool.iso")), ours]);
    scene.media.as_mut().unwrap()[1].uri = "/cd2".to_owned();
    let eject = Step::EjectMedium { slot: "/cd2".to_owned() };
    assert_eq!(scene.decide(), Decision::Act(eject));
    assert_eq!(scene.state(), ServerState::Discovery);
    scene.media.as_mut().unwrap().truncate(1);
    scene.record();
    assert_eq!(scene.state(), ServerState::Available);
    let conditions = &scene.server.status.as_ref().unwrap().conditions;
    assert!(conditions.iter().all(|c| c.type_ != condition::MEDIUM_INSERTED));
}

#[test]
fn only_our_own_medium_is_ejected_though_a_client_has_dropped_which_that_is() {
    let mut scene = in_discovery();
    scene.record();
    let Decision::Act(Step::InsertMedium { image, .. }) = scene.decide() else { panic!() };
    scene.report_for("uid-1.1");
    scene.server.spec.boot_configuration_ref = None;
    scene.configuration = None;
    scene.server.status.as_mut().unwrap().medium = None;
    scene.now += seconds(3);
    scene.refresh();
    let of_another = Claims {
        purpose: Purpose::Medium,
        server: "server-b".to_owned(),
        boot: "boot-uid".to_owned(),
        expires: T0 + minutes(60),
    };
    for (theirs, slot) in
        [("http://a/tool.iso", "/cd2"), (medium_url(&of_another).as_str(), "/cd3")]
    {
        let ours = MediaSlot {
            uri: slot.to_owned(),
            image: Some(ImageUrl::new(format!("//BOOT/media/{}", image.file()))),
            ..cd(true, None)
        };
        scene.media = Some(vec![cd(true, Some(theirs)), ours]);
        let eject = Step::EjectMedium { slot: slot.to_owned() };
        assert_eq!(scene.decide(), Decision::Act(eject));
    }
    scene.media.as_mut().unwrap().truncate(1);
    scene.record();
    assert_eq!(scene.state(), ServerState::Available);
}

#[test]
fn a_medium_is_ejected_though_nobody_knows_the_key() {
    let mut scene = in_discovery();
    scene.record();
    let Decision::Act(Step::InsertMedium { image, .. }) = scene.decide() else { panic!() };
    scene.report_for("uid-1.1");
    scene.server.spec.boot_configuration_ref = None;
    scene.configuration = None;
    scene.now += seconds(3);
    scene.refresh();
    scene.no_url = Some("Secret not found".to_owned());
    scene.media = Some(vec![cd(true, Some(image.as_str()))]);
    assert_eq!(scene.decide(), Decision::Act(Step::EjectMedium { slot: "/cd".to_owned() }));
    scene.media = Some(vec![cd(false, None)]);
    scene.record();
    assert_eq!(scene.state(), ServerState::Available);
}

#[test]
fn a_medium_is_not_recorded_while_nobody_knows_the_key_and_that_is_told() {
    let mut scene = in_discovery();
    scene.no_url = Some("Secret not found: run boot-operator".to_owned());
    scene.now += seconds(20);
    scene.refresh();
    scene.record();
    assert_eq!(scene.condition(condition::READY), ("False", "NoBootSource"));
    assert_eq!(scene.message(condition::READY), "Secret not found: run boot-operator");
    let conditions = &scene.server.status.as_ref().unwrap().conditions;
    assert!(conditions.iter().all(|c| c.type_ != condition::MEDIUM_INSERTED));
    scene.no_url = None;
    scene.record();
    assert!(matches!(scene.decide(), Decision::Act(Step::InsertMedium { .. })));
}

#[test]
fn slots_that_were_read_before_a_slow_system_count() {
    let mut scene = in_discovery();
    scene.record();
    scene.now += seconds(9);
    assert_eq!(scene.decide(), Decision::Look(Need::Media));
    scene.took = seconds(8);
    assert_eq!(scene.decide(), Decision::Look(Need::System), "the slots are not read again");
}

#[test]
fn what_a_person_has_inserted_stays_though_the_bmc_does_not_show_what_it_is() {
    let slot = |uri: &str, image| MediaSlot { uri: uri.to_owned(), ..cd(true, image) };
    let applet = |uri: &str| MediaSlot { is_applet: true, ..slot(uri, None) };
    let mut scene = in_discovery();
    scene.record();
    let Decision::Act(Step::InsertMedium { image, .. }) = scene.decide() else { panic!() };
    let ours = Some(image.as_str());
    scene.report_for("uid-1.1");
    scene.server.spec.boot_configuration_ref = None;
    scene.configuration = None;
    scene.now += seconds(3);
    scene.refresh();
    for (slots, ejected) in [
        (vec![slot("/cd", None), slot("/cd2", None)], Some("/cd")),
        (vec![slot("/cd", None), slot("/cd2", ours)], Some("/cd2")),
        (vec![applet("/cd2"), slot("/cd", ours)], Some("/cd")),
        (vec![applet("/cd")], None),
        (vec![MediaSlot { inserted: false, ..applet("/cd") }, slot("/cd2", None)], None),
    ] {
        scene.media = Some(slots.clone());
        let decision = scene.decide();
        match ejected {
            Some(slot) => {
                let eject = Step::EjectMedium { slot: slot.to_owned() };
                assert_eq!(decision, Decision::Act(eject), "{slots:?}");
            }
            None => assert!(matches!(decision, Decision::Record(_)), "{slots:?}: {decision:?}"),
        }
    }
}

#[test]
fn the_medium_of_a_tenant_is_ejected_when_firmware_has_surely_read_it() {
    let mut scene = Scene::reserved();
    let status = scene.server.status.as_mut().unwrap();
    let mut medium = status.conditions[0].clone();
    medium.message = "boot-uid".to_owned();
    medium.type_ = condition::MEDIUM_INSERTED.to_owned();
    medium.status = "True".to_owned();
    medium.last_transition_time = Time(scene.now);
    status.conditions.push(medium);
    scene.system().power = PowerState::On;
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.now += minutes(31);
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Look(Need::Media));
    scene.media = Some(vec![cd(true, None)]);
    assert_eq!(scene.decide(), Decision::Act(Step::EjectMedium { slot: "/cd".to_owned() }));
}

/// In `Discovery`, with everything in place, and a virtual CD.
fn in_discovery() -> Scene {
    let mut scene = Scene::with_drives();
    scene.record();
    scene.prepare(BootState::Ready);
    scene
}

fn cd(inserted: bool, image: Option<&str>) -> MediaSlot {
    let uri = "/cd".to_owned();
    let image = image.map(ImageUrl::new);
    MediaSlot { uri, is_cd: true, is_usb: true, inserted, image, ..MediaSlot::default() }
}
