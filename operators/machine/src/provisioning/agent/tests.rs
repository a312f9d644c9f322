use super::*;
use metal_api::MachineSpec;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    machine: Machine,
    agent: Vec<String>,
}

#[test]
fn the_configuration_is_written_as_go_writes_it() {
    let vectors: Vectors = serde_json::from_str(include_str!("../template/vectors.json")).unwrap();
    let mut machine = vectors.machine;
    let cluster = Cluster {
        apiserver_url: "https://api.example:6443/?a=1&b=<2>".to_owned(),
        authorities: "CA".to_owned(),
        dns: "10.96.0.10".to_owned(),
        version: "1.36.0".to_owned(),
        node_labels: [("all".to_owned(), "\u{2028}\u{1}\t\"é".to_owned())].into(),
    };
    machine.spec.agent.get_or_insert_default().image = Some("ghcr.io/a/agent:1".to_owned());
    assert_eq!(config_json(&machine, &cluster, "http://192.0.2.1:8880"), vectors.agent[0]);
    let least = Cluster { version: "v1.36.0".to_owned(), ..Cluster::default() };
    let machine = Machine::new("node-02", MachineSpec::default());
    assert_eq!(config_json(&machine, &least, ""), vectors.agent[1]);
}

#[test]
fn labels_of_the_cluster_win_and_downloads_are_those_that_are_said() {
    let spec = serde_json::json!({
        "kubernetes": {"version": "v1.2.3", "nodeLabels": {"a": "theirs", "b": "theirs"}},
        "agent": {"downloads": {"cni": {"url": "http://x/cni"}, "runc": {"baseURL": "http://y", "version": "1"}}},
    });
    let machine = Machine::new("a", serde_json::from_value(spec).unwrap());
    let node_labels = [("a".to_owned(), "ours".to_owned())].into();
    let cluster = Cluster { node_labels, ..Cluster::default() };
    let written: serde_json::Value =
        serde_json::from_str(&config_json(&machine, &cluster, "u")).unwrap();
    assert_eq!(written["Cluster"]["Version"], "v1.2.3");
    assert_eq!(written["Kubelet"]["Labels"], serde_json::json!({"a": "ours", "b": "theirs"}));
    let downloads = serde_json::json!({
        "CNI": {"URL": "http://x/cni"}, "Runc": {"BaseURL": "http://y", "Version": "1"},
    });
    assert_eq!(written["Downloads"], downloads);
}
