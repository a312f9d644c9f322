use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One plugin of each name.
const MAIN: &str = "\
server4:
  listen: ['0.0.0.0%eth0:67', '10.0.0.1']
  plugins:
    - server_id: 10.0.0.1
    - lease_time: 3600s
    - netmask: 255.255.255.0
    - range: leases.txt 10.0.0.100 10.0.0.200 60s
    - router: 10.0.0.254
    - dns: 10.0.0.3 fd00::3
    - mtu: 1500
    - searchdomains: oob.example.org
    - staticroute: 10.9.0.0/16,10.0.0.2
    - file: hosts.txt
    - oob: oob.yaml
    - pxeboot: pxeboot.yaml
    - httpboot: httpboot.yaml
    - ntp: ntp.yaml
    - metal: metal.yaml
server6:
  listen: '[::]:547'
  plugins:
    - server_id: LL 00:de:ad:be:ef:00
    - macfilter: macfilter.yaml
    - bluefield: bluefield.yaml
    - ipam: ipam.yaml
    - onmetal: onmetal.yaml
    - stateless:
    - leases: leases.yaml
    - dns: 10.0.0.3 fd00::3
    - searchdomains: a.example.org b.example.org
    - pxeboot: pxeboot.yaml
    - httpboot: http://[fd00::1]/uki.efi
    - ntp: ntp.yaml
    - ztp: ztp.yaml
    - onie: onie.yaml
    - prefix: 2001:db8::/48 64
    - metal: metal.yaml
";

const FILES: &[(&str, &str)] = &[
    ("hosts.txt", "# known\n02:00:00:00:00:01 10.0.0.10\n\n02:00:00:00:00:02 10.8.0.10\n"),
    ("oob.yaml", "namespace: oob\nsubnetLabels:\n- key: subnet\n  value: oob\n"),
    (
        "pxeboot.yaml",
        "tftpAddress:\n  ipv4: { amd64: tftp://10.0.0.2/a.efi, arm64: tftp://10.0.0.2/b.efi }\n  \
         ipv6: { amd64: 'tftp://[fd00::2]/a.efi' }\nipxeAddress:\n  \
         ipv4: { amd64: http://10.0.0.2/boot, arm64: http://10.0.0.2/boot-arm }\n  \
         ipv6: { amd64: 'http://[fd00::2]/boot' }\n",
    ),
    ("httpboot.yaml", "bootFile: http://boot:8083/httpboot\nclientSpecific: true\n"),
    ("ntp.yaml", "servers: [10.0.0.5]\nservers_v6: ['fd00::5']\n"),
    (
        "metal.yaml",
        "namePrefix: server-\nhosts:\n- name: server-01\n  macAddress: 00:1A:2B:3C:4D:5E\n\
         filter:\n  macPrefix:\n  - 00:AA:BB\n",
    ),
    ("macfilter.yaml", "allowList:\n- 02:00\n- 0Z:00\ndenyList:\n- 02:00:FF\n"),
    ("bluefield.yaml", "bluefieldIP: fd00::b\n"),
    ("ipam.yaml", "namespace: ipam\nsubnets:\n- one\n- two\n"),
    ("onmetal.yaml", "prefixDelegation:\n  length: 80\n"),
    ("leases.yaml", "namespace: fedhcp\n"),
    (
        "ztp.yaml",
        "switches:\n- macAddress: AA:BB:CC:DD:EE:FF\n  \
         provisioningScriptAddress: http://[fd00::1]/a.sh\n  name: spine-1\n",
    ),
    ("onie.yaml", "onieImagesAddress: http://[fd00::1]/onie\n"),
];

fn files() -> Vec<File> {
    let file = |(name, text): &(&str, &str)| File { name: (*name).into(), text: (*text).into() };
    FILES.iter().map(file).collect()
}

fn places(subnets: &[&str]) -> TargetPaths {
    let subnets = subnets.iter().map(|text| text.parse().unwrap()).collect();
    TargetPaths { interfaces: Vec::new(), subnets }
}

fn converted(main: &str, places: &TargetPaths) -> Result<Conversion, Error> {
    convert(&Main::parse("config.yaml", main)?, &files(), places)
}

fn error(main: &str, places: &TargetPaths) -> String {
    converted(main, places).unwrap_err().to_string()
}

#[test]
fn every_plugin_is_carried_over_or_told() {
    let main = Main::parse("config.yaml", MAIN).unwrap();
    let mut named: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(main.files(), named);
    let Conversion { yaml, notes } =
        converted(MAIN, &places(&["fd00::/64=fd00::1000-fd00::1fff"])).unwrap();
    let config = Config::parse(&yaml).unwrap();
    assert_eq!((config.interfaces[0].as_str(), config.listen.len()), ("eth0", 1));
    let [subnet] = &config.subnets[..] else { panic!("{yaml}") };
    assert_eq!(subnet.net, "10.0.0.0/24".parse().unwrap());
    assert_eq!(subnet.ranges, [Ipv4Addr::new(10, 0, 0, 100)..=Ipv4Addr::new(10, 0, 0, 200)]);
    assert_eq!(subnet.router, Some(Ipv4Addr::new(10, 0, 0, 254)));
    assert_eq!((subnet.dns.len(), subnet.ntp.len(), subnet.routes.len()), (1, 1, 1));
    assert_eq!((subnet.mtu, subnet.domain.as_deref()), (Some(1500), Some("oob.example.org")));
    assert_eq!(subnet.reservations.len(), 1);
    assert_eq!(config.boot.ipxe.as_deref(), Some("http://10.0.0.2/boot"));
    assert_eq!(config.boot.arm64.unwrap().path, "b.efi");
    assert_eq!((config.allow.len(), config.deny.len(), config.ztp.len()), (1, 1, 1));
    assert_eq!(config.endpoint_prefix, "server-");
    let v6 = config.dhcp6.unwrap();
    assert_eq!(v6.duid, Some(vec![0, 3, 0, 1, 0, 0xde, 0xad, 0xbe, 0xef, 0]));
    let [subnet] = &v6.subnets[..] else { panic!("{yaml}") };
    let own = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0xb);
    assert_eq!((subnet.ranges.len(), &subnet.ranges[1]), (2, &(own..=own)));
    assert_eq!((subnet.dns.len(), subnet.ntp.len(), subnet.search.len()), (1, 1, 2));
    assert_eq!(v6.boot.http.as_deref(), Some("http://[fd00::1]/uki.efi"));
    assert_eq!(v6.boot.uefi.as_deref(), Some("tftp://[fd00::2]/a.efi"));

    let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
    for start in [
        "config.yaml: line 4: server_id: the server identifier of netboot",
        "config.yaml: line 7: range: its leases are not converted",
        "hosts.txt: line 4: file: 10.8.0.10 is not in a known subnet",
        "oob.yaml: line 1: oob: addresses are not taken from the Subnet objects in oob \
         (subnet=oob)",
        "pxeboot.yaml: line 2: pxeboot: is also sent to BIOS machines",
        "pxeboot.yaml: line 5: pxeboot: `http://10.0.0.2/boot-arm` is a second URL",
        "httpboot.yaml: line 1: httpboot: http://boot:8083/httpboot is not queried",
        "metal.yaml: line 3: metal: an Endpoint for 00:1a:2b:3c:4d:5e would not be named",
        "metal.yaml: line 7: metal: `00:AA:BB` does not determine",
        "config.yaml: server6.listen: lists no interface",
        "macfilter.yaml: line 3: macfilter: `0Z:00` contains `Z`",
        "config.yaml: line 23: macfilter: applies to clients of both IP versions",
        "bluefield.yaml: line 1: bluefield: fd00::b is assigned to one client at a time",
        "ipam.yaml: line 3: ipam: IP objects in ipam for the subnets one, two are not written",
        "config.yaml: line 26: onmetal: addresses are not derived from the relay's",
        "onmetal.yaml: line 2: onmetal: prefixes (/80) are not delegated",
        "config.yaml: line 27: stateless: addresses are not derived from MAC addresses",
        "leases.yaml: line 1: leases: Lease objects of FeDHCP are not written to fedhcp",
        "config.yaml: line 32: httpboot: is sent to all architectures",
        "onie.yaml: line 1: onie: switches are identified by MAC address",
        "config.yaml: line 36: prefix: prefixes are not delegated",
    ] {
        assert!(notes.iter().any(|note| note.starts_with(start)), "{start}\n{notes:#?}");
    }
    assert!(notes.iter().all(|note| note.contains("; ")), "each says what to do: {notes:#?}");
}

#[test]
fn what_belongs_to_subnets_is_told_when_there_are_none() {
    let main = "server6:\n  plugins:\n  - server_id: LL 00:de:ad:be:ef:00\n  - dns: fd00::3\n  \
                - onmetal:\n";
    let Conversion { yaml, notes } = converted(main, &TargetPaths::default()).unwrap();
    let v6 = Config::parse(&yaml).unwrap().dhcp6.unwrap();
    assert_eq!((v6.subnets.len(), v6.listen.len()), (0, 1));
    let note = notes.last().unwrap().to_string();
    assert!(
        note.contains("server6: dns belong to a subnet, but its prefix is unknown; use --subnet")
    );
}

#[test]
fn without_a_plugin_that_leases_others_give_out_the_addresses() {
    let main = "server4:\n  plugins:\n  - server_id: 10.0.0.1\n  - nbp: tftp://10.0.0.1/a.efi\n\
                server6:\n  plugins:\n  - dns: fd00::3\n";
    let Conversion { yaml, .. } = converted(main, &places(&["10.0.0.0/24", "fd00::/64"])).unwrap();
    let config = Config::parse(&yaml).unwrap();
    assert_eq!(config.subnets[0].mode, metal_dhcp::config::Mode::Proxy);
    assert_eq!(config.dhcp6.unwrap().subnets[0].mode, metal_dhcp::config::v6::Mode::Stateless);
    assert_eq!(config.boot.uefi.unwrap().path, "a.efi");
}

/// Each row: the part of MAIN to replace, its replacement, and the beginning of the error.
#[test]
fn errors_name_file_line_field_and_fix() {
    let none = TargetPaths::default();
    for (good, bad, start) in [
        (
            "- stateless:",
            "- stateles:",
            "config.yaml: line 27: server6.stateles: `stateles` is not",
        ),
        ("hosts.txt", "no.txt", "config.yaml: line 13: server4.file: its file `no.txt` does not"),
        ("oob: oob.yaml", "oob:", "config.yaml: line 14: server4.oob: has no file; add the"),
        ("LL 00", "EN 00", "config.yaml: line 22: server6.server_id: `EN` is not a known DUID"),
        ("dns: 10.0.0.3", "dns: gw", "config.yaml: line 9: server4.dns: `gw` is not an IP"),
        ("255.255.255.0", "255.0.255.0", "config.yaml: line 6: server4.netmask: `255.0.255.0` is"),
        ("10.0.0.100 ", "10.0.0.201 ", "config.yaml: line 7: server4.range: 10.0.0.201 is after"),
        ("oob.yaml", "ipam.yaml", "ipam.yaml: invalid for the plugin oob: "),
        ("10.0.0.1']", "all']", "config.yaml: listen: `all` is not a listen address; use, for"),
        ("server6:", "server7:", "config.yaml: invalid for FeDHCP: "),
        ("plugins:", "plugins: [", "config.yaml: invalid for FeDHCP: "),
    ] {
        assert!(MAIN.contains(good), "{good}");
        let error = error(&MAIN.replacen(good, bad, 1), &none);
        assert!(error.starts_with(start), "{error}");
    }
    assert!(error("{}", &none).contains("specify the main configuration file of FeDHCP"));
    let nowhere = "server4:\n  plugins:\n  - lease_time: 1h\n";
    let text = error(nowhere, &none);
    assert!(
        text.starts_with("config.yaml: server4.listen: no interface")
            && text.contains("--interface NAME"),
        "{text}"
    );
    assert!("10.0.0.0/24=10.0.1.1-10.0.1.2".parse::<SubnetArgument>().is_err());
}

#[test]
fn every_way_to_write_where_to_listen_is_understood() {
    for (text, interfaces, listen) in [
        ("'%eth0'", &["eth0"][..], &[][..]),
        ("'[ff02::1:2%eth0]:547'", &["eth0"], &[]),
        ("['[::]%eth0:547', '%eth1']", &["eth0", "eth1"], &[]),
        ("'fd00::1'", &[], &["[fd00::1]:547"]),
        ("['[fd00::1]:547', '[fd00::2]', 'ff02::1:2']", &[], &["[fd00::1]:547", "[fd00::2]:547"]),
        ("':547'", &[], &["[::]:547"]),
    ] {
        let main = format!("server6:\n  listen: {text}\n  plugins: []\n");
        let yaml = converted(&main, &TargetPaths::default()).unwrap().yaml;
        let v6 = Config::parse(&yaml).unwrap().dhcp6.unwrap();
        assert_eq!(v6.interfaces, interfaces, "{text}");
        assert_eq!(v6.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), listen, "{text}");
    }
}

#[test]
fn parts_that_contradict_each_other_are_refused_and_not_written() {
    let text = error(MAIN, &places(&["10.0.0.0/24=10.0.0.100-10.0.0.150"]));
    assert!(text.contains("inconsistent configuration: ") && text.contains("overlaps"), "{text}");
}

/// The formats that its README and examples have had over time.
#[test]
fn what_the_documents_of_fedhcp_have_shown_is_taken() {
    let chains = [
        "- httpboot: http://[2001:db8::1]/image.uki\n    - ipam: ipam-ns ipam-subnet1,other\n    - \
         onmetal:\n    - pxeboot: tftp://[2001:db8::1]/ipxe/x86_64/ipxe http://[2001:db8::1]/ipxe/boot6\n    - \
         metal: metal.yaml",
        "- onmetal: metal-api-system dhcp\n    - dns: 2001:4860:4860::6464 2001:4860:4860::64",
        "- oob: oob-ns subnet=dhcp\n    - httpboot: bootservice:http://[2001:db8::1]/httpboot",
        "- bluefield: bluefield_config.yaml\n    - httpboot: httpboot_config.yaml\n    - oob: \
         oob_config.yaml\n    - pxeboot: pxeboot_config.yaml\n    - stateless: stateless_config.yaml",
        "- macfilter: macfilter_config.yaml\n    - ztp: ztp_config.yaml\n    - onie: onie_config.yaml",
    ];
    let files = [
        ("metal.yaml", "hosts:\n- name: server-01\n  macAddress: 00:1A:2B:3C:4D:5E\n"),
        ("bluefield_config.yaml", "bulefieldIP: 2001:db8::1\n"),
        ("httpboot_config.yaml", "bootServer: http://[2001:db8::1]/image.uki\n"),
        ("oob_config.yaml", "namespace: oob-ns\nsubnetLabel: subnet=dhcp\n"),
        (
            "pxeboot_config.yaml",
            "tftpServer: tftp://[2001:db8::1]/ipxe/x86_64/ipxe\nipxeServer: http://[2001:db8::1]/boot6\n",
        ),
        ("macfilter_config.yaml", "allowList:\n  - AA:BB:CC:DD:EE:FF\n  - FF:EE:00:GG:HH:FF\n"),
        (
            "ztp_config.yaml",
            "switches:\n- macAddress: aa:bb:cc:dd:ee:ff\n  provisioningScriptAddress: \
             \"http://[2001:db8::1]/ztp/spine.sh\"\n  name: spine-1\n",
        ),
        ("onie_config.yaml", "onieImagesAddress: \"http://[2001:db8::1]:8086/onie\"\n"),
    ];
    let files = files.map(|(name, text)| File { name: name.to_owned(), text: text.to_owned() });
    let places = places(&["2001:db8::/64=2001:db8::100-2001:db8::1ff"]);
    for chain in chains {
        let id = "- server_id: LL 00:de:ad:be:ef:00";
        let text =
            format!("server6:\n  listen:\n  - \"[::]\"\n  plugins:\n    {id}\n    {chain}\n");
        let main = Main::parse("config.yaml", &text).unwrap();
        let named = main.files().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let converted = convert(&main, &files, &places);
        assert!(converted.is_ok(), "{chain}: {converted:?} {named:?}");
        let yaml = converted.unwrap().yaml;
        for (word, field) in [("image.uki", "http: "), ("x86_64/ipxe", "uefi: ")] {
            assert!(!text.contains(word) || yaml.contains(field), "{yaml}");
        }
    }
}
