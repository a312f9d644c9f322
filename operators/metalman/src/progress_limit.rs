//! How often a machine may change what its status says of its cloud-init, or of its installation.

use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Changes in a window of a boot, which makes three.
const BOOT: (u32, Duration) = (12, Duration::from_mins(10));
/// What people are told about: firmware asks again and again.
const TOLD: (u32, Duration) = (1, Duration::from_mins(10));
/// Tokens: an agent asks until it has a certificate.
const TOKENS: (u32, Duration) = (60, Duration::from_mins(10));
/// Of an installer in one phase, which tells of each share of its work.
const INSTALLER: (u32, Duration) = (1, Duration::from_secs(10));
/// Maximum number of remembered Machines, and phases of them.
const MACHINES: usize = 65_536;

/// Counts changes by Machine.
#[derive(Debug)]
pub(crate) struct ProgressLimit {
    changes: u32,
    window: Duration,
    counts: Mutex<HashMap<String, (Instant, u32)>>,
}

impl ProgressLimit {
    /// For what happens once in a boot.
    pub(crate) fn of_boots() -> Self {
        Self::new(BOOT)
    }

    /// For what people are told about.
    pub(crate) fn of_news() -> Self {
        Self::new(TOLD)
    }

    /// For tokens.
    pub(crate) fn of_tokens() -> Self {
        Self::new(TOKENS)
    }

    /// For what goes on all the time.
    pub(crate) fn of_installers() -> Self {
        Self::new(INSTALLER)
    }

    fn new((changes, window): (u32, Duration)) -> Self {
        Self { changes, window, counts: Mutex::default() }
    }

    /// Whether the Machine of this name may make another change; counts it if so.
    pub(crate) fn may(&self, name: &str) -> bool {
        let mut counts = self.counts.locked();
        if counts.len() >= MACHINES && !counts.contains_key(name) {
            counts.retain(|_, (since, _)| since.elapsed() < self.window);
        }
        if counts.len() >= MACHINES && !counts.contains_key(name) {
            return false;
        }
        let (since, count) = counts.entry(name.to_owned()).or_insert((Instant::now(), 0));
        if since.elapsed() >= self.window {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count <= self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn one_machine_does_not_fill_the_log_of_the_api_server() {
        pause();
        for (limit, (changes, window)) in [
            (ProgressLimit::of_boots(), BOOT),
            (ProgressLimit::of_news(), TOLD),
            (ProgressLimit::of_installers(), INSTALLER),
        ] {
            for _ in 0..changes {
                assert!(limit.may("a"));
            }
            assert!(!limit.may("a") && limit.may("b"));
            advance(window).await;
            assert!(limit.may("a"));
        }
    }
}
