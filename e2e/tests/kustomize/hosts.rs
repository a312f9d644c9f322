//! The overlay of hosts, which may face the Internet.

use crate::{
    parts::site,
    pod::{args, assert_confined, assert_has_port, assert_probes_have_ports},
    review::may,
};
use e2e::{
    cluster::Cluster,
    stack::{Overlay, list, name, pod_of},
};
use serde_json::json;

const HOSTS: &str = "bloomery-hosts:hosts";
/// People of an organization, by the ClusterRoles that they are bound to there.
const EDITOR: &str = "hosts-rights:editor";
const VIEWER: &str = "hosts-rights:viewer";
const ORG: &str = "hosts-rights";
const GROUP: &str = "bloomery.dev";

/// Verb, group, resource, namespace, and whether it may.
type Right = (&'static str, &'static str, &'static str, &'static str, bool);

const RIGHTS: [Right; 29] = [
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
    // But for its own.
    ("update", "coordination.k8s.io", "leases", "bloomery-hosts", false),
];

#[tokio::test]
async fn hosts_may_do_what_it_must_and_no_more() {
    let cluster = Cluster::shared().await.unwrap();
    Overlay::install("hosts", cluster).await.unwrap();
    let client = cluster.client().await.unwrap();
    for (verb, group, resource, namespace, expected) in RIGHTS {
        let access = [verb, group, resource, namespace];
        assert_eq!(may(&client, HOSTS, access).await.unwrap(), expected, "{access:?}");
    }
}

/// What every kind of theirs may be: verb, and whether an editor and a viewer may.
const OF_PEOPLE: [(&str, bool, bool); 8] = [
    ("get", true, true),
    ("list", true, true),
    ("watch", true, true),
    ("create", true, false),
    ("update", true, false),
    ("patch", true, false),
    ("delete", true, false),
    ("deletecollection", false, false),
];

#[tokio::test]
async fn people_look_after_the_hosts_of_their_organization_and_of_no_other() {
    let cluster = Cluster::shared().await.unwrap();
    Overlay::install("hosts", cluster).await.unwrap();
    cluster.kubectl(&["create", "namespace", ORG]).await.unwrap();
    for role in ["editor", "viewer"] {
        let (cluster_role, account) = (
            format!("--clusterrole=bloomery-hosts-{role}"),
            format!("--serviceaccount={ORG}:{role}"),
        );
        let bind = ["create", "rolebinding", role, "--namespace", ORG, &cluster_role, &account];
        cluster.kubectl(&bind).await.unwrap();
    }
    cluster.rights_count().await.unwrap();
    let client = cluster.client().await.unwrap();
    let expect = async |account, access, expected: bool| {
        assert_eq!(may(&client, account, access).await.unwrap(), expected, "{account} {access:?}");
    };
    for (verb, editor, viewer) in OF_PEOPLE {
        for kind in ["boottokens", "hosts", "hostreleases"] {
            expect(EDITOR, [verb, GROUP, kind, ORG], editor).await;
            expect(VIEWER, [verb, GROUP, kind, ORG], viewer).await;
            expect(EDITOR, [verb, GROUP, kind, "default"], false).await;
            expect(EDITOR, [verb, GROUP, kind, ""], false).await;
        }
    }
    for account in [EDITOR, VIEWER] {
        for events in ["", "events.k8s.io"] {
            expect(account, ["list", events, "events", ORG], true).await;
            expect(account, ["create", events, "events", ORG], false).await;
        }
        // What a status says is the word of the server, and no secret is theirs.
        for kind in ["boottokens/status", "hosts/status"] {
            expect(account, ["patch", GROUP, kind, ORG], false).await;
            expect(account, ["update", GROUP, kind, ORG], false).await;
        }
        for (verb, kind) in [("get", "secrets"), ("list", "secrets"), ("get", "configmaps")] {
            expect(account, [verb, "", kind, ORG], false).await;
            expect(account, [verb, "", kind, "bloomery-hosts"], false).await;
        }
    }
}

/// A site with an ingress, as docs/hosts-install.md shows it.
const INGRESS: &str = "\
resources: [CONFIG/hosts, ingress.yaml]
components: [CONFIG/hosts-ingress]
";
const NAMED: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: hosts-ingress, namespace: bloomery-hosts }
data:
  host: hosts.example.com
  class: nginx
  namespace: ingress-nginx
  proxies: 10.244.0.0/16,fd00::/64
";

#[tokio::test]
async fn behind_an_ingress_hosts_has_no_certificate_and_answers_nobody_else() {
    let overlay = site(INGRESS, &[("ingress.yaml", NAMED)]).await;
    assert!(overlay.named("ConfigMap", "hosts-ingress").is_err(), "it is for kustomize alone");
    let ingress = overlay.named("Ingress", "hosts").unwrap();
    let (rule, tls) = (&ingress["spec"]["rules"][0], &ingress["spec"]["tls"][0]);
    assert_eq!(rule["host"], "hosts.example.com");
    assert_eq!(*tls, json!({ "hosts": ["hosts.example.com"], "secretName": "hosts-tls" }));
    assert_eq!(ingress["spec"]["ingressClassName"], "nginx");
    let annotations = &ingress["metadata"]["annotations"];
    assert_eq!(annotations["nginx.ingress.kubernetes.io/enable-access-log"], "false", "of secrets");
    let backend = &rule["http"]["paths"][0]["backend"]["service"];
    let service = overlay.named("Service", backend["name"].as_str().unwrap()).unwrap();
    assert_eq!(service["spec"]["type"], "ClusterIP");
    let port = list(&service["spec"]["ports"]).find(|it| name(it) == backend["port"]["name"]);
    let deployment = overlay.named("Deployment", "hosts").unwrap();
    assert_has_port(deployment, &port.unwrap()["targetPort"]);
    assert_probes_have_ports(deployment);
    let (pod, container) = pod_of(deployment);
    let args = args(container);
    assert!(args.contains(&"--trusted-proxies=10.244.0.0/16,fd00::/64"), "{args:?}");
    assert!(args.contains(&"--http-server-address=:8444"), "{args:?}");
    assert!(!args.iter().any(|arg| arg.starts_with("--https-")), "{args:?}");
    assert!(!list(&pod["volumes"]).any(|volume| !volume["secret"].is_null()));
    let mounts = list(&container["volumeMounts"]).map(name);
    assert_eq!(mounts.collect::<Vec<_>>(), list(&pod["volumes"]).map(name).collect::<Vec<_>>());
    let policy = overlay.named("NetworkPolicy", "hosts").unwrap();
    let first = &policy["spec"]["ingress"][0];
    assert_has_port(deployment, &first["ports"][0]["port"]);
    let labels = json!({ "kubernetes.io/metadata.name": "ingress-nginx" });
    assert_eq!(first["from"], json!([{ "namespaceSelector": { "matchLabels": labels } }]));
}

#[tokio::test]
async fn of_the_replicas_of_hosts_one_is_always_left() {
    let overlay = Overlay::build("hosts").await.unwrap();
    let budget = overlay.named("PodDisruptionBudget", "hosts").unwrap();
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    let deployment = overlay.named("Deployment", "hosts").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 2);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for (label, value) in budget["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels[label], *value);
    }
    let (pod, _) = pod_of(deployment);
    let spread = &pod["topologySpreadConstraints"][0];
    assert_eq!(spread["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(spread["labelSelector"], budget["spec"]["selector"]);
    assert_eq!(spread["matchLabelKeys"], json!(["pod-template-hash"]));
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
