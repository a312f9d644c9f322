use crate::config::Config;

const FULL: &str = "
dhcp6:
  interfaces: [eth1]
  listen: ['fd00::2', '[fd00::2]:5470']
  duid: 00:03:00:01:52:54:00:0a:00:01
  subnets:
    - subnet: fd77::/64
      interface: eth1
      relays: ['fd99::1']
      ranges: ['fd77::1000-fd77::1fff', 'fd77::2000 - fd77::2001']
      leaseTime: 90m
      search: [oob.example.org]
      reservations:
        - { mac: 'AA-BB-CC-00-00-01', ip: 'fd77::10' }
    - subnet: fd88::/64
      mode: stateless
  boot:
    uefi: tftp://[fd77::2]/snponly.efi
    http: http://[fd77::2]/uki.efi
";

#[test]
fn everything_is_read_and_no_ipv4_needed() {
    let v6 = Config::parse(FULL).unwrap().dhcp6.unwrap();
    assert_eq!(
        v6.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["[fd00::2]:547", "[fd00::2]:5470"]
    );
    assert_eq!(v6.duid, Some(vec![0, 3, 0, 1, 0x52, 0x54, 0, 10, 0, 1]));
    assert!(!v6.rapid_commit);
    assert_eq!((v6.subnets[0].ranges.len(), v6.subnets[1].mode), (2, super::Mode::Stateless));
    assert_eq!(Config::parse(FULL).unwrap().subnets, []);
    assert_eq!(Config::parse("interfaces: [eth1]\nsubnets: []\n").unwrap().dhcp6, None);
}

#[test]
fn a_relay_is_named_for_one_subnet_or_for_all() {
    let text = FULL.replace("  subnets:", "  relays: ['fd99::2']\n  subnets:");
    let v6 = Config::parse(&text).unwrap().dhcp6.unwrap();
    let named = ["fd99::1", "fd99::2", "fd99::3"].map(|it| v6.names_relay(it.parse().unwrap()));
    assert_eq!(named, [true, true, false]);
}

/// Each row: the part of FULL to replace, its replacement, and the beginning of the error.
#[test]
fn errors_name_line_field_and_fix() {
    let cases = [
        ("[eth1]", "[eth1, eth1]", "line 3: dhcp6.interfaces: `eth1` is already in line 3"),
        ("[eth1]", "[eth2]", "line 8: dhcp6.subnets.interface: `eth1` is not served; add it"),
        ("'fd00::2',", "'10.0.0.1',", "line 4: dhcp6.listen: `10.0.0.1` is not an IPv6 address"),
        (
            ":01\n",
            ":0\n",
            "line 5: dhcp6.duid: `00:03:00:01:52:54:00:0a:00:0` is not a DUID; use 3",
        ),
        ("00:03:00:01:52:54:00:0a:00:01", "00:03", "line 5: dhcp6.duid: `00:03` is not a DUID"),
        ("fd77::/64", "fd77::1/64", "line 7: dhcp6.subnets.subnet: `fd77::1/64` has host bits set"),
        ("fd77::/64", "10.0.0.0/8", "line 7: dhcp6.subnets.subnet: `10.0.0.0/8` is not an IPv6"),
        (
            "fd77::/64",
            "fe80::/64",
            "line 7: dhcp6.subnets.subnet: `fe80::/64` is not a subnet for hosts",
        ),
        ("fd88::/64", "fd77::/48", "line 15: dhcp6.subnets.subnet: overlaps fd77::/64 in line 7"),
        ("fd99::1", "relay", "line 9: dhcp6.subnets.relays: `relay` is not an IPv6 address"),
        ("'fd77::1000-", "'fd77::-", "line 10: dhcp6.subnets.ranges: `fd77::-fd77::1fff` is not"),
        ("fd77::1fff", "fd77:0:0:0:1::", "line 10: dhcp6.subnets.ranges: `fd77::1000-fd77:0:0:0:1"),
        ("fd77::2000 ", "fd77::1fff ", "line 10: dhcp6.subnets.ranges: overlaps fd77::1000-fd77"),
        ("90m", "5s", "line 11: dhcp6.subnets.leaseTime: `5s` is not a lease time; use `1m`"),
        ("oob.", "-oob.", "line 12: dhcp6.subnets.search: `-oob.example.org` is not a host name"),
        ("'AA-BB", "'AA", "line 14: dhcp6.subnets.reservations.mac: `AA-CC-00-00-01` is not a"),
        (
            "'fd77::10'",
            "'fd78::10'",
            "line 14: dhcp6.subnets.reservations.ip: fd78::10 is not a host",
        ),
        ("stateless", "SLAAC", "line 16: dhcp6.subnets.mode: `SLAAC` is not `stateful` or"),
        (
            "tftp:",
            "ftp:",
            "line 18: dhcp6.boot.uefi: `ftp://[fd77::2]/snponly.efi` is not a valid URL",
        ),
        ("http://[", "tftp://[", "line 19: dhcp6.boot.http: `tftp://[fd77::2]/uki.efi` is not a"),
    ];
    for (good, bad, text) in cases {
        assert!(FULL.contains(good), "{good}");
        let error = Config::parse(&FULL.replacen(good, bad, 1)).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let stateless = FULL.replacen("interface: eth1", "mode: stateless", 1);
    let twice = FULL.replace("mode: stateless", "interface: eth1");
    let nowhere = FULL.replacen("interfaces: [eth1]", "interfaces: []", 1);
    let nowhere = nowhere.replacen("['fd00::2', '[fd00::2]:5470']", "[]", 1);
    let unknown = FULL.replacen("duid:", "id:", 1);
    for (text, hint) in [
        (stateless, "line 10: dhcp6.subnets.mode: a stateless subnet does not assign addresses"),
        (twice, "line 15: dhcp6.subnets.interface: eth1 is already used by fd77::/64 in line 7"),
        (nowhere, "dhcp6.interfaces: nothing to listen on; add an interface here"),
        (unknown, "id"),
    ] {
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}
