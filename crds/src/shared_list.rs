//! Lists that several objects have in common.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{ops::Deref, sync::Arc};

/// A list that is copied without its items: copies share them, and so may different objects.
#[derive(Debug, PartialEq)]
pub struct SharedList<T>(Arc<[T]>);

impl<T> SharedList<T> {
    /// Whether it has no items.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is another copy.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl<T> Clone for SharedList<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Deref for SharedList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for SharedList<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items.into())
    }
}

impl<T> FromIterator<T> for SharedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for SharedList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for SharedList<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::<T>::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_list_shares_its_items() {
        let list: SharedList<_> = ["a", "b"].into_iter().collect();
        assert!(!list.is_shared());
        let copy = list.clone();
        assert!(list.is_shared() && std::ptr::eq(list.as_ptr(), copy.as_ptr()));
        drop(copy);
        assert!(!list.is_shared());
    }

    #[test]
    fn a_shared_list_is_written_and_read_like_any_other() {
        let list = SharedList::from(vec![1, 2]);
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(text, "[1,2]");
        assert_eq!(serde_json::from_str::<SharedList<i32>>(&text).unwrap(), list);
        assert!(serde_json::from_str::<SharedList<i32>>("[]").unwrap().is_empty());
        assert!(SharedList::<i32>::default().is_empty());
    }
}
