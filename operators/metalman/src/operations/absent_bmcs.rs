//! BMCs that did not answer a moment ago.

use metal_base::Locked;
use metal_bmc::Target;
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// For how long a BMC is assumed to be still absent.
const AWAY: Duration = Duration::from_mins(1);

/// The BMCs, and when each did not answer.
#[derive(Debug, Default)]
pub(super) struct AbsentBmcs(Mutex<HashMap<Target, Instant>>);

impl AbsentBmcs {
    /// Whether this one did not answer in the last minute.
    pub(super) fn has(&self, target: &Target) -> bool {
        let mut all = self.0.locked();
        all.retain(|_, since| since.elapsed() < AWAY);
        all.contains_key(target)
    }

    /// Records that a BMC does not answer.
    pub(super) fn note(&self, target: &Target) {
        self.0.locked().insert(target.clone(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_core::redfish::Scheme;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn a_bmc_that_is_away_is_asked_for_its_certificate_once_in_a_minute() {
        pause();
        let at =
            |host: &str| Target { scheme: Scheme::Https, host: host.parse().unwrap(), port: 443 };
        let (absent, away) = (AbsentBmcs::default(), at("192.0.2.1"));
        assert!(!absent.has(&away));
        absent.note(&away);
        assert!(absent.has(&away) && !absent.has(&at("192.0.2.2")));
        advance(AWAY).await;
        assert!(!absent.has(&away), "and then again");
    }
}
