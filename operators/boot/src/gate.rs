//! How often one boot may fetch its secrets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// More boots than this are not counted apart.
const MAX_BOOTS: usize = 1 << 16;

/// Counts what is given out per boot configuration, within a window of time. Each replica counts
/// for itself.
pub struct Gate {
    limit: u32,
    window: Duration,
    boots: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Gate {
    /// Lets `limit` fetches pass in `window`; 0 lets all pass.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, boots: Mutex::default() }
    }

    /// Whether one more fetch for `boot` may pass, which counts.
    pub fn admits(&self, boot: &str) -> bool {
        if self.limit == 0 {
            return true;
        }
        let now = Instant::now();
        let is_open = |since: Instant| now.duration_since(since) < self.window;
        let mut boots = self.boots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = boots.get_mut(boot).filter(|(since, _)| is_open(*since)) {
            *count = count.saturating_add(1);
            return *count <= self.limit;
        }
        if boots.len() >= MAX_BOOTS {
            boots.retain(|_, (since, _)| is_open(*since));
        }
        if boots.len() >= MAX_BOOTS {
            return false;
        }
        boots.insert(boot.to_owned(), (now, 1));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const WINDOW: Duration = Duration::from_mins(30);

    #[tokio::test(start_paused = true)]
    async fn one_boot_has_so_many_fetches_in_a_window_and_others_have_their_own() {
        let gate = Gate::new(2, WINDOW);
        assert_eq!([(); 4].map(|()| gate.admits("a")), [true, true, false, false]);
        assert!(gate.admits("b"));
        advance(WINDOW.saturating_sub(Duration::from_secs(1))).await;
        assert!(!gate.admits("a"));
        advance(Duration::from_secs(1)).await;
        assert!(gate.admits("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_all_pass_and_nothing_is_kept() {
        let gate = Gate::new(0, WINDOW);
        assert!((0..1000).all(|_| gate.admits("a")));
        assert!(gate.boots.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_boots_is_bounded() {
        let gate = Gate::new(1, WINDOW);
        for boot in 0..MAX_BOOTS {
            assert!(gate.admits(&boot.to_string()));
        }
        assert!(!gate.admits("one more"));
        advance(WINDOW).await;
        assert!(gate.admits("one more"));
    }
}
