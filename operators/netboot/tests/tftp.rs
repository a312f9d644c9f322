//! TFTP clients of others: curl, atftp and tftp-hpa.

mod scripts;

#[test]
fn boot_files_reach_every_client_and_nothing_else_reaches_any() {
    let seen = scripts::seen("tftp.sh", "tftp-peers.sh", &[]);
    for word in [
        "curl-512",
        "curl-1468",
        "curl-65464",
        "curl-plain",
        "second-address",
        "v6",
        "v6-own",
        "tftp-hpa",
    ] {
        assert_eq!(seen[word], "same", "{word}: {seen:?}");
    }
    for word in ["atftp-1", "atftp-4", "atftp-16", "atftp-64"] {
        assert_eq!(seen[word], "same", "{word}: {seen:?}");
    }
    for word in ["unknown", "v6-elsewhere"] {
        assert_eq!(seen[word], "68", "{word}: {seen:?}");
    }
    for word in ["absolute", "upwards", "write", "link", "folder"] {
        assert_eq!(seen[word], "69", "{word}: {seen:?}");
    }
    assert_eq!(seen["told"], "6", "every refusal names client and file: {seen:?}");
    assert_eq!((seen["ready"], seen["active"]), ("1", "0"), "{seen:?}");
    assert_eq!((seen["transfers"], seen["not-found"], seen["violations"]), ("12", "2", "5"));
    assert_eq!(seen["ended"], "0", "{seen:?}");
}
