//! Whether a machine is the one that a token is for.

use super::*;

#[test]
fn a_machine_that_does_not_fit_the_binding_is_refused_with_what_it_said() {
    let uuid = "38947555-7742-3448-3784-82334782383a";
    let binding = BootBinding {
        mac_address: Some("02-00-00-00-00-0A".to_owned()),
        serial: Some("SN 1".to_owned()),
        system_uuid: Some(uuid.to_owned()),
        ek_hash: None,
    };
    let fits = HostHardware {
        serial: Some(" sn 1 ".to_owned()),
        system_uuid: Some(uuid.to_uppercase()),
        mac_addresses: vec!["02:00:00:00:00:01".to_owned(), "02:00:00:00:00:0a".to_owned()],
    };
    assert_eq!(binding::check(Some(&binding), &fits), Ok(()));
    // Some tools print the first three fields the other way round.
    let swapped = Some("55759438-4277-4834-3784-82334782383a".to_owned());
    let swapped = HostHardware { system_uuid: swapped, ..fits.clone() };
    assert_eq!(binding::check(Some(&binding), &swapped), Ok(()));
    assert_eq!(binding::check(None, &HostHardware::default()), Ok(()));
    let others = [
        HostHardware { serial: Some("SN 2\u{1b}".to_owned()), ..fits.clone() },
        HostHardware { serial: None, ..fits.clone() },
        HostHardware { system_uuid: Some("x".repeat(9999)), ..fits.clone() },
        HostHardware { mac_addresses: vec!["junk".to_owned()], ..fits.clone() },
    ];
    for other in others {
        let refusal = binding::check(Some(&binding), &other).unwrap_err();
        let text = refusal.to_string();
        assert!(matches!(refusal, Refusal::Unfit(_)) && text.len() < 300, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    // A binding that cannot be read fits nothing.
    let binding = BootBinding { mac_address: Some("junk".to_owned()), ..BootBinding::default() };
    let junk = HostHardware { mac_addresses: vec!["junk".to_owned()], ..HostHardware::default() };
    assert!(binding::check(Some(&binding), &junk).is_err());
}

#[test]
fn a_binding_that_many_machines_fit_fits_none_and_is_said() {
    let serial = |serial: &str| {
        let binding = BootBinding { serial: Some(serial.to_owned()), ..BootBinding::default() };
        let said = HostHardware { serial: Some(serial.to_owned()), ..HostHardware::default() };
        (binding::check(Some(&binding), &said).is_ok(), binding::problem(&binding).is_none())
    };
    for many in ["", " ", "0", "0123456789", "To be filled by O.E.M.", "Default string ", "N/A"] {
        assert_eq!(serial(many), (false, false), "{many}");
    }
    for one in ["1", "SN-1", "J0000000", "MZ01"] {
        assert_eq!(serial(one), (true, true), "{one}");
    }
    let mut token = token();
    let system_uuid = Some("03000200-0400-0500-0006-000700080009".to_owned());
    token.spec.binding = Some(BootBinding { system_uuid, ..BootBinding::default() });
    settle(&mut token, None, 0);
    let usable = &token.status.as_ref().unwrap().conditions[0];
    assert_eq!((usable.status.as_str(), usable.reason.as_str()), ("False", "BindingFitsMany"));
    assert!(usable.message.contains("systemUUID"), "{}", usable.message);
}

#[test]
fn a_machine_with_a_bond_is_known_by_the_interface_that_it_has_booted_from() {
    let mut token = token();
    let mac_address = Some("02:00:00:00:00:02".to_owned());
    token.spec.binding = Some(BootBinding { mac_address, ..BootBinding::default() });
    let booted = boot_of(&token, &with_mac(2), "192.0.2.1", 0);
    let done = InstallReport { step: BootStep::Done, message: String::new() };
    token.status = record(&booted, 1, &done, at(10)).unwrap();
    // All ports of its bond have the address of the first.
    let (ours, bond) = (key(1), with_mac(1));
    let registered = register(&token, None, &claims(&ours, &bond), at(30));
    let Ok(Next::Record(status)) = registered else { panic!("{registered:?}") };
    assert_eq!(status.registration.unwrap().hardware, bond, "what it says itself is kept");
    token.status.as_mut().unwrap().machine = None;
    let other = register(&token, None, &claims(&ours, &bond), at(30));
    assert!(matches!(other, Err(Refusal::Unfit(_))), "{other:?}");
}
