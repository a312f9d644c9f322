//! What a kubelet does that a Machine depends on: it registers its Node, and goes on saying that the
//! Node is ready. Pods are not started.

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{collections::BTreeMap, net::IpAddr};

/// The part of a kubelet that is played.
#[derive(Clone, Debug)]
pub struct Kubelet {
    /// Name of the Node.
    pub name: String,
    /// Its internal address.
    pub address: IpAddr,
    /// Labels that it registers with.
    pub labels: BTreeMap<String, String>,
    /// Taints that it registers with, like `key=value:NoSchedule`.
    pub taints: Vec<String>,
    /// Changes with each boot of its host.
    pub boot_id: String,
}

impl Kubelet {
    /// A kubelet without labels and taints.
    pub fn new(name: impl Into<String>, address: IpAddr) -> Self {
        let (labels, taints) = (BTreeMap::new(), Vec::new());
        Self { name: name.into(), address, labels, taints, boot_id: String::new() }
    }

    /// Registers the Node, unless it is there, and says that it is ready.
    ///
    /// # Errors
    ///
    /// Those of the API server, and if a taint cannot be understood.
    pub async fn report(&self, client: &Client) -> Result<()> {
        let nodes = Api::<Node>::all(client.clone());
        if nodes.get_opt(&self.name).await?.is_none() {
            nodes.create(&PostParams::default(), &self.node()?).await?;
        }
        let status = Patch::Strategic(json!({ "status": self.status() }));
        nodes.patch_status(&self.name, &PatchParams::default(), &status).await?;
        Ok(())
    }

    fn node(&self) -> Result<Node> {
        let mut node = Node::default();
        node.metadata.name = Some(self.name.clone());
        let mut labels = self.labels.clone();
        labels.insert("kubernetes.io/hostname".to_owned(), self.name.clone());
        node.metadata.labels = Some(labels);
        let taints: Result<Vec<_>> = self.taints.iter().map(|text| taint(text)).collect();
        let taints = Some(taints?).filter(|taints| !taints.is_empty());
        node.spec = Some(NodeSpec { taints, ..NodeSpec::default() });
        Ok(node)
    }

    fn status(&self) -> NodeStatus {
        let now = Time(Timestamp::now());
        let ready = NodeCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            reason: Some("KubeletReady".to_owned()),
            last_heartbeat_time: Some(now),
            ..NodeCondition::default()
        };
        let (address, type_) = (self.address.to_string(), "InternalIP".to_owned());
        let info = NodeSystemInfo {
            boot_id: self.boot_id.clone(),
            kubelet_version: concat!("v", env!("CARGO_PKG_VERSION"), "-stand-in").to_owned(),
            operating_system: "linux".to_owned(),
            ..NodeSystemInfo::default()
        };
        NodeStatus {
            addresses: Some(vec![NodeAddress { address, type_ }]),
            conditions: Some(vec![ready]),
            node_info: Some(info),
            ..NodeStatus::default()
        }
    }
}

/// `key=value:Effect`, or `key:Effect`.
fn taint(text: &str) -> Result<Taint> {
    let (rest, effect) = text.rsplit_once(':').with_context(|| format!("{text}: no effect"))?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    let value = Some(value.to_owned()).filter(|value| !value.is_empty());
    Ok(Taint { key: key.to_owned(), value, effect: effect.to_owned(), time_added: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_registers_with_labels_and_taints() {
        let mut kubelet = Kubelet::new("node-01", [10, 0, 0, 11].into());
        kubelet.labels.insert("rack".to_owned(), "a".to_owned());
        kubelet.taints = vec!["gpu=yes:NoSchedule".to_owned(), "new:NoExecute".to_owned()];
        let node = kubelet.node().unwrap();
        let labels = node.metadata.labels.unwrap();
        assert_eq!((&*labels["rack"], &*labels["kubernetes.io/hostname"]), ("a", "node-01"));
        let taints = node.spec.unwrap().taints.unwrap();
        let seen = taints.iter().map(|it| (&*it.key, it.value.as_deref(), &*it.effect));
        let expected = [("gpu", Some("yes"), "NoSchedule"), ("new", None, "NoExecute")];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        kubelet.taints.push("nonsense".to_owned());
        assert!(kubelet.node().is_err());
    }
}
