//! The agent's life: collect, post, listen, and again until it is told to stop.
//!
//! The first report goes out as soon as it is collected; addresses follow as routers give them, and
//! neighbors when their switches speak up, which takes up to half a minute. Every report is collected anew, so that all of it is
//! as fresh as its timestamp. A failed post is repeated forever: the registry may be away for as
//! long as an upgrade takes.

mod lldp_receiver;

use crate::{
    args::Args,
    kernel::{Addresses, Captured, Kernel, Running},
    probe::{self, Machine},
    registry::Client,
    root::Root,
};
use jiff::Timestamp;
use lldp_receiver::LldpReceiver;
use metal_api::inventory::{Failure, Registration, Report};
use metal_base::{Backoff, Chain};
use metal_http::{InvalidUrl, TrustError};
use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// How often an unchanged report is repeated.
pub const REPEAT: Duration = Duration::from_secs(30);

/// Longest delay between attempts, unless the first one is longer.
pub(crate) const LONGEST: Duration = Duration::from_mins(1);
/// How often to check addresses, so that new ones are reported soon.
const LOOK: Duration = Duration::from_secs(2);

/// The agent of one machine.
#[derive(Debug)]
pub struct Agent {
    /// System UUID under which the machine is registered, as given.
    pub server_uuid: String,
    /// The machine to report on.
    pub machine: Arc<Machine>,
    /// Where reports go.
    pub client: Client,
    /// Back-off after failed reports.
    pub backoff: Backoff,
    /// How often an unchanged report is repeated.
    pub repeat: Duration,
    /// Minimum time between a report and the next one for a new neighbor.
    pub lldp_interval: Duration,
    /// How long after the start a new neighbor causes a report of its own.
    pub lldp_duration: Duration,
    /// Whether to listen to LLDP.
    pub lldp: Lldp,
}

/// Whether to listen to neighbors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lldp {
    /// Listen on every link.
    Listen,
    /// Do not: the tree was captured elsewhere.
    Ignore,
}

/// Why an agent cannot be made from these flags.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The registry's URL is invalid.
    #[error("--registry-url {0}")]
    Url(InvalidUrl),
    /// The registry is https, and there is nobody to trust.
    #[error("--registry-ca-file must be a PEM file with certificate authorities")]
    Trust(#[from] TrustError),
}

impl Agent {
    /// The agent for these flags.
    ///
    /// # Errors
    ///
    /// If the registry cannot be used.
    pub fn new(args: Args) -> Result<Self, Unusable> {
        let registry = args.registry().map_err(Unusable::Url)?;
        let client = Client::new(registry, &args.registry_ca_file, args.registry_client_timeout)?;
        let is_live = args.root == Path::new("/");
        let kernel: Box<dyn Kernel> = if is_live { Box::new(Running) } else { Box::new(Captured) };
        Ok(Self {
            server_uuid: args.server_uuid,
            machine: Arc::new(Machine::new(Root::new(args.root), kernel)),
            client,
            backoff: Backoff::new(args.duration, LONGEST),
            repeat: REPEAT,
            lldp_interval: args.lldp_sync_interval,
            lldp_duration: args.lldp_sync_duration,
            lldp: if is_live { Lldp::Listen } else { Lldp::Ignore },
        })
    }

    /// Reports forever. Cancel safe.
    pub async fn run(mut self) -> Infallible {
        let (mut receiver, mut known) = (LldpReceiver::open(self.lldp), Vec::new());
        let until = Instant::now() + self.lldp_duration;
        let mut due = Instant::now();
        let mut addresses = self.addresses();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due) => {
                    addresses = self.addresses();
                    due = Instant::now() + self.round(&mut receiver, &mut known).await;
                }
                news = receiver.receive() => {
                    let soon = receiver.reported + self.lldp_interval;
                    if news && Instant::now() < until {
                        due = due.min(soon);
                    }
                }
                // Interfaces get their addresses one by one.
                _ = look.tick() => if self.addresses() != addresses {
                    due = due.min(receiver.reported + LOOK);
                }
            }
        }
    }

    /// Collects and posts one report; returns the delay before the next one.
    async fn round(&mut self, receiver: &mut LldpReceiver, known: &mut Vec<Failure>) -> Duration {
        receiver.prepare(&self.machine);
        let report = self.report(receiver).await;
        log_failures(&report.failures, known);
        let registration = Registration { system_uuid: self.server_uuid.clone(), data: report };
        let result = self.client.register(&registration).await;
        receiver.reported = Instant::now();
        match result {
            Ok(()) => {
                self.backoff.reset();
                let report = &registration.data;
                let (neighbors, failures) = (report.lldp.len(), report.failures.len());
                tracing::info!(neighbors, failures, "report posted");
                self.repeat
            }
            Err(error) => {
                let pause = self.backoff.pause();
                tracing::warn!(error = %Chain(&error), ?pause, "could not post the report");
                pause
            }
        }
    }

    fn addresses(&self) -> Addresses {
        self.machine.kernel.addresses().unwrap_or_default()
    }

    async fn report(&self, receiver: &LldpReceiver) -> Report {
        let mut report = probe::collect(&self.machine).await;
        report.lldp = receiver.neighbors();
        report.failures.extend(receiver.failures());
        let now = Timestamp::now();
        report.timestamp = now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string();
        report
    }
}

/// Logs a failure once, although a failing collector fails in every round.
fn log_failures(failures: &[Failure], known: &mut Vec<Failure>) {
    for failure in failures.iter().filter(|failure| !known.contains(failure)) {
        let Failure { collector, message, .. } = failure;
        tracing::warn!(collector, error = message, "collector failed");
    }
    *known = failures.to_vec();
}

#[cfg(test)]
mod tests;
