//! The overlay of hosts, which may face the Internet.

use crate::{
    pod::{args, assert_confined},
    review::may,
};
use e2e::{
    cluster::Cluster,
    stack::{Overlay, name, pod_of},
};

const HOSTS: &str = "bloomery-hosts:hosts";
const GROUP: &str = "bloomery.dev";

/// Verb, group, resource, namespace, and whether it may.
type Right = (&'static str, &'static str, &'static str, &'static str, bool);

const RIGHTS: [Right; 28] = [
    ("watch", GROUP, "boottokens", "org", true),
    ("delete", GROUP, "boottokens", "org", true),
    ("create", GROUP, "boottokens", "org", false),
    ("patch", GROUP, "boottokens", "org", false),
    ("patch", GROUP, "boottokens/status", "org", true),
    ("watch", GROUP, "hosts", "org", true),
    ("create", GROUP, "hosts", "org", true),
    ("patch", GROUP, "hosts", "org", false),
    ("delete", GROUP, "hosts", "org", false),
    ("patch", GROUP, "hosts/status", "org", true),
    ("watch", GROUP, "hostreleases", "org", true),
    ("create", GROUP, "hostreleases", "org", false),
    ("patch", GROUP, "hostreleases", "org", false),
    ("watch", GROUP, "serverinventories", "", false),
    ("list", "metal.ironcore.dev", "servers", "", false),
    ("list", "metal.ironcore.dev", "bmcsecrets", "", false),
    ("list", "unbounded-cloud.io", "machines", "", false),
    ("get", "", "secrets", "org", false),
    ("list", "", "secrets", "", false),
    ("get", "", "secrets", "kube-system", false),
    ("get", "", "secrets", "bloomery-hosts", false),
    ("create", "", "secrets", "bloomery-hosts", true),
    ("create", "", "secrets", "org", false),
    ("get", "", "configmaps", "org", false),
    ("list", "", "nodes", "", false),
    ("list", "", "pods", "org", false),
    ("create", "coordination.k8s.io", "leases", "bloomery-hosts", true),
    ("create", "coordination.k8s.io", "leases", "org", false),
];

#[tokio::test]
async fn hosts_may_do_what_it_must_and_no_more() {
    let cluster = Cluster::shared().await.unwrap();
    cluster.apply(&Overlay::build("hosts").await.unwrap().yaml).await.unwrap();
    let client = cluster.client().await.unwrap();
    for (verb, group, resource, namespace, expected) in RIGHTS {
        let access = [verb, group, resource, namespace];
        assert_eq!(may(&client, HOSTS, access).await.unwrap(), expected, "{access:?}");
    }
}

#[tokio::test]
async fn the_overlay_of_hosts_has_a_pod_without_privileges_that_reaches_nothing_but_the_cluster() {
    let overlay = Overlay::build("hosts").await.unwrap();
    assert_eq!(overlay.names("Namespace"), ["bloomery-hosts"]);
    let (pod, container) = pod_of(overlay.named("Deployment", "hosts").unwrap());
    assert_eq!(pod["serviceAccountName"], "hosts");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert!(pod["hostNetwork"].is_null());
    assert_eq!(container["image"], format!("hosts:{}", env!("CARGO_PKG_VERSION")));
    assert_confined(container, &[]);
    let args = args(container);
    // Two replicas, of which one leads, and TLS.
    assert!(args.contains(&"--leader-elect") && args.contains(&"--https-server-address=:8444"));
    assert!(!args.iter().any(|arg| arg.starts_with("--http-server-address")), "{args:?}");
    let policy = overlay.named("NetworkPolicy", "hosts").unwrap();
    assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    for binding in overlay.of("RoleBinding").chain(overlay.of("ClusterRoleBinding")) {
        let kind = binding["roleRef"]["kind"].as_str().unwrap();
        overlay.named(kind, name(&binding["roleRef"])).unwrap();
    }
}
