//! What machines are told to boot.

use super::*;
use metal_core::boot::decision::Reason;

fn booting(architectures: &[u8], class: &str, user_class: Option<&str>) -> Packet {
    let mut packet = solicit(1);
    packet.options.push(code::ARCHITECTURE, architectures);
    let len = u16::try_from(class.len()).unwrap().to_be_bytes();
    packet
        .options
        .push(code::VENDOR_CLASS, [&[0, 0, 1, 0x57][..], &len, class.as_bytes()].concat());
    if let Some(class) = user_class {
        let len = u16::try_from(class.len()).unwrap().to_be_bytes();
        packet.options.push(code::USER_CLASS, [&len[..], class.as_bytes()].concat());
    }
    packet.options.push(code::OPTION_REQUEST, [0, 59, 0, 60, 0, 23, 0, 16]);
    packet
}

fn told(lab: &mut Lab, packet: &Packet) -> Option<(String, Option<String>)> {
    let options = lab.answer(packet, 1).packet.options;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let class = options.get(code::VENDOR_CLASS).map(|value| text(&value[6..]));
    options.get(code::BOOT_FILE).map(|url| (text(url), class))
}

#[test]
fn every_kind_of_client_gets_its_file() {
    let http = "HTTPClient:Arch:00016:UNDI:003000";
    let pxe = "PXEClient:Arch:00007:UNDI:003016";
    for (packet, expected) in [
        (
            booting(&[0, 16], http, None),
            Some(("http://[fd77::1]:8080/http-boot.efi", "HTTPClient")),
        ),
        (
            booting(&[0, 19], http, None),
            Some(("http://[fd77::1]:8080/http-boot-arm64.efi", "HTTPClient")),
        ),
        // Some firmware sends the architecture of its PXE client in its HTTP client.
        (booting(&[0, 7], http, None), Some(("http://[fd77::1]:8080/http-boot.efi", "HTTPClient"))),
        (booting(&[0, 7], pxe, None), Some(("tftp://[fd77::2]/snponly.efi", ""))),
        (booting(&[0, 9], pxe, None), Some(("tftp://[fd77::2]/snponly.efi", ""))),
        (booting(&[0, 6, 0, 11], pxe, None), Some(("tftp://[fd77::2]/snponly-arm64.efi", ""))),
        (booting(&[0, 7], pxe, Some("iPXE")), Some(("http://[fd77::1]:8082/ipxe/${uuid}", ""))),
        (booting(&[0, 22], pxe, None), Some(("tftp://[fd77::2]/snponly-arm64.efi", ""))),
        (
            booting(&[0, 24], http, None),
            Some(("http://[fd77::1]:8080/http-boot-arm64.efi", "HTTPClient")),
        ),
        (booting(&[0, 41], pxe, None), None),
        (booting(&[0xff, 0xff], pxe, None), None),
        // A BIOS, only a text, half an architecture.
        (booting(&[0, 0], pxe, None), None),
        (booting(&[], http, None), None),
        (booting(&[16], http, None), None),
        (solicit(1), None),
    ] {
        let expected = expected
            .map(|(url, class)| (url.to_owned(), (!class.is_empty()).then(|| class.to_owned())));
        assert_eq!(told(&mut Lab::new(), &packet), expected);
    }
}

#[test]
fn ipxe_over_ipv6_gets_its_script_however_it_says_its_name() {
    let script = Some("http://[fd77::1]:8082/ipxe/${uuid}".to_owned());
    let file = |classes: &[&[u8]]| {
        let mut packet = booting(&[0, 7], "PXEClient:Arch:00007:UNDI:003010", None);
        for class in classes {
            packet.options.push(code::USER_CLASS, *class);
        }
        told(&mut Lab::new(), &packet).map(|(url, _)| url)
    };
    for classes in [
        &[&b"\0\x04iPXE"[..]][..],
        &[b"iPXE"],
        &[b"iPXE\0"],
        &[b"\0\x05iPXE\0"],
        &[b"\x04iPXE"],
        &[b"\0\x03abc\0\x04iPXE"],
        &[b"\0\x03abc", b"\0\x04iPXE"],
        &[b"abc", b"iPXE"],
    ] {
        assert_eq!(file(classes), script, "{classes:?}");
    }
    let binary = Some("tftp://[fd77::2]/snponly.efi".to_owned());
    for classes in [&[&b"\0\x03abc"[..]][..], &[], &[b"PXE"], &[b"\0\x08iPXE"], &[b"iPXEs"]] {
        assert_eq!(file(classes), binary, "{classes:?}");
    }
}

/// Options 61, 62 and 16: a list of architectures, or a network interface and a text with one.
#[test]
fn the_text_of_a_class_counts_for_firmware_that_lists_no_architecture() {
    let http = "HTTPClient:Arch:00016:UNDI:003000";
    let file = |change: &dyn Fn(&mut Packet)| {
        let mut packet = booting(&[], http, None);
        packet.options.remove(code::ARCHITECTURE);
        change(&mut packet);
        told(&mut Lab::new(), &packet).map(|(url, _)| url)
    };
    let interface = [1, 3, 16];
    let uki = Some("http://[fd77::1]:8080/http-boot.efi".to_owned());
    assert_eq!(file(&|_| ()), None);
    assert_eq!(file(&|packet| packet.options.push(code::INTERFACE, interface)), uki);
    assert_eq!(file(&|packet| packet.options.push(code::INTERFACE, [1, 3])), None);
    // The list counts, even if no entry can have a file.
    let riscv = |packet: &mut Packet| {
        packet.options.push(code::INTERFACE, interface);
        packet.options.push(code::ARCHITECTURE, [0, 27]);
    };
    assert_eq!(file(&riscv), None);
}

#[test]
fn only_a_class_of_the_enterprise_of_pxe_tells_how_to_boot() {
    let http = "HTTPClient:Arch:00007:UNDI:003000";
    let mut packet = booting(&[0, 7], http, None);
    let class = packet.options.get(code::VENDOR_CLASS).unwrap().to_vec();
    let foreign = [&[0, 0, 0, 9][..], &class[4..]].concat();
    packet.options.remove(code::VENDOR_CLASS);
    packet.options.push(code::VENDOR_CLASS, foreign);
    let file = |packet: &Packet| told(&mut Lab::new(), packet).unwrap().0;
    assert_eq!(file(&packet), "tftp://[fd77::2]/snponly.efi");
    // There may be one of each.
    packet.options.push(code::VENDOR_CLASS, class);
    assert_eq!(file(&packet), "http://[fd77::1]:8080/http-boot.efi");
}

#[test]
fn who_does_not_ask_for_a_file_gets_none() {
    let mut packet = booting(&[0, 16], "HTTPClient", None);
    packet.options.remove(code::OPTION_REQUEST);
    assert!(told(&mut Lab::new(), &packet).is_some());
    packet.options.push(code::OPTION_REQUEST, [0, 23]);
    assert_eq!(told(&mut Lab::new(), &packet), None);
}

#[test]
fn what_a_machine_boots_is_decided_per_machine() {
    let mut lab = Lab::new();
    let http = booting(&[0, 16], "HTTPClient", None);
    let ipxe = booting(&[0, 7], "PXEClient", Some("iPXE"));
    let uki = "http://[fd00::1]/uki.efi".to_owned();
    lab.boot = Boot::Assigned { uki: Some(uki.clone()), script: false, uuid: None };
    assert_eq!(told(&mut lab, &http), Some((uki, Some("HTTPClient".to_owned()))));
    assert_eq!(told(&mut lab, &ipxe), None);
    let uuid = "0b3e2f6c-1111-2222-3333-444455556666";
    lab.boot = Boot::Assigned { uki: None, script: true, uuid: uuid.parse().ok() };
    let script = Some(format!("http://[fd77::1]:8082/ipxe/{uuid}"));
    assert_eq!(told(&mut lab, &ipxe).map(|(url, _)| url), script);
    let url = "https://[fd00::2]/api/ipxe/metal_ipxe_1";
    lab.boot = Boot::Url(url.parse().unwrap());
    assert_eq!(told(&mut lab, &http), None);
    assert_eq!(told(&mut lab, &ipxe).map(|(url, _)| url).as_deref(), Some(url));
    // Where there is iPXE for that, firmware loads it by HTTP, and then the URL.
    let loaded = "  boot:\n    uefiHttp: http://[fd77::1]/ipxe.efi\n";
    let mut by_http = Lab::with(&CONFIG.replace("  boot:\n", loaded));
    by_http.boot = Boot::Url(url.parse().unwrap());
    let (file, class) = told(&mut by_http, &http).unwrap();
    assert_eq!((&*file, class.as_deref()), ("http://[fd77::1]/ipxe.efi", Some("HTTPClient")));
    assert_eq!(told(&mut by_http, &ipxe).map(|(url, _)| url).as_deref(), Some(url));
    lab.boot = Boot::Nothing(Reason::NotReady);
    assert_eq!(told(&mut lab, &http), None);
    assert!(address(&lab.answer(&http, 1)).is_some(), "it gets an address all the same");
}

#[test]
fn a_machine_that_waits_gets_ipxe_and_no_answer_by_http() {
    let http = booting(&[0, 16], "HTTPClient", None);
    let ipxe = booting(&[0, 7], "PXEClient", Some("iPXE"));
    for (awaited, script) in [(true, false), (false, true)] {
        let mut lab = Lab::new();
        lab.boot = Boot::Waits { http: awaited, script, uuid: None };
        let refused = lab.send(&http, link_local(1)).answer.err();
        assert_eq!(refused, awaited.then_some(DropReason::BootNotReady));
        assert_eq!(told(&mut lab, &ipxe).is_some(), script);
    }
}

#[test]
fn a_bmc_gets_no_file() {
    let mut lab = Lab::new();
    let packet = booting(&[0, 16], "HTTPClient", None);
    let reply = lab.send(&packet, ip("fe80::bb:ccff:fe00:1")).answer.unwrap();
    assert_eq!(reply.packet.options.get(code::BOOT_FILE), None);
}

#[test]
fn parameters_go_with_the_file() {
    let text = CONFIG.replace("  boot:\n", "  boot:\n    parameters: [initrd=a, quiet]\n");
    let packet = booting(&[0, 16], "HTTPClient", None);
    let options = Lab::with(&text).answer(&packet, 1).packet.options;
    assert_eq!(options.get(code::BOOT_PARAMETERS), Some(&b"\0\x08initrd=a\0\x05quiet"[..]));
    let options = Lab::with(&text).answer(&solicit(1), 1).packet.options;
    assert_eq!(options.get(code::BOOT_PARAMETERS), None);
}
