//! A read-only view of one kind, looked up by a key other than its name.
//!
//! kube's [`Store`](kube::runtime::reflector::Store) finds objects by name; anything else is a
//! scan. Servers that answer machines (DHCP, TFTP, HTTP) have a MAC address or a UUID, and must
//! neither scan nor query the API server for each request.

mod change;
mod holders;
pub mod readiness;
mod rules;
mod share;
mod table;
mod trim;
pub(crate) mod version;

pub use change::{Change, GONE};
pub use share::{Shares, footprint};

use futures::{Stream, StreamExt};
use holders::Holders;
use kube::{
    Resource,
    api::ObjectMeta,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use metal_base::{RwLocked, jittered};
use rules::Rules;
use std::{
    future::pending,
    hash::Hash,
    sync::{Arc, RwLock},
    time::Duration,
};
use table::{Outcome, Read, Table};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use trim::Trim;
use version::Version;

/// How soon to list again once there is room for objects that were left out: what makes room goes
/// on for a while, as a rule.
const AGAIN: Duration = Duration::from_mins(1);

/// Objects of kind `K` by key, kept up to date by [`Index::follow`] and by their writers.
#[derive(Debug)]
pub struct Index<K, Key> {
    rules: Rules<K, Key>,
    trim: Trim<K>,
    live: RwLock<Table<K, Key>>,
    /// A write was stored that is given up unless the watch reports it.
    doubted: Notify,
    ready: watch::Sender<bool>,
    /// Whether there has been a list since the last doubt.
    listed: watch::Sender<bool>,
}

/// Namespace and name.
type Name = (Option<String>, String);

/// The watch ended, which it never should.
#[derive(Debug, thiserror::Error)]
#[error("watch ended")]
pub struct Ended;

impl<K: Resource<DynamicType = ()>, Key: Eq + Hash> Index<K, Key> {
    /// An empty index; `keys_of` returns the keys of an object.
    pub fn new(keys_of: fn(&K) -> Vec<Key>) -> Self {
        Self {
            rules: Rules { keys_of, bounds: None },
            trim: Trim::default(),
            live: RwLock::default(),
            doubted: Notify::new(),
            ready: watch::Sender::new(false),
            listed: watch::Sender::new(false),
        }
    }

    /// Stores objects without what is not used here, which `trim` removes, or shares with others.
    #[must_use]
    pub fn trimmed(self, trim: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        Self { trim: Trim::new(trim), ..self }
    }

    /// Keeps the objects of each namespace within its share of the memory, by what `footprint` says
    /// of them. Objects for which there is no room are treated as ones that cannot be parsed.
    #[must_use]
    pub fn bounded(mut self, footprint: fn(&K) -> usize, shares: Shares) -> Self {
        self.rules.bounds = Some((footprint, shares));
        self
    }

    /// All objects with this key. More than one means that several objects claim the same identity;
    /// the caller must not pick one.
    pub fn get(&self, key: &Key) -> Vec<Arc<K>> {
        self.read(|live| live.by_key.get(key).map(Holders::all).unwrap_or_default())
    }

    /// The object with this name; `None` for the namespace of a cluster-scoped kind.
    pub fn named(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        self.read(|live| {
            live.by_name.get(&(namespace.map(str::to_owned), name.to_owned())).cloned()
        })
    }

    /// Whether the object of this name exists but is not kept: it cannot be parsed, or there is no
    /// room for it.
    pub fn is_withdrawn(&self, namespace: Option<&str>, name: &str) -> bool {
        self.is_withdrawn_as(namespace, name, None)
    }

    /// Like [`Self::is_withdrawn`], for the object with this UID rather than another one of its
    /// name. A UID that is not known counts as the same.
    pub fn is_withdrawn_as(&self, namespace: Option<&str>, name: &str, uid: Option<&str>) -> bool {
        let name = (namespace.map(str::to_owned), name.to_owned());
        self.read(|live| {
            let known = live.withdrawn.get(&name).map(|it| it.uid.as_deref());
            known.is_some_and(|known| known.zip(uid).is_none_or(|(known, uid)| known == uid))
        })
    }

    /// Names of the objects that exist but are not kept.
    pub fn withdrawn(&self) -> Vec<String> {
        self.read(|live| live.withdrawn.keys().map(|(_, name)| name.clone()).collect())
    }

    /// Of those, the ones that could be parsed before, as they were then.
    pub fn withdrawn_objects(&self) -> Vec<Arc<K>> {
        self.read(|live| live.withdrawn.values().filter_map(|it| it.last.clone()).collect())
    }

    /// All objects, in no particular order.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read(|live| live.by_name.values().cloned().collect())
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.read(|live| live.by_name.len())
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list has arrived; until then a miss means nothing.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// The latest version that list and watch have shown, of any object.
    pub(crate) fn shown(&self) -> Option<Version> {
        self.read(Table::shown)
    }

    /// Whether a list has begun that has not ended.
    pub(crate) fn is_listing(&self) -> bool {
        self.read(Table::is_listing)
    }

    /// Stores these objects, and no others, until the first list arrives; has no effect after that.
    /// Returns whether it had. [`Self::is_ready`] is not affected.
    pub fn presume(&self, objects: impl IntoIterator<Item = K>) -> bool {
        let mut next = Table::default();
        for object in objects {
            next.show(self.read_from(DeserializeGuard(Ok(object))), self.rules);
        }
        self.write(|live| live.presume(next))
    }

    /// Stores what a write has returned, until the watch has caught up. Returns whether this object
    /// is shown now, or a later one.
    pub fn wrote(&self, mut object: K) -> bool {
        // A watch does not read them either.
        object.meta_mut().managed_fields = None;
        self.trim.apply(&mut object);
        let (is_shown, is_doubted) = self.write(|live| {
            let is_shown = live.overlay(Arc::new(object), self.rules);
            (is_shown, live.doubted_until().is_some())
        });
        if is_doubted {
            self.doubted.notify_one();
        }
        is_shown
    }

    /// Like [`Self::wrote`], for a write to the metadata of the object `seen` that returned only
    /// metadata. Has no effect unless the index still has the object as it was seen.
    pub fn wrote_metadata(&self, seen: &ObjectMeta, new: ObjectMeta) -> bool
    where
        K: Clone,
    {
        let there = self.named(seen.namespace.as_deref(), seen.name.as_deref().unwrap_or_default());
        let is_seen = |there: &Arc<K>| {
            let there = there.meta();
            there.uid == seen.uid && there.resource_version == seen.resource_version
        };
        let Some(there) = there.filter(is_seen) else { return false };
        let mut object = K::clone(&there);
        *object.meta_mut() = new;
        self.wrote(object)
    }

    /// The object `seen` has been deleted for good. Returns whether it is no longer shown.
    pub fn deleted(&self, seen: &ObjectMeta) -> bool {
        self.write(|live| live.overlay_deletion(seen, self.rules))
    }

    /// The content may be outdated: [`Self::listed`] waits for the next list.
    pub fn doubt(&self) {
        self.listed.send_replace(false);
    }

    /// No list is to be had: what is known counts as listed, if it ever was.
    pub(crate) fn keep(&self) {
        if self.is_ready() {
            self.listed.send_replace(true);
        }
    }

    /// Waits for a list that arrived after the last doubt.
    pub async fn listed(&self) {
        // The sender lives as long as `self`.
        self.listed.subscribe().wait_for(|listed| *listed).await.ok();
    }

    /// Applies the events of a watch until it ends, or until there is room for objects that were left
    /// out, which only a new watch will report.
    ///
    /// A new list replaces the old one atomically: readers never see a half-filled table, and
    /// objects that were deleted while the watch was down disappear. So does an object that can no
    /// longer be parsed: no answer is better than one from its last readable version.
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

    /// Like [`Self::follow`], and calls `on_change` after every change. A list is reported as the
    /// changes that it makes to the previous content.
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
        let (mut again, mut is_listing) = (None, true);
        loop {
            if !is_listing && self.read(|live| live.has_room_again(self.rules)) {
                let again = *again.get_or_insert_with(|| Instant::now() + jittered(AGAIN));
                if again <= Instant::now() {
                    return Ok(());
                }
            } else {
                again = None;
            }
            let doubted_until = self.read(Table::doubted_until);
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = self.doubted.notified() => continue,
                () = sleep_until_first([doubted_until, again]) => {
                    self.give_up(&mut on_change);
                    continue;
                }
            };
            match event.ok_or(Ended)? {
                Ok(event) => {
                    is_listing = match &event {
                        Event::Init | Event::InitApply(_) => true,
                        Event::InitDone => false,
                        Event::Apply(_) | Event::Delete(_) => is_listing,
                    };
                    self.take(event, &mut next, &mut on_change);
                }
                Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "watch interrupted"),
            }
            if doubted_until.is_some() {
                self.give_up(&mut on_change);
            }
        }
    }

    /// Processes one event; `next` is the list in progress.
    fn take(
        &self,
        event: Event<DeserializeGuard<K>>,
        next: &mut Table<K, Key>,
        on_change: &mut impl FnMut(Change<'_, K>),
    ) {
        match event {
            Event::Init => {
                *next = Table::default();
                self.write(Table::begin_list);
            }
            Event::InitApply(object) => {
                let shown = next.show(self.read_from(object), self.rules);
                if let Some(unreadable @ Outcome::Unreadable { .. }) = shown {
                    unreadable.tell(on_change);
                }
            }
            Event::InitDone => {
                let next = std::mem::take(next);
                let made = self.write(|live| live.replace(next, self.rules));
                self.ready.send_replace(true);
                self.listed.send_replace(true);
                tell(&made, on_change);
            }
            Event::Apply(object) => {
                let object = self.read_from(object);
                let made = self.write(|live| live.show(object, self.rules));
                tell(made.as_slice(), on_change);
            }
            Event::Delete(object) => {
                let made = self.write(|live| live.show_deleted(object.meta(), self.rules));
                tell(made.as_slice(), on_change);
            }
        }
    }

    fn give_up(&self, on_change: &mut impl FnMut(Change<'_, K>)) {
        let given_up = self.write(|live| live.give_up(Instant::now(), self.rules));
        tell(&given_up, on_change);
    }

    /// The object without what is not used here. If the version that is shown is the same one, it is
    /// that: a new list of what is known takes no memory, and neither does a watch that reports what
    /// a write has returned.
    fn read_from(&self, object: DeserializeGuard<K>) -> Read<K> {
        let mut object = object.0.map_err(Box::new)?;
        if let Some(known) = self.read(|live| live.same(object.meta())) {
            return Ok(known);
        }
        self.trim.apply(&mut object);
        Ok(Arc::new(object))
    }

    fn read<T>(&self, f: impl FnOnce(&Table<K, Key>) -> T) -> T {
        f(&self.live.read_locked())
    }

    fn write<T>(&self, f: impl FnOnce(&mut Table<K, Key>) -> T) -> T {
        f(&mut self.live.write_locked())
    }
}

/// Waits until the first of these; forever if there is none.
async fn sleep_until_first(times: [Option<Instant>; 2]) {
    match times.into_iter().flatten().min() {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

fn tell<K>(made: &[Outcome<K>], on_change: &mut impl FnMut(Change<'_, K>)) {
    for outcome in made {
        outcome.tell(on_change);
    }
}

fn name_of(meta: &ObjectMeta) -> Name {
    (meta.namespace.clone(), meta.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod own_tests;
#[cfg(test)]
mod tests;
