//! Cordons, drains and deletes Nodes.

use crate::{Error, context::MANAGER};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{EvictParams, ListParams},
};
use metal_api::Machine;
use metal_machine::operations::{CORDONED_FOR, EvictionRound, Evictions, is_to_be_evicted};
use metal_runtime::{
    MetadataChange, Writer, Written, index::Index, list_selected_in_pages, report::Chain,
};
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// Pods that have ended need no eviction.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// How many pods of a Node are evicted at a time. One after the other, a slow admission webhook would leave most of
/// them to the end of the drain, when the power is cut.
const EVICTIONS: usize = 16;
/// How long the first eviction of a pod may take: longer than a webhook does by default.
const EVICTION: Duration = Duration::from_secs(15);
/// How long a round may take, and a repeated eviction: as long as API servers give a request by default. A webhook alone
/// may take 30 s, and one may follow on another.
const ROUND: Duration = Duration::from_mins(1);

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

    /// Cordons it, and annotates it with the Machine that it is cordoned for: in one write, so that nobody
    /// else can cordon it in between.
    pub(crate) async fn cordon(&self, node: &Node, machine: &Machine) -> Result<Written, Error> {
        let uid = machine.metadata.uid.as_deref().unwrap_or_default();
        self.set(node, Some(uid), Some(true)).await
    }

    /// The reverse.
    pub(crate) async fn uncordon(&self, node: &Node) -> Result<Written, Error> {
        self.set(node, None, None).await
    }

    async fn set(
        &self,
        node: &Node,
        cordoned_for: Option<&str>,
        unschedulable: Option<bool>,
    ) -> Result<Written, Error> {
        let annotations = [(CORDONED_FOR, cordoned_for)].into();
        let change = MetadataChange { annotations, ..MetadataChange::default() };
        let written = self.writer().patch(node, &change, &Schedulable { unschedulable }).await;
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

    /// One round of evictions, which ends after `limit` at the latest. Those pods come first that were tried the least
    /// before. Those that a disruption budget protects are left to the next round.
    pub(crate) async fn evict(
        &self,
        node: &str,
        before: &Evictions,
        limit: Duration,
    ) -> Result<EvictionRound, Error> {
        let end = Instant::now() + limit.min(ROUND);
        let pods = self.pods(node).await?;
        let mut left: BTreeSet<_> = pods.iter().map(name_of).collect();
        let pods = in_turn(pods, before);
        let mut tried: Vec<_> = pods.iter().map(name_of).collect();
        let evictions = pods.into_iter().map(|pod| {
            let limit = if before.tries(&name_of(&pod)) == 0 { EVICTION } else { ROUND };
            self.evict_one(node, pod, limit).boxed()
        });
        let evictions: Vec<BoxFuture<'_, _>> = evictions.collect();
        let mut evictions = stream::iter(evictions).buffer_unordered(EVICTIONS);
        let mut ended = 0;
        while let Ok(Some((pod, is_evicted))) = timeout_at(end, evictions.next()).await {
            ended += 1;
            if is_evicted {
                left.remove(&pod);
            }
        }
        tried.truncate(ended + EVICTIONS);
        Ok(EvictionRound { tried, left: left.into_iter().collect() })
    }

    /// Evicts a pod, and returns its name, and whether it was evicted.
    async fn evict_one(&self, node: &str, pod: Pod, limit: Duration) -> (String, bool) {
        let pod_name = name_of(&pod);
        let namespace = pod.metadata.namespace.unwrap_or_default();
        let name = pod.metadata.name.unwrap_or_default();
        let api = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        let evicted = timeout(limit, api.evict(&name, &EvictParams::default())).await;
        let error = match evicted {
            Ok(Ok(_)) => return (pod_name, true),
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        tracing::debug!(node, namespace, pod = name, error, "could not evict a pod");
        (pod_name, false)
    }

    fn writer(&self) -> Writer<'a, Node, ()> {
        Writer::new(Api::all(self.client.clone()), self.index, MANAGER)
    }
}

/// The name of a pod, with its namespace.
fn name_of(pod: &Pod) -> String {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", pod.metadata.name.as_deref().unwrap_or_default())
}

/// Pods to evict in a round, in order. Those that are on their way out already need no second eviction.
fn in_turn(mut pods: Vec<Pod>, before: &Evictions) -> Vec<Pod> {
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by_cached_key(|pod| before.tries(&name_of(pod)));
    pods
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use metal_machine::operations::Memory;
    use metal_runtime::testing::ApiServer;
    use serde_json::json;

    #[tokio::test]
    async fn a_node_is_cordoned_and_annotated_in_one_write_on_what_was_seen_and_so_is_the_reverse()
    {
        let server = ApiServer::default();
        let mut node = Node::default();
        node.metadata.name = Some("node-a".to_owned());
        server.put(&node);
        let there = || server.object::<Node>(None, "node-a").unwrap();
        let (client, index) = (server.client("default"), Index::new(|_: &Node| vec![]));
        let nodes = Nodes::new(&client, &index);
        let mut machine = Machine::new("node-a", metal_api::MachineSpec::default());
        machine.metadata.uid = Some("uid".to_owned());
        for (cordons, uid, unschedulable) in
            [(true, json!("uid"), json!(true)), (false, json!(null), json!(null))]
        {
            let node = there();
            if cordons {
                nodes.cordon(&node, &machine).await.unwrap();
            } else {
                nodes.uncordon(&node).await.unwrap();
            }
            let written = server.written();
            let body = &written.last().unwrap().body;
            assert_eq!(body["metadata"]["annotations"], json!({ CORDONED_FOR: uid }));
            assert_eq!(body["spec"], json!({ "unschedulable": unschedulable }));
            assert_eq!(body["metadata"]["resourceVersion"], json!(node.metadata.resource_version));
        }
        assert_eq!(server.written().len(), 2);
    }

    #[tokio::test]
    async fn pods_beyond_the_first_page_are_evicted_too() {
        let server = ApiServer::default();
        server.page(2);
        for name in ["a", "b", "c", "d", "e"] {
            server.put(&pod(name));
        }
        let (client, index) = (server.client("default"), Index::new(|_: &Node| vec![]));
        let nodes = Nodes::new(&client, &index);
        let round = nodes.evict("node-a", &Evictions::default(), ROUND).await.unwrap();
        assert_eq!(round.left, Vec::<String>::new());
        let sent = server.sent();
        let lists: Vec<_> = sent.iter().filter(|sent| sent.is_read()).collect();
        let evicted: Vec<_> = sent.iter().filter(|sent| !sent.is_read()).collect();
        assert_eq!((lists.len(), evicted.len()), (3, 5), "{sent:?}");
        assert!(lists.iter().all(|it| it.query.contains("Succeeded")), "{lists:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_whose_eviction_hangs_delays_no_other_and_not_for_ever() {
        let server = ApiServer::default();
        for name in ["a", "b", "c", "d", "e"] {
            server.put(&pod(name));
        }
        server.fall_silent_after(1);
        let (client, index) = (server.client("default"), Index::new(|_: &Node| vec![]));
        let nodes = Nodes::new(&client, &index);
        let round = nodes.evict("node-a", &Evictions::default(), ROUND).await.unwrap();
        assert_eq!(server.written().len(), 5);
        assert_eq!((round.tried.len(), round.left.len()), (5, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_in_which_every_eviction_hangs_ends_with_who_was_tried_and_who_is_left() {
        let server = ApiServer::default();
        let names: Vec<_> = (0..100).map(|at| format!("{at:03}")).collect();
        for name in &names {
            server.put(&pod(name));
        }
        server.fall_silent_after(1);
        let (client, index) = (server.client("default"), Index::new(|_: &Node| vec![]));
        let (nodes, start) = (Nodes::new(&client, &index), Instant::now());
        let round = nodes.evict("node-a", &Evictions::default(), ROUND).await.unwrap();
        assert!(start.elapsed() <= ROUND + Duration::from_secs(1), "by a clock that stands still");
        assert_eq!(round.left.len(), 99, "the first was evicted");
        assert!(round.tried.len() < 100, "{}", round.tried.len());
        assert_eq!(round.tried.first().map(String::as_str), Some("tenant/000"));
    }

    #[test]
    fn pods_that_were_tried_the_least_come_first_and_those_that_go_already_not_at_all() {
        let mut going = pod("going");
        going.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        let mut memory = Memory::default();
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|it| format!("tenant/{it}")).collect()
        };
        memory.evicted(EvictionRound { tried: names(&["a"]), left: names(&["a", "b"]) });
        let pods = in_turn(vec![pod("a"), going, pod("b")], memory.evictions());
        let order: Vec<_> = pods.iter().map(name_of).collect();
        assert_eq!(order, ["tenant/b", "tenant/a"]);
    }

    fn pod(name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.namespace = Some("tenant".to_owned());
        pod
    }
}
