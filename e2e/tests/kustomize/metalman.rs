//! The overlay of metalman, which stands beside the others.

use crate::{
    pod::{assert_confined, assert_probed_at_loopback, assert_probes_have_ports, kinds},
    review::may,
};
use anyhow::ensure;
use e2e::{
    cluster::{Cluster, eventually},
    stack::{Overlay, name, pod_of},
};
use std::{collections::BTreeSet, time::Duration};

const METALMAN: &str = "unbounded-kube:metalman-controller";
const MACHINE: &str = "metalman-machines:node-01";
/// People, by the ClusterRoles that they are bound to.
const VIEWER: &str = "metalman-rights:view";
const EDITOR: &str = "metalman-rights:edit";
const GROUP: &str = "unbounded-cloud.io";

/// Account, verb, group, resource, namespace, and whether it may.
type Right = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

const RIGHTS: [Right; 43] = [
    (METALMAN, "watch", GROUP, "machines", "", true),
    (METALMAN, "patch", GROUP, "machines/status", "", true),
    (METALMAN, "patch", GROUP, "machines", "", true),
    (METALMAN, "create", GROUP, "machines", "", false),
    (METALMAN, "watch", "metal.ironcore.dev", "servers", "", true),
    (METALMAN, "patch", "metal.ironcore.dev", "servers", "", false),
    (METALMAN, "watch", "", "nodes", "", true),
    (METALMAN, "patch", "", "nodes", "", true),
    (METALMAN, "create", "", "pods/eviction", "default", true),
    (METALMAN, "delete", "", "pods", "default", false),
    (METALMAN, "get", "", "secrets", "metalman-bmcs", true),
    (METALMAN, "list", "", "secrets", "metalman-bmcs", false),
    (METALMAN, "get", "", "secrets", "metalman-pull-secrets", true),
    (METALMAN, "list", "", "secrets", "metalman-pull-secrets", false),
    (METALMAN, "get", "", "secrets", "kube-system", false),
    (METALMAN, "create", "", "serviceaccounts", "metalman-machines", true),
    (METALMAN, "create", "", "serviceaccounts/token", "metalman-machines", true),
    (METALMAN, "create", "", "secrets", "metalman-machines", true),
    (METALMAN, "delete", "", "secrets", "metalman-machines", true),
    (METALMAN, "get", "", "secrets", "metalman-machines", false),
    (METALMAN, "create", "", "serviceaccounts/token", "unbounded-kube", false),
    (METALMAN, "create", "", "serviceaccounts/token", "kube-system", false),
    (METALMAN, "get", "", "secrets", "unbounded-kube", false),
    (METALMAN, "create", "", "secrets", "unbounded-kube", true),
    (METALMAN, "create", "", "secrets", "kube-system", false),
    (METALMAN, "get", "", "configmaps", "unbounded-kube", true),
    (METALMAN, "get", "", "configmaps", "kube-public", false),
    (METALMAN, "get", "", "configmaps", "kube-system", false),
    (METALMAN, "get", "", "services", "kube-system", false),
    (METALMAN, "create", "coordination.k8s.io", "leases", "unbounded-kube", true),
    (METALMAN, "create", "coordination.k8s.io", "leases", "kube-system", false),
    (METALMAN, "patch", "certificates.k8s.io", "certificatesigningrequests/approval", "", true),
    (METALMAN, "patch", "certificates.k8s.io", "certificatesigningrequests/status", "", false),
    (MACHINE, "create", "certificates.k8s.io", "certificatesigningrequests", "", true),
    (MACHINE, "update", "certificates.k8s.io", "certificatesigningrequests/approval", "", false),
    // By this a certificate would be approved without anybody looking at it.
    (MACHINE, "create", "certificates.k8s.io", "certificatesigningrequests/nodeclient", "", false),
    (MACHINE, "get", GROUP, "machines", "", false),
    // Of people: whoever has the cluster's role in the whole cluster.
    (VIEWER, "list", GROUP, "machines", "", true),
    (VIEWER, "patch", GROUP, "machines", "", false),
    (EDITOR, "patch", GROUP, "machines", "", true),
    (EDITOR, "create", GROUP, "machines", "", true),
    (EDITOR, "patch", GROUP, "machines/status", "", false),
    (EDITOR, "get", "", "nodes", "", true),
];

#[tokio::test]
async fn metalman_may_do_what_it_must_and_no_more() {
    let cluster = Cluster::shared().await.unwrap();
    cluster.apply(&Overlay::build("metalman").await.unwrap().yaml).await.unwrap();
    for role in ["view", "edit"] {
        let (binding, role_flag) =
            (format!("metalman-rights-{role}"), format!("--clusterrole={role}"));
        let account = format!("--serviceaccount=metalman-rights:{role}");
        let bind = ["create", "clusterrolebinding", &binding, &role_flag, &account];
        cluster.kubectl(&bind).await.unwrap();
    }
    let client = cluster.client().await.unwrap();
    let (granted, denied): (Vec<_>, Vec<_>) = RIGHTS.into_iter().partition(|right| right.5);
    for (account, verb, group, resource, namespace, _) in granted {
        let access = [verb, group, resource, namespace];
        // Roles are aggregated by a controller, which takes its time.
        let is_granted = eventually(Duration::from_mins(3), async || {
            let allowed = may(&client, account, access).await?;
            ensure!(allowed, "{account} {access:?}");
            Ok(())
        });
        is_granted.await.unwrap();
    }
    // Now every role counts, and a right that none of them has stays denied.
    for (account, verb, group, resource, namespace, _) in denied {
        let access = [verb, group, resource, namespace];
        assert!(!may(&client, account, access).await.unwrap(), "{account} {access:?}");
    }
}

#[tokio::test]
async fn the_overlay_of_metalman_has_its_pod_its_kinds_and_its_rights() {
    let overlay = Overlay::build("metalman").await.unwrap();
    assert_eq!(overlay.names("Deployment"), ["metalman"]);
    assert_eq!(
        overlay.names("Namespace"),
        ["metalman-bmcs", "metalman-machines", "metalman-pull-secrets", "unbounded-kube"]
    );
    // Where there are Secrets, no pod is that could mount them.
    for namespace in ["metalman-bmcs", "metalman-machines", "metalman-pull-secrets"] {
        let mut quotas = overlay.of("ResourceQuota");
        let quota = quotas.find(|it| it["metadata"]["namespace"] == namespace).unwrap();
        assert_eq!(quota["spec"]["hard"]["pods"], "0", "{namespace}");
    }
    let installed = overlay.names("CustomResourceDefinition").into_iter();
    assert_eq!(installed.map(str::to_owned).collect::<BTreeSet<_>>(), kinds());
    let deployment = overlay.named("Deployment", "metalman").unwrap();
    let (pod, container) = pod_of(deployment);
    assert_eq!(pod["serviceAccountName"], "metalman-controller");
    overlay.named("ServiceAccount", "metalman-controller").unwrap();
    assert_eq!(container["image"], format!("metalman:{}", env!("CARGO_PKG_VERSION")));
    // DHCP answers at a port of root's, and clients that have no address yet.
    assert_confined(container, &["NET_BIND_SERVICE", "NET_RAW"]);
    assert_probes_have_ports(deployment);
    assert_probed_at_loopback(deployment);
    for binding in overlay.of("RoleBinding").chain(overlay.of("ClusterRoleBinding")) {
        let role = name(&binding["roleRef"]);
        // One is Kubernetes' own.
        let is_there = overlay.named(binding["roleRef"]["kind"].as_str().unwrap(), role).is_ok();
        assert!(is_there || role == "system:node-bootstrapper", "{role}");
    }
}
