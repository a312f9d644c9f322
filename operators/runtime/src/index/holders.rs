//! The objects that have one key.

use std::sync::Arc;

/// The objects that have one key: as a rule only one, for which there is no list.
#[derive(Debug)]
pub(super) enum Holders<K> {
    One(Arc<K>),
    Several(Vec<Arc<K>>),
}

impl<K> Holders<K> {
    /// Another one has it.
    pub(super) fn add(&mut self, object: Arc<K>) {
        match self {
            Self::One(first) => *self = Self::Several(vec![Arc::clone(first), object]),
            Self::Several(all) => all.push(object),
        }
    }

    /// This one no longer has it. Returns whether none has, and so there is nothing to be kept.
    pub(super) fn remove(&mut self, object: &Arc<K>) -> bool {
        match self {
            Self::One(only) => Arc::ptr_eq(only, object),
            Self::Several(all) => {
                all.retain(|other| !Arc::ptr_eq(other, object));
                all.is_empty()
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<K>> {
        match self {
            Self::One(only) => vec![Arc::clone(only)],
            Self::Several(all) => all.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_have_a_key_are_there_until_the_last_one_no_longer_has_it() {
        let (a, b, stranger) = (Arc::new("a"), Arc::new("b"), Arc::new("a"));
        let mut holders = Holders::One(Arc::clone(&a));
        assert!(!holders.remove(&stranger), "it is another one of the same content");
        assert_eq!(holders.all(), [Arc::clone(&a)]);
        holders.add(Arc::clone(&b));
        assert_eq!(holders.all(), [Arc::clone(&a), Arc::clone(&b)]);
        assert!(!holders.remove(&a) && !holders.remove(&stranger));
        assert_eq!(holders.all(), [Arc::clone(&b)]);
        assert!(holders.remove(&b));
        assert!(Holders::One(Arc::clone(&a)).remove(&a));
    }
}
