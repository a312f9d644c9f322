//! Boot configs that were written, and that the watch has not shown yet. Whoever decides on what
//! was there before would write the same again.

use crate::context::ConfigRef;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a watch may take; after that the write is decided on again.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// From so many on, those that waited long enough are thrown away.
const MANY: usize = 1024;

/// The writes, by boot config.
#[derive(Debug, Default)]
pub struct Unseen(Mutex<HashMap<ConfigRef, Write>>);

/// What the watch had shown when an object was written.
#[derive(Debug)]
struct Write {
    version: Option<String>,
    at: Instant,
}

impl Unseen {
    /// A boot config was written. `version` is the resource version that the watch shows, if it
    /// shows the object at all.
    pub fn note(&self, config: ConfigRef, version: Option<&str>) {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writes.len() >= MANY {
            writes.retain(|_, write| write.at.elapsed() < PATIENCE);
        }
        writes.insert(config, Write { version: version.map(str::to_owned), at: Instant::now() });
    }

    /// Whether the watch, which shows `version`, is behind a write of the last seconds.
    pub fn is_behind(&self, config: &ConfigRef, version: Option<&str>) -> bool {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(write) = writes.get(config) else { return false };
        let behind = write.version.as_deref() == version && write.at.elapsed() < PATIENCE;
        if !behind {
            writes.remove(config);
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Kind;

    fn config(name: &str) -> ConfigRef {
        ConfigRef::new(Kind::Ipxe, ("tenant".to_owned(), name.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_waited_for_until_the_watch_shows_another_version() {
        let (unseen, a) = (Unseen::default(), config("a"));
        assert!(!unseen.is_behind(&a, None), "nothing was written");
        unseen.note(a.clone(), None);
        assert!(unseen.is_behind(&a, None));
        assert!(!unseen.is_behind(&config("b"), None), "another one");
        assert!(!unseen.is_behind(&a, Some("1")));
        assert!(!unseen.is_behind(&a, None), "shown once, and deleted");
        unseen.note(a.clone(), Some("1"));
        assert!(unseen.is_behind(&a, Some("1")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_no_watch_shows_is_not_waited_for_longer_than_that() {
        let (unseen, a) = (Unseen::default(), config("a"));
        unseen.note(a.clone(), None);
        tokio::time::advance(PATIENCE).await;
        assert!(!unseen.is_behind(&a, None));
        for name in 0..MANY {
            unseen.note(config(&name.to_string()), None);
        }
        tokio::time::advance(PATIENCE).await;
        unseen.note(a, None);
        assert_eq!(unseen.0.lock().unwrap().len(), 1);
    }
}
