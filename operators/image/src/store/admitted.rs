//! Which blobs the registry gives to which logins.

use crate::{
    digest::Digest,
    registry::{self, Access},
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// How many answers are remembered; if one is forgotten, the registry is asked again.
const MOST: usize = 1024;
/// For how long an answer is valid: a login may be revoked.
const LIFETIME: Duration = Duration::from_hours(1);
/// For how much longer it is valid each time that the registry does not answer.
const GRACE: Duration = Duration::from_mins(1);

/// Blobs that the registry has said that it would send with these logins, and when to ask it again.
#[derive(Debug, Default)]
pub(super) struct Admitted(HashMap<(Access, Digest), Instant>);

impl Admitted {
    /// Whether this one is among them, and need not be asked about.
    pub(super) fn has(&self, access: &Access, digest: &Digest) -> bool {
        let until = self.0.get(&(access.clone(), digest.clone()));
        until.is_some_and(|until| Instant::now() < *until)
    }

    /// Remembers what the registry has just said about this one. If it has not answered, what it said
    /// before counts.
    ///
    /// # Errors
    ///
    /// If it would not send it; or has not answered, and was not asked before.
    pub(super) fn heard(
        &mut self,
        access: &Access,
        digest: &Digest,
        said: Result<(), registry::Error>,
    ) -> Result<(), registry::Error> {
        let Err(error) = said else {
            self.insert(access, digest);
            return Ok(());
        };
        let key = (access.clone(), digest.clone());
        if error.is_transient()
            && let Some(until) = self.0.get_mut(&key)
        {
            *until = Instant::now() + GRACE;
            return Ok(());
        }
        self.0.remove(&key);
        Err(error)
    }

    /// Remembers that the registry would send it, or has.
    pub(super) fn insert(&mut self, access: &Access, digest: &Digest) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert((access.clone(), digest.clone()), Instant::now() + LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Logins;
    use tokio::time::advance;

    #[test]
    fn what_is_remembered_of_others_takes_bounded_room() {
        let mut admitted = Admitted::default();
        let access = Access::new(&"ghcr.io/a/b".parse().unwrap(), &Logins::default());
        for number in 0..3 * MOST {
            admitted.heard(&access, &Digest::of(&number.to_be_bytes()), Ok(())).unwrap();
            assert!(admitted.0.len() <= MOST);
        }
        assert!(admitted.has(&access, &Digest::of(&(3 * MOST - 1).to_be_bytes())));
        assert!(!admitted.has(&access, &Digest::of(b"another")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_silent_revokes_nothing_and_one_that_refuses_does() {
        let mut admitted = Admitted::default();
        let access = Access::new(&"ghcr.io/a/b".parse().unwrap(), &Logins::default());
        let (registry, digest) = (access.name().registry().clone(), Digest::of(b"blob"));
        let silent = registry::Error::Deadline { registry };
        let refused =
            registry::Error::NoBlob { name: access.name().clone(), digest: digest.clone() };
        assert!(admitted.heard(&access, &digest, Err(silent.clone())).is_err(), "never admitted");
        admitted.heard(&access, &digest, Ok(())).unwrap();
        assert!(admitted.has(&access, &digest));
        for lifetime in [LIFETIME, GRACE] {
            advance(lifetime).await;
            assert!(!admitted.has(&access, &digest), "it is asked about again");
            admitted.heard(&access, &digest, Err(silent.clone())).unwrap();
            assert!(admitted.has(&access, &digest));
        }
        assert!(admitted.heard(&access, &digest, Err(refused)).is_err());
        assert!(admitted.heard(&access, &digest, Err(silent)).is_err(), "it was revoked");
    }
}
