//! What the ServiceAccounts may do on a real API server.

use crate::review::may;
use e2e::cluster::{Cluster, workspace};

const NAMESPACE: &str = "metal-operator-system";

/// Account, verb, group, resource, namespace, and whether it may.
type Right = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

const METAL: &str = "metal.ironcore.dev";
const BOOT: &str = "boot.ironcore.dev";

const RIGHTS: [Right; 47] = [
    ("metal-operator", "create", "", "secrets", NAMESPACE, true),
    ("metal-operator", "get", "", "secrets", "default", false),
    ("metal-operator", "list", "", "secrets", NAMESPACE, false),
    ("metal-operator", "list", METAL, "bmcsecrets", "", true),
    ("metal-operator", "delete", METAL, "servers", "", false),
    ("metal-operator", "delete", METAL, "bmcs", "", true),
    ("metal-operator", "patch", METAL, "servers/status", "", true),
    ("metal-operator", "patch", METAL, "serverclaims", "default", true),
    ("metal-operator", "create", "bloomery.dev", "serverinventories", "", true),
    ("metal-operator", "create", "coordination.k8s.io", "leases", NAMESPACE, true),
    ("metal-operator", "create", "coordination.k8s.io", "leases", "default", false),
    ("metal-operator", "create", "events.k8s.io", "events", "default", true),
    ("metal-operator", "patch", BOOT, "httpbootconfigs", "default", false),
    ("metal-operator", "watch", "unbounded-cloud.io", "machines", "", true),
    ("metal-operator", "patch", "unbounded-cloud.io", "machines", "", false),
    ("boot-operator", "get", "", "secrets", "default", true),
    ("boot-operator", "list", "", "secrets", "", false),
    ("boot-operator", "list", "", "secrets", NAMESPACE, false),
    ("boot-operator", "watch", "", "secrets", "", false),
    ("boot-operator", "create", "", "secrets", NAMESPACE, true),
    ("boot-operator", "create", "", "secrets", "default", false),
    ("boot-operator", "patch", "", "secrets", "default", false),
    ("boot-operator", "list", METAL, "bmcsecrets", "", false),
    ("boot-operator", "patch", METAL, "servers", "", false),
    ("boot-operator", "patch", METAL, "serverbootconfigurations/status", "default", true),
    ("boot-operator", "patch", METAL, "serverbootconfigurations", "default", false),
    ("boot-operator", "create", BOOT, "ipxebootconfigs", "default", true),
    ("boot-operator", "list", "bloomery.dev", "dhcpleases", "", true),
    ("boot-operator", "watch", "bloomery.dev", "dhcpleases", "", true),
    ("boot-operator", "patch", "bloomery.dev", "dhcpleases", "", false),
    ("netboot", "create", METAL, "endpoints", "", true),
    ("netboot", "delete", METAL, "endpoints", "", true),
    ("netboot", "create", "bloomery.dev", "dhcpleases", "", true),
    ("netboot", "delete", "bloomery.dev", "dhcpleases", "", true),
    ("netboot", "create", "coordination.k8s.io", "leases", NAMESPACE, true),
    ("netboot", "create", "coordination.k8s.io", "leases", "default", false),
    ("netboot", "create", METAL, "bmcs", "", true),
    ("netboot", "create", METAL, "bmcsecrets", "", true),
    ("netboot", "patch", METAL, "bmcs", "", false),
    ("netboot", "get", "", "secrets", NAMESPACE, false),
    ("netboot", "list", METAL, "servers", "", true),
    ("netboot", "watch", METAL, "serverbootconfigurations", "", true),
    ("netboot", "watch", BOOT, "httpbootconfigs", "", true),
    ("netboot", "list", BOOT, "ipxebootconfigs", "", true),
    ("netboot", "patch", METAL, "servers", "", false),
    ("netboot", "list", METAL, "bmcsecrets", "", false),
    ("netboot", "create", "events.k8s.io", "events", "default", true),
];

#[tokio::test]
async fn accounts_may_do_what_they_must_and_no_more() {
    let cluster = Cluster::shared().await.unwrap();
    cluster.kubectl(&["create", "namespace", NAMESPACE]).await.ok();
    let rbac = workspace().join("bases/rbac");
    cluster.kubectl(&["apply", "--server-side", "-k", rbac.to_str().unwrap()]).await.unwrap();
    cluster.rights_count().await.unwrap();
    let client = cluster.client().await.unwrap();
    for (account, verb, group, resource, namespace, expected) in RIGHTS {
        let (account, access) =
            (format!("{NAMESPACE}:{account}"), [verb, group, resource, namespace]);
        let allowed = may(&client, &account, access).await.unwrap();
        assert_eq!(allowed, expected, "{account} {access:?}");
    }
}
