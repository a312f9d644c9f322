//! Recent reads of pull Secrets: all requests within a few seconds share one read, and while the API server does
//! not answer, the last result is used.

use crate::memory_permits::MemoryPermits;
use metal_base::Locked;
use metal_core::{boot_token::login::NoLogin, pull_secret::PullSecret};
use metal_image::Logins;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// For how long a result is used.
const FRESH: Duration = Duration::from_secs(5);
/// For how long it is used if the API server does not answer: no installation takes longer.
const LONG: Duration = Duration::from_hours(4);
/// How many sets of Secrets are kept, in total and for one organization. If there are more, the oldest of the
/// organization with the most is dropped.
const KEPT: usize = 128;
const OF_ONE: usize = KEPT / 4;
/// How many sets are read at a time, in total and for one organization: a Secret may have 1 MiB.
const AT_A_TIME: usize = 4;
const OF_ONE_AT_A_TIME: usize = 2;
/// How long a request waits for its turn, and for the API server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Recent reads of Secrets.
#[derive(Debug)]
pub(crate) struct PullSecrets {
    looks: Mutex<HashMap<Key, Look>>,
    turns: MemoryPermits,
}

/// A namespace, and the names of Secrets in it.
type Key = (String, Vec<String>);

/// What was found: logins, or why there are none.
pub(crate) type FoundLogins = Result<Logins, NoLogin>;

#[derive(Debug)]
struct Look {
    begun: Instant,
    found: Arc<OnceCell<FoundLogins>>,
    /// The result of the read before it.
    before: Option<Logins>,
}

impl Look {
    fn logins(&self) -> Option<Logins> {
        match self.found.get() {
            Some(found) => found.clone().ok(),
            None => self.before.clone(),
        }
    }
}

impl Default for PullSecrets {
    fn default() -> Self {
        let turns = MemoryPermits::new(AT_A_TIME, OF_ONE_AT_A_TIME);
        Self { looks: Mutex::default(), turns }
    }
}

impl PullSecrets {
    /// The result of `read`, or of another one a moment ago.
    pub(crate) async fn look(
        &self,
        first: &PullSecret,
        secrets: &[PullSecret],
        read: impl Future<Output = FoundLogins>,
    ) -> FoundLogins {
        let names = secrets.iter().map(|secret| secret.name.clone()).collect();
        let (found, before) = self.begun((first.namespace.clone(), names));
        let look = async {
            let found = match timeout(PATIENCE, self.turns.take(&first.namespace)).await {
                Ok(_turn) => Box::pin(read).await,
                Err(_) => Err(NoLogin::Unread(first.clone(), "too many ask".to_owned())),
            };
            match (found, before) {
                (Err(NoLogin::Unread(..)), Some(before)) => Ok(before),
                (found, _) => found,
            }
        };
        found.get_or_init(|| look).await.clone()
    }

    /// A read, and the result of the one before it.
    fn begun(&self, key: Key) -> (Arc<OnceCell<FoundLogins>>, Option<Logins>) {
        let mut all = self.looks.locked();
        all.retain(|_, look| look.begun.elapsed() < LONG);
        let known = all.get(&key);
        if let Some(look) = known.filter(|look| look.begun.elapsed() < FRESH) {
            return (Arc::clone(&look.found), look.before.clone());
        }
        let (is_known, before) = (known.is_some(), known.and_then(Look::logins));
        let found = Arc::<OnceCell<FoundLogins>>::default();
        let of_one = all.keys().filter(|(namespace, _)| *namespace == key.0).count();
        // If an organization has too many sets, this request does not share its read.
        if is_known || of_one < OF_ONE {
            if !is_known && all.len() >= KEPT {
                make_room(&mut all);
            }
            let (begun, found, before) = (Instant::now(), Arc::clone(&found), before.clone());
            all.insert(key, Look { begun, found, before });
        }
        (found, before)
    }
}

/// Forgets the oldest read of the namespace that has the most.
fn make_room(looks: &mut HashMap<Key, Look>) {
    let mut counts = HashMap::<String, usize>::new();
    for (namespace, _) in looks.keys() {
        *counts.entry(namespace.clone()).or_default() += 1;
    }
    let oldest = looks
        .iter()
        .max_by_key(|((namespace, _), look)| (counts.get(namespace), look.begun.elapsed()));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        looks.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    fn secret(namespace: &str, name: &str) -> PullSecret {
        let [namespace, name] = [namespace, name].map(str::to_owned);
        PullSecret { namespace, name, field: "spec.imagePullSecrets" }
    }

    fn of(user: &str) -> Logins {
        let text = format!(r#"{{"auths":{{"ghcr.io":{{"username":"{user}","password":"x"}}}}}}"#);
        Logins::parse(text.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn what_was_read_counts_for_a_moment_and_longer_only_while_there_is_no_answer() {
        pause();
        let (secrets, one) = (PullSecrets::default(), [secret("org", "a")]);
        let look = async |found: FoundLogins| secrets.look(&one[0], &one, async { found }).await;
        let silence = || Err(NoLogin::Unread(one[0].clone(), String::new()));
        assert_eq!(look(silence()).await, silence(), "nothing is known yet");
        advance(FRESH).await;
        assert_eq!(look(Ok(of("first"))).await, Ok(of("first")));
        assert_eq!(look(Ok(of("second"))).await, Ok(of("first")), "they share one look");
        for _ in 0..3 {
            advance(FRESH).await;
            assert_eq!(look(silence()).await, Ok(of("first")));
        }
        // One that is gone no longer counts, whatever comes then.
        let gone = || Err(NoLogin::Forbidden(one[0].clone()));
        advance(FRESH).await;
        assert_eq!(look(gone()).await, gone());
        advance(FRESH).await;
        assert_eq!(look(silence()).await, silence());
    }

    #[tokio::test]
    async fn secrets_of_one_organization_take_no_room_from_those_of_another() {
        pause();
        let secrets = PullSecrets::default();
        let look = async |namespace: &str, name: String| {
            let one = [secret(namespace, &name)];
            secrets.look(&one[0], &one, async { Ok(of("a")) }).await.unwrap();
        };
        for number in 0..2 * KEPT {
            look("org", number.to_string()).await;
        }
        assert_eq!(secrets.looks.locked().len(), OF_ONE);
        look("other", "a".to_owned()).await;
        assert_eq!(secrets.looks.locked().len(), OF_ONE + 1);
        advance(LONG).await;
        look("other", "a".to_owned()).await;
        assert_eq!(secrets.looks.locked().len(), 1, "nothing is kept for ever");
    }

    #[tokio::test]
    async fn however_many_organizations_there_are_each_has_room() {
        pause();
        let secrets = PullSecrets::default();
        let look = async |namespace: String, name: usize| {
            let one = [secret(&namespace, &name.to_string())];
            secrets.look(&one[0], &one, async { Ok(of("a")) }).await.unwrap();
        };
        for organization in 0..KEPT / OF_ONE {
            for name in 0..OF_ONE {
                look(format!("crowd-{organization}"), name).await;
            }
        }
        for organization in 0..2 * KEPT {
            advance(Duration::from_millis(1)).await;
            let key = (format!("org-{organization}"), vec!["0".to_owned()]);
            look(key.0.clone(), 0).await;
            assert!(secrets.looks.locked().contains_key(&key));
            assert_eq!(secrets.looks.locked().len(), KEPT);
        }
    }
}
