//! Tokens as the API server has them at this moment. A replica whose watch is interrupted may still take a boot
//! for current that ended long ago, so nothing that makes an installer clear a disk is given out because of the
//! cache alone.
//!
//! The holder of a capability may ask as often as it likes, so all requests within a second share one read.

use crate::memory_permits::MemoryPermits;
use metal_api::{BootToken, Host};
use metal_base::Locked;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// For how long the result of a read is used.
const FRESH: Duration = Duration::from_secs(1);
/// How many results are kept.
const KEPT: usize = 1024;
/// How many reads run at a time: the size of an object is up to whoever writes it.
const AT_A_TIME: usize = 8;
/// The same for one organization.
const OF_ONE: usize = 2;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(2);

/// The result of a read.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The token, if it still exists, and the Host of its name.
    There(Option<Arc<BootToken>>, Option<Arc<Host>>),
    /// The API server did not answer: the cache is used, so that an installation continues.
    Silence,
    /// The API server answered with an error.
    Failed,
}

/// When a read was begun, and its result.
type Look = (Instant, Arc<OnceCell<Found>>);

/// Reads by the UID of the token.
#[derive(Debug)]
pub(crate) struct FreshTokens {
    looks: Mutex<HashMap<String, Look>>,
    turns: MemoryPermits,
    /// Whether the API server did not answer the last read.
    is_silent: AtomicBool,
}

impl Default for FreshTokens {
    fn default() -> Self {
        let (looks, turns) = (Mutex::default(), MemoryPermits::new(AT_A_TIME, OF_ONE));
        Self { looks, turns, is_silent: AtomicBool::new(false) }
    }
}

impl FreshTokens {
    /// The result of `read` for a token and the Host of its name, or of another read within the last second.
    pub(crate) async fn look(&self, token: &BootToken, read: impl Future<Output = Found>) -> Found {
        let look = self.begun(token.metadata.uid.as_deref().unwrap_or_default());
        look.get_or_init(|| self.in_turn(token, read)).await.clone()
    }

    async fn in_turn(&self, token: &BootToken, read: impl Future<Output = Found>) -> Found {
        let namespace = token.metadata.namespace.as_deref().unwrap_or_default();
        match timeout(TURN, self.turns.take(namespace)).await {
            Ok(_turn) => {
                let found = read.await;
                self.is_silent.store(matches!(found, Found::Silence), Ordering::Relaxed);
                found
            }
            // Under load the cache is not used instead, unless the API server does not answer anyway.
            Err(_) if self.is_silent.load(Ordering::Relaxed) => Found::Silence,
            Err(_) => Found::Failed,
        }
    }

    /// Forgets the result for a token that was written.
    pub(crate) fn forget(&self, token: &BootToken) {
        self.looks.locked().remove(token.metadata.uid.as_deref().unwrap_or_default());
    }

    fn begun(&self, uid: &str) -> Arc<OnceCell<Found>> {
        let mut all = self.looks.locked();
        if let Some((_, look)) = all.get(uid).filter(|(since, _)| since.elapsed() < FRESH) {
            return Arc::clone(look);
        }
        if all.len() >= KEPT {
            all.retain(|_, (since, _)| since.elapsed() < FRESH);
        }
        let look = Arc::<OnceCell<Found>>::default();
        // If there is no room, this request does not share its read.
        if all.len() < KEPT || all.contains_key(uid) {
            all.insert(uid.to_owned(), (Instant::now(), Arc::clone(&look)));
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use metal_api::BootTokenSpec;
    use tokio::time::{advance, pause, sleep};

    /// One of this organization.
    fn token(namespace: usize, uid: usize) -> BootToken {
        let mut token = BootToken::new("web-1", BootTokenSpec::default());
        token.metadata.namespace = Some(namespace.to_string());
        token.metadata.uid = Some(uid.to_string());
        token
    }

    /// What an answer finds that takes this long.
    async fn after(time: Duration, found: Found) -> Found {
        sleep(time).await;
        found
    }

    #[tokio::test]
    async fn a_crowd_of_tokens_is_looked_at_a_few_at_a_time() {
        pause();
        let (live, running, most) = (FreshTokens::default(), Mutex::new(0), Mutex::new(0));
        let read = || async {
            let now = {
                let mut running = running.lock().unwrap();
                *running += 1;
                *running
            };
            let before = *most.lock().unwrap();
            *most.lock().unwrap() = before.max(now);
            let found = after(Duration::from_millis(1), Found::There(None, None)).await;
            *running.lock().unwrap() -= 1;
            found
        };
        let tokens: Vec<_> = (0..100).map(|number| token(number % 10, number)).collect();
        let found = join_all(tokens.iter().map(|token| live.look(token, read()))).await;
        assert!(found.iter().all(|found| matches!(found, Found::There(..))));
        assert_eq!(*most.lock().unwrap(), AT_A_TIME);
    }

    #[tokio::test]
    async fn a_crowd_of_tokens_of_one_organization_keeps_no_other_from_its_look() {
        pause();
        let live = FreshTokens::default();
        let slow = || after(TURN * 2, Found::There(None, None));
        let tokens: Vec<_> = (0..100).map(|number| token(1, number)).collect();
        let crowd = join_all(tokens.iter().map(|token| live.look(token, slow())));
        let other = token(2, 100);
        let (_, other) = tokio::join!(crowd, live.look(&other, slow()));
        assert!(matches!(other, Found::There(..)), "{other:?}");
    }

    #[tokio::test]
    async fn who_gets_no_turn_goes_by_what_is_known_only_if_the_api_server_is_silent() {
        pause();
        let live = FreshTokens::default();
        let tokens: Vec<_> = (0..=AT_A_TIME).map(|number| token(number, number)).collect();
        let last = async |found: &Found| {
            let late = || after(TURN * 2, found.clone());
            let mut found = join_all(tokens.iter().map(|token| live.look(token, late()))).await;
            advance(FRESH).await;
            found.pop().unwrap()
        };
        assert!(matches!(last(&Found::There(None, None)).await, Found::Failed));
        assert!(matches!(live.look(&tokens[0], async { Found::Silence }).await, Found::Silence));
        advance(FRESH).await;
        assert!(matches!(last(&Found::Silence).await, Found::Silence));
    }
}
