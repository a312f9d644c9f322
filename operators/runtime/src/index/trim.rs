//! What an index does to an object before it stores it.

use std::fmt;

type Edit<K> = dyn Fn(&mut K) + Send + Sync;

/// Removes from an object what is not used, or shares it with others; leaves it as it is, by default.
pub(super) struct Trim<K>(Option<Box<Edit<K>>>);

impl<K> Trim<K> {
    pub(super) fn new(trim: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(trim)))
    }

    pub(super) fn apply(&self, object: &mut K) {
        if let Some(trim) = &self.0 {
            trim(object);
        }
    }
}

impl<K> Default for Trim<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K> fmt::Debug for Trim<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trim")
    }
}
