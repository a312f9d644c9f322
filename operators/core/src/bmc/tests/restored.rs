//! Objects that were restored from a backup, or written by hand.

use super::*;

#[test]
fn a_password_goes_to_a_host_name_only_where_the_bmc_shows_who_it_is() {
    use Verification::{Authorities, Off, Pinned};
    let of = |address: &str, scheme: Scheme, verification: Verification| {
        let protocol = bmc().spec.protocol;
        let access = metal_api::BmcAccess {
            address: address.to_owned(),
            protocol: metal_api::Protocol {
                scheme: Some(scheme.to_string().as_str().into()),
                ..protocol
            },
            ..metal_api::BmcAccess::default()
        };
        inline_destination(&access, Some(&secret()), Scheme::Https, verification)
    };
    for verification in [Authorities, Pinned] {
        let there = of("BMC-1.example.com", Scheme::Https, verification).unwrap();
        assert_eq!(there.host.to_string(), "bmc-1.example.com");
    }
    for (scheme, verification) in
        [(Scheme::Https, Off), (Scheme::Http, Pinned), (Scheme::Http, Authorities)]
    {
        let missing = of("bmc.example.com", scheme, verification).unwrap_err();
        assert_eq!(missing.reason, "NameNotConfirmed");
        assert!(missing.message.starts_with("spec.bmc.address: "), "{missing:?}");
        assert!(of("192.0.2.9", scheme, verification).is_ok(), "{scheme} {verification:?}");
    }
    for wrong in ["", "bmc.example.com:443", "https://bmc.example.com", "0x7f.1"] {
        let missing = of(wrong, Scheme::Https, Pinned).unwrap_err();
        assert_eq!(missing.reason, "InvalidIP");
        assert!(missing.message.starts_with("spec.bmc.address: `"), "{missing:?}");
    }
}

#[test]
fn a_host_name_is_no_ip_address_of_a_bmc_and_the_field_is_named() {
    let mut named = bmc();
    let ip = Some("bmc.example.com".to_owned());
    named.spec.access = Some(InlineAccess { ip, ..InlineAccess::default() });
    let missing = destination(&named, None, Some(&secret()), Scheme::Https).unwrap_err();
    assert!(missing.message.starts_with("spec.access.ip: `bmc.example.com`"), "{missing:?}");
}

#[test]
fn a_restored_server_gets_the_owner_of_today_also_while_its_bmc_is_silent() {
    let mut scene = Scene::new();
    scene.record();
    let mut server = scene.created().remove(0);
    let owners = server.metadata.owner_references.clone().unwrap();
    assert_eq!(owners[0].block_owner_deletion, Some(true));
    server.metadata.owner_references.as_mut().unwrap()[0].uid = "earlier".to_owned();
    let silent = Err(Unreachable::NoAnswer("timed out".to_owned()));
    for reading in [Ok(said(Some(UUID))), silent] {
        scene.reading = Some(reading);
        scene.servers = vec![];
        scene.bmc.status = None;
        scene.record();
        scene.servers = vec![Arc::new(server.clone())];
        let Decision::Change(Change::Own { owners: repaired, .. }) = scene.decide() else {
            panic!()
        };
        assert_eq!(repaired, owners);
    }
    // Backup tools leave owners out.
    server.metadata.owner_references = None;
    scene.servers = vec![Arc::new(server.clone())];
    let Decision::Change(Change::Own { owners: adopted, .. }) = scene.decide() else { panic!() };
    assert_eq!(adopted, owners);
    // What a person has created under another name is left alone, and so is what is being deleted.
    for change in [
        (|server: &mut Server| server.metadata.name = Some("by-hand".to_owned()))
            as fn(&mut Server),
        |server| server.metadata.name = Some("bmc-1-system-x".to_owned()),
        |server| server.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)),
        |server| server.spec.bmc_ref = None,
    ] {
        let mut server = server.clone();
        change(&mut server);
        scene.servers = vec![Arc::new(server)];
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    }
}

#[test]
fn a_restored_server_of_a_bmc_with_a_long_name_is_known_by_its_whole_name_too() {
    let mut scene = Scene::new();
    let long = "b".repeat(240);
    scene.bmc.metadata.name = Some(long.clone());
    scene.record();
    let mut server = scene.created().remove(0);
    server.metadata.owner_references = None;
    for name in [server_name(&long, 0), format!("{long}-system-0")] {
        server.metadata.name = Some(name);
        scene.servers = vec![Arc::new(server.clone())];
        let decision = scene.decide();
        assert!(matches!(decision, Decision::Change(Change::Own { .. })), "{decision:?}");
    }
}

#[test]
fn a_server_belongs_to_the_bmc_that_it_refers_to_and_outlives_the_old_one() {
    let mut scene = Scene::new();
    scene.record();
    let mut server = scene.created().remove(0);
    let owners = server.metadata.owner_references.clone().unwrap();
    server.metadata.name = Some("by-hand".to_owned());
    let owner = &mut server.metadata.owner_references.as_mut().unwrap()[0];
    (owner.name, owner.uid) = ("bmc-0".to_owned(), "bmc-0-uid".to_owned());
    scene.servers = vec![Arc::new(server)];
    let Decision::Change(Change::Own { owners: moved, .. }) = scene.decide() else { panic!() };
    assert_eq!(moved, owners);
}
