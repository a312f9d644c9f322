//! How often one boot may fetch its secrets.
//!
//! A machine needs one fetch or two, and replicas know nothing of each other, so each has a share of
//! what there is for all ([`share`]). To count together they would have to write at every fetch
//! before it is answered, and to trust each other's clocks; machines would wait for the API server,
//! and boot nothing while that is silent.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// More fetchers than this are not counted apart.
const MAX_FETCHERS: usize = 1 << 16;

/// What one of so many replicas may give out of `limit`; 0 is no limit, and stays none.
pub(crate) fn share(limit: u32, replicas: NonZeroU32) -> u32 {
    if limit == 0 { 0 } else { (limit / replicas).max(1) }
}

/// Counts what is given out per boot, token and address, within a window of time: nobody uses up
/// what another one has.
pub(crate) struct FetchLimit {
    limit: u32,
    window: Duration,
    /// Tokens are secrets, and kept nowhere.
    hasher: RandomState,
    fetchers: Mutex<HashMap<u64, (Instant, u32)>>,
}

impl FetchLimit {
    /// Lets `limit` fetches pass in `window`; 0 lets all pass.
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, hasher: RandomState::new(), fetchers: Mutex::default() }
    }

    /// Whether one more fetch for `boot` may pass, which counts; with this token, if with any, and
    /// from this address, if it is known.
    pub(crate) fn admits(&self, boot: &str, token: Option<&str>, address: Option<IpAddr>) -> bool {
        if self.limit == 0 {
            return true;
        }
        let now = Instant::now();
        let is_open = |since: Instant| now.duration_since(since) < self.window;
        let fetcher = self.hasher.hash_one((boot, token, address));
        let mut fetchers = self.fetchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = fetchers.get_mut(&fetcher).filter(|(since, _)| is_open(*since)) {
            *count = count.saturating_add(1);
            return *count <= self.limit;
        }
        if fetchers.len() >= MAX_FETCHERS {
            fetchers.retain(|_, (since, _)| is_open(*since));
        }
        // Whoever floods this is counted anew, and keeps nobody else out.
        if fetchers.len() >= MAX_FETCHERS {
            fetchers.clear();
        }
        fetchers.insert(fetcher, (now, 1));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const WINDOW: Duration = Duration::from_mins(30);

    #[tokio::test(start_paused = true)]
    async fn all_replicas_together_let_no_more_pass_than_the_limit() {
        for (limit, replicas, passed) in [(20, 1, 20), (20, 2, 20), (20, 3, 18), (2, 3, 3)] {
            let replicas = NonZeroU32::new(replicas).unwrap();
            let limits: Vec<_> = (0..replicas.get())
                .map(|_| FetchLimit::new(share(limit, replicas), WINDOW))
                .collect();
            let fetches = limits.iter().cycle().take(200);
            let admitted = fetches.filter(|limit| limit.admits("a", Some("t"), None)).count();
            assert_eq!(admitted, passed, "{limit} in {replicas}");
        }
        assert_eq!(share(0, NonZeroU32::MIN), 0, "no limit");
    }

    #[tokio::test(start_paused = true)]
    async fn one_boot_has_so_many_fetches_in_a_window_and_others_have_their_own() {
        let limit = FetchLimit::new(2, WINDOW);
        let admits = |boot| limit.admits(boot, None, None);
        assert_eq!([(); 4].map(|()| admits("a")), [true, true, false, false]);
        assert!(admits("b"));
        advance(WINDOW.saturating_sub(Duration::from_secs(1))).await;
        assert!(!admits("a"));
        advance(Duration::from_secs(1)).await;
        assert!(admits("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_uses_up_its_fetches_leaves_those_of_other_tokens_and_addresses() {
        let limit = FetchLimit::new(1, WINDOW);
        let (ours, stranger) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        assert_eq!([(); 3].map(|()| limit.admits("a", None, stranger)), [true, false, false]);
        assert_eq!([(); 2].map(|()| limit.admits("a", Some("t"), stranger)), [true, false]);
        assert!(limit.admits("a", Some("t"), ours));
        assert!(limit.admits("a", Some("u"), ours));
        assert!(limit.admits("a", None, ours));
        assert!(!limit.admits("a", Some("t"), ours));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_all_pass_and_nothing_is_kept() {
        let limit = FetchLimit::new(0, WINDOW);
        assert!((0..1000).all(|_| limit.admits("a", None, None)));
        assert!(limit.fetchers.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_bounded_and_keeps_nobody_out() {
        let limit = FetchLimit::new(1, WINDOW);
        for boot in 0..=MAX_FETCHERS {
            assert!(limit.admits(&boot.to_string(), None, None));
        }
        assert!(limit.fetchers.lock().unwrap().len() <= MAX_FETCHERS);
        assert!(limit.admits("one more", None, None));
    }
}
