//! DHCP and TFTP clients of small systems, and another relay: busybox, dhcpcd and dnsmasq.

mod scripts;

#[test]
fn udhcpc_and_dhcpcd_get_their_addresses_on_the_link_and_behind_dnsmasq() {
    let seen = scripts::seen("clients.sh", "dhcp-clients.sh", &[]);
    let direct = seen["udhcpc-lease"];
    assert!(direct.starts_with("10.77.0.1"), "{seen:?}");
    assert_eq!(seen["udhcpc"], format!("{direct} 10.77.0.1 10.77.0.3 3600"));
    assert_eq!(seen["tftp"], "same", "{seen:?}");
    assert_eq!((seen["dhcpcd"], seen["dhcpcd-lease"]), (direct, direct), "it is one interface");
    assert!(seen["dhcpcd6"].starts_with("fd77::1"), "{seen:?}");
    assert_eq!(seen["dhcpcd6"], seen["dhcpcd6-lease"], "{seen:?}");
    assert!(seen["relayed"].starts_with("10.88.0.1"), "{seen:?}");
    assert!(seen["relayed6"].starts_with("fd88::1"), "{seen:?}");
    assert_eq!(seen["ended"], "0", "{seen:?}");
}
