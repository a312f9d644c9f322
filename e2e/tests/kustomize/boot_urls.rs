//! A site whose netboot reads boot URLs.

use crate::{parts::site, pod::args};
use e2e::stack::{list, name, pod_of};
use serde_json::Value;

const APART: &str = "\
configMapGenerator:
  - { name: bmc-prefixes, namespace: metal-netboot-system, files: [macdb.yaml=bmcs.yaml] }
";

#[tokio::test]
async fn netboot_reads_secrets_of_the_namespace_of_boot_urls_alone_wherever_it_is() {
    let plain = "resources: [CONFIG/production]\ncomponents: [CONFIG/boot-urls]\n".to_owned();
    let apart = plain.replace("boot-urls]", "boot-urls, CONFIG/netboot-apart]") + APART;
    for (text, files) in [(plain, &[][..]), (apart, &[("bmcs.yaml", "macPrefixes: []\n")])] {
        let overlay = site(&text, files).await;
        let (_, container) = pod_of(overlay.named("Deployment", "netboot").unwrap());
        let args = args(container);
        assert!(args.contains(&"--boot-url-namespace=netboot-boot-urls"), "{args:?}");
        let account = &overlay.named("ServiceAccount", "netboot").unwrap()["metadata"];
        for kind in ["RoleBinding", "ClusterRoleBinding"] {
            let binding = overlay.named(kind, "netboot-boot-urls").unwrap();
            let subject = list(&binding["subjects"]).next().unwrap();
            assert_eq!(subject["namespace"], account["namespace"], "{kind}");
        }
        let reads = |role: &&Value| {
            let is_netboot = name(role).starts_with("netboot");
            is_netboot && list(&role["rules"]).any(|rule| rule["resources"][0] == "secrets")
        };
        let quota = overlay.named("ResourceQuota", "no-pods").unwrap();
        assert_eq!(quota["metadata"]["namespace"], "netboot-boot-urls");
        assert_eq!(quota["spec"]["hard"]["pods"], "0", "no pod can mount them");
        assert_eq!(overlay.of("ClusterRole").filter(reads).count(), 0);
        let roles: Vec<_> = overlay.of("Role").filter(reads).collect();
        assert_eq!(roles.len(), 1);
        assert_eq!(roles[0]["metadata"]["namespace"], "netboot-boot-urls");
    }
}
