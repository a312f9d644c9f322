use super::*;
use crate::config::Config;
use metal_core::boot::decision::{Boot, Reason};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

fn folder() -> Folder<'static> {
    let config = Config::parse(
        "interfaces: [eth1]\n\
         subnets: []\n\
         boot:\n  \
           nextServer: 10.77.0.2\n  \
           bios: undionly.kpxe\n  \
           uefi: /efi/snponly.efi\n  \
           arm64: tftp://10.9.9.9/arm64.efi\n\
         tftp: { root: /srv/tftp }\n",
    );
    Folder { files: config.unwrap().tftp_files(), root: Path::new("/srv/tftp") }
}

fn ask(file: &str) -> Result<String, Refusal> {
    let folder = folder();
    let bytes = request_for(file, "octet", &[]);
    folder.served(&read(&bytes), HERE, &Boot::Default)
}

#[test]
fn a_machine_gets_what_it_boots_and_nothing_else() {
    let folder = folder();
    let ask = |file: &str, boot: &Boot| {
        let bytes = request_for(file, "octet", &[]);
        folder.served(&read(&bytes), HERE, boot)
    };
    let ipxe = Boot::Assigned { uki: None, script: true, uuid: None };
    assert_eq!(ask("undionly.kpxe", &ipxe).as_deref(), Ok("undionly.kpxe"));
    let uki =
        Boot::Assigned { uki: Some("http://boot/uki.efi".to_owned()), script: false, uuid: None };
    for boot in [uki, Boot::Nothing(Reason::OtherMethod), Boot::Nothing(Reason::Ambiguous)] {
        assert_eq!(ask("undionly.kpxe", &boot), Err(Refusal::NotToBoot), "{boot:?}");
        // A file that is not a boot file at all is refused for that reason first.
        assert_eq!(ask("pxelinux.0", &boot), Err(Refusal::NotNamed), "{boot:?}");
    }
}

#[test]
fn what_a_boot_rom_reads_behind_the_end_of_a_name_is_not_part_of_it() {
    let ask = |file: &[u8]| {
        let folder = folder();
        let bytes = [b"\0\x01", file, b"\0octet\0"].concat();
        folder.served(&read(&bytes), HERE, &Boot::Default)
    };
    // The end mark; option 97 and its length; a line end.
    for garbage in [&b"\xff"[..], b"\xff\xff", b"a\x11", b"\r\n", b"+\x04\x06\x01", b"\x01"] {
        let file = [b"undionly.kpxe", garbage].concat();
        assert_eq!(ask(&file).as_deref(), Ok("undionly.kpxe"), "{garbage:?}");
    }
    for other in [&b"undionly.kpxe.old"[..], b"undionly.kpxes", b"x\xff", b"\xff", b"undionly\xff"]
    {
        assert!(ask(other).is_err(), "{other:?}");
    }
    assert_eq!(ask(b"arm64.efi\xff"), Err(Refusal::Elsewhere(IpAddr::from([10, 9, 9, 9]))));
}

#[test]
fn boot_files_are_found_however_firmware_spells_them() {
    for name in
        ["undionly.kpxe", "/undionly.kpxe", "//undionly.kpxe", "\\undionly.kpxe", "./undionly.kpxe"]
    {
        assert_eq!(ask(name).as_deref(), Ok("undionly.kpxe"), "{name}");
    }
    for name in ["/efi/snponly.efi", "efi\\snponly.efi", "/srv/tftp/efi/snponly.efi"] {
        assert_eq!(ask(name).as_deref(), Ok("efi/snponly.efi"), "{name}");
    }
}

#[test]
fn nothing_else_is_served() {
    let elsewhere = Refusal::Elsewhere(Ipv4Addr::new(10, 9, 9, 9).into());
    for (name, refusal, code) in [
        ("pxelinux.0", Refusal::NotNamed, 1),
        ("UNDIONLY.KPXE", Refusal::NotNamed, 1),
        ("undionly.kpxe ", Refusal::NotNamed, 1),
        ("", Refusal::NotNamed, 1),
        (".", Refusal::NotNamed, 1),
        ("efi", Refusal::NotNamed, 1),
        ("efi/", Refusal::NotNamed, 1),
        ("arm64.efi", elsewhere, 1),
        ("/etc/passwd", Refusal::Outside, 2),
        ("/", Refusal::Outside, 2),
        ("/srv/tftp", Refusal::Outside, 2),
        ("\\windows\\system32", Refusal::Outside, 2),
        ("../etc/passwd", Refusal::Upwards, 2),
        ("efi/../undionly.kpxe", Refusal::Upwards, 2),
        ("..\\undionly.kpxe", Refusal::Upwards, 2),
        ("/srv/tftp/../tftp/undionly.kpxe", Refusal::Upwards, 2),
    ] {
        assert_eq!(ask(name), Err(refusal), "{name}");
        assert_eq!(refusal.code() as u16, code, "{name}");
    }
}

#[test]
fn a_file_of_no_server_is_served_at_every_address() {
    let mut folder = folder();
    let bytes = request_for("undionly.kpxe", "octet", &[]);
    let ask = |folder: &Folder<'_>| {
        let other = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 2));
        folder.served(&read(&bytes), other, &Boot::Default)
    };
    let elsewhere = Refusal::Elsewhere(Ipv4Addr::new(10, 77, 0, 2).into());
    assert_eq!(ask(&folder), Err(elsewhere));
    folder.files[0].server = None;
    assert_eq!(ask(&folder).as_deref(), Ok("undionly.kpxe"));
}

/// `tftp.listen` has an IPv6 address as well; `nextServer` is that of IPv4 clients.
#[test]
fn a_next_server_of_ipv4_says_nothing_over_ipv6() {
    let folder = folder();
    let bytes = request_for("undionly.kpxe", "octet", &[]);
    let at = |here: &str| folder.served(&read(&bytes), here.parse().unwrap(), &Boot::Default);
    assert_eq!(at("fd77::2").as_deref(), Ok("undionly.kpxe"));
    assert_eq!(at("::ffff:10.77.0.2").as_deref(), Ok("undionly.kpxe"));
    assert_eq!(at("::ffff:10.77.0.3"), Err(Refusal::Elsewhere(HERE)));
}

#[test]
fn what_dhcpv6_names_is_served_over_ipv6() {
    let config = Config::parse(
        "tftp: { root: /srv/tftp, listen: ['::'] }\n\
         dhcp6:\n  \
           interfaces: [eth1]\n  \
           subnets: []\n  \
           boot: { uefi: 'tftp://[fd77::2]/efi/snponly.efi', arm64: 'tftp://[fd77::9]/arm64.efi' }\n",
    );
    let config = config.unwrap();
    let folder = Folder::of(&config).unwrap();
    let here = "fd77::2".parse().unwrap();
    let ask = |file: &str| {
        let bytes = request_for(file, "octet", &[]);
        folder.served(&read(&bytes), here, &Boot::Default)
    };
    assert_eq!(ask("efi/snponly.efi").as_deref(), Ok("efi/snponly.efi"));
    assert_eq!(ask("arm64.efi"), Err(Refusal::Elsewhere("fd77::9".parse().unwrap())));
    assert_eq!(ask("other.efi"), Err(Refusal::NotNamed));
}

#[test]
fn only_octets_are_served() {
    let folder = folder();
    for mode in ["netascii", "mail", "", "octe"] {
        let bytes = request_for("undionly.kpxe", mode, &[]);
        let refusal = folder.served(&read(&bytes), HERE, &Boot::Default).unwrap_err();
        assert_eq!((refusal, refusal.code()), (Refusal::NotOctet, Code::IllegalOperation));
    }
    assert_eq!(Refusal::Write.code(), Code::AccessViolation);
}

#[test]
fn a_path_of_an_image_is_plain_however_it_is_spelled_and_leads_nowhere_else() {
    let ask = |file: &str| {
        let bytes = request_for(file, "octet", &[]);
        path(&read(&bytes), "/efi/shimx64.efi")
    };
    for (asked, plain) in [
        ("/grub/grub.cfg", "grub/grub.cfg"),
        ("\\efi\\grubx64.efi", "efi/grubx64.efi"),
        ("//./vmlinuz", "vmlinuz"),
        ("efi/shimx64.efi\u{3}\u{4}", "efi/shimx64.efi"),
        ("efi/shimx64.efi.old", "efi/shimx64.efi.old"),
        ("", ""),
    ] {
        assert_eq!(ask(asked).as_deref(), Ok(plain), "{asked:?}");
    }
    for upwards in ["../etc/passwd", "grub/../../etc", "/.."] {
        assert_eq!(ask(upwards), Err(Refusal::Upwards), "{upwards}");
    }
    let text = request_for("vmlinuz", "netascii", &[]);
    assert_eq!(path(&read(&text), ""), Err(Refusal::NotOctet));
}
