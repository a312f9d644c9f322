//! The parts of an overlay fit together.

use crate::{
    OVERLAYS,
    pod::{
        args, assert_confined, assert_has_port, assert_probed_at_loopback,
        assert_probes_have_ports, assert_restricted, kinds,
    },
};
use e2e::{
    cluster::workspace,
    stack::{Overlay, list, name, pod_of},
};
use metal_runtime::listener::Limits;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

const BINARIES: [&str; 3] = ["boot-operator", "metal-operator", "netboot"];

#[tokio::test]
async fn every_overlay_has_every_binary_and_every_custom_resource() {
    let kinds = kinds();
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        let installed = overlay.names("CustomResourceDefinition");
        assert_eq!(installed.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), kinds);
        assert_eq!(overlay.names("Deployment"), BINARIES, "{}", overlay.name);
        assert_eq!(overlay.names("ServiceAccount"), BINARIES, "{}", overlay.name);
    }
}

#[tokio::test]
async fn what_a_pod_names_is_there() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        for deployment in overlay.of("Deployment") {
            let (pod, container) = pod_of(deployment);
            overlay.named("ServiceAccount", pod["serviceAccountName"].as_str().unwrap()).unwrap();
            for volume in list(&pod["volumes"]) {
                let sources = [
                    ("ConfigMap", &volume["configMap"]["name"]),
                    ("Secret", &volume["secret"]["secretName"]),
                    ("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]),
                ];
                // Secrets that may be missing are created by the operators themselves.
                if volume["secret"]["optional"] == true {
                    continue;
                }
                for (kind, source) in sources {
                    source.as_str().map(|source| overlay.named(kind, source).unwrap());
                }
            }
            let volumes: BTreeSet<_> = list(&pod["volumes"]).map(name).collect();
            let mounts: BTreeSet<_> = list(&container["volumeMounts"]).map(name).collect();
            assert_eq!(mounts, volumes, "{}", name(deployment));
            let image = container["image"].as_str().unwrap();
            assert_eq!(image, format!("{}:{}", name(deployment), env!("CARGO_PKG_VERSION")));
        }
    }
}

#[tokio::test]
async fn https_boot_is_a_component_of_a_site() {
    let overlay = site("resources: [CONFIG/production]\ncomponents: [CONFIG/https]\n", &[]).await;
    let (pod, container) = pod_of(overlay.named("Deployment", "boot-operator").unwrap());
    let mounted = list(&container["volumeMounts"]).find(|it| name(it) == "tls").unwrap();
    let volume = list(&pod["volumes"]).find(|it| name(it) == "tls").unwrap();
    assert_eq!(volume["secret"]["secretName"], "boot-operator-tls");
    let args = args(container);
    let files: Vec<_> = args.iter().filter(|arg| arg.starts_with("--https-")).collect();
    let place = mounted["mountPath"].as_str().unwrap();
    assert_eq!(files.iter().filter(|arg| arg.contains(&format!("={place}/tls."))).count(), 2);
    let service = overlay.named("Service", "boot-operator").unwrap();
    let port = list(&service["spec"]["ports"]).find(|it| name(it) == "https").unwrap();
    let target = list(&container["ports"]).find(|it| name(it) == "https").unwrap();
    assert_eq!(port["port"], target["containerPort"]);
    let policy = overlay.named("NetworkPolicy", "boot-operator").unwrap();
    let is_open = |rule: &Value| {
        rule["from"].is_null() && list(&rule["ports"]).any(|it| it["port"] == "https")
    };
    assert!(list(&policy["spec"]["ingress"]).any(is_open), "machines reach it: {policy}");
}

/// A site that puts netboot in its own namespace, as docs/security.md shows.
const APART: &str = "\
resources: [CONFIG/production]
components: [CONFIG/netboot-apart]
configMapGenerator:
  - name: bmc-prefixes
    namespace: metal-netboot-system
    files: [macdb.yaml=bmcs.yaml]
    options: { disableNameSuffixHash: true }
secretGenerator:
  - { name: macdb, namespace: metal-operator-system, behavior: replace, files: [macdb.yaml] }
";

#[tokio::test]
async fn netboot_apart_has_the_only_namespace_of_privileged_pods_and_mounts_no_password() {
    let bmcs = "macPrefixes:\n  - { macPrefix: aabbcc, protocol: Redfish, type: bmc }\n";
    let macdb =
        "macPrefixes:\n  - { macPrefix: aabbcc, defaultCredentials: [{ password: secret }] }\n";
    let overlay = site(APART, &[("bmcs.yaml", bmcs), ("macdb.yaml", macdb)]).await;
    let level = |namespace| {
        let labels = &overlay.named("Namespace", namespace).unwrap()["metadata"]["labels"];
        labels["pod-security.kubernetes.io/enforce"].as_str().unwrap().to_owned()
    };
    assert_eq!(level("metal-operator-system"), "restricted");
    assert_eq!(level("metal-netboot-system"), "privileged");
    for deployment in overlay.of("Deployment") {
        let is_netboot = name(deployment) == "netboot";
        let namespace = if is_netboot { "metal-netboot-system" } else { "metal-operator-system" };
        assert_eq!(deployment["metadata"]["namespace"], namespace);
        let (pod, container) = pod_of(deployment);
        if !is_netboot {
            assert_restricted(pod, container);
        }
        for volume in list(&pod["volumes"]).filter(|volume| volume["secret"]["optional"] != true) {
            assert!(!is_netboot || volume["secret"].is_null(), "{volume}");
            for (kind, field) in [("ConfigMap", "configMap"), ("Secret", "secret")] {
                let source = &volume[field];
                let named = source["name"].as_str().or_else(|| source["secretName"].as_str());
                let found = named.map(|named| overlay.named(kind, named).unwrap());
                assert!(
                    found.is_none_or(|it| it["metadata"]["namespace"] == namespace),
                    "{volume}"
                );
            }
        }
        let account = overlay.named("ServiceAccount", name(deployment)).unwrap();
        assert_eq!(account["metadata"]["namespace"], namespace);
    }
    for binding in overlay.of("RoleBinding").chain(overlay.of("ClusterRoleBinding")) {
        for subject in list(&binding["subjects"]) {
            let account = overlay.named("ServiceAccount", name(subject)).unwrap();
            assert_eq!(subject["namespace"], account["metadata"]["namespace"]);
        }
    }
    let theirs = |map: &&Value| map["metadata"]["namespace"] == "metal-netboot-system";
    let has_password = |map: &Value| map["data"].to_string().contains("secret");
    assert!(!overlay.of("ConfigMap").filter(theirs).any(has_password));
    assert!(!overlay.of("Secret").any(|secret| theirs(&secret)));
    let rules = &overlay.named("ClusterRole", "netboot").unwrap()["rules"];
    let of = |kind: &str| list(rules).find(|rule| list(&rule["resources"]).any(|it| it == kind));
    assert!(of("bmcsecrets").is_none(), "it reads no passwords of BMCs, either");
    assert_eq!(of("bmcs").unwrap()["verbs"], json!(["list", "watch"]));
}

#[tokio::test]
async fn secrets_are_listed_only_where_a_site_says_so() {
    let verbs = |overlay: &Overlay| {
        let role = overlay.named("ClusterRole", "boot-operator").unwrap();
        let of_secrets = |rule: &&Value| list(&rule["resources"]).any(|it| it == "secrets");
        let rules = list(&role["rules"]).filter(of_secrets);
        let verbs = rules.flat_map(|rule| list(&rule["verbs"]).filter_map(Value::as_str));
        verbs.map(str::to_owned).collect::<Vec<_>>()
    };
    for overlay in OVERLAYS {
        assert_eq!(verbs(&Overlay::build(overlay).await.unwrap()), ["get"], "{overlay}");
    }
    let text = "resources: [CONFIG/production]\ncomponents: [CONFIG/secret-watch]\n";
    assert_eq!(verbs(&site(text, &[]).await), ["get", "list", "watch"]);
}

#[tokio::test]
async fn production_calls_nobody_but_whom_it_must() {
    let overlay = Overlay::build("production").await.unwrap();
    let expected =
        [("boot-operator", vec![53, 443, 5000, 6443]), ("metal-operator", vec![53, 80, 443, 6443])];
    assert_eq!(overlay.names("NetworkPolicy"), expected.each_ref().map(|(name, _)| *name));
    for (binary, ports) in expected {
        let policy = overlay.named("NetworkPolicy", binary).unwrap();
        let types: Vec<_> = list(&policy["spec"]["policyTypes"]).collect();
        assert_eq!(types, ["Ingress", "Egress"]);
        let mut open = BTreeSet::new();
        for rule in list(&policy["spec"]["egress"]) {
            let of_rule: Vec<_> =
                list(&rule["ports"]).map(|it| it["port"].as_u64().unwrap()).collect();
            assert!(!of_rule.is_empty(), "every port is open: {rule}");
            // DNS servers may have link-local addresses.
            if of_rule.iter().any(|port| *port != 53) {
                let excepted = rule["to"].to_string();
                for inwards in ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"] {
                    assert!(excepted.contains(inwards), "{binary}: {inwards}");
                }
            }
            open.extend(of_rule);
        }
        assert_eq!(open.into_iter().collect::<Vec<_>>(), ports, "{binary}");
    }
}

#[tokio::test]
async fn production_holds_new_servers_until_a_person_admits_them() {
    let told = async |overlay| {
        let overlay = Overlay::build(overlay).await.unwrap();
        let args = args(pod_of(overlay.named("Deployment", "metal-operator").unwrap()).1);
        let told = args.into_iter().filter_map(|arg| arg.strip_prefix("--new-servers="));
        told.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told("production").await, ["held"]);
    assert!(told("default").await.is_empty(), "the default of the flag, which claims everything");
}

#[tokio::test]
async fn pods_may_do_little_and_use_little() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        for deployment in overlay.of("Deployment") {
            let (pod, container) = pod_of(deployment);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            assert!(container["resources"]["limits"]["memory"].is_string());
            if name(deployment) == "netboot" {
                assert_confined(container, &["NET_BIND_SERVICE", "NET_RAW"]);
            } else {
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
                assert_confined(container, &[]);
            }
        }
    }
}

#[tokio::test]
async fn replicas_that_share_what_they_give_out_know_how_many_they_are() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        let deployment = overlay.named("Deployment", "boot-operator").unwrap();
        let replicas = deployment["spec"]["replicas"].as_u64().unwrap();
        let told = args(pod_of(deployment).1).into_iter();
        let mut told = told.filter_map(|arg| arg.strip_prefix("--replicas=")?.parse::<u64>().ok());
        assert_eq!(told.next().unwrap_or(1), replicas.max(1), "{}", overlay.name);
    }
}

#[tokio::test]
async fn services_budgets_and_policies_find_their_pods_and_ports() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        for service in overlay.of("Service") {
            let pods = selected(&overlay, &service["spec"]["selector"]);
            for port in list(&service["spec"]["ports"]) {
                assert_has_port(pods, &port["targetPort"]);
            }
        }
        for policy in overlay.of("NetworkPolicy") {
            let pods = selected(&overlay, &policy["spec"]["podSelector"]["matchLabels"]);
            for port in list(&policy["spec"]["ingress"]).flat_map(|rule| list(&rule["ports"])) {
                assert_has_port(pods, &port["port"]);
            }
        }
        for budget in overlay.of("PodDisruptionBudget") {
            selected(&overlay, &budget["spec"]["selector"]["matchLabels"]);
            // Or a node with two broken pods could not be drained.
            assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
        }
        for deployment in overlay.of("Deployment").filter(|it| name(it) != "netboot") {
            assert_probes_have_ports(deployment);
        }
        assert_probed_at_loopback(overlay.named("Deployment", "netboot").unwrap());
    }
}

#[tokio::test]
async fn a_pod_that_ends_serves_until_no_machine_is_sent_to_it_and_completes_what_has_begun() {
    for (overlay, deployment) in [("production", "boot-operator"), ("hosts", "hosts")] {
        let overlay = Overlay::build(overlay).await.unwrap();
        let (pod, container) = pod_of(overlay.named("Deployment", deployment).unwrap());
        let waits = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let drain = Limits::MACHINES.drain.as_secs();
        assert!(waits > 0 && grace > waits + drain, "{deployment}: {grace} s");
    }
}

#[tokio::test]
async fn replicas_are_on_different_nodes_also_after_an_update() {
    let overlay = Overlay::build("production").await.unwrap();
    for deployment in ["metal-operator", "boot-operator"] {
        let (pod, _) = pod_of(overlay.named("Deployment", deployment).unwrap());
        let spread = &pod["topologySpreadConstraints"][0];
        assert_eq!(spread["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(
            spread["matchLabelKeys"],
            json!(["app.kubernetes.io/name", "pod-template-hash"])
        );
    }
}

#[tokio::test]
async fn a_cache_may_be_a_volume_that_belongs_to_root() {
    for (overlay, deployment) in [("production", "boot-operator"), ("hosts", "hosts")] {
        let overlay = Overlay::build(overlay).await.unwrap();
        let (pod, _) = pod_of(overlay.named("Deployment", deployment).unwrap());
        assert_eq!(pod["securityContext"]["fsGroup"], 65532, "{deployment}");
        // Otherwise every mount opens to the group what the process has closed.
        assert_eq!(pod["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch", "{deployment}");
    }
}

#[tokio::test]
async fn every_binding_joins_a_role_and_an_account_that_are_there() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        for binding in overlay.of("RoleBinding").chain(overlay.of("ClusterRoleBinding")) {
            let role = &binding["roleRef"];
            let kind = role["kind"].as_str().unwrap();
            overlay.named(kind, role["name"].as_str().unwrap()).unwrap();
            for subject in list(&binding["subjects"]) {
                let account = overlay.named("ServiceAccount", name(subject)).unwrap();
                assert_eq!(subject["namespace"], account["metadata"]["namespace"]);
            }
        }
    }
}

#[tokio::test]
async fn who_looks_at_the_fleet_reads_nothing_that_opens_anything() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        let role = overlay.named("ClusterRole", "metal-fleet-viewer").unwrap();
        for rule in list(&role["rules"]) {
            assert_eq!(rule["verbs"], json!(["get", "list", "watch"]));
            // A password, the token of a boot, whatever comes after us, and what is nobody's here.
            for opens in ["bmcsecrets", "httpbootconfigs", "*", "secrets"] {
                assert!(list(&rule["resources"]).all(|it| it != opens), "{opens}: {rule}");
            }
        }
    }
}

#[test]
fn the_template_to_patch_is_the_built_in_one() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    assert_eq!(
        read("bases/metal-operator/ignition-template.yaml"),
        read("operators/ignition/src/discovery/ignition-template.yaml")
    );
}

/// The overlay of a site, as in [`Overlay::of_site`].
pub(crate) async fn site(text: &str, files: &[(&str, &str)]) -> Overlay {
    let site = tempfile::tempdir().unwrap();
    Overlay::of_site("site", site.path(), text, files).await.unwrap()
}

/// The only Deployment with these labels.
fn selected<'a>(overlay: &'a Overlay, labels: &Value) -> &'a Value {
    let labels = labels.as_object().unwrap();
    let has_all = |deployment: &&Value| {
        let template = &deployment["spec"]["template"]["metadata"]["labels"];
        labels.iter().all(|(key, value)| template[key] == *value)
    };
    let found: Vec<_> = overlay.of("Deployment").filter(has_all).collect();
    assert_eq!(found.len(), 1, "{}: {labels:?}", overlay.name);
    found[0]
}
