use super::*;

const MINIMAL: &str = "interfaces: [eth1]\nsubnets: []\n";

const FULL: &str = "
interfaces: [eth1]
listen: [10.0.0.2, '10.0.0.2:6767']
subnets:
  - subnet: 10.77.0.0/24
    relays: [10.9.0.1]
    ranges: [10.77.0.100-10.77.0.200, 10.77.0.210 - 10.77.0.220]
    router: 10.77.0.1
    leaseTime: 90m
    mtu: 1500
    reservations:
      - { mac: 'AA-BB-CC-00-00-01', ip: 10.77.0.10, hostname: rack1-u1.example.org }
  - subnet: 10.78.0.0/16
    leaseTime: 7200
boot:
  nextServer: 10.77.0.2
  uefi: /boot/snponly.efi
  bios: tftp://10.77.0.3/undionly.kpxe
  ipxe: http://boot:8082/ipxe/${uuid}
allow: ['aa:bb']
deny: [aabbcc0]
endpoints: { namePrefix: bmc- }
";

#[test]
fn everything_is_read() {
    let config = Config::parse(FULL).unwrap();
    assert_eq!(config.listen, ["10.0.0.2:67".parse().unwrap(), "10.0.0.2:6767".parse().unwrap()]);
    let [first, second] = &config.subnets[..] else { panic!("{config:?}") };
    assert_eq!(first.ranges.len(), 2);
    assert_eq!(first.lease_time, SignedDuration::from_mins(90));
    assert_eq!(second.lease_time, SignedDuration::from_hours(2));
    let mac = "aa:bb:cc:00:00:01".parse().unwrap();
    let hostname = Some("rack1-u1.example.org".to_owned());
    let reservation = Reservation { ip: [10, 77, 0, 10].into(), hostname };
    assert_eq!(first.reservations.get(&mac), Some(&reservation));
    let uefi = config.boot.uefi.unwrap();
    assert_eq!(
        (uefi.server, uefi.path.as_str()),
        (Some([10, 77, 0, 2].into()), "/boot/snponly.efi")
    );
    let bios = config.boot.bios.unwrap();
    assert_eq!((bios.server, bios.path.as_str()), (Some([10, 77, 0, 3].into()), "undionly.kpxe"));
    assert_eq!((config.endpoint_prefix.as_str(), config.record), ("bmc-", Record::Endpoint));
    let text = FULL.replace("namePrefix: bmc-", "mode: bmc");
    assert_eq!(Config::parse(&text).unwrap().record, Record::Bmc);
}

#[test]
fn a_field_without_a_value_is_as_if_it_were_left_out() {
    let nothing = |fields: &[&str]| {
        fields.iter().map(|field| format!("  {field}:\n#   - x\n")).collect::<Vec<_>>().concat()
    };
    let subnets = ["10.77.0.0/24", "fd77::/64"].map(|net| {
        let plain = format!("subnets:\n- subnet: {net}\n");
        let lists = ["relays", "ranges", "dns", "ntp", "reservations", "mode", "bmc", "leaseTime"];
        (plain.clone(), plain + &nothing(&lists))
    });
    let [(plain, empty), (plain6, empty6)] = subnets;
    let indented =
        |text: &str| text.lines().map(|it| format!("  {it}\n")).collect::<Vec<_>>().concat();
    let dhcp6 = "dhcp6:\n  listen: [fd00::2]\n";
    let plain = format!("interfaces: [eth1]\n{plain}{dhcp6}{}", indented(&plain6));
    let top =
        ["relays", "listen", "authoritative", "conflictProbe", "boot", "tftp", "ztp", "allow"];
    let top = nothing(&top) + &nothing(&["deny", "endpoints", "instances"]);
    let top = top.replace("  ", "");
    let of_dhcp6 = nothing(&["interfaces", "relays", "duid", "rapidCommit", "boot"]);
    let empty = format!("interfaces: [eth1]\n{top}{empty}{dhcp6}{}{of_dhcp6}", indented(&empty6));
    let read = |text: &str| format!("{:?}", Config::parse(text).unwrap());
    assert_eq!(read(&empty), read(&plain), "{empty}");
}

#[test]
fn with_a_tftp_server_of_our_own_files_need_no_other() {
    let section = "tftp: { root: /srv/tftp }\nboot: { uefi: uki.efi }\n";
    let config = Config::parse(&format!("{MINIMAL}{section}")).unwrap();
    let listen = vec!["0.0.0.0:69".parse().unwrap()];
    assert_eq!(config.tftp, Some(Tftp { root: "/srv/tftp".into(), listen }));
    let uefi = TftpFile { server: None, path: "uki.efi".to_owned() };
    assert_eq!(config.boot.uefi, Some(uefi));
    let section = "tftp: { root: /srv/tftp, listen: [10.0.0.2, '10.0.0.3:6969', '::1'] }\n";
    let listen = Config::parse(&format!("{MINIMAL}{section}")).unwrap().tftp.unwrap().listen;
    let texts: Vec<String> = listen.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.2:69", "10.0.0.3:6969", "[::1]:69"]);
}

#[test]
fn mistakes_of_tftp_name_line_field_and_fix() {
    for (section, text) in [
        ("tftp: { root: boot }", "line 3: tftp.root: `boot` is not an absolute path; use the"),
        ("tftp: { root: '' }", "line 3: tftp.root: `` is not an absolute path"),
        ("tftp: { root: /b, listen: [eth1] }", "line 3: tftp.listen: `eth1` is not an IP address"),
        (
            "tftp: { root: /b, listen: [::1, ::1] }",
            "line 3: tftp.listen: `::1` is already in line 3",
        ),
    ] {
        let error = Config::parse(&format!("{MINIMAL}{section}\n")).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
    for section in ["tftp: {}", "tftp: { root: /b, folder: /c }"] {
        let error = Config::parse(&format!("{MINIMAL}{section}\n")).unwrap_err().to_string();
        assert!(error.contains("line 3") || error.contains("root"), "{error}");
    }
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = Config::parse(MINIMAL).unwrap();
    assert!(config.authoritative && config.conflict_probe && !config.has_proxy());
    assert_eq!((config.boot, config.endpoint_prefix.as_str()), (BootFiles::default(), "compute-"));
}

/// Each row: the part of FULL to replace, its replacement, and the beginning of the error.
#[test]
fn errors_name_line_field_and_fix() {
    let cases = [
        (
            "10.77.0.0/24",
            "10.77.0.5/24",
            "line 5: subnets.subnet: `10.77.0.5/24` has host bits set",
        ),
        ("10.77.0.0/24", "10.77.0.0/31", "line 5: subnets.subnet: use a prefix length from 8"),
        ("10.77.0.0/24", "ten", "line 5: subnets.subnet: `ten` is not a subnet; use, for"),
        (
            "10.78.0.0/16",
            "10.77.0.0/16",
            "line 13: subnets.subnet: overlaps 10.77.0.0/24 in line 5",
        ),
        (
            "    relays",
            "    mode: Proxy\n    relays",
            "line 6: subnets.mode: `Proxy` is not `leases`",
        ),
        (
            "    relays",
            "    mode: proxy\n    relays",
            "line 8: subnets.mode: a proxy does not assign",
        ),
        (
            "10.77.0.100-",
            "10.78.0.100-",
            "line 7: subnets.ranges: `10.78.0.100-10.77.0.200` is not",
        ),
        (
            "10.77.0.100-",
            "10.77.0.201-",
            "line 7: subnets.ranges: `10.77.0.201-10.77.0.200` is not",
        ),
        (
            "10.77.0.100-",
            "10.77.0.0-",
            "line 7: subnets.ranges: `10.77.0.0-10.77.0.200` is not a range",
        ),
        (
            "10.77.0.210 ",
            "10.77.0.200 ",
            "line 7: subnets.ranges: overlaps 10.77.0.100-10.77.0.200",
        ),
        (
            "10.77.0.1\n",
            "10.77.0.255\n",
            "line 8: subnets.router: 10.77.0.255 is not a host address",
        ),
        ("90m", "5s", "line 9: subnets.leaseTime: `5s` is not a lease time; use `1m`"),
        ("90m", "soon", "line 9: subnets.leaseTime: `soon` is not a lease time"),
        ("1500", "67", "line 10: subnets.mtu: `67` is not an MTU; use a number from 68"),
        ("AA-BB", "AA", "line 12: subnets.reservations.mac: `AA-CC-00-00-01` is not a MAC address"),
        ("ip: 10.77.0.10", "ip: 10.7.0.10", "line 12: subnets.reservations.ip: 10.7.0.10 is not"),
        ("rack1-u1.", "-rack.", "line 12: subnets.reservations.hostname: `-rack.example.org` is"),
        ("nextServer: 10.77.0.2", "nextServer: tftp", "line 16: boot.nextServer: `tftp` is not an"),
        ("tftp://10.77.0.3/", "tftp://boot/", "line 18: boot.bios: `boot` is not an IPv4 address"),
        ("undionly.kpxe", "", "line 18: boot.bios: use a path of 1 to 127 visible ASCII"),
        (
            "http://boot",
            "tftp://boot",
            "line 19: boot.ipxe: `tftp://boot:8082/ipxe/${uuid}` is not",
        ),
        ("'aa:bb'", "'aa:bg'", "line 20: allow: `aa:bg` contains `g`; use hexadecimal"),
        ("namePrefix: bmc-", "mode: both", "line 22: endpoints.mode: `both` is not `endpoint` or"),
        ("bmc-", "BMC-", "line 22: endpoints.namePrefix: not a valid prefix of an object name"),
        (
            "[eth1]",
            "[a-very-long-name-of-one]",
            "line 2: interfaces: `a-very-long-name-of-one` is not",
        ),
        ("[eth1]", "[eth1, eth1]", "line 2: interfaces: `eth1` is already in line 2"),
        ("listen: [10", "listen: [a", "line 3: listen: `a.0.0.2` is not an IPv4 address"),
    ];
    for (good, bad, text) in cases {
        assert!(FULL.contains(good), "{good}");
        let error = Config::parse(&FULL.replacen(good, bad, 1)).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn addresses_that_a_proxy_would_not_assign_are_refused() {
    let proxy = |line: &str| {
        let head = "interfaces: [a]\nsubnets:\n  - subnet: 10.77.0.0/24\n    mode: proxy\n";
        Config::parse(&format!("{head}    {line}\n"))
    };
    assert!(proxy("relays: [10.9.0.1]").is_ok());
    for line in [
        "ranges: [10.77.0.1-10.77.0.2]",
        "reservations: [{ mac: 'aa:bb:cc:00:00:01', ip: 10.77.0.1 }]",
    ] {
        let error = proxy(line).unwrap_err().to_string();
        let expected = "line 5: subnets.mode: a proxy does not assign addresses; remove";
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn routes_and_what_switches_load_are_read_or_refused_with_the_place() {
    let routes = "    routes: [{ to: 10.80.0.0/16, via: 10.78.0.2 }]\n";
    let ztp = "ztp: [{ mac: 'aa:bb', url: http://a/b }, { mac: 'aa:bb:cc', url: http://a/c }]\n";
    let text = format!("interfaces: [a]\nsubnets:\n  - subnet: 10.78.0.0/16\n{routes}{ztp}");
    let config = Config::parse(&text).unwrap();
    let to = "10.80.0.0/16".parse().unwrap();
    assert_eq!(config.subnets[0].routes, [Route { to, via: [10, 78, 0, 2].into() }]);
    assert_eq!(config.ztp_of(MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1])), Some("http://a/c"));
    assert_eq!(config.ztp_of(MacAddr([0xaa, 0xbb, 0, 0, 0, 1])), Some("http://a/b"));
    assert_eq!(config.ztp_of(MacAddr([0xab; 6])), None);
    for (good, bad, hint) in [
        (
            "10.80.0.0/16",
            "10.80.0.1/16",
            "line 4: subnets.routes.to: `10.80.0.1/16` has host bits set",
        ),
        ("via: 10.78.0.2", "via: gw", "line 4: subnets.routes.via: `gw` is not an IPv4 address"),
        ("'aa:bb',", "'x',", "line 5: ztp.mac: `x`"),
        ("http://a/b", "a/b", "line 5: ztp.url: `a/b` is not a valid URL"),
    ] {
        let error = Config::parse(&text.replacen(good, bad, 1)).unwrap_err().to_string();
        assert!(error.starts_with(hint), "{error}");
    }
}

#[test]
fn twice_the_same_is_an_error_that_names_the_other_line() {
    let again = "reservations:\n      - { mac: 'aa:bb:cc:00:00:01', ip: 10.77.0.11 }";
    let error = Config::parse(&FULL.replace("reservations:", again)).unwrap_err().to_string();
    assert!(error.contains("aa:bb:cc:00:00:01 is already in line 12"), "{error}");
    let again = "reservations:\n      - { mac: 'aa:bb:cc:00:00:02', ip: 10.77.0.10 }";
    let error = Config::parse(&FULL.replace("reservations:", again)).unwrap_err().to_string();
    assert!(error.contains("10.77.0.10 is already in line 12"), "{error}");
    let relay = FULL.replace("10.78.0.0/16\n", "10.78.0.0/16\n    relays: [10.9.0.1]\n");
    let error = Config::parse(&relay).unwrap_err().to_string();
    assert!(error.contains("10.9.0.1 is already a relay of 10.77.0.0/24 in line 5"), "{error}");
}

#[test]
fn a_file_of_another_form_is_refused_with_the_place() {
    for (text, hint) in [
        ("interfaces: [eth1]\nsubnets: []\nsubnet: []\n", "subnet"),
        ("interfaces: [eth1]\n", "line 1: subnets: no subnets, so no client would be answered"),
        (
            "listen: [10.0.0.2]\ndhcp6: { interfaces: [a], subnets: [] }\n",
            "line 1: subnets: no subnets",
        ),
        ("interfaces: [eth1]\nsubnets: [{}]\n", "subnet"),
        ("interfaces: eth1\nsubnets: []\n", "line 1"),
        ("interfaces: [", "line"),
        ("subnets: []\n", "interfaces: nothing to listen on; add an interface"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}
