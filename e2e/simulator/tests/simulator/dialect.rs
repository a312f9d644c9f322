//! metal-bmc, and BMCs with dialects.

use metal_base::Chain;
use metal_bmc::{Bmc, Connect, Error, Fleet, Limits, Redfish, Target};
use metal_core::redfish::{
    BootEnabled, BootSource, Credentials, ImageUrl, PowerState, ResetType, Scheme, Step,
};
use metal_simulator::{BootTarget, Config, Dialect, Host, Profile, Simulator, Timing};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use strum::VariantArray;

const SYSTEM: &str = "/redfish/v1/Systems/1";

struct Lab {
    simulator: Simulator,
    fleet: Fleet,
    bmc: Redfish,
}

async fn start(dialects: &[Dialect]) -> Lab {
    start_with(Profile { dialects: dialects.to_vec(), ..Profile::default() }).await
}

async fn start_with(profile: Profile) -> Lab {
    let timing = Timing { boot_tries: 1, ..Timing::default() };
    let config = Config { profile, timing, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let limits = Limits { task_poll: Duration::from_millis(1), ..Limits::default() };
    let fleet = Fleet::new(metal_bmc::Config { limits, ..metal_bmc::Config::default() });
    let address = IpAddr::from(Ipv4Addr::new(127, 1, 0, 1));
    let target =
        Target { scheme: Scheme::Http, host: address.into(), port: simulator.redfish().port() };
    let credentials = Credentials { username: "foo".to_owned(), password: "bar".to_owned() };
    let bmc = fleet.connect(&target, &credentials);
    Lab { simulator, fleet, bmc }
}

/// Finds a machine, sets its boot, switches it on, and switches it off.
async fn works(dialects: &[Dialect]) {
    let lab = start(dialects).await;
    let bmc = &lab.bmc;
    let systems = bmc.systems().await;
    assert!(systems.is_ok(), "{dialects:?}: {systems:?}");
    let systems = systems.unwrap();
    let hosts: Vec<_> = systems.iter().filter(|it| !it.lacks_reset).collect();
    assert_eq!(hosts.len(), 1, "{dialects:?}");
    assert_eq!(hosts[0].uri, SYSTEM, "{dialects:?}");
    bmc.manager(None).await.unwrap();
    let inventory = bmc.inventory(SYSTEM).await.unwrap();
    assert!(!inventory.processors.is_empty() && !inventory.storages.is_empty(), "{dialects:?}");
    let once = Step::BootOnce { source: BootSource::Pxe, mode: None };
    let armed = bmc.perform(SYSTEM, &once).await;
    assert!(armed.is_ok(), "{dialects:?}: {armed:?}");
    let boot = bmc.system(SYSTEM).await.unwrap().boot;
    let armed = (boot.enabled, boot.target);
    assert_eq!(armed, (BootEnabled::Once, Some(BootSource::Pxe)), "{dialects:?}");
    bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    until(bmc, PowerState::On).await;
    bmc.perform(SYSTEM, &Step::Reset(ResetType::ForceOff)).await.unwrap();
    until(bmc, PowerState::Off).await;
    assert_eq!(lab.fleet.counters().refused(), 0, "{dialects:?}");
}

async fn until(bmc: &Redfish, power: PowerState) {
    let reached = async {
        while bmc.system(SYSTEM).await.unwrap().power != power {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
}

#[tokio::test]
async fn a_machine_is_armed_and_switched_in_every_dialect() {
    for dialect in Dialect::VARIANTS {
        let others = [Dialect::NoSystems, Dialect::SessionsFull, Dialect::BootRefused];
        if !others.contains(dialect) {
            works(&[*dialect]).await;
        }
    }
}

#[tokio::test]
async fn dialects_can_be_combined() {
    use Dialect::{
        ActionInfo, BareEtag, BodyEtag, BootSettings, ButtonOnly, ByteOrderMark, CutUnauthorized,
        DeadSettings, GpuBaseboard, Gzip, HostLinks, IfMatchRequired, Latin1, LooseJson,
        ModeRefused, ModeRequired, NamedMembers, NoIfMatch, NoSessions, PagingLoop,
        PropertyMessages, SlashedSessions, UnlistedResets, VolatileEtag,
    };
    let combinations: [&[Dialect]; 9] = [
        &[BootSettings, VolatileEtag, IfMatchRequired, ModeRequired, LooseJson, NamedMembers],
        &[DeadSettings, HostLinks, NamedMembers, VolatileEtag, ButtonOnly, PagingLoop, Gzip],
        &[BootSettings, IfMatchRequired, ModeRequired, ActionInfo, Gzip, PagingLoop],
        &[BootSettings, BodyEtag, GpuBaseboard, Latin1, ByteOrderMark, NoSessions],
        &[NoIfMatch, ModeRequired, UnlistedResets, SlashedSessions, CutUnauthorized],
        &[BodyEtag, ModeRefused, Gzip, ByteOrderMark, Latin1, CutUnauthorized, NoSessions],
        &[BootSettings, NoIfMatch, ModeRequired, GpuBaseboard, PagingLoop],
        &[PropertyMessages, ModeRequired, IfMatchRequired, ActionInfo],
        &[PropertyMessages, BareEtag, ModeRefused, BootSettings],
    ];
    for dialects in combinations {
        works(dialects).await;
    }
}

#[tokio::test]
async fn a_bmc_without_systems_has_none_and_says_why() {
    let lab = start(&[Dialect::NoSystems]).await;
    let mut remarks = vec![];
    assert_eq!(lab.bmc.systems_with(&mut remarks).await.unwrap(), []);
    assert!(remarks[0].starts_with("/redfish/v1/Systems: HTTP 404"), "{remarks:?}");
}

#[tokio::test]
async fn sessions_that_are_all_taken_are_no_wrong_password() {
    let lab = start(&[Dialect::SessionsFull]).await;
    let error = lab.bmc.systems().await.unwrap_err();
    assert!(matches!(error, Error::SessionsFull(_)), "{error}");
}

#[tokio::test]
async fn a_boot_override_that_is_refused_in_every_form_is_an_error_that_names_the_resource() {
    let lab = start(&[Dialect::BootRefused]).await;
    let once = Step::BootOnce { source: BootSource::Pxe, mode: None };
    let error = Chain(&lab.bmc.perform(SYSTEM, &once).await.unwrap_err()).to_string();
    assert!(error.contains(SYSTEM) && error.contains("Boot is read-only"), "{error}");
    assert!(error.contains("BootSourceOverrideMode"), "other forms were tried: {error}");
    let boot = lab.bmc.system(SYSTEM).await.unwrap().boot;
    assert_eq!(boot.enabled, BootEnabled::Disabled);
}

#[tokio::test]
async fn an_override_is_cleared_by_target_none_where_disabled_is_refused() {
    let lab = start(&[Dialect::ClearedByTarget]).await;
    let once = |source| Step::BootOnce { source, mode: None };
    lab.bmc.perform(SYSTEM, &once(BootSource::Pxe)).await.unwrap();
    assert_eq!(lab.bmc.system(SYSTEM).await.unwrap().boot.target, Some(BootSource::Pxe));
    lab.bmc.perform(SYSTEM, &once(BootSource::None)).await.unwrap();
    assert_eq!(lab.bmc.system(SYSTEM).await.unwrap().boot.target, Some(BootSource::None));
}

#[tokio::test]
async fn a_host_that_is_on_is_asked_by_its_button_where_nothing_else_asks() {
    let lab = start(&[Dialect::ButtonOnly]).await;
    let ask = Step::Reset(ResetType::GracefulShutdown);
    lab.bmc.perform(SYSTEM, &ask).await.unwrap_err();
    lab.bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
    until(&lab.bmc, PowerState::On).await;
    lab.bmc.perform(SYSTEM, &ask).await.unwrap();
}

#[tokio::test]
async fn a_reset_type_that_was_refused_is_no_more_offered() {
    let lab = start(&[Dialect::UnlistedResets]).await;
    let graceful = Step::Reset(ResetType::GracefulShutdown);
    lab.bmc.perform(SYSTEM, &graceful).await.unwrap_err();
    let offered = lab.bmc.system(SYSTEM).await.unwrap().reset_types;
    assert!(!offered.contains(&ResetType::GracefulShutdown), "{offered:?}");
    assert!(offered.contains(&ResetType::ForceOff), "{offered:?}");
}

#[tokio::test]
async fn a_medium_is_inserted_with_the_parameters_that_the_bmc_asks_for() {
    use Dialect::{MediaParameters, MediaType, PropertyMessages};
    let all: [&[Dialect]; 4] = [
        &[MediaParameters],
        &[MediaType],
        &[MediaParameters, PropertyMessages],
        &[MediaType, PropertyMessages],
    ];
    for dialects in all {
        let lab = start(dialects).await;
        let slots = lab.bmc.media(SYSTEM).await.unwrap();
        let image = ImageUrl::new("http://127.0.0.1:1/media/x.iso");
        let insert = Step::InsertMedium { slot: slots[0].uri.clone(), image: image.clone() };
        lab.bmc.perform(SYSTEM, &insert).await.unwrap();
        let slots = lab.bmc.media(SYSTEM).await.unwrap();
        let inserted = (slots[0].inserted, slots[0].image.as_ref());
        assert_eq!(inserted, (true, Some(&image)), "{dialects:?}");
    }
}

#[tokio::test]
async fn a_medium_goes_into_the_slot_for_images_and_is_seen_there() {
    let lab = start(&[Dialect::BrowserSlot]).await;
    let only_slot = async || {
        let mut slots = lab.bmc.media(SYSTEM).await.unwrap();
        assert_eq!(slots.len(), 1, "{slots:?}");
        slots.remove(0)
    };
    let empty = only_slot().await;
    assert!(!empty.inserted && empty.image.is_none());
    let (slot, image) = (empty.uri, ImageUrl::new("http://127.0.0.1:1/media/x.iso"));
    let insert = Step::InsertMedium { slot: slot.clone(), image: image.clone() };
    lab.bmc.perform(SYSTEM, &insert).await.unwrap();
    let full = only_slot().await;
    assert_eq!((full.inserted, full.image), (true, Some(image)));
    lab.bmc.perform(SYSTEM, &Step::EjectMedium { slot }).await.unwrap();
    assert!(!only_slot().await.inserted);
}

#[tokio::test]
async fn an_http_boot_uri_is_cleared_by_null_where_an_empty_one_is_refused() {
    let lab = start(&[Dialect::LeftBootUri]).await;
    let boot = async || lab.bmc.system(SYSTEM).await.unwrap().boot;
    assert!(boot().await.has_http_boot_uri);
    let once = Step::BootOnce { source: BootSource::UefiHttp, mode: None };
    lab.bmc.perform(SYSTEM, &once).await.unwrap();
    let boot = boot().await;
    assert_eq!((boot.target, boot.has_http_boot_uri), (Some(BootSource::UefiHttp), false));
}

#[tokio::test]
async fn a_virtual_drive_on_usb_is_not_the_drive_of_the_machine() {
    for (source, reads_medium) in [(BootSource::UsbCd, true), (BootSource::Cd, false)] {
        let mut profile = Profile::default();
        profile.boot_targets.push(BootTarget::UsbCd);
        let lab = start_with(profile).await;
        let offered = lab.bmc.system(SYSTEM).await.unwrap().boot.allowable;
        assert!(offered.contains(&BootSource::UsbCd), "{offered:?}");
        let slot = lab.bmc.media(SYSTEM).await.unwrap().remove(0).uri;
        // Nobody answers there: a machine that reads it does not boot.
        let image = ImageUrl::new("http://127.0.0.1:1/media/x.iso");
        lab.bmc.perform(SYSTEM, &Step::InsertMedium { slot, image }).await.unwrap();
        lab.bmc.perform(SYSTEM, &Step::BootOnce { source, mode: None }).await.unwrap();
        assert_eq!(lab.bmc.system(SYSTEM).await.unwrap().boot.target, Some(source));
        lab.bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
        let host = || lab.simulator.machine(0).unwrap().host;
        let booted = async {
            while !matches!(host(), Host::Disk | Host::Failed { .. }) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), booted).await.unwrap();
        assert_eq!(matches!(host(), Host::Failed { .. }), reads_medium, "{source}");
    }
}
