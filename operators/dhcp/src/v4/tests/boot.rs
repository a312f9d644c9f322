//! Boot options by kind of client.

use super::*;
use crate::config::TftpFile;

fn option(reply: &Reply, code: u8) -> Option<&[u8]> {
    reply.packet.options.get(code)
}

/// The value without the zero that boot ROMs need.
fn text(reply: &Reply, code: u8) -> &str {
    let text = option(reply, code).map_or("", |value| std::str::from_utf8(value).unwrap());
    text.strip_suffix('\0').unwrap_or(text)
}

/// The answer to a client with these architectures and the class `PXEClient`.
fn with_architectures(codes: &[u8]) -> Reply {
    let mut packet = discover(1);
    packet.options.set(code::ARCHITECTURE, codes);
    packet.options.set(code::VENDOR_CLASS, b"PXEClient:Arch:00000:UNDI:002001");
    packet.options.set(code::MACHINE_ID, [0; 17]);
    Lab::new().answer(&packet)
}

#[test]
fn pxe_firmware_gets_the_file_of_its_architecture_in_every_place_it_may_look() {
    for (codes, file) in [
        (&[0, 0][..], "undionly.kpxe"),
        (&[0, 7], "snponly.efi"),
        (&[0, 9], "snponly.efi"),
        (&[0, 11], "snponly-arm64.efi"),
        (&[0, 6, 0, 7], "snponly.efi"),
        // U-Boot; and an unassigned number before one with a file.
        (&[0, 22], "snponly-arm64.efi"),
        (&[1, 0, 0, 11], "snponly-arm64.efi"),
    ] {
        let reply = with_architectures(codes);
        assert_eq!(reply.packet.siaddr, Ipv4Addr::new(10, 77, 0, 2), "{codes:?}");
        assert_eq!(reply.packet.file, file.as_bytes(), "{codes:?}");
        // With a zero, for boot ROMs that treat it as a C string.
        assert_eq!(option(&reply, code::TFTP_SERVER), Some(&b"10.77.0.2\0"[..]));
        assert_eq!(option(&reply, code::BOOT_FILE), Some(format!("{file}\0").as_bytes()));
        assert_eq!(text(&reply, code::VENDOR_CLASS), "PXEClient");
        assert_eq!(option(&reply, code::VENDOR_SPECIFIC), Some(&[6, 1, 8, 255][..]));
        assert_eq!(option(&reply, code::MACHINE_ID), Some(&[0; 17][..]));
    }
}

#[test]
fn a_file_of_ours_comes_from_the_address_that_answers() {
    let mut lab = Lab::new();
    lab.config.boot.uefi = Some(TftpFile { server: None, path: "uki.efi".to_owned() });
    let mut packet = discover(1);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    packet.options.set(code::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003000");
    let reply = lab.answer(&packet);
    assert_eq!(reply.packet.siaddr, SERVER);
    assert_eq!(text(&reply, code::TFTP_SERVER), SERVER.to_string());
}

#[test]
fn firmware_without_a_file_gets_an_address_and_nothing_else() {
    for codes in [
        &[0, 6][..],
        &[0, 10],
        &[0, 21],
        &[0, 27],
        &[0, 15],
        &[0, 20],
        &[0, 32],
        &[0, 41],
        &[0xff, 0xff],
        &[0],
        &[],
    ] {
        assert_no_boot(&with_architectures(codes));
    }
}

fn assert_no_boot(reply: &Reply) {
    assert_eq!(reply.kind, MessageType::Offer);
    assert_eq!((reply.packet.siaddr, reply.packet.file.len()), (Ipv4Addr::UNSPECIFIED, 0));
    for code in [
        code::BOOT_FILE,
        code::TFTP_SERVER,
        code::VENDOR_CLASS,
        code::VENDOR_SPECIFIC,
        code::MACHINE_ID,
        code::IPXE,
    ] {
        assert_eq!(option(reply, code), None, "{code}");
    }
}

#[test]
fn http_firmware_gets_a_url_and_the_class_it_waits_for() {
    for (codes, url) in [
        (&[0, 16][..], "http://10.77.0.2:8082/httpboot/uki.efi"),
        (&[0, 19], "http://10.77.0.2:8082/httpboot/uki-arm64.efi"),
        (&[0, 15, 0, 16], "http://10.77.0.2:8082/httpboot/uki.efi"),
        (&[0, 24], "http://10.77.0.2:8082/httpboot/uki-arm64.efi"),
    ] {
        let reply = with_architectures(codes);
        assert_eq!(text(&reply, code::BOOT_FILE), url);
        assert_eq!(text(&reply, code::VENDOR_CLASS), "HTTPClient");
        assert_eq!(option(&reply, code::TFTP_SERVER), None);
    }
}

#[test]
fn whatever_firmware_reads_as_a_string_ends_with_a_zero() {
    let http = "http://10.77.0.2:8082/httpboot/uki.efi";
    let mut ipxe = discover(1);
    ipxe.options.set(code::IPXE, []);
    let script = Lab::new().answer(&ipxe);
    for (reply, expected) in [
        (with_architectures(&[0, 0]), "undionly.kpxe"),
        (with_architectures(&[0, 7]), "snponly.efi"),
        (with_architectures(&[0, 16]), http),
        (script, "http://10.77.0.2:8082/ipxe/${uuid}"),
    ] {
        assert_eq!(option(&reply, code::BOOT_FILE), Some(format!("{expected}\0").as_bytes()));
        let bytes = reply.packet.encode();
        assert!(
            bytes.windows(expected.len() + 1).any(|it| *it == *format!("{expected}\0").as_bytes())
        );
    }
    // A string that fills its option has no room for the zero.
    let url = format!("http://boot/{}", "a".repeat(243));
    let mut lab = Lab::new();
    lab.boot = Boot::Assigned { uki: Some(url.clone()), script: false, uuid: None };
    let mut packet = discover(1);
    packet.options.set(code::ARCHITECTURE, [0, 16]);
    assert_eq!(option(&lab.answer(&packet), code::BOOT_FILE), Some(url.as_bytes()));
}

#[test]
fn a_link_that_one_option_cannot_carry_is_not_cut() {
    let mut lab = Lab::new();
    lab.boot = Boot::Assigned { uki: Some("a".repeat(256)), script: true, uuid: None };
    let mut packet = discover(1);
    packet.options.set(code::ARCHITECTURE, [0, 16]);
    assert_no_boot(&lab.answer(&packet));
    assert_eq!(uncarried(&packet, &lab.boot), Some(256));
    // A client that loads a script does not need it.
    packet.options.set(code::IPXE, []);
    assert!(option(&lab.answer(&packet), code::BOOT_FILE).is_some());
    assert_eq!(uncarried(&packet, &lab.boot), None);
}

#[test]
fn ipxe_gets_the_script_however_it_says_its_name() {
    let by_option = |packet: &mut Packet| packet.options.set(code::IPXE, [0xb1, 1, 5]);
    let by_text = |packet: &mut Packet| packet.options.set(code::USER_CLASS, b"iPXE");
    let by_list = |packet: &mut Packet| packet.options.set(code::USER_CLASS, b"\x03abc\x04iPXE");
    let by_c = |packet: &mut Packet| packet.options.set(code::USER_CLASS, b"iPXE\0");
    let by_c_list = |packet: &mut Packet| packet.options.set(code::USER_CLASS, b"\x05iPXE\0");
    let ways: [&dyn Fn(&mut Packet); 5] = [&by_option, &by_text, &by_list, &by_c, &by_c_list];
    for way in ways {
        let mut packet = discover(1);
        packet.options.set(code::ARCHITECTURE, [0, 7]);
        way(&mut packet);
        let reply = Lab::new().answer(&packet);
        assert_eq!(text(&reply, code::BOOT_FILE), "http://10.77.0.2:8082/ipxe/${uuid}");
        assert_eq!(reply.packet.file, b"http://10.77.0.2:8082/ipxe/${uuid}");
        assert_eq!(option(&reply, code::IPXE), Some(&[0xb0, 1, 1][..]));
        assert_eq!(option(&reply, code::VENDOR_CLASS), None);
    }
}

/// Its board may have been shipped with another UUID, or with none.
#[test]
fn a_machine_that_is_known_by_its_mac_address_asks_for_its_script_by_the_uuid_of_its_server() {
    let mut lab = Lab::new();
    let uuid = "0b3e2f6c-1111-2222-3333-444455556666";
    lab.boot = Boot::Assigned { uki: None, script: true, uuid: uuid.parse().ok() };
    let mut packet = discover(1);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    packet.options.set(code::IPXE, []);
    let shipped = [0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9];
    for id in [None, Some(shipped)] {
        if let Some(id) = id {
            packet.options.set(code::MACHINE_ID, id);
        }
        let url = format!("http://10.77.0.2:8082/ipxe/{uuid}");
        let reply = lab.answer(&packet);
        assert_eq!(text(&reply, code::BOOT_FILE), url);
        assert_eq!(reply.packet.file, url.as_bytes());
    }
}

#[test]
fn without_a_script_ipxe_is_not_sent_back_to_its_own_binary() {
    let mut lab = Lab::with(&CONFIG.replace("  ipxe: http://10.77.0.2:8082/ipxe/${uuid}\n", ""));
    let mut packet = discover(1);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    packet.options.set(code::IPXE, []);
    assert_no_boot(&lab.answer(&packet));
}

#[test]
fn the_text_of_option_60_alone_boots_nobody() {
    for class in ["PXEClient:Arch:00007:UNDI:003000", "HTTPClient:Arch:00016:UNDI:003000"] {
        let mut packet = discover(1);
        packet.options.set(code::VENDOR_CLASS, class);
        assert_no_boot(&Lab::new().answer(&packet));
        // Firmware does not send this, either.
        packet.options.set(code::INTERFACE, [1, 3]);
        packet.options.set(code::MACHINE_ID, [0; 16]);
        assert_no_boot(&Lab::new().answer(&packet));
    }
}

#[test]
fn the_text_counts_where_other_options_show_firmware_and_none_its_architecture() {
    let file = |class: &str, code: u8, value: &[u8]| {
        let mut packet = discover(1);
        packet.options.set(code::VENDOR_CLASS, class);
        packet.options.set(code, value);
        text(&Lab::new().answer(&packet), code::BOOT_FILE).to_owned()
    };
    let (interface, machine) = ([1, 3, 0], [0; 17]);
    let uki = "http://10.77.0.2:8082/httpboot/uki.efi";
    for (class, expected) in [
        ("PXEClient:Arch:00000:UNDI:002001", "undionly.kpxe"),
        ("PXEClient:Arch:00009:UNDI:003000", "snponly.efi"),
        ("HTTPClient:Arch:00016:UNDI:003000", uki),
        ("PXEClient:Arch:0000", ""),
        ("PXEClient", ""),
        ("MSFT 5.0", ""),
    ] {
        assert_eq!(file(class, code::INTERFACE, &interface), expected, "{class}");
        assert_eq!(file(class, code::MACHINE_ID, &machine), expected, "{class}");
    }
    // Option 93 takes precedence.
    assert_eq!(file("PXEClient:Arch:00000", code::ARCHITECTURE, &[0, 7]), "snponly.efi");
    assert_eq!(file("HTTPClient:Arch:00007", code::ARCHITECTURE, &[0, 7]), uki);
}

#[test]
fn a_machine_is_told_what_it_is_to_boot() {
    let uki = || Some("http://boot/a.efi".to_owned());
    let none = Boot::Nothing(metal_core::boot::decision::Reason::NotReferred);
    for (boot, pxe, ipxe, http) in [
        (none, false, false, ""),
        (
            Boot::Assigned { uki: uki(), script: false, uuid: None },
            false,
            false,
            "http://boot/a.efi",
        ),
        (Boot::Assigned { uki: None, script: true, uuid: None }, true, true, ""),
        (Boot::Assigned { uki: uki(), script: true, uuid: None }, true, true, "http://boot/a.efi"),
    ] {
        let mut lab = Lab::new();
        lab.boot = boot;
        let mut packet = discover(1);
        packet.options.set(code::ARCHITECTURE, [0, 7]);
        let reply = lab.answer(&packet);
        assert_eq!(text(&reply, code::BOOT_FILE), if pxe { "snponly.efi" } else { "" });
        packet.options.set(code::ARCHITECTURE, [0, 16]);
        let reply = lab.answer(&packet);
        assert_eq!(text(&reply, code::BOOT_FILE), http);
        packet.options.set(code::IPXE, []);
        let reply = lab.answer(&packet);
        assert_eq!(!text(&reply, code::BOOT_FILE).is_empty(), ipxe);
        if !ipxe {
            assert_no_boot(&reply);
        }
    }
}

#[test]
fn a_machine_that_waits_gets_ipxe_and_no_answer_by_http() {
    for (http, script) in [(true, true), (true, false), (false, true)] {
        let mut lab = Lab::new();
        lab.boot = Boot::Waits { http, script, uuid: None };
        let mut packet = discover(1);
        packet.options.set(code::ARCHITECTURE, [0, 16]);
        let decision = lab.send(&packet);
        if http {
            assert_eq!(decision.answer.err(), Some(DropReason::BootNotReady));
            assert!(decision.changes.is_empty());
        } else {
            assert_no_boot(&decision.answer.unwrap());
        }
        packet.options.set(code::ARCHITECTURE, [0, 7]);
        let file = if script { "snponly.efi" } else { "" };
        assert_eq!(text(&lab.answer(&packet), code::BOOT_FILE), file);
        packet.options.set(code::IPXE, []);
        assert_eq!(text(&lab.answer(&packet), code::BOOT_FILE).is_empty(), !script);
        // What runs on it only wants an address.
        assert_no_boot(&lab.answer(&discover(2)));
    }
}

#[test]
fn a_machine_with_a_boot_url_gets_ipxe_and_then_its_url() {
    let url = "https://hosts.example.org/api/ipxe/metal_ipxe_1";
    // Also where the configuration has no script for everybody.
    for config in [CONFIG, &CONFIG.replace("  ipxe: http://10.77.0.2:8082/ipxe/${uuid}\n", "")] {
        let mut lab = Lab::with(config);
        lab.boot = Boot::Url(url.parse().unwrap());
        for (architecture, expected) in
            [([0, 0], "undionly.kpxe"), ([0, 7], "snponly.efi"), ([0, 16], "")]
        {
            let mut packet = discover(1);
            packet.options.set(code::ARCHITECTURE, architecture);
            let reply = lab.answer(&packet);
            assert_eq!(text(&reply, code::BOOT_FILE), expected, "{architecture:?}");
            packet.options.set(code::IPXE, []);
            assert_eq!(text(&lab.answer(&packet), code::BOOT_FILE), url);
        }
    }
}

#[test]
fn firmware_that_boots_by_http_gets_ipxe_for_a_boot_url_and_for_nothing_else() {
    let ipxe = "  ipxe: http://10.77.0.2:8082/ipxe/${uuid}\n";
    let loaded = "  uefiHttp: http://10.77.0.2/ipxe.efi\n  arm64Http: http://10.77.0.2/arm64.efi\n";
    let mut lab = Lab::with(&CONFIG.replace(ipxe, &format!("{ipxe}{loaded}")));
    let url: Boot = Boot::Url("https://hosts.example.org/api/ipxe/x".parse().unwrap());
    let uki = "http://10.77.0.2:8082/httpboot/uki.efi";
    let none = Boot::Nothing(metal_core::boot::decision::Reason::NotReady);
    for (boot, architecture, expected) in [
        (url.clone(), [0, 16], "http://10.77.0.2/ipxe.efi"),
        (url, [0, 19], "http://10.77.0.2/arm64.efi"),
        (Boot::Default, [0, 16], uki),
        (none, [0, 16], ""),
    ] {
        lab.boot = boot;
        let mut packet = discover(1);
        packet.options.set(code::ARCHITECTURE, architecture);
        let reply = lab.answer(&packet);
        assert_eq!(text(&reply, code::BOOT_FILE), expected, "{architecture:?}");
        let class = if expected.is_empty() { "" } else { "HTTPClient" };
        assert_eq!(text(&reply, code::VENDOR_CLASS), class);
    }
}

#[test]
fn the_machine_identifier_is_read_in_the_byte_order_of_smbios() {
    let mut options = Options::default();
    let id = |value: &[u8], options: &mut Options| {
        options.set(code::MACHINE_ID, value);
        machine_id(options).map(|uuid| uuid.to_string())
    };
    let wire = [0, 0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 1, 2, 3, 4, 5, 6];
    let uuid = "00112233-4455-6677-8899-010203040506".to_owned();
    assert_eq!(id(&wire, &mut options), Some(uuid));
    for none in [&wire[..16], &[0; 17], &[255; 17], &[], &[0]] {
        assert_eq!(id(none, &mut options), None);
    }
    let mut ones = [255; 17];
    ones[0] = 0;
    assert_eq!(id(&ones, &mut options), None);
    // As two manufacturers ship their boards.
    let shared = [0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9];
    assert_eq!(id(&shared, &mut options), None);
}

#[test]
fn only_who_boots_has_an_identity() {
    let mut packet = discover(1);
    assert_eq!(identity(&packet), None);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    let known = identity(&packet).unwrap();
    assert_eq!((known.mac, known.uuid), (Some(mac(1)), None));
}

#[test]
fn a_bmc_boots_by_itself_and_is_reported_once_it_has_its_address() {
    let mut lab = Lab::new();
    let bmc = MacAddr([0x02, 0xbb, 0xcc, 0, 0, 1]);
    let mut packet = packet(MessageType::Discover, bmc);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    let decision = lab.send(&packet);
    assert_eq!(decision.bmc, None, "an offer is no address yet");
    let offer = decision.answer.unwrap();
    assert_no_boot(&offer);

    let address = offer.packet.yiaddr;
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    packet.options.set(code::SERVER_ID, SERVER.octets());
    let seen = lab.send(&packet).bmc.unwrap();
    assert_eq!((seen.mac, seen.address, seen.elsewhere), (bmc, address, None));
    assert_eq!(seen.until, lab.leases.get(address).unwrap().until);
    assert_eq!(lab.send(&select(1, [10, 77, 0, 100].into())).bmc, None);
}
