//! How often a machine may change what its status says of its cloud-init.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Changes in a window; a boot makes three.
const CHANGES: u32 = 12;
/// The window.
const WINDOW: Duration = Duration::from_mins(10);
/// Machines that are remembered.
const MACHINES: usize = 65_536;

/// Counts changes by Machine.
#[derive(Debug, Default)]
pub(crate) struct ProgressLimit(Mutex<HashMap<String, (Instant, u32)>>);

impl ProgressLimit {
    /// Whether the Machine of this name may change once more; counts it if it may.
    pub(crate) fn may(&self, name: &str) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MACHINES && !counts.contains_key(name) {
            counts.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        if counts.len() >= MACHINES && !counts.contains_key(name) {
            return false;
        }
        let (since, count) = counts.entry(name.to_owned()).or_insert((Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count <= CHANGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn one_machine_does_not_fill_the_log_of_the_api_server() {
        pause();
        let limit = ProgressLimit::default();
        for _ in 0..CHANGES {
            assert!(limit.may("a"));
        }
        assert!(!limit.may("a") && limit.may("b"));
        advance(WINDOW).await;
        assert!(limit.may("a"));
    }
}
