//! Comparison of resource versions, as far as that is possible.

use kube::api::ObjectMeta;
use std::cmp::Ordering;

/// The resource version of an object. Those of one resource are decimal numbers that increase with
/// every write to any of its objects; Kubernetes guarantees this since 1.35, and with etcd it has
/// always been so. Versions that are not numbers are equal or not, and nothing else is known about
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version(String);

impl Version {
    /// The version of an object, if it has one.
    pub(crate) fn of(meta: &ObjectMeta) -> Option<Self> {
        meta.resource_version.clone().filter(|version| !version.is_empty()).map(Self)
    }

    /// The length and digits of a decimal number, which compare like the number itself.
    fn as_number(&self) -> Option<(usize, &str)> {
        let is_number = !self.0.starts_with('0') && self.0.bytes().all(|it| it.is_ascii_digit());
        is_number.then_some((self.0.len(), &self.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self == other {
            return Some(Ordering::Equal);
        }
        Some(self.as_number()?.cmp(&other.as_number()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_or_not_at_all() {
        let compare = |a: &str, b: &str| Version(a.into()).partial_cmp(&Version(b.into()));
        assert_eq!(compare("9", "10"), Some(Ordering::Less));
        let long = "9".repeat(30);
        assert_eq!(compare(&long, "10"), Some(Ordering::Greater));
        assert_eq!(compare("0x", "0x"), Some(Ordering::Equal));
        for (a, b) in [("07", "8"), ("7", "8a"), ("a", "b"), ("-1", "8"), ("0", "8")] {
            assert_eq!(compare(a, b), None, "{a} {b}");
        }
        assert_eq!(Version::of(&ObjectMeta::default()), None);
    }
}
