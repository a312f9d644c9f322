//! A read-only view of one kind, found by a key other than its name.
//!
//! kube's [`Store`](kube::runtime::reflector::Store) finds objects by name; everything else is a
//! scan. Servers that answer a machine (DHCP, TFTP, HTTP) get a MAC address or a UUID, and must
//! neither scan nor ask the API server for each request.

use futures::{Stream, StreamExt};
use kube::{
    Resource,
    api::ObjectMeta,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::watch;

/// Objects of kind `K` by key, kept up to date by [`Index::follow`].
#[derive(Debug)]
pub struct Index<K, Key> {
    keys_of: fn(&K) -> Vec<Key>,
    live: RwLock<Table<K, Key>>,
    ready: watch::Sender<bool>,
    /// Whether there was a list since the last doubt.
    listed: watch::Sender<bool>,
}

#[derive(Debug)]
struct Table<K, Key> {
    by_name: HashMap<Name, Arc<K>>,
    by_key: HashMap<Key, Vec<Arc<K>>>,
    /// Objects that are there, and do not parse.
    withdrawn: HashSet<Name>,
    /// Whether this came of the API server, at least once.
    is_listed: bool,
}

/// What is said of an object that did not parse, and is gone.
pub const GONE: &str = "it is gone";

/// Namespace and name.
type Name = (Option<String>, String);

/// What one event did to an index.
#[derive(Debug)]
pub enum Change<'a, K> {
    /// The object is new, or differs from what was there.
    Applied {
        /// What was there.
        old: Option<&'a Arc<K>>,
        /// What is there now.
        new: &'a Arc<K>,
    },
    /// The object is gone.
    Removed(&'a Arc<K>),
    /// The object does not parse, and was withdrawn; or it was, and is [`GONE`].
    Unreadable {
        /// Its metadata, which does parse.
        meta: &'a ObjectMeta,
        /// What is wrong, with the path of the field.
        error: &'a str,
    },
}

/// The watch ended, which it never does by itself.
#[derive(Debug, thiserror::Error)]
#[error("watch ended")]
pub struct Ended;

impl<K: Resource<DynamicType = ()>, Key: Eq + Hash> Index<K, Key> {
    /// An empty index; `keys_of` names the keys of an object.
    pub fn new(keys_of: fn(&K) -> Vec<Key>) -> Self {
        Self {
            keys_of,
            live: RwLock::default(),
            ready: watch::Sender::new(false),
            listed: watch::Sender::new(false),
        }
    }

    /// Every object with this key. More than one means that two objects claim one identity; the
    /// caller must not pick.
    pub fn get(&self, key: &Key) -> Vec<Arc<K>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.by_key.get(key).cloned().unwrap_or_default()
    }

    /// The object with this name; `None` for the namespace of a cluster-scoped kind.
    pub fn named(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.by_name.get(&(namespace.map(str::to_owned), name.to_owned())).cloned()
    }

    /// Whether there is an object of this name that does not parse.
    pub fn is_withdrawn(&self, namespace: Option<&str>, name: &str) -> bool {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.withdrawn.contains(&(namespace.map(str::to_owned), name.to_owned()))
    }

    /// Names of the objects that are there and do not parse.
    pub fn withdrawn(&self) -> Vec<String> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.withdrawn.iter().map(|(_, name)| name.clone()).collect()
    }

    /// Every object, in no order.
    pub fn all(&self) -> Vec<Arc<K>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.by_name.values().cloned().collect()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.live.read().unwrap_or_else(PoisonError::into_inner).by_name.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list has arrived; until then a miss means nothing.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Holds these objects, and no others, until the first list arrives; after that it does nothing.
    /// Whether it did. [`Self::is_ready`] says as before whether a list has arrived.
    pub fn presume(&self, objects: impl IntoIterator<Item = K>) -> bool {
        let mut next = Table::default();
        for object in objects {
            next.insert(DeserializeGuard(Ok(object)), self.keys_of, &mut |_| {});
        }
        self.write(|live| {
            if !live.is_listed {
                *live = next;
            }
            !live.is_listed
        })
    }

    /// What is here may be old: [`Self::listed`] waits for the next list.
    pub fn doubt(&self) {
        self.listed.send_replace(false);
    }

    /// Waits for a list that came after the last doubt.
    pub async fn listed(&self) {
        // Its sender is this.
        self.listed.subscribe().wait_for(|listed| *listed).await.ok();
    }

    /// Applies the events of a watch until it ends.
    ///
    /// A new list replaces the old one in one go: readers never see a half-filled table, and
    /// objects deleted while the watch was down disappear. So does an object that no longer
    /// parses: better no answer than one from its last readable version.
    ///
    /// # Errors
    ///
    /// When the watch ends.
    pub async fn follow(
        &self,
        events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    ) -> Result<(), Ended> {
        self.follow_with(events, |_| {}).await
    }

    /// As [`Self::follow`], and tells `on_change` of every change after it was made. A list is
    /// told as the changes that it makes to what was there.
    ///
    /// # Errors
    ///
    /// When the watch ends.
    pub async fn follow_with(
        &self,
        events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
        mut on_change: impl FnMut(Change<'_, K>),
    ) -> Result<(), Ended> {
        let mut events = std::pin::pin!(events);
        let mut next = Table::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => next = Table::default(),
                Ok(Event::InitApply(object)) => {
                    next.insert(object, self.keys_of, &mut |change| {
                        if matches!(change, Change::Unreadable { .. }) {
                            on_change(change);
                        }
                    });
                }
                Ok(Event::InitDone) => {
                    let next = Table { is_listed: true, ..std::mem::take(&mut next) };
                    let names: Vec<_> = next.by_name.keys().cloned().collect();
                    let old = self.write(|live| std::mem::replace(live, next));
                    self.ready.send_replace(true);
                    self.listed.send_replace(true);
                    self.tell(&old, &names, &mut on_change);
                }
                Ok(Event::Apply(object)) => {
                    let mut told = None;
                    let old = self.write(|live| {
                        live.insert(object, self.keys_of, &mut |change| match change {
                            Change::Applied { new, .. } => told = Some(Ok(Arc::clone(new))),
                            Change::Unreadable { meta, error } => {
                                told = Some(Err((meta.clone(), error.to_owned())));
                            }
                            Change::Removed(_) => {}
                        })
                    });
                    match &told {
                        Some(Ok(new)) => on_change(Change::Applied { old: old.as_ref(), new }),
                        Some(Err((meta, error))) => on_change(Change::Unreadable { meta, error }),
                        None => {}
                    }
                }
                Ok(Event::Delete(object)) => {
                    let name = name_of(object.meta());
                    let (old, was_withdrawn) = self.write(|live| {
                        (live.remove(&name, self.keys_of), live.withdrawn.remove(&name))
                    });
                    if let Some(old) = old {
                        on_change(Change::Removed(&old));
                    } else if was_withdrawn {
                        on_change(Change::Unreadable { meta: object.meta(), error: GONE });
                    }
                }
                Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "watch interrupted"),
            }
        }
        Err(Ended)
    }

    /// Tells what a new list changed.
    fn tell(&self, old: &Table<K, Key>, names: &[Name], on_change: &mut impl FnMut(Change<'_, K>)) {
        for (namespace, name) in names {
            if let Some(new) = self.named(namespace.as_deref(), name) {
                let old = old.by_name.get(&(namespace.clone(), name.clone()));
                on_change(Change::Applied { old, new: &new });
            }
        }
        for (name, gone) in &old.by_name {
            if self.named(name.0.as_deref(), &name.1).is_none() {
                on_change(Change::Removed(gone));
            }
        }
        for (namespace, name) in &old.withdrawn {
            let in_namespace = namespace.as_deref();
            if self.named(in_namespace, name).is_none() && !self.is_withdrawn(in_namespace, name) {
                let (name, namespace) = (Some(name.clone()), namespace.clone());
                let meta = ObjectMeta { name, namespace, ..ObjectMeta::default() };
                on_change(Change::Unreadable { meta: &meta, error: GONE });
            }
        }
    }

    fn write<T>(&self, f: impl FnOnce(&mut Table<K, Key>) -> T) -> T {
        f(&mut self.live.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K, Key> Default for Table<K, Key> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_key: HashMap::new(),
            withdrawn: HashSet::new(),
            is_listed: false,
        }
    }
}

impl<K: Resource<DynamicType = ()>, Key: Eq + Hash> Table<K, Key> {
    /// Puts an object in, and returns the one that was there.
    fn insert(
        &mut self,
        object: DeserializeGuard<K>,
        keys_of: fn(&K) -> Vec<Key>,
        on_change: &mut impl FnMut(Change<'_, K>),
    ) -> Option<Arc<K>> {
        let name = name_of(object.meta());
        let old = self.remove(&name, keys_of);
        self.withdrawn.remove(&name);
        match object.0 {
            Ok(object) => {
                let object = Arc::new(object);
                for key in keys_of(&object) {
                    self.by_key.entry(key).or_default().push(Arc::clone(&object));
                }
                on_change(Change::Applied { old: old.as_ref(), new: &object });
                self.by_name.insert(name, object);
            }
            Err(broken) => {
                let error = &broken.error;
                tracing::warn!(%error, object = name.1, "object withdrawn: unreadable");
                on_change(Change::Unreadable { meta: &broken.metadata, error });
                self.withdrawn.insert(name);
            }
        }
        old
    }

    fn remove(&mut self, name: &Name, keys_of: fn(&K) -> Vec<Key>) -> Option<Arc<K>> {
        let old = self.by_name.remove(name)?;
        for key in keys_of(&old) {
            if let Some(objects) = self.by_key.get_mut(&key) {
                objects.retain(|other| !Arc::ptr_eq(other, &old));
                if objects.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        Some(old)
    }
}

fn name_of(meta: &ObjectMeta) -> Name {
    (meta.namespace.clone(), meta.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests;
