//! The changes that the events of a watch make to an index.

use kube::{Resource, api::ObjectMeta};
use std::sync::Arc;

/// Message for an object that could not be parsed, and is now gone.
pub const GONE: &str = "it is gone";

/// The change that one event made to an index.
#[derive(Debug)]
pub enum Change<'a, K> {
    /// The object is new, or differs from the previous one.
    Applied {
        /// The previous object.
        old: Option<&'a Arc<K>>,
        /// The current object.
        new: &'a Arc<K>,
    },
    /// The object is gone.
    Removed(&'a Arc<K>),
    /// The object cannot be parsed, and was removed from the index; or it was removed before, and
    /// is now [`GONE`].
    Unreadable {
        /// Its metadata, which can be parsed.
        meta: &'a ObjectMeta,
        /// What is wrong, with the path of the field.
        error: &'a str,
        /// The object as it was before, if it was in the index until now.
        old: Option<&'a Arc<K>>,
    },
}

impl<'a, K> Change<'a, K> {
    /// The previous and the current object.
    pub fn objects(&self) -> impl Iterator<Item = &'a Arc<K>> + use<'a, K> {
        let (old, new) = match *self {
            Self::Applied { old, new } => (old, Some(new)),
            Self::Removed(old) => (Some(old), None),
            Self::Unreadable { old, .. } => (old, None),
        };
        old.into_iter().chain(new)
    }

    /// Whether anything except the status has changed.
    pub fn is_beyond_status(&self) -> bool
    where
        K: Resource,
    {
        match self {
            Self::Applied { old: Some(old), new } => is_beyond_status(old.meta(), new.meta()),
            Self::Applied { old: None, .. } | Self::Removed(_) | Self::Unreadable { .. } => true,
        }
    }
}

fn is_beyond_status(old: &ObjectMeta, new: &ObjectMeta) -> bool {
    old.generation != new.generation
        || old.annotations != new.annotations
        || old.labels != new.labels
        || old.finalizers != new.finalizers
        || old.owner_references != new.owner_references
        || old.deletion_timestamp != new.deletion_timestamp
        || old.uid != new.uid
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::Time};

    #[test]
    fn what_a_status_cannot_change_is_beyond_it() {
        let edits: [fn(&mut ObjectMeta); 7] = [
            |it| it.generation = Some(2),
            |it| it.annotations = Some([("a".to_owned(), String::new())].into()),
            |it| it.labels = Some([("a".to_owned(), String::new())].into()),
            |it| it.finalizers = Some(vec!["a/b".to_owned()]),
            |it| it.owner_references = Some(vec![]),
            |it| {
                it.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
            },
            |it| it.uid = Some("another".to_owned()),
        ];
        let old = Arc::new(ConfigMap::default());
        for (number, edit) in edits.into_iter().enumerate() {
            let mut new = ConfigMap::default();
            edit(&mut new.metadata);
            let new = Arc::new(new);
            assert!(Change::Applied { old: Some(&old), new: &new }.is_beyond_status(), "{number}");
        }
        let mut new = ConfigMap::default();
        new.metadata.resource_version = Some("8".to_owned());
        new.metadata.managed_fields = Some(vec![]);
        assert!(!Change::Applied { old: Some(&old), new: &Arc::new(new) }.is_beyond_status());
        assert!(Change::Removed(&old).is_beyond_status());
    }
}
