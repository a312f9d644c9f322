//! To whom the registry gives which blobs.

use crate::{digest::Digest, registry::Access};
use std::collections::HashSet;

/// How much of that is remembered; who is forgotten is asked about again.
const MOST: usize = 1024;

/// Blobs that the registry has sent with these logins, or has said that it would send.
#[derive(Debug, Default)]
pub(super) struct Admitted(HashSet<(Access, Digest)>);

impl Admitted {
    /// Whether this one is among them.
    pub(super) fn has(&self, access: &Access, digest: &Digest) -> bool {
        self.0.contains(&(access.clone(), digest.clone()))
    }

    /// Remembers one more.
    pub(super) fn insert(&mut self, access: &Access, digest: &Digest) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert((access.clone(), digest.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Logins;

    #[test]
    fn what_is_remembered_of_others_takes_bounded_room() {
        let mut admitted = Admitted::default();
        let access = Access::new(&"ghcr.io/a/b".parse().unwrap(), &Logins::default());
        for number in 0..3 * MOST {
            admitted.insert(&access, &Digest::of(&number.to_be_bytes()));
            assert!(admitted.0.len() <= MOST);
        }
        assert!(admitted.has(&access, &Digest::of(&(3 * MOST - 1).to_be_bytes())));
        assert!(!admitted.has(&access, &Digest::of(b"another")));
    }
}
