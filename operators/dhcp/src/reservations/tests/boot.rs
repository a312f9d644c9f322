//! What a machine boots, depending on what it says about itself.

use super::*;

const UUID: [u8; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// A request by firmware of this architecture.
fn firmware(architecture: u8, class: &[u8]) -> Packet {
    packet(MessageType::Discover, &[(93, &[0, architecture]), (60, class), (97, &UUID)])
}

fn pxe(architecture: u8) -> Packet {
    firmware(architecture, b"PXEClient:Arch:00007:UNDI:003001")
}

fn http(architecture: u8) -> Packet {
    firmware(architecture, b"HTTPClient:Arch:00016:UNDI:003001")
}

/// The text of an option, without its terminating zero.
fn text(reply: &Reply, code: u8) -> Option<String> {
    let value = reply.packet.options.get(code)?;
    let value = value.strip_suffix(&[0]).unwrap_or(value);
    Some(String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn firmware_finds_its_file_in_every_place_where_firmware_looks() {
    let reply = Lab::new().answer(&pxe(7));
    assert_eq!((reply.packet.siaddr, &reply.packet.file[..]), (SERVER, &b"shimx64.efi"[..]));
    assert_eq!(text(&reply, 66).as_deref(), Some("10.0.0.2"));
    assert_eq!(text(&reply, 67).as_deref(), Some("shimx64.efi"));
    assert_eq!(text(&reply, 60).as_deref(), Some("PXEClient"));
    assert_eq!(reply.packet.options.get(97), Some(&UUID[..]));
}

#[test]
fn files_that_are_served_at_another_address_of_ours_are_asked_for_there() {
    let lab = Lab { tftp: Some([10, 0, 0, 5].into()), ..Lab::new() };
    let reply = lab.answer(&pxe(7));
    assert_eq!(reply.packet.siaddr.octets(), [10, 0, 0, 5]);
    assert_eq!(text(&reply, 66).as_deref(), Some("10.0.0.5"));
    assert_eq!(reply.packet.options.address(54), Some(SERVER));
    let mut ipxe = pxe(7);
    ipxe.options.set(77, b"iPXE");
    assert_eq!(text(&lab.answer(&ipxe), 67).as_deref(), Some("tftp://10.0.0.5/shimx64.efi"));
}

#[test]
fn each_architecture_gets_the_file_that_is_for_it_or_none() {
    let cases: [(&str, &[&str], u8, Option<&str>); 14] = [
        ("shimx64.efi", &[], 7, Some("shimx64.efi")),
        ("shimx64.efi", &[], 9, Some("shimx64.efi")),
        ("shimx64.efi", &[], 0, None),
        ("shimx64.efi", &[], 11, None),
        ("shimx64.efi", &["shimaa64.efi"], 11, Some("shimaa64.efi")),
        ("efi/boot/grubaa64.efi", &["efi/boot/grubx64.efi"], 7, Some("efi/boot/grubx64.efi")),
        ("ipxe-x86_64.efi", &["ipxe-arm64.efi"], 11, Some("ipxe-arm64.efi")),
        ("boot.efi", &[], 11, Some("boot.efi")),
        ("boot.efi", &[], 0, None),
        ("undionly.kpxe", &[], 0, Some("undionly.kpxe")),
        ("undionly.kpxe", &[], 7, None),
        ("loader", &[], 0, Some("loader")),
        ("/shimx64.efi", &[], 7, Some("shimx64.efi")),
        ("shimx64.efi", &[], 27, None),
    ];
    for (boot_file, others, architecture, expected) in cases {
        let lab = Lab { boot_file: Some(boot_file), others: others.to_vec(), ..Lab::new() };
        let reply = lab.answer(&pxe(architecture));
        let got = text(&reply, 67);
        assert_eq!(got.as_deref(), expected, "{boot_file} for {architecture}");
        assert_eq!(reply.packet.file.is_empty(), expected.is_none());
        assert_eq!(reply.packet.yiaddr, OURS, "it has its address all the same");
    }
}

#[test]
fn uefi_that_boots_by_http_gets_a_url_with_the_class_that_it_takes_it_by() {
    let reply = Lab::new().answer(&http(16));
    assert_eq!(text(&reply, 60).as_deref(), Some("HTTPClient"));
    assert_eq!(text(&reply, 67).as_deref(), Some("http://10.0.0.2:8880/shimx64.efi"));
    assert_eq!(text(&reply, 66), None);
    let lab = Lab { boot_file: Some("a b/shimx64.efi"), ..Lab::new() };
    let reply = lab.answer(&http(16));
    assert_eq!(text(&reply, 67).as_deref(), Some("http://10.0.0.2:8880/a%20b/shimx64.efi"));
    assert_eq!(text(&Lab::new().answer(&http(19)), 67), None, "there is none for it");
}

#[test]
fn ipxe_gets_its_script_else_the_file_and_never_itself() {
    let ipxe = |lab: &Lab, architecture| {
        let mut packet = pxe(architecture);
        packet.options.set(77, b"iPXE");
        text(&lab.answer(&packet), 67)
    };
    let mut lab = Lab::new();
    assert_eq!(ipxe(&lab, 7).as_deref(), Some("tftp://10.0.0.2/shimx64.efi"));
    assert_eq!(ipxe(&lab, 0), None);
    lab.boot_file = Some("snponly.efi");
    assert_eq!(ipxe(&lab, 7), None);
    assert_eq!(text(&lab.answer(&pxe(7)), 67).as_deref(), Some("snponly.efi"));
    lab.others = vec!["autoexec.ipxe"];
    assert_eq!(ipxe(&lab, 7).as_deref(), Some("http://10.0.0.2:8880/autoexec.ipxe"));
}

#[test]
fn firmware_waits_for_an_image_and_a_machine_that_runs_keeps_its_address() {
    let lab = Lab { boot_file: None, ..Lab::new() };
    for packet in [pxe(7), http(16)] {
        assert_eq!(lab.kind(&packet), Err(DropReason::ImageMissing));
    }
    assert_eq!(lab.kind(&packet(MessageType::Discover, &[])), Ok(MessageType::Offer));
    let mut request = pxe(7);
    request.options.set(53, [MessageType::Request as u8]);
    request.options.set(50, OURS.octets());
    assert_eq!(lab.kind(&request), Ok(MessageType::Ack));
    // An agent that asks like firmware, but for routes, and not for the class of its answer.
    let mut agent = http(16);
    agent.options.set(55, [1, 121, 3, 6, 26, 51, 58, 67]);
    let reply = lab.answer(&agent);
    assert_eq!(
        (reply.kind, reply.packet.yiaddr, text(&reply, 67)),
        (MessageType::Offer, OURS, None)
    );
}

#[test]
fn an_image_that_names_no_file_or_none_that_fits_into_a_packet_gives_an_address_alone() {
    let long: &str = Box::leak("a".repeat(128).into_boxed_str());
    for boot_file in ["", "/", long, "a\nb"] {
        let lab = Lab { boot_file: Some(boot_file), ..Lab::new() };
        let reply = lab.answer(&pxe(7));
        assert_eq!((reply.packet.yiaddr, text(&reply, 67)), (OURS, None), "{boot_file:?}");
    }
}
