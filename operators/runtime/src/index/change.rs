//! What the events of a watch did to an index.

use kube::{Resource, api::ObjectMeta};
use std::sync::Arc;

/// Message for an object that did not parse, and is gone.
pub const GONE: &str = "it is gone";

/// What one event did to an index.
#[derive(Debug)]
pub enum Change<'a, K> {
    /// The object is new, or differs from what was there.
    Applied {
        /// What was there.
        old: Option<&'a Arc<K>>,
        /// What is there now.
        new: &'a Arc<K>,
    },
    /// The object is gone.
    Removed(&'a Arc<K>),
    /// The object does not parse, and was withdrawn; or it was, and is [`GONE`].
    Unreadable {
        /// Its metadata, which does parse.
        meta: &'a ObjectMeta,
        /// What is wrong, with the path of the field.
        error: &'a str,
    },
}

impl<'a, K> Change<'a, K> {
    /// What was there, and what is there.
    pub fn objects(&self) -> impl Iterator<Item = &'a Arc<K>> + use<'a, K> {
        let (old, new) = match *self {
            Self::Applied { old, new } => (old, Some(new)),
            Self::Removed(old) => (Some(old), None),
            Self::Unreadable { .. } => (None, None),
        };
        old.into_iter().chain(new)
    }

    /// Whether anything but a status has changed.
    pub fn is_wish(&self) -> bool
    where
        K: Resource,
    {
        match self {
            Self::Applied { old: Some(old), new } => is_wish(old.meta(), new.meta()),
            Self::Applied { old: None, .. } | Self::Removed(_) | Self::Unreadable { .. } => true,
        }
    }
}

fn is_wish(old: &ObjectMeta, new: &ObjectMeta) -> bool {
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
    fn what_a_status_cannot_change_is_a_wish() {
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
            assert!(Change::Applied { old: Some(&old), new: &new }.is_wish(), "{number}");
        }
        let mut new = ConfigMap::default();
        new.metadata.resource_version = Some("8".to_owned());
        new.metadata.managed_fields = Some(vec![]);
        assert!(!Change::Applied { old: Some(&old), new: &Arc::new(new) }.is_wish());
        assert!(Change::Removed(&old).is_wish());
    }
}
