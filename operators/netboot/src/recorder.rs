//! Records BMCs as Endpoints, or as BMC objects, off the packet path.
//!
//! ```text
//! ACK to a BMC ─► Sightings (bounded, the last address counts) ─► queue ─► look at the Endpoints
//! restart, new prefix ─┘                                   failed: later ◄─┘ create or readdress
//! ```
//!
//! An address that could not be recorded stays in the queue until it can; after a restart the
//! leases bring it back.

mod bmc;
mod error;
#[cfg(test)]
mod tests;

pub use bmc::{Bmcs, bmcs};
pub use error::Error;

use kube::{Api, Client, ResourceExt, api::PostParams};
use metal_api::{Endpoint, EndpointSpec, MacAddr};
use metal_core::{
    dhcp::{
        Config, Record,
        endpoint::{Recording, name, recording},
    },
    macdb::{MacDb, MacPrefix},
};
use metal_runtime::{
    follow,
    health::Gate,
    index::{Change, Ended, Index},
    jittered, patch_spec,
    queue::Queue,
    report::{Chain, Failures, ReconcileError, Reporter},
    work::NOT_LISTED,
};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Field manager of everything that is written here.
pub const MANAGER: &str = "netboot";
/// How many BMCs may wait. One that finds no place is seen again when it renews its lease.
const MOST: usize = 1 << 16;
/// How many are recorded at a time.
const CONCURRENCY: usize = 8;
/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// BMCs with an address that is not recorded yet. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Sightings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<HashMap<MacAddr, IpAddr>>,
    queue: Queue<MacAddr>,
    waiting: Gauge,
    dropped: Counter,
}

impl Sightings {
    /// A BMC has this address. Never waits. Of two kinds of address, IPv4 counts.
    pub fn saw(&self, mac: MacAddr, ip: impl Into<IpAddr>) {
        let ip = ip.into();
        let mut wanted = self.wanted();
        if ip.is_ipv6() && wanted.get(&mac).is_some_and(IpAddr::is_ipv4) {
            return;
        }
        if wanted.len() >= MOST && !wanted.contains_key(&mac) {
            self.0.dropped.inc();
            return;
        }
        wanted.insert(mac, ip);
        self.told(&wanted);
        drop(wanted);
        self.0.queue.add(mac);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.wanted().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets `registry` tell how many wait, and how many found no place.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("netboot");
        let help = "BMCs that are not recorded yet";
        registry.register("endpoints_waiting", help, self.0.waiting.clone());
        let help = "BMCs that found no place in the queue";
        registry.register("endpoints_dropped", help, self.0.dropped.clone());
    }

    /// It is recorded, unless the address has changed since.
    fn recorded(&self, mac: MacAddr, ip: IpAddr) {
        let mut wanted = self.wanted();
        if wanted.get(&mac) == Some(&ip) {
            wanted.remove(&mac);
            self.told(&wanted);
        }
    }

    fn told(&self, wanted: &HashMap<MacAddr, IpAddr>) {
        self.0.waiting.set(i64::try_from(wanted.len()).unwrap_or(i64::MAX));
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<MacAddr, IpAddr>> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Endpoints by MAC address, however that is written.
pub type Endpoints = Index<Endpoint, MacAddr>;

/// An index without Endpoints.
pub fn endpoints() -> Endpoints {
    Index::new(|endpoint: &Endpoint| mac_of(endpoint).into_iter().collect())
}

fn mac_of(endpoint: &Endpoint) -> Option<MacAddr> {
    endpoint.spec.mac_address.as_deref()?.parse::<MacPrefix>().ok()?.whole()
}

/// Writes Endpoints.
pub struct Recorder {
    /// The API server.
    pub client: Client,
    /// What there is.
    pub endpoints: Arc<Endpoints>,
    /// What there is, where BMCs are to have no Endpoints.
    pub bmcs: Arc<Bmcs>,
    /// What BMCs become.
    pub database: watch::Receiver<Arc<MacDb>>,
    /// What there should be.
    pub sightings: Sightings,
    /// How new Endpoints are named.
    pub config: watch::Receiver<Arc<Config>>,
    /// Who hears how it went.
    pub reporter: Reporter,
    /// Opened once the Endpoints are known.
    pub listed: Gate,
    /// What did not work.
    pub failures: Failures<MacAddr>,
}

impl Recorder {
    /// Records for ever.
    ///
    /// # Errors
    ///
    /// When the watch of the Endpoints ends, which it does not by itself.
    pub async fn run(self: Arc<Self>) -> Result<(), Ended> {
        let recorder = self;
        let wake = |change: Change<'_, Endpoint>| recorder.wake(&change);
        let follow = follow(&recorder.client, &recorder.endpoints, |_| {}, wake);
        let queue = recorder.sightings.0.queue.clone();
        let work = queue.run(CONCURRENCY, |mac| {
            let recorder = Arc::clone(&recorder);
            async move { recorder.pass(mac).await }
        });
        tokio::select! {
            ended = follow => ended,
            ended = recorder.follow_bmcs() => ended,
            () = work => Err(Ended),
            () = recorder.wait_for_list() => Err(Ended),
        }
    }

    /// Whether what there is is known.
    fn is_ready(&self) -> bool {
        match self.config.borrow().record {
            Record::Endpoint => self.endpoints.is_ready(),
            Record::Bmc => self.bmcs.is_ready(),
        }
    }

    /// Opens the gate once that is so, and waits on for ever.
    async fn wait_for_list(&self) {
        while !self.is_ready() {
            sleep(NOT_LISTED).await;
        }
        self.listed.open();
        std::future::pending::<()>().await;
    }

    /// A change may end an ambiguity.
    fn wake(&self, change: &Change<'_, Endpoint>) {
        let (old, new) = match change {
            Change::Applied { old, new } => (*old, Some(*new)),
            Change::Removed(old) => (Some(*old), None),
            Change::Unreadable { .. } => (None, None),
        };
        for mac in old.into_iter().chain(new).filter_map(|endpoint| mac_of(endpoint)) {
            self.wake_if_wanted(mac);
        }
    }

    fn wake_if_wanted(&self, mac: MacAddr) {
        if self.sightings.wanted().contains_key(&mac) {
            self.sightings.0.queue.add(mac);
        }
    }

    /// Records one BMC. When to try again, if that did not work.
    async fn pass(&self, mac: MacAddr) -> Option<Duration> {
        let ip = *self.sightings.wanted().get(&mac)?;
        if !self.is_ready() {
            return Some(jittered(NOT_LISTED));
        }
        match timeout(DEADLINE, self.record(mac, ip)).await.unwrap_or(Err(Error::Deadline)) {
            Ok(result) => {
                self.failures.succeeded(&mac);
                self.sightings.recorded(mac, ip);
                self.reporter.count(result);
                None
            }
            Err(error) => {
                self.report(mac, &error).await;
                Some(jittered(self.failures.failed(mac, &error)))
            }
        }
    }

    /// Tells the objects that are in the way; otherwise there is nobody to tell but the log.
    async fn report(&self, mac: MacAddr, error: &Error) {
        let objects = error.about();
        if objects.is_empty() {
            self.reporter.count(error.reason());
            tracing::warn!(%mac, error = %Chain(error), "BMC not recorded; it is tried again");
        }
        for object in objects {
            self.reporter.failed(error, &object).await;
        }
    }

    async fn record(&self, mac: MacAddr, ip: IpAddr) -> Result<&'static str, Error> {
        let record = self.config.borrow().record;
        match record {
            Record::Endpoint => self.record_endpoint(mac, ip).await,
            Record::Bmc => self.record_bmc(mac, ip).await,
        }
    }

    async fn record_endpoint(&self, mac: MacAddr, ip: IpAddr) -> Result<&'static str, Error> {
        let api = Api::<Endpoint>::all(self.client.clone());
        let prefix = self.config.borrow().endpoint_prefix.clone();
        let holders = self.endpoints.get(&mac);
        let named = self.endpoints.named(None, &name(&prefix, mac));
        match recording(&prefix, mac, ip, holders, named) {
            Recording::Nothing => Ok("Unchanged"),
            Recording::Create(endpoint) => {
                // Not applied: a name that somebody else has taken must not become ours.
                let params =
                    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                api.create(&params, &endpoint).await.map_err(Error::Create)?;
                tracing::info!(%mac, %ip, endpoint = endpoint.name_any(), "endpoint created");
                Ok("Created")
            }
            Recording::Readdress(endpoint) => {
                let spec = EndpointSpec { ip: Some(ip.to_string()), ..EndpointSpec::default() };
                patch_spec(&api, &*endpoint, &spec, MANAGER).await.map_err(Error::Readdress)?;
                tracing::info!(%mac, %ip, endpoint = endpoint.name_any(), "endpoint readdressed");
                Ok("Readdressed")
            }
            Recording::Ambiguous(endpoints) => Err(Error::Ambiguous { mac, endpoints }),
            Recording::NameTaken(endpoint) => Err(Error::NameTaken { mac, endpoint }),
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("sightings", &self.sightings).finish_non_exhaustive()
    }
}
