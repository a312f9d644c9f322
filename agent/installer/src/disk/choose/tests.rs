use super::*;

const ANY: InstallHints = InstallHints {
    serial: None,
    wwn: None,
    min_size_gib: None,
    max_size_gib: None,
    rotational: None,
};

#[test]
fn the_only_disk_is_taken_without_a_hint() {
    assert_eq!(chosen(&[disk("sda")], &ANY), Ok("sda".into()));
    let beside = [
        Candidate { transport: "usb".into(), ..disk("sdb") },
        Candidate { is_removable: true, ..disk("sdc") },
        Candidate { is_read_only: true, ..disk("sdd") },
        Candidate { size: 0, ..disk("sde") },
        disk("sr0"),
        disk("fd0"),
        disk("mmcblk0boot0"),
        disk("mmcblk0rpmb"),
        disk("mmcblk0gp0"),
        disk("mtdblock0"),
    ];
    for other in &beside {
        assert_eq!(chosen(&[other.clone(), disk("sda")], &ANY), Ok("sda".into()), "{other:?}");
        // Not even by name.
        let serial = InstallHints { serial: Some(other.serial.clone()), ..ANY };
        assert!(chosen(std::slice::from_ref(other), &serial).is_err(), "{other:?}");
    }
    let error = chosen(&beside, &ANY).unwrap_err().to_string();
    for words in
        ["no disk to install to", "sdb (200 GiB, serial SN-sdb, USB)", "read-only", "and 2 more"]
    {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(chosen(&[], &ANY), Err(ChoiceError::NoDisk("none".into())));
    assert_eq!(chosen(&[disk("mmcblk0")], &ANY), Ok("mmcblk0".into()));
}

#[test]
fn a_disk_on_a_network_is_taken_only_if_it_is_named() {
    let far = Candidate { reach: Reach::Network, wwn: "naa.6".into(), ..disk("sdb") };
    let only = [far];
    let size = InstallHints { min_size_gib: Some(1), ..ANY };
    for hints in [&ANY, &size] {
        let error = chosen(&only, hints).unwrap_err().to_string();
        assert!(error.contains("on a network, so only by serial or WWN"), "{error}");
        let beside = [only[0].clone(), disk("sda")];
        assert_eq!(chosen(&beside, hints), Ok("sda".into()));
    }
    let serial = InstallHints { serial: Some("SN-sdb".into()), ..ANY };
    let wwn = InstallHints { wwn: Some("0x6".into()), ..ANY };
    for hints in [&serial, &wwn] {
        assert_eq!(chosen(&only, hints), Ok("sdb".into()));
    }
}

#[test]
fn each_hint_has_to_hold_and_all_of_them_together() {
    let small = Candidate { size: 100 * GIB, is_rotational: true, ..disk("sda") };
    let large = Candidate { wwn: "naa.5000c500aabbccdd".into(), ..disk("nvme0n1") };
    let disks = [small, large];
    let text = |text: &str| Some(text.to_owned());
    for (hints, expected) in [
        (InstallHints { serial: text("SN-sda"), ..ANY }, Some("sda")),
        (InstallHints { serial: text(" SN-nvme0n1 "), ..ANY }, Some("nvme0n1")),
        (InstallHints { serial: text("sn-sda"), ..ANY }, None),
        (InstallHints { serial: text("SN"), ..ANY }, None),
        (InstallHints { wwn: text("0x5000C500AABBCCDD"), ..ANY }, Some("nvme0n1")),
        (InstallHints { wwn: text("50:00:c5:00:aa:bb:cc:dd"), ..ANY }, Some("nvme0n1")),
        (InstallHints { wwn: text("0x5000c500aabbccd"), ..ANY }, None),
        (InstallHints { wwn: text("0x0000000000000000"), ..ANY }, None),
        (InstallHints { min_size_gib: Some(101), ..ANY }, Some("nvme0n1")),
        (InstallHints { max_size_gib: Some(199), ..ANY }, Some("sda")),
        (InstallHints { min_size_gib: Some(201), ..ANY }, None),
        (InstallHints { rotational: Some(true), ..ANY }, Some("sda")),
        (InstallHints { rotational: Some(false), ..ANY }, Some("nvme0n1")),
        (InstallHints { rotational: Some(true), serial: text("SN-nvme0n1"), ..ANY }, None),
        (InstallHints { rotational: Some(true), max_size_gib: Some(100), ..ANY }, Some("sda")),
    ] {
        let found = chosen(&disks, &hints);
        match expected {
            Some(name) => assert_eq!(found, Ok(name.into()), "{hints:?}"),
            None => assert!(matches!(found, Err(ChoiceError::NoneFits(_))), "{hints:?}: {found:?}"),
        }
    }
}

#[test]
fn a_blank_serial_number_is_that_of_no_disk() {
    let nameless = [Candidate { serial: String::new(), ..disk("vda") }];
    for blank in ["", " "] {
        let hints = InstallHints { serial: Some(blank.to_owned()), ..ANY };
        let found = chosen(&nameless, &hints);
        assert!(matches!(found, Err(ChoiceError::NoneFits(_))), "{blank:?}: {found:?}");
    }
    assert_eq!(chosen(&nameless, &ANY), Ok("vda".into()));
}

#[test]
fn sizes_count_to_the_byte_at_both_ends() {
    let hints = InstallHints { min_size_gib: Some(100), max_size_gib: Some(200), ..ANY };
    for (size, fits) in [
        (100 * GIB - 1, false),
        (100 * GIB, true),
        (200 * GIB, true),
        (200 * GIB + 1, false),
        (u64::MAX, false),
    ] {
        let disk = Candidate { size, ..disk("sda") };
        assert_eq!(chosen(&[disk], &hints).is_ok(), fits, "{size}");
    }
    let endless = InstallHints { min_size_gib: Some(u64::MAX), ..ANY };
    assert!(chosen(&[disk("sda")], &endless).is_err());
}

#[test]
fn of_two_that_fit_none_is_written_to() {
    let disks = [disk("sda"), disk("sdb"), Candidate { size: GIB, ..disk("sdc") }];
    let error = chosen(&disks, &InstallHints { min_size_gib: Some(2), ..ANY }).unwrap_err();
    assert!(matches!(error, ChoiceError::Several(2, _)));
    let error = error.to_string();
    assert!(error.contains("serial SN-sda") && error.contains("SN-sdb"), "{error}");
    assert!(!error.contains("sdc") && error.contains("targetDisk"), "{error}");
    // Namespaces of one controller have its serial number.
    let namespaces =
        ["nvme0n1", "nvme0n2"].map(|name| Candidate { serial: "C".into(), ..disk(name) });
    let serial = InstallHints { serial: Some("C".into()), ..ANY };
    assert!(matches!(chosen(&namespaces, &serial), Err(ChoiceError::Several(2, _))));
}

#[test]
fn two_paths_to_one_disk_are_told_from_two_disks() {
    let path = |name: &str, wwn: &str| Candidate { wwn: wwn.into(), ..disk(name) };
    let paths = [path("sda", "naa.5000c500aabbccdd"), path("sdb", "0x5000c500aabbccdd")];
    let expected = Err(ChoiceError::Twins("sda and sdb".into()));
    assert_eq!(chosen(&paths, &ANY), expected);
    // One that fits alone may still be a copy, or the serial number may be misread on one path.
    let serial = InstallHints { serial: Some("SN-sda".into()), ..ANY };
    assert_eq!(chosen(&paths, &serial), expected);
    // A name that is not set is not shared.
    let unset = [path("sda", "naa.0000000000000000"), path("sdb", "naa.0000000000000000")];
    assert_eq!(chosen(&unset, &serial), Ok("sda".into()));
    // Another disk is none of their business.
    let [a, b] = paths;
    let serial = InstallHints { serial: Some("SN-sdc".into()), ..ANY };
    assert_eq!(chosen(&[a, b, disk("sdc")], &serial), Ok("sdc".into()));
}

#[test]
fn a_disk_that_is_in_use_is_refused_and_no_other_is_taken_for_it() {
    let used = Candidate { in_use: Some("sda1 is mounted".into()), ..disk("sda") };
    let error = ChoiceError::InUse("sda".into(), "sda1 is mounted".into());
    assert_eq!(chosen(std::slice::from_ref(&used), &ANY), Err(error));
    assert!(matches!(chosen(&[used, disk("sdb")], &ANY), Err(ChoiceError::Several(2, _))));
}

#[test]
fn a_data_disk_is_not_taken_for_one_that_is_worn_out() {
    let worn_out = Candidate { is_read_only: true, transport: "nvme".into(), ..disk("nvme0n1") };
    let disks = [worn_out, Candidate { size: 400 * GIB, ..disk("sda") }];
    let error = chosen(&disks, &ANY).unwrap_err();
    assert_eq!(error, ChoiceError::WornOut("nvme0n1".into()));
    assert!(error.to_string().contains("targetDisk"), "{error}");
    // What is said of the disk may tell them apart.
    let large = InstallHints { min_size_gib: Some(300), ..ANY };
    let named = InstallHints { serial: Some("SN-sda".into()), ..ANY };
    for hints in [large, named] {
        assert_eq!(chosen(&disks, &hints), Ok("sda".into()));
    }
    // A medium that is for reading only is no disk that has failed.
    let [worn_out, data] = disks;
    for other in [
        Candidate { transport: "usb".into(), ..worn_out.clone() },
        Candidate { transport: "virtio".into(), ..worn_out.clone() },
        Candidate { is_removable: true, ..worn_out.clone() },
        Candidate { reach: Reach::Network, ..worn_out },
    ] {
        assert_eq!(chosen(&[other, data.clone()], &ANY), Ok("sda".into()));
    }
}

#[test]
fn what_was_told_of_a_disk_chooses_it_again_and_no_other_in_its_place() {
    let zeros = Candidate { wwn: "eui.0000000000000000".into(), ..disk("sda") };
    let namespace =
        |name: &str, wwn: &str| Candidate { serial: "C".into(), wwn: wwn.into(), ..disk(name) };
    let one = namespace("nvme0n1", "eui.0025385b71b00d8a");
    let other = namespace("nvme0n2", "eui.0025385b71b00d8b");
    for (system, data) in
        [(disk("sda"), disk("sdb")), (zeros, disk("sdb")), (one.clone(), other), (one, disk("sda"))]
    {
        let told = told(&system);
        assert_eq!((&*told.model, told.size_bytes), ("M", 200 * GIB));
        let name = |text: String| Some(text).filter(|text| !text.is_empty());
        let hints = InstallHints { serial: name(told.serial), wwn: name(told.wwn), ..ANY };
        let both = [data.clone(), system.clone()];
        assert_eq!(chosen(&both, &hints), Ok(system.name), "as the only one was before");
        let error = chosen(&[data], &hints).unwrap_err();
        assert!(matches!(error, ChoiceError::NoneFits(_)), "{error}");
        // By this word a server knows what it is about.
        assert!(error.to_string().contains("targetDisk"), "{error}");
    }
    assert!(chosen(&[], &ANY).unwrap_err().to_string().contains("no disk to install to"));
}

fn chosen(disks: &[Candidate], hints: &InstallHints) -> Result<String, ChoiceError> {
    choose(disks, hints).map(|it| it.name.clone())
}

fn disk(name: &str) -> Candidate {
    Candidate {
        name: name.to_owned(),
        serial: format!("SN-{name}"),
        wwn: String::new(),
        model: "M".to_owned(),
        size: 200 * GIB,
        sector: 512,
        is_rotational: false,
        is_removable: false,
        is_read_only: false,
        reach: Reach::Local,
        transport: String::new(),
        in_use: None,
    }
}
