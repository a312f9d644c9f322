//! Limits how many times one boot may fetch its secrets.
//!
//! A machine needs one or two fetches, and replicas do not know of each other's, so each gets a
//! share of the total ([`share`]). To count together, they would have to write before each fetch is
//! answered, and trust each other's clocks. Machines would have to wait for the API server, and
//! could not boot during an outage.

use metal_base::{Locked, Source};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::Mutex,
    time::Duration,
};
use tokio::time::Instant;

/// Beyond this number, fetchers are not counted separately.
const MAX_FETCHERS: usize = 1 << 16;

/// The share of `limit` for each of this many replicas; 0 means no limit.
pub(crate) fn share(limit: u32, replicas: NonZeroU32) -> u32 {
    if limit == 0 { 0 } else { (limit / replicas).max(1) }
}

/// Counts fetches per boot, token and address, within a period, so that nobody can use up those of
/// another.
pub(crate) struct FetchLimit {
    limit: u32,
    window: Duration,
    /// Tokens are secrets, so only their hashes are kept.
    hasher: RandomState,
    fetchers: Mutex<HashMap<u64, (Instant, u32)>>,
}

impl FetchLimit {
    /// Permits `limit` fetches in `window`; 0 permits any number.
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, hasher: RandomState::new(), fetchers: Mutex::default() }
    }

    /// Counts a fetch for `boot`, with this token, if any, and from this source, if known; returns
    /// whether it is permitted.
    pub(crate) fn admits(&self, boot: &str, token: Option<&str>, address: Option<IpAddr>) -> bool {
        if self.limit == 0 {
            return true;
        }
        let now = Instant::now();
        let is_open = |since: Instant| now.duration_since(since) < self.window;
        let fetcher = self.hasher.hash_one((boot, token, address.map(Source::from)));
        let mut fetchers = self.fetchers.locked();
        if let Some((_, count)) = fetchers.get_mut(&fetcher).filter(|(since, _)| is_open(*since)) {
            *count = count.saturating_add(1);
            return *count <= self.limit;
        }
        if fetchers.len() >= MAX_FETCHERS {
            fetchers.retain(|_, (since, _)| is_open(*since));
        }
        // When flooded, it starts counting anew, and locks nobody out.
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
        let of_link = |host: u16| Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into());
        assert_eq!([1, 2].map(|host| limit.admits("b", None, of_link(host))), [true, false]);
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
