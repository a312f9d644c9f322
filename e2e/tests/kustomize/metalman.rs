//! The overlay of metalman, which stands beside the others.

use anyhow::ensure;
use e2e::{
    cluster::{Cluster, eventually, workspace},
    stack::{Overlay, list, name, pod_of},
};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};
use std::{collections::BTreeSet, fs, time::Duration};

const METALMAN: &str = "system:serviceaccount:unbounded-kube:metalman-controller";
const MACHINE: &str = "system:serviceaccount:metalman-machines:node-01";
/// People, by the ClusterRoles that they are bound to.
const VIEWER: &str = "system:serviceaccount:metalman-rights:view";
const EDITOR: &str = "system:serviceaccount:metalman-rights:edit";
const GROUP: &str = "unbounded-cloud.io";

/// User, verb, group, resource, namespace, and whether it may.
type Right = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

const RIGHTS: [Right; 40] = [
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
    let reviews = Api::<SubjectAccessReview>::all(cluster.client().await.unwrap());
    for right in RIGHTS {
        // Roles are aggregated by a controller, which takes its time.
        let is_right = eventually(Duration::from_mins(1), async || {
            let review = reviews.create(&PostParams::default(), &review(right)).await?;
            ensure!(review.status.unwrap_or_default().allowed == right.5, "{right:?}");
            Ok(())
        });
        is_right.await.unwrap();
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
    let entries = fs::read_dir(workspace().join("bases/crd")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kinds: BTreeSet<_> =
        files.filter(|f| f != "kustomization.yaml").map(|f| f.replace(".yaml", "")).collect();
    let installed = overlay.names("CustomResourceDefinition").into_iter();
    assert_eq!(installed.map(str::to_owned).collect::<BTreeSet<_>>(), kinds);
    let (pod, container) = pod_of(overlay.named("Deployment", "metalman").unwrap());
    assert_eq!(pod["serviceAccountName"], "metalman-controller");
    overlay.named("ServiceAccount", "metalman-controller").unwrap();
    assert_eq!(container["image"], format!("metalman:{}", env!("CARGO_PKG_VERSION")));
    let limits = &container["securityContext"];
    assert_eq!(limits["allowPrivilegeEscalation"], false);
    assert_eq!(limits["readOnlyRootFilesystem"], true);
    assert_eq!(limits["capabilities"]["drop"][0], "ALL");
    // DHCP answers at a port of root's, and clients that have no address yet.
    let added: Vec<_> = list(&limits["capabilities"]["add"]).collect();
    assert_eq!(added, ["NET_BIND_SERVICE", "NET_RAW"]);
    let ports: Vec<_> = list(&container["ports"]).map(name).collect();
    for probe in ["livenessProbe", "readinessProbe"] {
        assert!(ports.contains(&container[probe]["httpGet"]["port"].as_str().unwrap()));
    }
    for binding in overlay.of("RoleBinding").chain(overlay.of("ClusterRoleBinding")) {
        let role = name(&binding["roleRef"]);
        // One is Kubernetes' own.
        let is_there = overlay.named(binding["roleRef"]["kind"].as_str().unwrap(), role).is_ok();
        assert!(is_there || role == "system:node-bootstrapper", "{role}");
    }
}

fn review((user, verb, group, resource, namespace, _): Right) -> SubjectAccessReview {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let of = user.split(':').nth(2).unwrap_or_default();
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{of}")];
    let resource_attributes = Some(ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    });
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        groups: Some(groups.into()),
        resource_attributes,
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}
