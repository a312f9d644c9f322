//! The indexes of a process, of whatever kind, and whether their lists have arrived.

use super::Index;
use crate::health::Readiness;
use kube::Resource;
use std::{hash::Hash, sync::Arc};
use tokio::sync::watch;

/// An index without its kind.
pub trait Listed: Send + Sync {
    /// Whether the first list has arrived; until then a miss means nothing.
    fn is_ready(&self) -> bool;

    /// The content may be outdated.
    fn doubt(&self);

    /// Shows whether a list has arrived since the last doubt.
    fn is_listed(&self) -> watch::Receiver<bool>;
}

impl<K, Key> Listed for Index<K, Key>
where
    K: Resource<DynamicType = ()> + Send + Sync,
    Key: Eq + Hash + Send + Sync,
{
    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn doubt(&self) {
        self.doubt();
    }

    fn is_listed(&self) -> watch::Receiver<bool> {
        self.listed.subscribe()
    }
}

/// Indexes with the plural names of their kinds.
#[derive(Clone, Copy)]
pub struct Lists<'a, const N: usize>(pub [(&'static str, &'a dyn Listed); N]);

impl<const N: usize> Lists<'_, N> {
    /// Whether every list has arrived; until then a miss means nothing.
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, index)| index.is_ready())
    }

    /// Whether the list at this place has arrived.
    pub fn is_ready_at(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(|(_, index)| index.is_ready())
    }

    /// The content may be outdated: [`Self::listed`] waits for new lists.
    pub fn doubt(&self) {
        self.0.iter().for_each(|(_, index)| index.doubt());
    }

    /// Waits for a list of every kind that arrived after the last doubt.
    pub async fn listed(&self) {
        for (_, index) in self.0 {
            // The sender lives as long as the index.
            index.is_listed().wait_for(|listed| *listed).await.ok();
        }
    }
}

/// Adds a part to `readiness` for each list of `view` that is waited for.
pub fn register<V: Send + Sync + 'static, const N: usize>(
    readiness: &Readiness,
    view: &Arc<V>,
    lists: for<'a> fn(&'a V) -> Lists<'a, N>,
) {
    for (place, (kind, _)) in lists(view).0.into_iter().enumerate() {
        let view = Arc::clone(view);
        let is_ready = move || lists(&view).is_ready_at(place);
        readiness.check(kind, format!("the list of {kind}"), is_ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, stream};
    use k8s_openapi::api::core::v1::{ConfigMap, Node};
    use kube::runtime::watcher::Event;

    struct View {
        nodes: Index<Node, ()>,
        maps: Index<ConfigMap, ()>,
    }

    impl View {
        fn lists(&self) -> Lists<'_, 2> {
            Lists([("nodes", &self.nodes), ("configmaps", &self.maps)])
        }
    }

    async fn list<K: Resource<DynamicType = ()> + Clone>(index: &Index<K, ()>) {
        let events = [Event::Init, Event::InitDone].map(Ok);
        index.follow(stream::iter(events)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_process_is_ready_once_every_list_has_arrived() {
        let view = Arc::new(View { nodes: Index::new(|_| vec![]), maps: Index::new(|_| vec![]) });
        let readiness = Readiness::default();
        register(&readiness, &view, View::lists);
        list(&view.nodes).await;
        assert!(!view.lists().is_ready() && view.lists().listed().now_or_never().is_none());
        let waits = "[+] nodes\n[-] configmaps: waiting for the list of configmaps\n";
        assert_eq!((readiness.report().as_str(), readiness.is_ready()), (waits, false));
        list(&view.maps).await;
        assert!(view.lists().is_ready() && view.lists().listed().now_or_never().is_some());
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn after_a_doubt_every_list_is_waited_for_and_a_process_stays_ready() {
        let view = View { nodes: Index::new(|_| vec![]), maps: Index::new(|_| vec![]) };
        list(&view.nodes).await;
        list(&view.maps).await;
        for is_first in [true, false] {
            view.lists().doubt();
            assert!(view.lists().is_ready());
            if is_first {
                list(&view.nodes).await;
            } else {
                list(&view.maps).await;
            }
            assert!(view.lists().listed().now_or_never().is_none());
            if is_first {
                list(&view.maps).await;
            } else {
                list(&view.nodes).await;
            }
            assert!(view.lists().listed().now_or_never().is_some());
        }
    }
}
