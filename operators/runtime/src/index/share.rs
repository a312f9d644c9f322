//! How much memory the objects of one namespace may take: whoever may write there decides how many
//! there are.

use crate::metered::NODE;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::{collections::HashMap, io};

/// Memory of an object in addition to its values: its place in the tables, and its fields without a
/// value.
const OBJECT: usize = 1024;

/// Limits of what is kept of one kind, in bytes ([`footprint`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// For each namespace, whatever others use.
    pub sure: usize,
    /// For each namespace, at most.
    pub namespace: usize,
    /// For all namespaces together, except for what is [`sure`](Self::sure).
    pub all: usize,
}

/// About how much memory an object takes, in bytes: its text, and an amount for each of its values.
pub fn footprint<K: Serialize>(object: &K) -> usize {
    let mut counter = Counter(OBJECT);
    let mut serializer = serde_json::Serializer::with_formatter(&mut counter, Nodes);
    match object.serialize(&mut serializer) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// Counts bytes.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes something for each value that takes as many bytes as a value takes memory.
struct Nodes;

impl Formatter for Nodes {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, to: &mut W, _: bool) -> io::Result<()> {
        to.write_all(&[0; NODE])
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, to: &mut W, _: bool) -> io::Result<()> {
        to.write_all(&[0; NODE])
    }
}

/// What is used of the shares.
#[derive(Debug, Default)]
pub(super) struct Usage {
    namespaces: HashMap<String, usize>,
    all: usize,
    /// Namespaces of which objects are left out, and what the smallest of these would take.
    left_out: HashMap<String, usize>,
}

/// Why an object is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Its namespace has as much as one may have.
    Namespace,
    /// Its namespace has what it has for sure, and all together have as much as there is.
    All,
}

impl Usage {
    /// An object is kept.
    pub(super) fn add(&mut self, namespace: &str, bytes: usize) {
        let used = self.namespaces.entry(namespace.to_owned()).or_default();
        *used = used.saturating_add(bytes);
        self.all = self.all.saturating_add(bytes);
    }

    /// An object is kept no longer.
    pub(super) fn remove(&mut self, namespace: &str, bytes: usize) {
        self.all = self.all.saturating_sub(bytes);
        if let Some(used) = self.namespaces.get_mut(namespace) {
            *used = used.saturating_sub(bytes);
            if *used == 0 {
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Whether an object may be kept.
    ///
    /// # Errors
    ///
    /// If there is no room for it.
    pub(super) fn fits(
        &self,
        shares: &Shares,
        namespace: &str,
        bytes: usize,
    ) -> Result<(), Excess> {
        let used = self.namespaces.get(namespace).copied().unwrap_or_default();
        let used = used.saturating_add(bytes);
        if used > shares.namespace {
            return Err(Excess::Namespace);
        }
        if used > shares.sure && self.all.saturating_add(bytes) > shares.all {
            return Err(Excess::All);
        }
        Ok(())
    }

    /// An object is left out. Returns whether it is the first one of its namespace.
    pub(super) fn leave_out(&mut self, namespace: &str, bytes: usize) -> bool {
        let known = self.left_out.get(namespace).copied();
        self.left_out.insert(namespace.to_owned(), known.unwrap_or(bytes).min(bytes));
        known.is_none()
    }

    /// Whether anything that was left out may be kept now.
    pub(super) fn has_room_again(&self, shares: &Shares) -> bool {
        self.left_out.iter().any(|(namespace, bytes)| self.fits(shares, namespace, *bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn many_short_values_take_more_than_their_text() {
        let of = |value| footprint(&value) - OBJECT;
        assert_eq!(of(json!({})), 2);
        assert_eq!(of(json!({ "a": ["b", "c"] })), r#"{"a"["b""c"]}"#.len() + 3 * NODE + 1);
        assert!(of(json!(vec!["x"; 1000])) > 1000 * NODE);
    }

    #[test]
    fn every_namespace_has_its_sure_share_and_none_has_more_than_one_may_have() {
        let shares = Shares { sure: 10, namespace: 50, all: 80 };
        let mut usage = Usage::default();
        assert_eq!(usage.fits(&shares, "a", 51), Err(Excess::Namespace));
        usage.add("a", 50);
        usage.add("b", 30);
        assert_eq!(usage.fits(&shares, "a", 1), Err(Excess::Namespace));
        assert_eq!(usage.fits(&shares, "b", 1), Err(Excess::All));
        assert_eq!(usage.fits(&shares, "c", 10), Ok(()));
        assert_eq!(usage.fits(&shares, "c", 11), Err(Excess::All));
        assert!(usage.leave_out("a", 5) && !usage.leave_out("a", 20));
        usage.remove("a", 4);
        assert!(!usage.has_room_again(&shares));
        usage.remove("a", 1);
        assert!(usage.has_room_again(&shares));
    }
}
