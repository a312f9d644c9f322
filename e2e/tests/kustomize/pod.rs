//! What every pod of an overlay has to be.

use e2e::{
    cluster::workspace,
    stack::{list, name, pod_of},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// The names of all CustomResourceDefinitions of this repository.
pub(crate) fn kinds() -> BTreeSet<String> {
    let entries = fs::read_dir(workspace().join("bases/crd")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter(|file| file != "kustomization.yaml")
        .map(|file| file.replace(".yaml", ""))
        .collect()
}

/// The arguments of a container.
pub(crate) fn args(container: &Value) -> Vec<&str> {
    list(&container["args"]).filter_map(Value::as_str).collect()
}

/// The container writes nothing but its volumes, and has no capabilities but these.
pub(crate) fn assert_confined(container: &Value, capabilities: &[&str]) {
    let limits = &container["securityContext"];
    assert_eq!(limits["allowPrivilegeEscalation"], false);
    assert_eq!(limits["readOnlyRootFilesystem"], true);
    assert_eq!(limits["capabilities"]["drop"][0], "ALL");
    let added: Vec<_> = list(&limits["capabilities"]["add"]).collect();
    assert_eq!(added, capabilities);
}

/// Kubernetes admits the pod in namespaces that enforce `restricted`.
pub(crate) fn assert_restricted(pod: &Value, container: &Value) {
    for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[forbidden].is_null(), "{forbidden}");
    }
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert!(list(&container["ports"]).all(|port| port["hostPort"].is_null()));
    let kinds = ["configMap", "secret", "emptyDir", "persistentVolumeClaim"];
    let is_plain = |volume: &Value| kinds.iter().any(|kind| !volume[kind].is_null());
    assert!(list(&pod["volumes"]).all(is_plain), "{}", pod["volumes"]);
}

/// The only container of the Deployment's pod has a port of this name.
pub(crate) fn assert_has_port(deployment: &Value, port: &Value) {
    let ports = list(&pod_of(deployment).1["ports"]);
    let known: Vec<_> = ports.map(|port| &port["name"]).collect();
    assert!(known.contains(&port), "{}: {port} is none of {known:?}", name(deployment));
}

/// The probes of the only container ask a port that it has.
pub(crate) fn assert_probes_have_ports(deployment: &Value) {
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_has_port(deployment, &pod_of(deployment).1[probe]["httpGet"]["port"]);
    }
}

/// What listens at an IPv4 address is there, whatever family the address of the node is of.
pub(crate) fn assert_probed_at_loopback(deployment: &Value) {
    let (pod, container) = pod_of(deployment);
    assert_eq!(pod["hostNetwork"], true, "{}", name(deployment));
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["host"], "127.0.0.1", "{}", name(deployment));
    }
}
