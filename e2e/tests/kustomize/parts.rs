//! The parts of an overlay fit together.

use crate::overlay::{OVERLAYS, Overlay, list, name, pod};
use e2e::cluster::workspace;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

const BINARIES: [&str; 3] = ["boot-operator", "metal-operator", "netboot"];

#[tokio::test]
async fn every_overlay_has_every_binary_and_every_custom_resource() {
    let entries = fs::read_dir(workspace().join("bases/crd")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kinds: BTreeSet<_> =
        files.filter(|f| f != "kustomization.yaml").map(|f| f.replace(".yaml", "")).collect();
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
            let (pod, container) = pod(deployment);
            overlay.named("ServiceAccount", pod["serviceAccountName"].as_str().unwrap()).unwrap();
            for volume in list(&pod["volumes"]) {
                let sources = [
                    ("ConfigMap", &volume["configMap"]["name"]),
                    ("Secret", &volume["secret"]["secretName"]),
                    ("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]),
                ];
                // Those that may be missing are made by the operators themselves.
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
    let site = tempfile::tempdir().unwrap();
    let (folder, config) = (site.path().canonicalize().unwrap(), workspace().join("config"));
    let config = config.canonicalize().unwrap();
    // Kustomize takes no absolute paths.
    let up = "../".repeat(folder.components().count() - 1);
    let config = format!("{up}{}", config.strip_prefix("/").unwrap().display());
    let text = format!("resources: [{config}/production]\ncomponents: [{config}/https]\n");
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    let overlay = Overlay::build_folder("site", &folder).await.unwrap();
    let (pod, container) = pod(overlay.named("Deployment", "boot-operator").unwrap());
    let mounted = list(&container["volumeMounts"]).find(|it| name(it) == "tls").unwrap();
    let volume = list(&pod["volumes"]).find(|it| name(it) == "tls").unwrap();
    assert_eq!(volume["secret"]["secretName"], "boot-operator-tls");
    let args: Vec<_> = list(&container["args"]).filter_map(Value::as_str).collect();
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

#[tokio::test]
async fn pods_may_do_little_and_use_little() {
    for overlay in OVERLAYS {
        let overlay = Overlay::build(overlay).await.unwrap();
        for deployment in overlay.of("Deployment") {
            let (pod, container) = pod(deployment);
            let limits = &container["securityContext"];
            assert_eq!(limits["allowPrivilegeEscalation"], false);
            assert_eq!(limits["readOnlyRootFilesystem"], true);
            assert_eq!(limits["capabilities"]["drop"][0], "ALL");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            assert!(container["resources"]["limits"]["memory"].is_string());
            if name(deployment) == "netboot" {
                let added: Vec<_> = list(&limits["capabilities"]["add"]).collect();
                assert_eq!(added, ["NET_BIND_SERVICE", "NET_RAW"]);
            } else {
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
                assert_eq!(limits["capabilities"]["add"], Value::Null);
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
        let told = list(&pod(deployment).1["args"]).filter_map(Value::as_str);
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
        }
        for deployment in overlay.of("Deployment").filter(|it| name(it) != "netboot") {
            for probe in ["livenessProbe", "readinessProbe"] {
                assert_has_port(deployment, &pod(deployment).1[probe]["httpGet"]["port"]);
            }
        }
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

#[test]
fn the_template_to_patch_is_the_built_in_one() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    assert_eq!(
        read("bases/metal-operator/ignition-template.yaml"),
        read("operators/core/src/discovery/ignition-template.yaml")
    );
}

/// The one Deployment with these labels.
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

fn assert_has_port(deployment: &Value, port: &Value) {
    let ports = list(&pod(deployment).1["ports"]);
    let known: Vec<_> = ports.map(|port| &port["name"]).collect();
    assert!(known.contains(&port), "{}: {port} is none of {known:?}", name(deployment));
}
