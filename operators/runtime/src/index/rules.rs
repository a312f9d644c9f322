//! What an index keeps of its objects, and by which keys they are found.

use super::share::{Excess, Shares};
use kube::Resource;

/// About how much memory an object takes, in bytes.
pub(super) type Footprint<K> = fn(&K) -> usize;

/// How the objects of a kind are kept.
#[derive(Debug)]
pub(super) struct Rules<K, Key> {
    /// The keys of an object.
    pub(super) keys_of: fn(&K) -> Vec<Key>,
    /// How much memory an object takes, and how much they may take.
    pub(super) bounds: Option<(Footprint<K>, Shares)>,
}

impl<K, Key> Clone for Rules<K, Key> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, Key> Copy for Rules<K, Key> {}

/// The message for an object that is left out.
pub(super) fn why_left_out<K>(excess: Excess, shares: &Shares, namespace: &str) -> String
where
    K: Resource<DynamicType = ()>,
{
    let (kinds, mib) = (K::plural(&()), |bytes: usize| bytes >> 20);
    match excess {
        Excess::Namespace => format!(
            "the {kinds} of namespace {namespace} take more than {} MiB of memory: this one is \
             ignored until there is room for it; delete others",
            mib(shares.namespace)
        ),
        Excess::All => format!(
            "the {kinds} of all namespaces take more than {} MiB of memory, and those of \
             namespace {namespace} more than {} MiB: this one is ignored until there is room \
             for it; delete others",
            mib(shares.all),
            mib(shares.sure)
        ),
    }
}
