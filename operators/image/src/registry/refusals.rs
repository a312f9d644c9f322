//! Logins that a registry has refused. Registries lock an account after a few wrong passwords, so one that was refused
//! rests; and until it was accepted, or once it is refused after that, one request at a time tries it.

use super::Access;
use crate::{login::Login, reference::Registry};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// For how long a login is not sent that was refused when one request alone had sent it.
const REST: Duration = Duration::from_mins(5);
/// For how long it is not sent for a repository for which it was refused: it may be good for others.
const REST_OF_REPOSITORY: Duration = Duration::from_mins(1);
/// How many logins, and how many repositories, are remembered.
const MOST: usize = 1024;

/// A verdict of a registry on a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing yet, or that it is wrong after it was right.
    #[default]
    New,
    /// It is right, whatever it may be used for.
    Accepted,
    /// It is wrong; not to be sent until then.
    Refused(Instant),
}

impl Standing {
    /// Refused a moment ago.
    pub(super) fn refused() -> Self {
        Self::Refused(Instant::now() + REST)
    }

    /// Whether it is not to be sent now.
    pub(super) fn rests(self) -> bool {
        matches!(self, Self::Refused(until) if Instant::now() < until)
    }

    /// Notes this of a login, for whoever has his turn. Of one that was accepted, a single refusal may be about a
    /// repository, as some services refuse it: the next request sends it alone, and tells.
    pub(super) fn settle(self, standing: &Mutex<Self>, turn: Option<MutexGuard<'_, Self>>) {
        if let Some(mut turn) = turn {
            *turn = self;
        } else if let Self::Refused(_) = self
            && let Ok(mut other) = standing.try_lock()
            && *other == Self::Accepted
        {
            *other = Self::New;
        }
    }
}

/// The verdicts of registries on logins.
#[derive(Default)]
pub(super) struct Refusals {
    logins: HashMap<(Registry, Login), Arc<Mutex<Standing>>>,
    repositories: HashMap<Access, Instant>,
}

impl Refusals {
    /// The verdict of the registry, or its token service, on a login.
    pub(super) fn standing(&mut self, registry: &Registry, login: &Login) -> Arc<Mutex<Standing>> {
        let key = (registry.clone(), login.clone());
        if self.logins.len() >= MOST && !self.logins.contains_key(&key) {
            self.logins.clear();
        }
        Arc::clone(self.logins.entry(key).or_default())
    }

    /// Whether the login was refused for this repository a moment ago.
    pub(super) fn rests(&self, access: &Access) -> bool {
        self.repositories.get(access).is_some_and(|until| Instant::now() < *until)
    }

    /// Remembers that it was refused for this repository.
    pub(super) fn note(&mut self, access: &Access) {
        let now = Instant::now();
        if self.repositories.len() >= MOST {
            self.repositories.retain(|_, until| now < *until);
        }
        if self.repositories.len() >= MOST {
            self.repositories.clear();
        }
        self.repositories.insert(access.clone(), now + REST_OF_REPOSITORY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Logins;
    use tokio::time::{advance, pause};

    fn access(name: &str) -> Access {
        let file = br#"{"auths": {"ghcr.io": {"username": "a", "password": "b"}}}"#;
        Access::new(&name.parse().unwrap(), &Logins::parse(file).unwrap())
    }

    fn standing(refusals: &mut Refusals, access: &Access) -> Arc<Mutex<Standing>> {
        refusals.standing(access.name().registry(), access.login().unwrap())
    }

    #[test]
    fn a_login_that_is_refused_after_it_was_accepted_is_tried_by_one_alone_before_it_rests() {
        let standing = Mutex::new(Standing::Accepted);
        Standing::Accepted.settle(&standing, None);
        assert_eq!(*standing.try_lock().unwrap(), Standing::Accepted);
        for _ in 0..2 {
            Standing::refused().settle(&standing, None);
            assert_eq!(*standing.try_lock().unwrap(), Standing::New, "many had sent it");
        }
        Standing::refused().settle(&standing, standing.try_lock().ok());
        assert!(standing.try_lock().unwrap().rests());
        Standing::refused().settle(&standing, None);
        assert!(standing.try_lock().unwrap().rests(), "it is not tried sooner");
        Standing::Accepted.settle(&standing, standing.try_lock().ok());
        assert_eq!(*standing.try_lock().unwrap(), Standing::Accepted);
    }

    #[tokio::test]
    async fn a_refused_login_rests_for_a_while_and_for_other_repositories_only_if_it_is_wrong() {
        pause();
        let mut refusals = Refusals::default();
        let (one, other) = (access("ghcr.io/a/b"), access("ghcr.io/a/c"));
        refusals.note(&one);
        assert!(refusals.rests(&one) && !refusals.rests(&other));
        advance(REST_OF_REPOSITORY).await;
        assert!(!refusals.rests(&one));
        *standing(&mut refusals, &one).lock().await = Standing::refused();
        let standing = *standing(&mut refusals, &other).lock().await;
        assert!(standing.rests(), "it is one login");
        advance(REST).await;
        assert!(!standing.rests());
        assert!(!Standing::New.rests() && !Standing::Accepted.rests());
    }

    #[test]
    fn what_is_remembered_of_refusals_takes_bounded_room() {
        let mut refusals = Refusals::default();
        for number in 0..2 * MOST {
            refusals.note(&access(&format!("ghcr.io/a/b{number}")));
            assert!(refusals.repositories.len() <= MOST);
        }
    }
}
