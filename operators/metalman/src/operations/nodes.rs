//! Cordons, drains and deletes Nodes.

use crate::{Error, context::MANAGER};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{EvictParams, ListParams},
};
use metal_api::Machine;
use metal_core::machine::operations::{CORDONED_FOR, is_cordoned_by_us, is_to_be_evicted};
use metal_runtime::{Writer, Written, index::Index, list_selected_in_pages, report::Chain};
use serde::Serialize;

/// Pods that have ended need no eviction.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Nodes, and the pods on them.
pub(crate) struct Nodes<'a> {
    client: &'a Client,
    index: &'a Index<Node, ()>,
}

#[derive(Debug, Serialize)]
struct Schedulable {
    unschedulable: Option<bool>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(client: &'a Client, index: &'a Index<Node, ()>) -> Self {
        Self { client, index }
    }

    /// Annotates it with the Machine that it is cordoned for, and then cordons it.
    pub(crate) async fn cordon(&self, node: &Node, machine: &Machine) -> Result<Written, Error> {
        let writer = self.writer();
        let written = if is_cordoned_by_us(node) {
            writer.patch_spec(node, &Schedulable { unschedulable: Some(true) }).await
        } else {
            let uid = machine.metadata.uid.as_deref().unwrap_or_default();
            writer.patch_annotations(node, &[(CORDONED_FOR, Some(uid))].into()).await
        };
        written.map_err(Error::node)
    }

    /// The reverse.
    pub(crate) async fn uncordon(&self, node: &Node) -> Result<Written, Error> {
        let writer = self.writer();
        let is_cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        let written = if is_cordoned {
            writer.patch_spec(node, &Schedulable { unschedulable: None }).await
        } else {
            writer.patch_annotations(node, &[(CORDONED_FOR, None)].into()).await
        };
        written.map_err(Error::node)
    }

    /// Deletes it; its pods go with it.
    pub(crate) async fn delete(&self, node: &Node) -> Result<Written, Error> {
        self.writer().delete(&node.metadata).await.map_err(Error::node)
    }

    /// Pods that have to be evicted.
    pub(crate) async fn pods(&self, node: &str) -> Result<Vec<Pod>, Error> {
        let api = Api::<Pod>::all(self.client.clone());
        let fields = format!("spec.nodeName={node},{NOT_ENDED}");
        let params = ListParams::default().fields(&fields);
        let pods = list_selected_in_pages(&api, params).await;
        let pods = pods.map_err(|error| Error::Pods(Box::new(error)))?;
        Ok(pods.into_iter().filter(is_to_be_evicted).collect())
    }

    /// Evicts all of them. Those that a disruption budget protects are retried later.
    pub(crate) async fn evict(&self, node: &str) -> Result<(), Error> {
        for pod in self.pods(node).await? {
            let namespace = pod.namespace().unwrap_or_default();
            let api = Api::<Pod>::namespaced(self.client.clone(), &namespace);
            let name = pod.name_any();
            if let Err(error) = api.evict(&name, &EvictParams::default()).await {
                tracing::debug!(
                    node,
                    namespace,
                    pod = name,
                    error = %Chain(&error),
                    "could not evict a pod",
                );
            }
        }
        Ok(())
    }

    fn writer(&self) -> Writer<'a, Node, ()> {
        Writer::new(Api::all(self.client.clone()), self.index, MANAGER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn pods_beyond_the_first_page_are_evicted_too() {
        let server = ApiServer::default();
        server.page(2);
        for name in ["a", "b", "c", "d", "e"] {
            let mut pod = Pod::default();
            pod.metadata.name = Some(name.to_owned());
            pod.metadata.namespace = Some("tenant".to_owned());
            server.put(&pod);
        }
        let (client, index) = (server.client("default"), Index::new(|_: &Node| vec![]));
        Nodes::new(&client, &index).evict("node-a").await.unwrap();
        let sent = server.sent();
        let lists: Vec<_> = sent.iter().filter(|sent| sent.is_read()).collect();
        let evicted: Vec<_> = sent.iter().filter(|sent| !sent.is_read()).collect();
        assert_eq!((lists.len(), evicted.len()), (3, 5), "{sent:?}");
        assert!(lists.iter().all(|it| it.query.contains("Succeeded")), "{lists:?}");
    }
}
