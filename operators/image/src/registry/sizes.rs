//! Sizes of blobs, as manifests give them.

use crate::{digest::Digest, reference::Name};
use std::collections::{HashMap, VecDeque};

/// At most this many sizes are remembered, enough for some layers of every image in memory.
const MOST: usize = 4096;

/// The most recently learned sizes of blobs.
#[derive(Default)]
pub(super) struct Sizes {
    known: HashMap<(Name, Digest), u64>,
    order: VecDeque<(Name, Digest)>,
}

impl Sizes {
    pub(super) fn learn(&mut self, name: &Name, digest: &Digest, size: u64) {
        let key = (name.clone(), digest.clone());
        if self.known.insert(key.clone(), size).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn get(&self, name: &Name, digest: &Digest) -> Option<u64> {
        self.known.get(&(name.clone(), digest.clone())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_remembered_in_bounds_and_per_image() {
        let mut sizes = Sizes::default();
        let name: Name = "ghcr.io/a/b".parse().unwrap();
        let digest = |n: usize| Digest::of(&n.to_le_bytes());
        for n in 0..=MOST {
            sizes.learn(&name, &digest(n), n as u64);
        }
        assert_eq!((sizes.known.len(), sizes.order.len()), (MOST, MOST));
        assert_eq!(sizes.get(&name, &digest(0)), None);
        assert_eq!(sizes.get(&name, &digest(MOST)), Some(MOST as u64));
        assert_eq!(sizes.get(&"ghcr.io/a/c".parse().unwrap(), &digest(MOST)), None);
    }
}
