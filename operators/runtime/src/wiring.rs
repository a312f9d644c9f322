//! Which change of which kind wakes what, as a table with one row per kind.
//!
//! A binary names what can be woken, and has a function for each kind that returns what a change
//! wakes, given what is known. Waking something needlessly costs a pass that neither reads nor
//! writes; what is not woken waits for a resync.

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
    type WakeTarget: Ord;

    /// Requests a pass over it.
    fn wake(&self, woken: Self::WakeTarget);

    /// Requests a pass over each of them.
    fn wake_all(&self, woken: BTreeSet<Self::WakeTarget>) {
        for one in woken {
            self.wake(one);
        }
    }
}

/// What a change wakes, given what is known.
type WakeRule<View, K, WakeTarget> = fn(&View, &Change<'_, K>) -> BTreeSet<WakeTarget>;

/// A listener for every change.
type Listener<'a, K> = Box<dyn Fn(&Change<'_, K>) + Send + Sync + 'a>;

/// A kind, and the effects of its changes.
pub struct Row<'a, View, K, Key, WakeTarget> {
    index: &'a Index<K, Key>,
    wakes: WakeRule<View, K, WakeTarget>,
    listeners: Vec<Listener<'a, K>>,
}

impl<'a, View, K, Key, WakeTarget> Row<'a, View, K, Key, WakeTarget>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    /// The objects of `index`, whose changes wake something.
    pub fn new(index: &'a Index<K, Key>, wakes: WakeRule<View, K, WakeTarget>) -> Self {
        Self { index, wakes, listeners: Vec::new() }
    }

    /// Adds a listener, which is called for every change before anything is woken by it.
    #[must_use]
    pub fn heard_by(mut self, listener: impl Fn(&Change<'_, K>) + Send + Sync + 'a) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Watches the kind forever.
    ///
    /// # Errors
    ///
    /// When the watch ends, which it never should.
    pub async fn follow(
        self,
        client: &Client,
        view: &View,
        queues: &impl Queues<WakeTarget = WakeTarget>,
    ) -> Result<(), Ended> {
        follow(client, self.index, |change| {
            self.listeners.iter().for_each(|listener| listener(&change));
            queues.wake_all((self.wakes)(view, &change));
        })
        .await
    }
}
