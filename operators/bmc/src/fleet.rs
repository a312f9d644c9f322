//! All BMCs that a process talks to.

use crate::{
    Config, Connect, Counters, Error, Permit, Pin, Target,
    redfish::Redfish,
    transport::{
        limits::{places::Places, rate::Rate, shared::Shared},
        names::LOOKUPS,
        recent::Recent,
        session::endpoint::Endpoint,
    },
};
use futures::{StreamExt, stream};
use metal_base::Locked;
use metal_core::redfish::Credentials;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// How many BMCs are logged out of at a time.
const LOGOUTS: usize = 64;

/// All BMCs that a process talks to, and what they share. Clones are the same fleet.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
    endpoints: Arc<Mutex<HashMap<Target, Arc<Endpoint>>>>,
}

impl Fleet {
    /// A fleet with these settings.
    pub fn new(config: Config) -> Self {
        let rate = Rate::new(config.requests_per_second, Instant::now());
        let kept = Arc::new(Semaphore::new(config.kept_connections));
        let long_calls = Places::new(config.long_calls);
        let counters = Counters::default();
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        let recent = Recent::default();
        let shared = Shared { config, counters, rate, kept, long_calls, lookups, recent };
        Self { shared: Arc::new(shared), endpoints: Arc::default() }
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Logs out of every BMC, as far as possible within this time. A session that is left open
    /// takes up a place on its BMC until it expires there.
    pub async fn close(&self, within: Duration) {
        let all: Vec<_> = self.with(|endpoints| endpoints.drain().map(|(_, one)| one).collect());
        let busy = all.into_iter().filter(|endpoint| !endpoint.is_idle());
        let log_out = async |endpoint: Arc<Endpoint>| endpoint.log_out().await;
        let logouts = stream::iter(busy).for_each_concurrent(LOGOUTS, log_out);
        if timeout(within, logouts).await.is_err() {
            tracing::warn!("some BMC sessions were not closed");
        }
    }

    fn endpoint(&self, target: &Target) -> Arc<Endpoint> {
        let new = || Arc::new(Endpoint::new(target.clone(), Arc::clone(&self.shared)));
        self.with(|all| Arc::clone(all.entry(target.clone()).or_insert_with(new)))
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<Target, Arc<Endpoint>>) -> T) -> T {
        f(&mut self.endpoints.locked())
    }
}

impl Connect for Fleet {
    type Bmc = Redfish;

    fn connect(&self, target: &Target, credentials: &Credentials) -> Redfish {
        let endpoint = self.endpoint(target);
        let mut known = endpoint.peer.credentials();
        if known.as_ref() != Some(credentials) {
            *known = Some(credentials.clone());
        }
        drop(known);
        Redfish(endpoint, Permit::default())
    }

    fn pin(&self, target: &Target) -> Option<Pin> {
        self.with(|endpoints| endpoints.get(target).map(Arc::clone))
            .and_then(|known| *known.peer.pin())
    }

    fn set_pin(&self, target: &Target, pin: Option<Pin>) {
        *self.endpoint(target).peer.pin() = pin;
    }

    async fn introduce(&self, target: &Target) -> Result<Option<Pin>, Error> {
        self.endpoint(target).introduce().await
    }

    fn set_host_name(&self, target: &Target, name: Option<&str>) {
        *self.endpoint(target).peer.host_name() = name.map(str::to_owned);
    }

    fn hold_back(&self, target: &Target, credentials: &Credentials, rest: Duration) {
        *self.endpoint(target).peer.held_back() =
            Some((credentials.clone(), Instant::now() + rest));
    }

    async fn forget(&self, target: &Target) {
        if let Some(endpoint) = self.with(|endpoints| endpoints.remove(target)) {
            endpoint.log_out().await;
        }
    }

    fn abandon(&self, target: &Target) {
        self.with(|endpoints| endpoints.remove(target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_core::redfish::Scheme;
    use std::net::IpAddr;

    #[tokio::test]
    async fn of_a_bmc_that_is_forgotten_or_abandoned_nothing_is_kept() {
        let (username, password) = ("a".to_owned(), "hunter2".to_owned());
        let credentials = Credentials { username, password };
        let at = |port| Target {
            scheme: Scheme::Https,
            host: IpAddr::from([192, 0, 2, 1]).into(),
            port,
        };
        let fleet = Fleet::new(Config::default());
        for port in 1..4 {
            fleet.connect(&at(port), &credentials);
        }
        fleet.forget(&at(1)).await;
        fleet.abandon(&at(2));
        let left = fleet.with(|all| all.keys().map(|it| it.port).collect::<Vec<_>>());
        assert_eq!(left, [3]);
    }

    #[test]
    fn what_hides_a_password_is_of_the_one_that_counts_now() {
        let fleet = Fleet::new(Config::default());
        let target =
            Target { scheme: Scheme::Https, host: IpAddr::from([192, 0, 2, 1]).into(), port: 443 };
        let hidden = |password: &str| {
            let password = password.to_owned();
            fleet.connect(&target, &Credentials { username: "a".to_owned(), password });
            fleet.endpoint(&target).peer.password()
        };
        let first = hidden("hunter2");
        let second = hidden("hunter3");
        assert_eq!(first.removed_from("hunter2 hunter3".to_owned()), "*** hunter3");
        assert_eq!(second.removed_from("hunter2 hunter3".to_owned()), "hunter2 ***");
    }
}
