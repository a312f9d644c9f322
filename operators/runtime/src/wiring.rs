//! Which change of which kind wakes whom, as a table with a row for each kind.
//!
//! A binary names what can be woken, and says for each kind whom a change wakes: a function of the
//! change and of what is known. Waking somebody needlessly costs a pass that neither reads nor
//! writes; who is not woken waits for a resync.

use crate::{
    follow,
    index::{Change, Ended, Index},
};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use std::{collections::BTreeSet, fmt::Debug, hash::Hash};

/// The queues of a binary.
pub trait Queues: Sync {
    /// What can be woken.
    type Woken: Ord;

    /// Asks for a pass over it.
    fn wake(&self, woken: Self::Woken);

    /// Asks for a pass over each of them.
    fn wake_all(&self, woken: BTreeSet<Self::Woken>) {
        for one in woken {
            self.wake(one);
        }
    }
}

/// Whom a change wakes, by what is known.
type WokenBy<View, K, Woken> = fn(&View, &Change<'_, K>) -> BTreeSet<Woken>;

/// Somebody who hears of every change.
type Listener<'a, K> = Box<dyn Fn(&Change<'_, K>) + Send + Sync + 'a>;

/// A kind, and what its changes are good for.
pub struct Row<'a, View, K, Key, Woken> {
    index: &'a Index<K, Key>,
    wakes: WokenBy<View, K, Woken>,
    listeners: Vec<Listener<'a, K>>,
}

impl<'a, View, K, Key, Woken> Row<'a, View, K, Key, Woken>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    /// The objects of `index`, whose changes wake somebody.
    pub fn new(index: &'a Index<K, Key>, wakes: WokenBy<View, K, Woken>) -> Self {
        Self { index, wakes, listeners: Vec::new() }
    }

    /// As this; `listener` hears of every change before somebody is woken by it.
    #[must_use]
    pub fn heard_by(mut self, listener: impl Fn(&Change<'_, K>) + Send + Sync + 'a) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Follows the kind for ever.
    ///
    /// # Errors
    ///
    /// When the watch ends, which it does not by itself.
    pub async fn follow(
        self,
        client: &Client,
        view: &View,
        queues: &impl Queues<Woken = Woken>,
    ) -> Result<(), Ended> {
        follow(client, self.index, |change| {
            self.listeners.iter().for_each(|listener| listener(&change));
            queues.wake_all((self.wakes)(view, &change));
        })
        .await
    }
}
