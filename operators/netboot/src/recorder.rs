//! Records BMCs as Endpoints, or as BMC objects, off the packet path.
//!
//! ```text
//! ACK to a BMC ─► Sightings (bounded, the last address counts) ─► queue ─► look at the Endpoints
//! restart, new prefix ─┘                         failed, conflict: later ◄─┘ create or readdress
//! ```
//!
//! DHCP proves nothing: a known BMC moves only if it is not found where it was. Everything else is
//! a conflict, which the Endpoint shows.
//!
//! An address that could not be recorded stays in the queue until it can; after a restart the
//! leases bring it back.

mod bmc;
mod endpoint;
mod error;
mod newcomers;
mod sightings;
#[cfg(test)]
mod tests;

pub(crate) use bmc::{Bmcs, bmcs};
pub(crate) use error::Error;
pub(crate) use newcomers::NewBmcs;
pub(crate) use sightings::Sightings;

use jiff::Timestamp;
use kube::Client;
use metal_api::{Endpoint, MacAddr};
use metal_core::{endpoint::Sighting, macdb::MacDb};
use metal_dhcp::config::{Config, Record};
use metal_runtime::{
    follow,
    health::Gate,
    index::{Change, Ended, Index},
    jittered,
    report::{Chain, Failures, ReconcileError, Reporter},
    work::NOT_LISTED,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Field manager of everything that is written here.
pub(crate) const MANAGER: &str = "netboot";
/// How many are recorded at a time.
const CONCURRENCY: usize = 8;
/// How long one may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Endpoints by MAC address, however that is written.
pub(crate) type Endpoints = Index<Endpoint, MacAddr>;

/// An index without Endpoints.
pub(crate) fn endpoints() -> Endpoints {
    Index::new(|endpoint: &Endpoint| endpoint.spec.mac().into_iter().collect())
}

/// Writes Endpoints.
pub(crate) struct Recorder {
    /// The API server.
    pub client: Client,
    /// What there is.
    pub endpoints: Arc<Endpoints>,
    /// What there is of BMCs: where they are to have no Endpoints, and which have answered.
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
    /// How many new ones there were of late.
    pub crowd: NewBmcs,
}

impl Recorder {
    /// Records for ever.
    ///
    /// # Errors
    ///
    /// When the watch of the Endpoints ends, which it does not by itself.
    pub(crate) async fn run(self: Arc<Self>) -> Result<(), Ended> {
        let recorder = self;
        let wake = |change: Change<'_, Endpoint>| recorder.wake(&change);
        let follow = follow(&recorder.client, &recorder.endpoints, wake);
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
            () = recorder.collect_for_ever() => Err(Ended),
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
        for mac in old.into_iter().chain(new).filter_map(|endpoint| endpoint.spec.mac()) {
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
        let seen = *self.sightings.wanted().get(&mac)?;
        if seen.until < Timestamp::now() {
            // Its lease has ended while it waited: whoever it was, it is there no more.
            self.sightings.recorded(&seen);
            return None;
        }
        if !self.is_ready() {
            return Some(jittered(NOT_LISTED));
        }
        match timeout(DEADLINE, self.record(&seen)).await.unwrap_or(Err(Error::Deadline)) {
            Ok(result) => {
                self.failures.succeeded(&mac);
                self.sightings.recorded(&seen);
                self.reporter.count(result);
                None
            }
            Err(Error::TooManyNew { wait }) => {
                self.reporter.count("TooManyNew");
                if self.sightings.give_up(&seen) { None } else { Some(jittered(wait)) }
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

    async fn record(&self, seen: &Sighting) -> Result<&'static str, Error> {
        let record = self.config.borrow().record;
        match record {
            Record::Endpoint => self.record_endpoint(seen).await,
            Record::Bmc => self.record_bmc(seen).await,
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("sightings", &self.sightings).finish_non_exhaustive()
    }
}
