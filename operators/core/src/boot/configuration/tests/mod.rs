mod others;
mod world;

use super::*;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use kube::Resource;
use metal_api::{
    BootState, IpxeBootConfigStatus, LocalObjectReference, ServerSpec, ServerState, annotation,
    condition,
};
use world::{World, offers, server, uki, uki_at, unavailable, urls};

const BOTH: Modes = Modes { pxe: true, http: true };
const UUID: &str = "0b3e2f6c-1111-2222-3333-444455556666";
const BASES: (&str, &str) = ("http://boot/", "http://images/");

#[test]
fn an_image_for_both_ways_is_ready_after_two_boot_configs_and_one_status() {
    let mut world = World::new();
    let steps = world.settle(BOTH);
    assert_eq!(steps, ["apply ipxe", "apply http", "Ready"]);
    assert_eq!(
        world.shown(),
        [
            "ImageValidation=True/Valid: ",
            "IgnitionValidation=True/Usable: ",
            "IPXEBootReady=True/BootConfigApplied: ",
            "HTTPBootReady=True/BootConfigApplied: ",
        ]
    );
    let status = world.configuration.status.as_ref().unwrap();
    assert_eq!(status.observed_generation, Some(1));
}

#[test]
fn boot_configs_have_the_name_the_owner_and_the_facts_of_their_server() {
    let mut world = World::new();
    world.settle(BOTH);
    let ipxe = world.ipxe.unwrap();
    let owner = OwnerReference {
        block_owner_deletion: Some(true),
        ..world.configuration.controller_owner_ref(&()).unwrap()
    };
    assert_eq!(ipxe.metadata.owner_references, Some(vec![owner.clone()]));
    assert_eq!(ipxe.metadata.name.as_deref(), Some("claim"));
    assert_eq!(ipxe.metadata.namespace.as_deref(), Some("tenant"));
    assert_eq!(ipxe.spec.system_uuid.as_deref(), Some(UUID));
    assert_eq!(ipxe.spec.system_ips, ["10.0.0.1", "2001:db8::1", "10.0.0.2"]);
    assert_eq!(ipxe.spec.kernel_url, "http://boot/kernel");
    assert_eq!(ipxe.spec.ignition_secret_ref, Some(LocalObjectReference::new("ignition")));
    let http = world.http.unwrap();
    assert_eq!(http.metadata.owner_references, Some(vec![owner]));
    assert_eq!(http.spec.uki_url.as_deref(), Some("http://images/uki.efi"));
    let identifiers =
        ["10.0.0.1", "2001:db8::1", "02:00:00:00:00:01", "10.0.0.2", "02:00:00:00:00:02"];
    assert_eq!(http.spec.network_identifiers, identifiers);
}

#[test]
fn an_image_for_one_way_is_ready_by_that_way_and_does_not_flap() {
    for (pxe, uki, steps, lacking) in [
        (Ok(urls()), Err(unavailable("no UKI")), ["apply ipxe", "Ready"], "HTTPBootReady"),
        (Err(unavailable("no kernel")), Ok(uki()), ["apply http", "Ready"], "IPXEBootReady"),
    ] {
        let mut world = World::new();
        world.image = Image::Offers { pxe, uki };
        assert_eq!(world.settle(BOTH), steps);
        assert!(world.shown().iter().any(|line| line.starts_with(&format!("{lacking}=False"))));
        world.image = Image::Settled;
        assert_eq!(world.settle(BOTH), [""; 0]);
    }
}

#[test]
fn a_uki_link_that_dhcp_cannot_carry_is_told_and_not_cut() {
    let link = |len: usize| uki_at(format!("http://images/{}.efi", "a".repeat(len - 18)));
    let mut world = World::new();
    world.image = Image::Offers { pxe: Ok(urls()), uki: Ok(link(255)) };
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);

    let mut world = World::new();
    world.image = Image::Offers { pxe: Ok(urls()), uki: Ok(link(256)) };
    assert_eq!(world.settle(BOTH), ["apply ipxe", "Ready"]);
    let told = "HTTPBootReady=False/LinkTooLong: the URL of the UKI has 256 bytes, but a DHCP \
                option can hold only 255: shorten --image-server-url or the repository name";
    assert_eq!(world.shown()[3], told);
    assert!(world.needs_image(BOTH), "the base may become shorter");
    // The reason is kept after the image is no longer inspected.
    world.image = Image::Settled;
    assert_eq!(world.settle(BOTH), [""; 0]);
    assert_eq!(world.shown()[3], told);

    // The token counts as well, and a medium needs no URL in DHCP.
    let mut world = World::new();
    let base = "http://images/httpboot/ghcr.io/a/b/sha256-";
    let uki = || Ok(uki_at(format!("{base}{}.efi", "0".repeat(255 - base.len() - 4))));
    world.image = Image::Offers { pxe: Err(unavailable("no kernel")), uki: uki() };
    assert_eq!(world.settle(BOTH), ["apply http", "Ready"]);
    world.uki_token = Some("secret");
    assert_eq!(world.settle(BOTH), ["delete http", "Error"]);
    let annotations = &mut world.configuration.metadata.annotations;
    let method = (annotation::BOOT_METHOD.to_owned(), "virtual-media".to_owned());
    annotations.get_or_insert_default().extend([method]);
    assert_eq!(world.settle(BOTH), ["apply http", "Ready"]);
}

#[test]
fn an_image_for_no_way_is_an_error_that_says_what_is_missing() {
    let mut world = World::new();
    world.image =
        Image::Offers { pxe: Err(unavailable("no kernel")), uki: Err(unavailable("no UKI")) };
    assert_eq!(world.settle(BOTH), ["Error"]);
    let expected = "ImageValidation=False/ValidationFailed: \
                    neither PXE nor HTTP boot is possible: no kernel; no UKI";
    assert!(world.shown().contains(&expected.to_owned()), "{:?}", world.shown());

    let mut world = World::new();
    world.image = Image::Offers { pxe: Err(unavailable("no kernel")), uki: Ok(uki()) };
    assert_eq!(world.settle(Modes { pxe: true, http: false }), ["Error"]);
    assert!(!world.shown().iter().any(|line| line.starts_with("HTTPBootReady")));
}

#[test]
fn an_image_that_fails_is_an_error_and_good_again_once_it_works() {
    let mut world = World::new();
    world.image = Image::Failed(unavailable("image not there: push it"));
    assert_eq!(world.settle(BOTH), ["Error"]);
    assert!(
        world.shown()[0].starts_with("ImageValidation=False/ValidationFailed: image not there")
    );
    world.image = offers();
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);
    assert_eq!(world.shown()[0], "ImageValidation=True/Valid: ");
}

#[test]
fn the_wait_after_a_failure_doubles_up_to_a_limit() {
    let mut world = World::new();
    world.image = Image::Failed(unavailable("image not there: push it"));
    world.settle(BOTH);
    let wait = |world: &World| match decide(&world.seen(), BOTH) {
        Decision::Rest(wait) => wait.as_secs(),
        other @ (Decision::Record(_) | Decision::Change(_)) => panic!("{other:?}"),
    };
    let mut waits = vec![];
    for _ in 0..8 {
        waits.push(wait(&world));
        world.now += SignedDuration::from_secs(waits[waits.len() - 1]);
    }
    assert_eq!(waits, [10, 10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn an_ignition_that_no_machine_could_read_is_an_error() {
    let mut world = World::new();
    let why = Unavailable { reason: "SecretNotFound", message: "Secret not found".to_owned() };
    world.ignition = Ignition::Unusable(why);
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Error"]);
    let expected = "IgnitionValidation=False/SecretNotFound: Secret not found".to_owned();
    assert!(world.shown().contains(&expected));
    world.ignition = Ignition::None;
    assert_eq!(world.settle(BOTH), ["Ready"]);
    assert!(!world.shown().iter().any(|line| line.starts_with("IgnitionValidation")));
}

#[test]
fn new_addresses_of_a_server_that_nothing_boots_are_not_worth_a_write() {
    let mut world = World::new();
    world.settle(BOTH);
    world.image = Image::Settled;
    let status = world.server.as_mut().unwrap().status.as_mut().unwrap();
    status.network_interfaces.clear();
    status.state = Some(ServerState::Available);
    assert_eq!(world.settle(BOTH), [""; 0]);
    world.server.as_mut().unwrap().status.as_mut().unwrap().state = Some(ServerState::Reserved);
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http"]);
}

#[test]
fn a_configuration_without_its_server_waits_and_says_for_what() {
    for (server, message) in [
        (
            None,
            "spec.serverRef: Server \"server\" not found, or not to be parsed: create it, or \
             correct it",
        ),
        (
            Some(Server::new("server", ServerSpec::default())),
            "Server server has no unique spec.systemUUID",
        ),
    ] {
        let mut world = World::new();
        let found = std::mem::replace(&mut world.server, server);
        assert_eq!(world.settle(BOTH), ["Pending"]);
        assert!(world.shown().iter().all(|line| line.contains(message)), "{:?}", world.shown());
        world.server = found;
        assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);
    }
}

#[test]
fn an_address_that_changes_reaches_the_boot_configs_and_nothing_else() {
    let mut world = World::new();
    world.settle(BOTH);
    world.image = Image::Settled;
    world.server = Some(server(&["10.0.0.9"]));
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http"]);
    assert_eq!(world.ipxe.unwrap().spec.system_ips, ["10.0.0.9"]);
}

#[test]
fn a_new_generation_is_not_ready_until_it_was_looked_at() {
    let mut world = World::new();
    world.settle(BOTH);
    assert_eq!(outdated(&world.configuration, BOTH, world.now), None);
    assert!(!world.needs_image(BOTH));
    world.configuration.metadata.generation = Some(2);
    assert!(world.needs_image(BOTH));
    let Some(Decision::Record(status)) = outdated(&world.configuration, BOTH, world.now) else {
        panic!("still ready");
    };
    assert_eq!(status.state, Some(BootState::Pending));
    world.configuration.status = Some(*status);
    assert_eq!(outdated(&world.configuration, BOTH, world.now), None, "said once");
    assert!(world.needs_image(BOTH));
    assert_eq!(world.settle(BOTH), ["Ready"]);
}

#[test]
fn what_is_missing_for_a_while_is_no_reason_to_ask_what_a_tag_stands_for_now() {
    let mut world = World::new();
    world.settle(BOTH);
    let why = Unavailable { reason: "SecretNotFound", message: "create it".to_owned() };
    world.ignition = Ignition::Unusable(why);
    assert_eq!(world.settle(BOTH), ["Error"]);
    assert!(!world.needs_image(BOTH), "its Secret is gone");
    world.image = Image::Settled;
    world.ignition = Ignition::Usable;
    assert_eq!(world.settle(BOTH), ["Ready"]);

    world.server = None;
    assert_eq!(world.settle(BOTH), ["Pending"]);
    assert!(!world.needs_image(BOTH), "its server is gone");
    world.server = World::new().server;
    assert_eq!(world.settle(BOTH), ["Ready"]);
    let both = world.shown().into_iter().filter(|line| line.contains("BootReady=True")).count();
    assert_eq!(both, 2, "{:?}", world.shown());

    // An image that was not valid, or is another one, is inspected.
    world.configuration.metadata.generation = Some(2);
    assert!(world.needs_image(BOTH));
    world.image = Image::Failed(unavailable("no such tag"));
    assert_eq!(world.settle(BOTH), ["Error"]);
    assert!(world.needs_image(BOTH));
}

#[test]
fn what_an_image_lacks_is_known_while_its_server_is_gone() {
    let mut world = World::new();
    world.image = Image::Offers { pxe: Err(unavailable("no kernel")), uki: Ok(uki()) };
    assert_eq!(world.settle(BOTH), ["apply http", "Ready"]);
    let server = world.server.take();
    assert_eq!(world.settle(BOTH), ["Pending"]);
    assert!(!world.needs_image(BOTH));
    world.server = server;
    world.image = Image::Settled;
    assert_eq!(world.settle(BOTH), ["Ready"]);
    assert!(world.shown().contains(&"IPXEBootReady=False/LayerMissing: no kernel".to_owned()));
}

#[test]
fn a_secret_that_comes_while_the_server_has_nothing_to_boot_is_told() {
    let mut world = World::new();
    let why = Unavailable { reason: "SecretNotFound", message: "create it".to_owned() };
    world.ignition = Ignition::Unusable(why);
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Error"]);
    world.image = Image::Settled;
    world.ignition = Ignition::Usable;
    let status = world.server.as_mut().unwrap().status.as_mut().unwrap();
    status.state = Some(ServerState::Available);
    assert_eq!(world.settle(BOTH), ["Ready"]);
}

#[test]
fn the_manifest_of_a_uki_stands_beside_it_as_long_as_the_uki_does() {
    let mut world = World::new();
    let found = Uki { manifest: Some("sha256:e3b0".to_owned()), ..uki() };
    world.image = Image::Offers { pxe: Ok(urls()), uki: Ok(found) };
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http", "Ready"]);
    let shown = |world: &World| manifest(world.http.as_ref().unwrap()).cloned();
    assert_eq!(shown(&world).as_deref(), Some("sha256:e3b0"));
    // The address of the server changes, and the tag stands for another image.
    world.image = Image::Settled;
    world.server = Some(server(&["10.0.0.9"]));
    assert_eq!(world.settle(BOTH), ["apply ipxe", "apply http"]);
    assert_eq!(shown(&world).as_deref(), Some("sha256:e3b0"));
    // That of an earlier version is without.
    world.http.as_mut().unwrap().metadata.annotations = None;
    assert_eq!(world.settle(BOTH), [""; 0]);
}

#[test]
fn what_the_new_image_does_not_offer_is_taken_away() {
    let mut world = World::new();
    world.settle(BOTH);
    world.configuration.metadata.generation = Some(2);
    world.image = Image::Offers { pxe: Ok(urls()), uki: Err(unavailable("no UKI")) };
    assert_eq!(world.settle(BOTH), ["delete http", "Ready"]);
    world.configuration.metadata.generation = Some(3);
    world.image = Image::Offers { pxe: Err(unavailable("no kernel")), uki: Ok(uki()) };
    assert_eq!(world.settle(BOTH), ["delete ipxe", "apply http", "Ready"]);
}

#[test]
fn an_image_is_looked_at_again_only_if_what_came_of_it_is_gone_or_moved() {
    let mut world = World::new();
    assert!(world.needs_image(BOTH));
    world.settle(BOTH);
    assert!(!world.needs_image(BOTH));
    let gone = world.ipxe.take();
    assert!(world.needs_image(BOTH), "deleted by somebody");
    world.ipxe = gone;
    world.ipxe.as_mut().unwrap().spec.kernel_url = "http://elsewhere/kernel".to_owned();
    assert!(world.needs_image(BOTH), "this process serves at another address now");
    for elsewhere in
        ["http://boot:80/kernel", "http://boot.example/kernel", "http://boot/x/image?y"]
    {
        world.ipxe.as_mut().unwrap().spec.kernel_url = elsewhere.to_owned();
        assert!(world.needs_image(BOTH), "{elsewhere} only begins in the same way");
    }
    assert!(!world.needs_image(Modes { pxe: false, http: true }));
}

#[test]
fn a_configuration_that_is_being_deleted_is_left_alone() {
    let mut world = World::new();
    world.configuration.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(world.settle(BOTH), [""; 0]);
}

#[test]
fn from_every_state_and_with_lost_writes_it_settles_in_ready() {
    let states = [None, Some(BootState::Pending), Some(BootState::Ready), Some(BootState::Error)];
    for state in states {
        for generation in [None, Some(0), Some(1)] {
            for lost in 0..8 {
                let mut world = World::new();
                world.configuration.status = Some(ServerBootConfigurationStatus {
                    state: state.clone(),
                    observed_generation: generation,
                    conditions: vec![],
                });
                world.lost = lost;
                world.settle(BOTH);
                let state = world.configuration.status.clone().unwrap().state;
                assert_eq!(state, Some(BootState::Ready));
                assert!(world.ipxe.is_some() && world.http.is_some());
            }
        }
    }
}

#[test]
fn the_link_to_a_uki_carries_the_token_of_its_boot_also_where_it_was_made_without() {
    const UKI: &str = "http://images/httpboot/ghcr.io/a/b/sha256-e3b0.efi";
    let mut world = World::new();
    world.image = Image::Offers { pxe: Ok(urls()), uki: Ok(uki_at(UKI.to_owned())) };
    world.settle(BOTH);
    assert_eq!(world.http.as_ref().unwrap().spec.uki_url.as_deref(), Some(UKI));
    // The image is not inspected again, as its tag may have moved.
    world.image = Image::Settled;
    world.uki_token = Some("TOKEN");
    assert_eq!(world.settle(BOTH), ["apply http"]);
    let linked = "http://images/httpboot/t/TOKEN/ghcr.io/a/b/sha256-e3b0.efi";
    assert_eq!(world.http.as_ref().unwrap().spec.uki_url.as_deref(), Some(linked));
    assert!(world.settle(BOTH).is_empty());
}
