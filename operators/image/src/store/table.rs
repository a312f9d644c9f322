//! What is in the store, and what to evict to make room.

use super::{
    account::{Account, Reserved},
    disk::{Path, StoredFile},
    download::Download,
    error::Error,
};
use crate::digest::Digest;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Blobs by digest. Knows files by path, and never touches one.
pub(super) struct Table {
    limit: u64,
    /// Bytes on disk and reserved.
    total: u64,
    /// Counts uses, to find the least recently used blob.
    clock: u64,
    /// Distinguishes two files of one digest, one of which is about to be removed.
    sequence: u64,
    entries: HashMap<Digest, Entry>,
    /// Bytes reserved for downloads, by account.
    promised: HashMap<Account, u64>,
    /// Blobs that make room for no other.
    pinned: HashSet<Digest>,
}

enum Entry {
    /// A verified file.
    Ready(CachedFile),
    /// A file of an earlier process, which may have been modified since.
    Inherited(CachedFile),
    Loading(Arc<Download>),
}

/// A complete file.
struct CachedFile {
    path: Path,
    size: u64,
    used: u64,
}

/// How to get a blob.
pub(super) enum Found {
    /// It is on disk.
    Ready(Path),
    /// It is being downloaded.
    Joined(Arc<Download>),
    /// The caller has to download it; if a file is given, only if that does not match its digest.
    New(Arc<Download>, Option<OldFile>),
}

/// A file of an earlier process, and its size.
pub(super) type OldFile = (Path, u64);

impl Table {
    pub(super) fn new(limit: u64) -> Self {
        let (entries, promised) = (HashMap::new(), HashMap::new());
        let pinned = HashSet::new();
        Self { limit, total: 0, clock: 0, sequence: 0, entries, promised, pinned }
    }

    /// Takes over the files of an earlier process, oldest first, and returns those to remove:
    /// duplicates, and the oldest if there are too many.
    pub(super) fn adopt(&mut self, files: Vec<StoredFile>) -> Vec<Path> {
        let mut surplus = vec![];
        for StoredFile { digest, path, size, sequence } in files {
            self.sequence = self.sequence.max(sequence);
            self.clock += 1;
            self.total += size;
            let entry = Entry::Inherited(CachedFile { path, size, used: self.clock });
            if let Some(copy) = self.entries.insert(digest, entry).and_then(Entry::into_kept) {
                self.total -= copy.size;
                surplus.push(copy.path);
            }
        }
        while self.total > self.limit {
            let Some(path) = self.evict() else { break };
            surplus.push(path);
        }
        surplus
    }

    /// Looks `digest` up. Exactly one of those who look while it is missing gets to download it.
    pub(super) fn find_for(&mut self, digest: &Digest, account: &Account) -> Found {
        self.clock += 1;
        let old = match self.entries.get_mut(digest) {
            Some(Entry::Ready(kept)) => {
                kept.used = self.clock;
                return Found::Ready(kept.path.clone());
            }
            Some(Entry::Loading(download)) => {
                download.join(account);
                return Found::Joined(Arc::clone(download));
            }
            Some(Entry::Inherited(kept)) => Some((kept.path.clone(), kept.size)),
            None => None,
        };
        let download = Arc::new(Download::new(account));
        self.entries.insert(digest.clone(), Entry::Loading(Arc::clone(&download)));
        Found::New(download, old)
    }

    /// Whether `digest` is present or on its way.
    pub(super) fn holds(&self, digest: &Digest) -> bool {
        self.entries.contains_key(digest)
    }

    /// Whether `digest` is present, and was verified.
    pub(super) fn is_complete(&self, digest: &Digest) -> bool {
        matches!(self.entries.get(digest), Some(Entry::Ready(_)))
    }

    /// Forgets a file that turned out to be missing.
    pub(super) fn lose(&mut self, digest: &Digest, lost: &Path) {
        if let Some(Entry::Ready(kept)) = self.entries.get(digest)
            && kept.path == *lost
        {
            self.total -= kept.size;
            self.entries.remove(digest);
        }
    }

    /// Forgets a complete file, and returns it for removal.
    pub(super) fn forget(&mut self, digest: &Digest) -> Option<Path> {
        if matches!(self.entries.get(digest)?, Entry::Loading(_)) {
            return None;
        }
        let kept = self.entries.remove(digest)?.into_kept()?;
        self.total -= kept.size;
        Some(kept.path)
    }

    /// Forgets a file of an earlier process that failed verification.
    pub(super) fn reject(&mut self, (_, size): &OldFile) {
        self.total -= size;
    }

    /// These blobs, and no others, make room for no other.
    pub(super) fn pin(&mut self, digests: HashSet<Digest>) {
        self.pinned = digests;
    }

    /// Checks that a blob of this size fits.
    pub(super) fn admit(&self, size: u64, account: &Account) -> Result<(), Error> {
        let limit = self.limit;
        if size > limit {
            return Err(Error::Full { size, limit });
        }
        self.check_share(account, size).map_err(|_| Error::Large { size, limit })
    }

    /// Checks that so much may be downloaded on this account at a time. What has arrived makes room for
    /// others, and counts no longer.
    fn check_share(&self, account: &Account, size: u64) -> Result<(), Error> {
        let is_less = size <= self.limit / 2;
        let share = Error::Share { size, limit: self.limit };
        if account.is_limited() && !is_less { Err(share) } else { Ok(()) }
    }

    /// Reserves `size` more bytes for a download, and returns the files to remove for it.
    pub(super) fn reserve(
        &mut self,
        size: u64,
        promised: &mut Reserved,
    ) -> Result<Vec<Path>, Error> {
        let full = Error::Full { size, limit: self.limit };
        let account = self.promised.get(&promised.account).copied().unwrap_or_default();
        self.check_share(&promised.account, account.saturating_add(size))?;
        let removable = self.entries.iter().map(|(digest, entry)| match entry {
            Entry::Ready(_) | Entry::Inherited(_) if self.pinned.contains(digest) => 0,
            Entry::Ready(kept) | Entry::Inherited(kept) => kept.size,
            Entry::Loading(_) => 0,
        });
        let least = self.total - removable.sum::<u64>();
        if least.checked_add(size).is_none_or(|needed| needed > self.limit) {
            return Err(full);
        }
        let mut surplus = vec![];
        while self.total + size > self.limit {
            surplus.push(self.evict().ok_or(full.clone())?);
        }
        self.total += size;
        *self.promised.entry(promised.account.clone()).or_default() += size;
        promised.size += size;
        Ok(surplus)
    }

    /// A number for the file of the next download.
    pub(super) fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The download of `digest` has become a file.
    pub(super) fn finish(&mut self, digest: &Digest, path: Path, size: u64, promised: &Reserved) {
        self.clock += 1;
        self.total += size;
        self.take_back(promised);
        let kept = CachedFile { path, size, used: self.clock };
        self.entries.insert(digest.clone(), Entry::Ready(kept));
    }

    /// The file of an earlier process is what `digest` stands for.
    pub(super) fn confirm(&mut self, digest: &Digest, (path, size): OldFile) {
        self.clock += 1;
        let kept = CachedFile { path, size, used: self.clock };
        self.entries.insert(digest.clone(), Entry::Ready(kept));
    }

    /// The download of `digest` has failed.
    pub(super) fn fail(&mut self, digest: &Digest, promised: &Reserved) {
        self.take_back(promised);
        self.entries.remove(digest);
    }

    fn take_back(&mut self, promised: &Reserved) {
        self.total -= promised.size;
        if let Some(all) = self.promised.get_mut(&promised.account) {
            *all = all.saturating_sub(promised.size);
            if *all == 0 {
                self.promised.remove(&promised.account);
            }
        }
    }

    /// The number of files, and the bytes on disk and reserved.
    pub(super) fn size(&self) -> (u64, u64) {
        let ready = |entry: &&Entry| !matches!(entry, Entry::Loading(_));
        (self.entries.values().filter(ready).count() as u64, self.total)
    }

    pub(super) fn evict(&mut self) -> Option<Path> {
        let used = |(digest, entry): (&Digest, &Entry)| match entry {
            Entry::Ready(_) | Entry::Inherited(_) if self.pinned.contains(digest) => None,
            Entry::Ready(kept) | Entry::Inherited(kept) => Some((kept.used, digest.clone())),
            Entry::Loading(_) => None,
        };
        let (_, oldest) = self.entries.iter().filter_map(used).min()?;
        let kept = self.entries.remove(&oldest)?.into_kept()?;
        self.total -= kept.size;
        Some(kept.path)
    }
}

impl Entry {
    fn into_kept(self) -> Option<CachedFile> {
        match self {
            Self::Ready(kept) | Self::Inherited(kept) => Some(kept),
            Self::Loading(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_blob_makes_room() {
        let mut table = Table::new(10);
        assert!(table.adopt(vec![file("a", 4), file("b", 4)]).is_empty());
        assert!(matches!(table.find(&Digest::of(b"a")), Found::New(_, Some(_))));
        table.confirm(&Digest::of(b"a"), (Path::from("a"), 4));
        assert!(matches!(table.find(&Digest::of(b"a")), Found::Ready(_)));
        assert_eq!(table.reserve(5, &mut nobody()).unwrap(), [Path::from("b")]);
        assert_eq!(table.size(), (1, 9));
        assert!(matches!(table.find(&Digest::of(b"b")), Found::New(_, None)));
    }

    #[test]
    fn nothing_is_removed_for_a_blob_that_cannot_fit() {
        let mut table = Table::new(10);
        table.adopt(vec![file("a", 4)]);
        assert!(matches!(
            table.reserve(11, &mut nobody()),
            Err(Error::Full { size: 11, limit: 10 })
        ));
        assert!(matches!(table.reserve(u64::MAX, &mut nobody()), Err(Error::Full { .. })));
        assert!(matches!(
            table.admit(11, &Account::default()),
            Err(Error::Full { size: 11, limit: 10 })
        ));
        assert!(table.admit(10, &Account::default()).is_ok());
        assert_eq!(table.size(), (1, 4));
    }

    #[test]
    fn room_that_is_promised_to_a_download_is_not_given_away() {
        let mut table = Table::new(10);
        let digest = Digest::of(b"a");
        assert!(matches!(table.find(&digest), Found::New(_, None)));
        assert!(matches!(table.find(&digest), Found::Joined(_)), "one download for all");
        let mut promised = nobody();
        table.reserve(8, &mut promised).unwrap();
        assert!(table.reserve(3, &mut nobody()).is_err());
        table.fail(&digest, &promised);
        assert!(table.reserve(3, &mut nobody()).is_ok());
        assert!(
            matches!(table.find(&digest), Found::New(_, None)),
            "a failed download is begun again"
        );
    }

    #[test]
    fn a_file_of_an_earlier_process_is_looked_at_before_it_counts() {
        let mut table = Table::new(10);
        table.adopt(vec![file("a", 4)]);
        let digest = Digest::of(b"a");
        let Found::New(_, Some(old)) = table.find(&digest) else { panic!("taken as it is") };
        assert_eq!(old, (Path::from("a"), 4));
        assert!(matches!(table.find(&digest), Found::Joined(_)), "looked at once for all");
        table.reject(&old);
        assert_eq!(table.size(), (0, 0));
        table.fail(&digest, &nobody());
        assert!(matches!(table.find(&digest), Found::New(_, None)));
    }

    #[test]
    fn room_that_was_promised_and_not_used_is_given_back() {
        let mut table = Table::new(10);
        let digest = Digest::of(b"a");
        table.find(&digest);
        let mut promised = nobody();
        table.reserve(8, &mut promised).unwrap();
        table.finish(&digest, Path::from("a"), 3, &promised);
        assert_eq!(table.size(), (1, 3));
    }

    #[test]
    fn a_blob_that_is_not_needed_any_more_makes_room() {
        let mut table = Table::new(10);
        table.adopt(vec![file("a", 4)]);
        assert_eq!(table.forget(&Digest::of(b"a")), Some(Path::from("a")));
        assert_eq!((table.size(), table.forget(&Digest::of(b"a"))), ((0, 0), None));
        table.find(&Digest::of(b"b"));
        assert_eq!(table.forget(&Digest::of(b"b")), None, "it is on its way");
    }

    #[test]
    fn surplus_of_an_earlier_process_goes_oldest_first() {
        let mut table = Table::new(10);
        let surplus = table.adopt(vec![file("a", 6), file("b", 5), file("c", 5)]);
        assert_eq!(surplus, [Path::from("a")]);
        assert_eq!(table.size(), (2, 10));
    }

    #[test]
    fn downloads_of_one_account_take_half_of_the_room_and_those_of_another_find_theirs() {
        let mut table = Table::new(10);
        table.adopt(vec![file("old", 5)]);
        let (a, b) = (Account::of("a"), Account::of("b"));
        assert!(matches!(table.admit(6, &a), Err(Error::Large { size: 6, limit: 10 })));
        assert!(table.admit(6, &Account::default()).is_ok());
        let mut stalled = [Reserved::none(&a), Reserved::none(&a)];
        assert!(table.reserve(3, &mut stalled[0]).unwrap().is_empty());
        assert_eq!(table.reserve(2, &mut stalled[1]).unwrap(), [] as [Path; 0]);
        for promised in &mut stalled {
            assert!(matches!(table.reserve(1, promised), Err(Error::Share { size: 6, .. })));
        }
        assert_eq!(table.size(), (1, 10), "nothing has to go for what is refused");
        let mut other = Reserved::none(&b);
        assert_eq!(table.reserve(5, &mut other).unwrap(), [Path::from("old")]);
        // What has arrived, or failed, counts no longer.
        table.find(&Digest::of(b"x"));
        table.finish(&Digest::of(b"x"), Path::from("x"), 3, &stalled[0]);
        table.fail(&Digest::of(b"y"), &stalled[1]);
        assert_eq!(table.reserve(5, &mut Reserved::none(&a)).unwrap(), [Path::from("x")]);
    }

    #[test]
    fn a_blob_that_is_pinned_makes_room_for_no_other() {
        let mut table = Table::new(10);
        table.adopt(vec![file("a", 4), file("b", 4)]);
        table.pin([Digest::of(b"a")].into());
        assert_eq!(table.reserve(5, &mut nobody()).unwrap(), [Path::from("b")]);
        assert!(table.reserve(2, &mut nobody()).is_err());
        table.pin(HashSet::new());
        assert_eq!(table.reserve(2, &mut nobody()).unwrap(), [Path::from("a")]);
    }

    impl Table {
        fn find(&mut self, digest: &Digest) -> Found {
            self.find_for(digest, &Account::default())
        }
    }

    fn nobody() -> Reserved {
        Reserved::default()
    }

    fn file(name: &str, size: u64) -> StoredFile {
        let path = Path::from(name);
        StoredFile { digest: Digest::of(name.as_bytes()), path, size, sequence: 1 }
    }
}
