//! Records BMCs as Endpoints or as BMC objects, off the packet path.
//!
//! ```text
//! ACK to a BMC ─► Sightings (bounded, the last address counts) ─► queue ─► look at the Endpoints
//! restart, new prefix ─┘                         failed, conflict: later ◄─┘ create or readdress
//! ```
//!
//! DHCP proves nothing: a known BMC gets a new address only if it is gone from the old one.
//! Everything else is a conflict, which the Endpoint shows.
//!
//! An address that could not be recorded stays in the queue until it can be; after a restart it
//! comes back from the leases. They do not overrule an address that a person has set: that may be newer.

mod bmc;
mod endpoint;
mod error;
mod new_bmcs;
mod recorded;
mod sightings;
#[cfg(test)]
mod tests;

pub(crate) use bmc::{Bmcs, bmcs};
pub(crate) use error::Error;
pub(crate) use new_bmcs::NewBmcs;
pub(crate) use recorded::RecordedBmcs;
pub(crate) use sightings::Sightings;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use metal_api::{Bmc, Endpoint, MacAddr};
use metal_core::{
    endpoint::{Sighting, inline::mac_of},
    macdb::MacDb,
};
use metal_dhcp::config::{Config, Record};
use metal_runtime::{
    follow,
    health::ReadinessCondition,
    index::{Change, Ended, Index},
    report::Reporter,
    work::{NOT_LISTED, Next, Pass, Passed, Work},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Field manager of everything that is written here.
pub(crate) const MANAGER: &str = "netboot";
/// How many are recorded at a time.
const CONCURRENCY: usize = 8;

/// Endpoints by MAC address, in any notation.
pub(crate) type Endpoints = Index<Endpoint, MacAddr>;

/// An empty index of Endpoints.
pub(crate) fn endpoints() -> Endpoints {
    Index::new(|endpoint: &Endpoint| endpoint.spec.mac().into_iter().collect())
}

/// Writes Endpoints.
pub(crate) struct Recorder {
    /// The API server.
    pub client: Client,
    /// The existing Endpoints.
    pub endpoints: Arc<Endpoints>,
    /// The existing BMCs: their addresses, if there are to be no Endpoints, and whether they have
    /// answered.
    pub bmcs: Arc<Bmcs>,
    /// The MAC prefix database, now and after each change.
    pub database: watch::Receiver<Arc<MacDb>>,
    /// The sightings to record.
    pub sightings: Sightings,
    /// The configuration, now and after each change.
    pub config: watch::Receiver<Arc<Config>>,
    /// Log, events and metrics.
    pub reporter: Reporter,
    /// Opened once the existing objects are known.
    pub listed: ReadinessCondition,
    /// The recently recorded BMCs.
    pub new_bmcs: NewBmcs,
}

impl Recorder {
    /// Runs forever.
    ///
    /// # Errors
    ///
    /// When the watch of the Endpoints ends, which it never should.
    pub(crate) async fn run(self: Arc<Self>) -> Result<(), Ended> {
        let work = Arc::new(self.work());
        tokio::select! {
            ended = follow(&self.client, &self.endpoints, |change| self.wake(&change)) => ended,
            ended = follow(&self.client, &self.bmcs, |change| self.wake_by_bmc(&change)) => ended,
            () = work.drive(CONCURRENCY, Recording(Arc::clone(&self))) => Err(Ended),
            ended = self.listed.open_after(self.known()) => ended,
            () = self.collect_for_ever() => Err(Ended),
        }
    }

    fn work(&self) -> Work<MacAddr> {
        Work::with(self.sightings.0.queue.clone(), self.reporter.clone()).forgiving()
    }

    /// Whether the existing objects are known.
    fn is_ready(&self) -> bool {
        match self.config.borrow().record {
            Record::Endpoint => self.endpoints.is_ready(),
            Record::Bmc => self.bmcs.is_ready(),
        }
    }

    /// Waits until they are.
    async fn known(&self) {
        let record = self.config.borrow().record;
        match record {
            Record::Endpoint => self.endpoints.listed().await,
            Record::Bmc => self.bmcs.listed().await,
        }
    }

    /// A change may end an ambiguity.
    fn wake(&self, change: &Change<'_, Endpoint>) {
        change.objects().filter_map(|it| it.spec.mac()).for_each(|mac| self.wake_if_wanted(mac));
    }

    /// The same for BMC objects, which may also make room for another address.
    fn wake_by_bmc(&self, change: &Change<'_, Bmc>) {
        change.objects().filter_map(|bmc| mac_of(bmc)).for_each(|mac| self.wake_if_wanted(mac));
    }

    fn wake_if_wanted(&self, mac: MacAddr) {
        if self.sightings.wanted().contains_key(&mac) {
            self.sightings.0.queue.add(mac);
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

/// Records one BMC at a time.
struct Recording(Arc<Recorder>);

impl Pass for Recording {
    type Key = MacAddr;
    type Passed = Passed;
    type Error = Error;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// The objects that are in the way; if there are none, the failure is only logged.
    fn concerned(&self, _: &MacAddr, error: Option<&Error>) -> Vec<ObjectReference> {
        error.map(Error::about).unwrap_or_default()
    }

    async fn pass(&self, _: &Work<MacAddr>, mac: MacAddr) -> Result<Passed, Error> {
        let (recorder, sightings) = (&self.0, &self.0.sightings);
        let nothing = |next| Ok(Passed { result: None, next });
        sightings.follow_clock();
        let seen = sightings.wanted().get(&mac).copied();
        let Some(seen) = seen else { return nothing(Next::Wait) };
        if seen.until < Timestamp::now() {
            // Its lease has ended while it was queued, so it is no longer there.
            sightings.recorded(&seen);
            return nothing(Next::Wait);
        }
        if !recorder.is_ready() {
            return nothing(Next::After(NOT_LISTED));
        }
        let (result, next) = match recorder.record(&seen).await {
            Ok(result) => {
                sightings.recorded(&seen);
                (result, Next::Wait)
            }
            Err(Error::TooManyNew { .. }) if sightings.give_up(&seen) => ("TooManyNew", Next::Wait),
            Err(Error::TooManyNew { wait }) => ("TooManyNew", Next::After(wait)),
            Err(error) => return Err(error),
        };
        Ok(Passed { result: Some(result), next })
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("sightings", &self.sightings).finish_non_exhaustive()
    }
}
