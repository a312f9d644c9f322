//! The objects of an index, and how events change them.
//!
//! A write is visible at once: the object that it returned replaces the previous one until the
//! watch has caught up. Two things must never happen. An older version must not come back, however
//! late the watch is; and what others did later must not be hidden, be it another write, a
//! deletion, or a new object of the same name. So resource versions decide: an event with an older
//! version of the same object is late and ignored, any other replaces the returned object. A list
//! that began after the write had returned is newer than the write.

use super::{
    Change, Name,
    holders::Holders,
    name_of,
    rules::{Rules, why_left_out},
    share::Usage,
    version::Version,
};
use crate::parse_guard::identity;
use kube::{Resource, api::ObjectMeta, core::error_boundary::InvalidObject};
use std::{cmp::Ordering, collections::HashMap, hash::Hash, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a returned object is kept that no list and no event has shown. The watch reports it
/// within moments, unless it has been deleted since, which nothing may ever report: a response may
/// come after a list that was taken after the deletion.
const DOUBT: Duration = Duration::from_secs(30);

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Table<K, Key> {
    pub(super) by_name: HashMap<Name, Arc<K>>,
    pub(super) by_key: HashMap<Key, Holders<K>>,
    /// Objects that exist but cannot be parsed, or have no room.
    pub(super) withdrawn: HashMap<Name, Withdrawn<K>>,
    /// Whether the content came from the API server at least once.
    pub(super) is_listed: bool,
    /// Our own writes that have not appeared in the watch yet.
    unseen: HashMap<Name, Unseen<K>>,
    /// The latest version that list and watch have shown, of any object. A watch reports all
    /// objects of a resource in the order of their versions, and is resumed at the last one.
    shown: Option<Version>,
    /// Number of lists that have begun.
    lists: u64,
    /// Whether the last of them has yet to end.
    is_listing: bool,
    usage: Usage,
}

/// An object that exists but is not kept.
#[derive(Debug)]
pub(super) struct Withdrawn<K> {
    pub(super) uid: Option<String>,
    /// The object as it was when it could be parsed; not if the memory of the kind is bounded.
    pub(super) last: Option<Arc<K>>,
}

/// An object from a list or the watch, or why there is none.
pub(super) type Read<K> = Result<Arc<K>, Box<InvalidObject>>;

/// A write of ours that has not appeared in the watch yet. Its result is in the tables.
#[derive(Debug)]
struct Unseen<K> {
    uid: Option<String>,
    version: Version,
    /// It deleted the object, which is in no table any longer.
    is_gone: bool,
    /// The object that was last reported.
    told: Option<Arc<K>>,
    /// Number of lists that had begun when the write returned.
    list: u64,
    /// Until when it is kept although a list lacks it.
    until: Option<Instant>,
}

impl<K> Unseen<K> {
    /// Whether the watch shows an object from before the write.
    fn is_ahead_of(&self, shown: &ObjectMeta) -> bool {
        let is_dead = self.is_gone && self.uid.is_some() && self.uid == shown.uid;
        is_dead || Version::of(shown).is_some_and(|shown| shown < self.version)
    }
}

/// The change that an event made.
pub(super) enum Outcome<K> {
    Applied { old: Option<Arc<K>>, new: Arc<K> },
    Removed(Arc<K>),
    Unreadable { meta: Box<ObjectMeta>, error: String, old: Option<Arc<K>> },
}

impl<K> Outcome<K> {
    pub(super) fn tell(&self, on_change: &mut impl FnMut(Change<'_, K>)) {
        on_change(match self {
            Self::Applied { old, new } => Change::Applied { old: old.as_ref(), new },
            Self::Removed(old) => Change::Removed(old),
            Self::Unreadable { meta, error, old } => {
                Change::Unreadable { meta, error, old: old.as_ref() }
            }
        });
    }
}

impl<K, Key> Default for Table<K, Key> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_key: HashMap::new(),
            withdrawn: HashMap::new(),
            is_listed: false,
            unseen: HashMap::new(),
            shown: None,
            lists: 0,
            is_listing: false,
            usage: Usage::default(),
        }
    }
}

impl<K: Resource<DynamicType = ()>, Key: Eq + Hash> Table<K, Key> {
    /// Stores an object from a list or the watch; `None` if it is older than a write of ours. One
    /// for which its namespace has no room is treated like one that cannot be parsed.
    pub(super) fn show(&mut self, read: Read<K>, rules: Rules<K, Key>) -> Option<Outcome<K>> {
        let meta = match &read {
            Ok(object) => object.meta(),
            Err(broken) => &broken.metadata,
        };
        let name = name_of(meta);
        self.saw(meta);
        if self.unseen.get(&name).is_some_and(|unseen| unseen.is_ahead_of(meta)) {
            return None;
        }
        let told = self.unseen.remove(&name).map(|unseen| unseen.told);
        let there = self.remove(&name, rules);
        let before = self.withdrawn.remove(&name).and_then(|it| it.last);
        let broken = match read {
            Ok(new) => match self.excess(&name, &new, rules) {
                None => {
                    self.insert(name, Arc::clone(&new), rules);
                    return Some(Outcome::Applied { old: told.unwrap_or(there), new });
                }
                Some(error) => {
                    let metadata = identity(new.meta().clone());
                    let uid = metadata.uid.clone();
                    self.withdrawn.insert(name, Withdrawn { uid, last: None });
                    let (meta, old) = (Box::new(metadata), told.unwrap_or(there));
                    return Some(Outcome::Unreadable { meta, error, old });
                }
            },
            Err(broken) => broken,
        };
        let error = broken.error;
        tracing::warn!(error, object = name.1, "object ignored because it could not be parsed");
        let old = told.unwrap_or(there);
        let last = old.clone().or(before).filter(|_| rules.bounds.is_none());
        let uid = broken.metadata.uid.clone();
        self.withdrawn.insert(name, Withdrawn { uid, last });
        Some(Outcome::Unreadable { meta: Box::new(broken.metadata), error, old })
    }

    /// Why an object is left out, if there is no room for it.
    fn excess(&mut self, name: &Name, object: &Arc<K>, rules: Rules<K, Key>) -> Option<String> {
        let (footprint, shares) = rules.bounds?;
        let (namespace, bytes) = (name.0.as_deref().unwrap_or_default(), footprint(object));
        let excess = self.usage.fits(&shares, namespace, bytes).err()?;
        let error = why_left_out::<K>(excess, &shares, namespace);
        if self.usage.leave_out(namespace, bytes) {
            tracing::warn!(error, object = name.1, namespace, "objects are ignored");
        }
        Some(error)
    }

    /// Whether objects that were left out may be kept now, so that a new list is worthwhile.
    pub(super) fn has_room_again(&self, rules: Rules<K, Key>) -> bool {
        rules.bounds.is_some_and(|(_, shares)| self.usage.has_room_again(&shares))
    }

    /// The object that is shown, if it is this version of it.
    pub(super) fn same(&self, meta: &ObjectMeta) -> Option<Arc<K>> {
        let there = self.by_name.get(&name_of(meta))?;
        let (known, uid) = (there.meta(), meta.uid.as_deref()?);
        let is_same = known.uid.as_deref() == Some(uid)
            && meta.resource_version.is_some()
            && known.resource_version == meta.resource_version;
        is_same.then(|| Arc::clone(there))
    }

    /// Removes an object that the watch reports as deleted. If the deleted object is the one that
    /// we wrote, it is gone for good; but an earlier one of the same name may be meant.
    pub(super) fn show_deleted(
        &mut self,
        meta: &ObjectMeta,
        rules: Rules<K, Key>,
    ) -> Option<Outcome<K>> {
        let name = name_of(meta);
        self.saw(meta);
        let is_late = |unseen: &Unseen<K>| unseen.uid != meta.uid && unseen.is_ahead_of(meta);
        if self.unseen.get(&name).is_some_and(is_late) {
            return None;
        }
        let told = self.unseen.remove(&name).and_then(|unseen| unseen.told);
        let there = self.remove(&name, rules);
        let was_withdrawn = self.withdrawn.remove(&name).is_some();
        match told.or(there) {
            Some(old) => Some(Outcome::Removed(old)),
            None if was_withdrawn => Some(gone(meta.clone())),
            None => None,
        }
    }

    /// Stores what a write returned, unless the watch was faster. Returns whether this object is
    /// shown now, or a later one.
    pub(super) fn overlay(&mut self, object: Arc<K>, rules: Rules<K, Key>) -> bool {
        let (name, uid) = (name_of(object.meta()), object.meta().uid.clone());
        let Some(version) = Version::of(object.meta()) else { return false };
        let there = self.by_name.get(&name);
        let is_dead = |unseen: &Unseen<K>| unseen.is_gone && unseen.uid == uid;
        if self.unseen.get(&name).is_some_and(is_dead) {
            return true;
        }
        // An object that the watch has passed without leaving it here has been deleted since.
        let shown = there.map_or(self.shown.clone(), |there| Version::of(there.meta()));
        let order = match shown {
            Some(shown) => version.partial_cmp(&shown),
            None => Some(Ordering::Greater).filter(|_| there.is_none()),
        };
        if order != Some(Ordering::Greater) {
            return order.is_some();
        }
        let there = there.cloned();
        // A list in progress decides at its end.
        let is_doubted = there.is_none() && !self.is_listing;
        let until = is_doubted.then(|| Instant::now() + DOUBT);
        let told = self.unseen.remove(&name).map_or(there, |unseen| unseen.told);
        self.remove(&name, rules);
        self.withdrawn.remove(&name);
        self.insert(name.clone(), object, rules);
        let list = self.lists;
        let unseen = Unseen { uid, version, is_gone: false, told, list, until };
        self.unseen.insert(name, unseen);
        true
    }

    /// Removes an object that a write has deleted for good.
    pub(super) fn overlay_deletion(&mut self, seen: &ObjectMeta, rules: Rules<K, Key>) -> bool {
        let name = name_of(seen);
        let is_it = |there: &&Arc<K>| there.meta().uid == seen.uid;
        let Some(there) = self.by_name.get(&name).filter(is_it).cloned() else { return true };
        let version = Version::of(there.meta()).filter(|_| seen.uid.is_some());
        let Some(version) = version else { return false };
        let uid = there.meta().uid.clone();
        let told = self.unseen.remove(&name).map_or(Some(there), |unseen| unseen.told);
        self.remove(&name, rules);
        let list = self.lists;
        let unseen = Unseen { uid, version, is_gone: true, told, list, until: None };
        self.unseen.insert(name, unseen);
        true
    }

    /// Stores these until the first list; returns whether that is still to come.
    pub(super) fn presume(&mut self, next: Self) -> bool {
        if !self.is_listed {
            let (lists, is_listing) = (self.lists, self.is_listing);
            *self = Self { lists, is_listing, ..next };
        }
        !self.is_listed
    }

    /// A list begins: writes that return from now on may be missing from it. Until its end no watch
    /// reports anything, so silence says nothing about what is doubted.
    pub(super) fn begin_list(&mut self) {
        (self.lists, self.is_listing) = (self.lists + 1, true);
        self.unseen.values_mut().for_each(|unseen| unseen.until = None);
    }

    /// Stores the content of a list, and keeps our own writes that the list cannot contain.
    pub(super) fn replace(&mut self, mut next: Self, rules: Rules<K, Key>) -> Vec<Outcome<K>> {
        (next.is_listed, next.lists) = (true, self.lists);
        let mut old = std::mem::replace(self, next);
        for (name, unseen) in std::mem::take(&mut old.unseen) {
            self.settle(name, unseen, &mut old, rules);
        }
        let applied = self.by_name.iter().filter(|(name, _)| !self.unseen.contains_key(*name));
        let applied = applied.map(|(name, new)| Outcome::Applied {
            old: old.by_name.get(name).cloned(),
            new: Arc::clone(new),
        });
        let removed = old.by_name.iter().filter(|(name, _)| !self.by_name.contains_key(*name));
        let removed = removed.map(|(_, old)| Outcome::Removed(Arc::clone(old)));
        for (name, withdrawn) in &mut self.withdrawn {
            let before = old.withdrawn.get(name).and_then(|it| it.last.clone());
            let last = old.by_name.get(name).cloned().or(before);
            withdrawn.last = last.filter(|_| rules.bounds.is_none());
        }
        let is_gone =
            |name: &&Name| !self.by_name.contains_key(*name) && !self.withdrawn.contains_key(*name);
        let forgotten = old.withdrawn.keys().filter(is_gone).map(|(namespace, name)| {
            let (name, namespace) = (Some(name.clone()), namespace.clone());
            gone(ObjectMeta { name, namespace, ..ObjectMeta::default() })
        });
        applied.chain(removed).chain(forgotten).collect()
    }

    /// Decides between a new list and a write that has not been seen yet.
    fn settle(&mut self, name: Name, unseen: Unseen<K>, old: &mut Self, rules: Rules<K, Key>) {
        let there = self.by_name.get(&name);
        let is_missing = there.is_none() && !self.withdrawn.contains_key(&name);
        let is_older = match there {
            Some(there) => unseen.is_ahead_of(there.meta()),
            // A list with anything later than the write was taken after it.
            None => {
                is_missing
                    && !unseen.is_gone
                    && !self.shown.as_ref().is_some_and(|shown| *shown > unseen.version)
            }
        };
        if unseen.list == self.lists && is_older {
            self.remove(&name, rules);
            if let Some(ours) = old.by_name.remove(&name) {
                self.insert(name.clone(), ours, rules);
            }
            let until = is_missing.then(|| Instant::now() + DOUBT);
            self.unseen.insert(name, Unseen { until, ..unseen });
            return;
        }
        match unseen.told {
            Some(told) => drop(old.by_name.insert(name, told)),
            None if !is_missing => drop(old.by_name.remove(&name)),
            None => {}
        }
    }

    /// The latest version that list and watch have shown, of any object.
    pub(super) fn shown(&self) -> Option<Version> {
        self.shown.clone()
    }

    /// Whether a list has begun that has not ended.
    pub(super) fn is_listing(&self) -> bool {
        self.is_listing
    }

    /// When the first write that a list lacks is dropped.
    pub(super) fn doubted_until(&self) -> Option<Instant> {
        self.unseen.values().filter_map(|unseen| unseen.until).min()
    }

    /// Drops what no list contains and no watch has reported in time.
    pub(super) fn give_up(&mut self, now: Instant, rules: Rules<K, Key>) -> Vec<Outcome<K>> {
        let shown = self.shown.clone();
        let is_over = |unseen: &Unseen<K>| {
            let is_past = shown.as_ref().is_some_and(|shown| *shown > unseen.version);
            unseen.until.is_some_and(|until| until <= now || is_past)
        };
        let over: Vec<_> = self.unseen.extract_if(|_, unseen| is_over(unseen)).collect();
        let removed = over.into_iter().filter_map(|(name, unseen)| {
            let there = self.remove(&name, rules);
            unseen.told.or(there).map(Outcome::Removed)
        });
        removed.collect()
    }

    fn saw(&mut self, meta: &ObjectMeta) {
        if let Some(version) = Version::of(meta)
            && self.shown.as_ref().is_none_or(|shown| *shown < version)
        {
            self.shown = Some(version);
        }
    }

    fn insert(&mut self, name: Name, object: Arc<K>, rules: Rules<K, Key>) {
        if let Some((footprint, _)) = rules.bounds {
            self.usage.add(name.0.as_deref().unwrap_or_default(), footprint(&object));
        }
        for key in (rules.keys_of)(&object) {
            self.by_key
                .entry(key)
                .and_modify(|holders| holders.add(Arc::clone(&object)))
                .or_insert_with(|| Holders::One(Arc::clone(&object)));
        }
        self.by_name.insert(name, object);
    }

    fn remove(&mut self, name: &Name, rules: Rules<K, Key>) -> Option<Arc<K>> {
        let old = self.by_name.remove(name)?;
        if let Some((footprint, _)) = rules.bounds {
            self.usage.remove(name.0.as_deref().unwrap_or_default(), footprint(&old));
        }
        for key in (rules.keys_of)(&old) {
            if self.by_key.get_mut(&key).is_some_and(|holders| holders.remove(&old)) {
                self.by_key.remove(&key);
            }
        }
        Some(old)
    }
}

fn gone<K>(meta: ObjectMeta) -> Outcome<K> {
    Outcome::Unreadable { meta: Box::new(meta), error: super::GONE.to_owned(), old: None }
}
