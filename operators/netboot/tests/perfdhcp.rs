//! Many clients at once, by Kea's perfdhcp.

mod scripts;

#[test]
fn forty_clients_at_once_get_their_leases_and_no_message_is_lost() {
    let seen = scripts::seen("perfdhcp.sh", "kea.sh", &[]);
    for half in ["v4-1", "v4-2", "v6-1", "v6-2"] {
        let (received, sent) = seen[half].split_once(" of ").unwrap_or_default();
        assert!(received == sent && sent != "0", "{half}: {seen:?}");
    }
    assert_eq!((seen["leases-v4"], seen["leases-v6"]), ("40", "40"), "{seen:?}");
    assert_eq!(seen["ended"], "0", "{seen:?}");
}
