//! DHCPv6 with clients and relays of others: Debian's dhclient and dhcrelay.

mod scripts;

#[test]
fn dhclient_keeps_its_ipv6_address_when_netboot_is_killed_and_gets_one_behind_a_relay() {
    let seen = scripts::seen("v6.sh", "peers.sh", &[]);
    let direct = seen["client"];
    assert!(direct.starts_with("fd77::1"), "{seen:?}");
    assert_eq!(seen["script"], format!("BOUND6 {direct} fd77::3"));
    assert_eq!(seen["again"], direct, "the lease survived kill -9: {seen:?}");
    assert_eq!(seen["solicits"], "0", "the address was confirmed at once: {seen:?}");
    assert_eq!(seen["released"], direct, "{seen:?}");
    assert!(seen["remote"].starts_with("fd88::1"), "{seen:?}");
    assert_eq!(seen["site"], seen["remote"], "by a relay that asks all servers of the site");
    assert_eq!(seen["ended"], "0", "{seen:?}");
}
