//! Which images there are, how much room they take, and which of them make room for another.

use super::{cache::References, error::Error, unpacked::Tree};
use crate::digest::Digest;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// At most this many images that did not fit are remembered.
const REFUSED: usize = 1024;

/// All images, and what is known of them. Touches no disk.
#[derive(Default)]
pub(super) struct Table {
    /// Bytes of all images together, at most.
    limit: u64,
    pub(super) references: References,
    pub(super) trees: HashMap<Digest, Arc<Tree>>,
    /// Images that no reference led to when it was last asked.
    pub(super) unused: HashSet<Digest>,
    /// Images of an earlier process that nobody has looked at yet.
    pub(super) unverified: HashSet<Digest>,
    /// References that somebody wants. Until that is known, all of them.
    wanted: Option<HashSet<String>>,
    /// Counts uses, to find the least recently used image.
    clock: u64,
    used: HashMap<Digest, u64>,
    /// Images that are being fetched.
    rooms: HashMap<Digest, Room>,
    /// What images would have taken, or more, that did not fit.
    refused: HashMap<Digest, u64>,
}

/// What an image takes while it is being fetched, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    promised: u64,
    written: u64,
}

impl Table {
    /// With images of an earlier process, the least recently used first.
    pub(super) fn new(limit: u64, references: References, trees: Vec<Arc<Tree>>) -> Self {
        let mut table = Self { limit, references, ..Self::default() };
        for tree in trees {
            let digest = tree.digest().clone();
            table.touch(&digest);
            table.unverified.insert(digest.clone());
            table.trees.insert(digest, tree);
        }
        table
    }

    /// Takes images out that no reference leads to, and none has led to the last time. One that somebody holds
    /// is served: where what a tag has moved to cannot be used, the former image remains.
    pub(super) fn sweep(&mut self) -> Vec<Arc<Tree>> {
        let used: HashSet<_> = self.references.values().map(|opened| &opened.digest).collect();
        let mut unused = vec![];
        for (digest, tree) in &self.trees {
            if !used.contains(digest) && Arc::strong_count(tree) == 1 {
                unused.push(digest.clone());
            }
        }
        let (doomed, spared): (Vec<_>, Vec<_>) =
            unused.into_iter().partition(|digest| self.unused.contains(digest));
        self.unused = spared.into_iter().collect();
        doomed.iter().filter_map(|digest| self.take(digest)).collect()
    }

    /// From now on images make room to which none of these references leads.
    pub(super) fn want(&mut self, references: HashSet<String>) {
        self.wanted = Some(references);
    }

    /// Somebody uses an image.
    pub(super) fn touch(&mut self, digest: &Digest) {
        self.clock += 1;
        self.used.insert(digest.clone(), self.clock);
    }

    /// Promises room to an image before it is fetched: what its layers take, or what it took when it did not
    /// fit. Returns the images that go for it, each with what `lock` gives for it; those for which it gives
    /// nothing stay.
    pub(super) fn promise<L>(
        &mut self,
        digest: &Digest,
        layers: u64,
        lock: impl Fn(&Digest) -> Option<L>,
    ) -> Result<Vec<(Arc<Tree>, L)>, Error> {
        let least = self.refused.get(digest).copied().unwrap_or_default();
        self.grow(digest, layers.max(least), lock)
    }

    /// So many more bytes of an image are about to be written.
    pub(super) fn write<L>(
        &mut self,
        digest: &Digest,
        bytes: u64,
        lock: impl Fn(&Digest) -> Option<L>,
    ) -> Result<Vec<(Arc<Tree>, L)>, Error> {
        let room = self.rooms.entry(digest.clone()).or_default();
        room.written = room.written.saturating_add(bytes);
        let more = room.written.saturating_sub(room.promised);
        if more == 0 { Ok(vec![]) } else { self.grow(digest, more, lock) }
    }

    fn grow<L>(
        &mut self,
        digest: &Digest,
        more: u64,
        lock: impl Fn(&Digest) -> Option<L>,
    ) -> Result<Vec<(Arc<Tree>, L)>, Error> {
        let idle = self.idle(lock);
        let own = self.rooms.get(digest).map_or(0, |room| room.promised);
        let mut taken = self.taken();
        let kept = idle.iter().fold(taken, |kept, (tree, _)| kept.saturating_sub(tree.size()));
        if kept.saturating_add(more) > self.limit {
            let (size, kept) = (own.saturating_add(more), kept.saturating_sub(own));
            self.refuse(digest, size);
            return Err(Error::NoRoom { size, kept, limit: self.limit });
        }
        let mut doomed = vec![];
        for (tree, lock) in idle {
            if taken.saturating_add(more) <= self.limit {
                break;
            }
            taken = taken.saturating_sub(tree.size());
            self.take(tree.digest());
            doomed.push((tree, lock));
        }
        self.rooms.entry(digest.clone()).or_default().promised = own.saturating_add(more);
        Ok(doomed)
    }

    /// Images that nobody wants or holds, the least recently used first.
    fn idle<L>(&self, lock: impl Fn(&Digest) -> Option<L>) -> Vec<(Arc<Tree>, L)> {
        let Some(wanted) = &self.wanted else { return vec![] };
        let mut needed = HashSet::new();
        for (reference, opened) in &self.references {
            if wanted.contains(reference) {
                needed.insert(&opened.digest);
            }
        }
        let mut idle = vec![];
        for (digest, tree) in &self.trees {
            if !needed.contains(digest)
                && Arc::strong_count(tree) == 1
                && let Some(lock) = lock(digest)
            {
                idle.push((Arc::clone(tree), lock));
            }
        }
        idle.sort_by_key(|(tree, _)| self.used.get(tree.digest()).copied().unwrap_or_default());
        idle
    }

    /// Bytes of all images, and of those that are being fetched.
    fn taken(&self) -> u64 {
        let kept = self.trees.values().map(|tree| tree.size());
        kept.chain(self.rooms.values().map(|room| room.promised)).fold(0, u64::saturating_add)
    }

    fn refuse(&mut self, digest: &Digest, size: u64) {
        if self.refused.len() >= REFUSED {
            self.refused.clear();
        }
        self.refused.insert(digest.clone(), size);
    }

    /// An image is complete.
    pub(super) fn complete(&mut self, tree: Arc<Tree>) {
        let digest = tree.digest().clone();
        self.release(&digest);
        self.refused.remove(&digest);
        self.touch(&digest);
        self.trees.insert(digest, tree);
    }

    /// An image is not being fetched any more.
    pub(super) fn release(&mut self, digest: &Digest) {
        self.rooms.remove(digest);
    }

    /// Takes an image out.
    pub(super) fn take(&mut self, digest: &Digest) -> Option<Arc<Tree>> {
        self.used.remove(digest);
        self.unverified.remove(digest);
        self.trees.remove(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::Readings,
        tree::{cache::Opened, index::Index},
    };
    use std::path::PathBuf;

    #[test]
    fn images_that_nobody_names_make_room_and_the_least_recently_used_first() {
        let mut table = table(&["a", "b", "c", "d"]);
        table.want(["c".to_owned()].into());
        for name in ["d", "a", "b"] {
            table.touch(&digest(name));
        }
        assert_eq!(gone(&mut table, "new", 10), Ok(vec![]), "40 of 50 are taken");
        assert_eq!(gone(&mut table, "newer", 5), Ok(vec!["d"]));
        // 5 of it are free again.
        assert_eq!(gone(&mut table, "newest", 15), Ok(vec!["a"]));
        assert_eq!(gone(&mut table, "last", 11), Err((11, 40)), "a Machine names c");
        assert_eq!(gone(&mut table, "another", 10), Ok(vec!["b"]));
    }

    #[test]
    fn after_a_restart_the_image_that_was_used_last_goes_last() {
        let mut table = table(&["d", "b", "a", "c"]);
        table.want(HashSet::new());
        assert_eq!(gone(&mut table, "new", 40), Ok(vec!["d", "b", "a"]));
    }

    #[test]
    fn an_image_that_is_needed_makes_no_room_for_another() {
        let mut of_all = table(&["a", "b", "c", "d"]);
        assert_eq!(gone(&mut of_all, "new", 20), Err((20, 40)), "who names what is not known yet");
        of_all.want(HashSet::new());
        let served = Arc::clone(&of_all.trees[&digest("a")]);
        let is_left = |it: &Digest| (*it != digest("b")).then_some(());
        let refused = of_all.promise(&digest("new"), 40, is_left).unwrap_err();
        let expected = "the image takes 40 bytes or more, and those that cannot make room for it 20 bytes of \
            the 50 bytes for all: name fewer images in Machines, or increase --kept-images-size and the volume";
        assert_eq!(refused.to_string(), expected, "a is served, b is being looked at");
        assert_eq!(of_all.trees.len(), 4, "nothing goes for what is refused");
        drop(served);
        assert_eq!(gone(&mut of_all, "new", 50).map(|it| it.len()), Ok(4));
    }

    #[test]
    fn an_image_that_grows_beyond_its_promise_makes_room_or_is_refused_before_it_is_fetched_again()
    {
        let mut table = table(&["a", "b", "c"]);
        table.want(["a".to_owned(), "b".to_owned()].into());
        let new = digest("new");
        assert_eq!(gone(&mut table, "new", 5), Ok(vec![]));
        let mut write = |bytes| table.write(&new, bytes, |_| Some(())).map(|gone| gone.len());
        assert_eq!([write(5).unwrap(), write(15).unwrap(), write(10).unwrap()], [0, 0, 1]);
        assert!(matches!(write(1), Err(Error::NoRoom { size: 31, kept: 20, limit: 50 })));
        table.release(&new);
        assert_eq!(gone(&mut table, "other", 10), Ok(vec![]), "its room is free again");
        assert_eq!(gone(&mut table, "new", 5), Err((31, 30)), "what it took is remembered");
        table.release(&digest("other"));
        table.want(HashSet::new());
        assert_eq!(gone(&mut table, "new", 5).map(|it| it.len()), Ok(1));
    }

    /// Names of the images that go for one; or what is missing.
    fn gone(table: &mut Table, name: &str, layers: u64) -> Result<Vec<&'static str>, (u64, u64)> {
        let names = ["a", "b", "c", "d"];
        let name_of = |tree: &Tree| names.into_iter().find(|name| digest(name) == *tree.digest());
        match table.promise(&digest(name), layers, |_| Some(())) {
            Ok(gone) => Ok(gone.iter().filter_map(|(tree, ())| name_of(tree)).collect()),
            Err(Error::NoRoom { size, kept, limit: 50 }) => Err((size, kept)),
            Err(other) => panic!("{other}"),
        }
    }

    /// Images of 10 bytes, of 50 for all, each named as its reference.
    fn table(names: &[&str]) -> Table {
        let tree = |name: &&str| {
            let (digest, index) = (digest(name), Index::default());
            let tree = Tree::new(digest, PathBuf::new(), index, &Readings::default());
            Arc::new(tree.with_size(10))
        };
        let opened = |name: &&str| {
            let opened = Opened { digest: digest(name), version: String::new() };
            ((*name).to_owned(), opened)
        };
        Table::new(50, names.iter().map(opened).collect(), names.iter().map(tree).collect())
    }

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }
}
