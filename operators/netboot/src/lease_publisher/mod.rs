//! Writes `DHCPLease` objects, and receives those of the other instance.
//!
//! ```text
//! servers ─► Published ─► queue of addresses ─► what is to be written? ─► API server
//!                ▲                                                           │
//!                └────────────── who waits hears what is written ◄───────────┘
//! ```
//!
//! An address is in the queue at most once, however often its lease changes. [`writing`] determines
//! what to write, which for a renewal is mostly nothing. There are at most 20 writes per second.

mod catch_up;
#[cfg(test)]
mod tests;

use crate::shared_leases::{Family, Role, SharedLeases};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::DeleteParams,
    runtime::events::{Recorder, Reporter as Source},
};
use metal_api::DhcpLease;
use metal_base::Locked;
use metal_dhcp::{
    Sharing,
    config::Config,
    lease::{
        Lease,
        object::{Writing, is_of_later, lease_of, writing},
    },
};
use metal_runtime::{
    OkIf, apply, follow,
    health::ReadinessCondition,
    index::{Change, Ended, Index},
    report::{Chain, Class, PassLabels, ReconcileError, Reporter, class_of},
    work::{NOT_LISTED, Next, Pass, Passed, Work},
};
use prometheus_client::metrics::{counter::Counter, family::Family as Metric};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until},
};

/// Field manager of the objects.
const MANAGER: &str = "netboot";
/// Time between two writes: at most 20 per second, however many machines are switched on at once.
const SPACING: Duration = Duration::from_millis(50);
/// How long an instance in standby keeps an address whose object is gone. Its client has released it, as a rule. But
/// if a backup was restored, or somebody has deleted the object, the active instance writes it again.
const RELEASED: SignedDuration = SignedDuration::from_mins(15);
/// How many are written at a time.
const CONCURRENCY: usize = 4;

/// `DHCPLease` objects.
pub(crate) type Objects = Index<DhcpLease, IpAddr>;

/// Why an object was not written.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// It was not created or changed.
    #[error("could not write the DHCPLease")]
    Apply(#[source] kube::Error, IsRepeated),
    /// It was not removed.
    #[error("could not delete the DHCPLease")]
    Remove(#[source] kube::Error, IsRepeated),
}

/// Whether the last failure had the same cause: what prevents one write usually prevents all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsRepeated(bool);

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Apply(error, _) | Self::Remove(error, _) => class_of(error),
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn is_told(&self) -> bool {
        let (Self::Apply(_, IsRepeated(is_told)) | Self::Remove(_, IsRepeated(is_told))) = self;
        *is_told
    }
}

/// Writes objects.
pub(crate) struct LeasePublisher {
    api: Api<DhcpLease>,
    client: Client,
    objects: Objects,
    published: SharedLeases,
    config: watch::Receiver<Arc<Config>>,
    reporter: Reporter,
    next: Mutex<Instant>,
    /// Why the last write failed, if it did.
    trouble: std::sync::Mutex<Option<String>>,
    /// Whether this instance is to lead.
    is_elected: watch::Sender<bool>,
}

impl LeasePublisher {
    /// A publisher for `published`.
    pub(crate) fn new(
        client: Client,
        published: SharedLeases,
        config: watch::Receiver<Arc<Config>>,
        passes: Metric<PassLabels, Counter>,
    ) -> Self {
        let source = Source { controller: MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), source);
        let reporter = Reporter { controller: "lease", recorder, passes };
        Self {
            api: Api::all(client.clone()),
            client,
            objects: Index::new(|object| object.address().into_iter().collect()),
            published,
            config,
            reporter,
            next: Mutex::new(Instant::now()),
            trouble: std::sync::Mutex::default(),
            is_elected: watch::Sender::new(false),
        }
    }

    /// Whether the existing objects are known.
    pub(crate) fn is_listed(&self) -> bool {
        self.objects.is_ready()
    }

    /// Runs forever, and opens `listed` once the existing objects are known.
    ///
    /// # Errors
    ///
    /// When the watch of the objects ends, which it never should.
    pub(crate) async fn run(self: Arc<Self>, listed: &ReadinessCondition) -> Result<(), Ended> {
        let work = Work::with(self.published.queue().clone(), self.reporter.clone());
        let work = Arc::new(work.forgiving());
        tokio::select! {
            ended = follow(&self.client, &self.objects, |change| self.changed(&change)) => ended,
            () = work.drive(CONCURRENCY, Publishing(Arc::clone(&self))) => Err(Ended),
            ended = listed.open_after(self.objects.listed()) => ended,
            () = self.lead_when_elected() => Err(Ended),
        }
    }

    /// Changes the role of this instance. An instance that is to lead answers at once, and leads once it has caught up
    /// with the other one.
    pub(crate) fn stand(&self, role: Role) {
        self.is_elected.send_replace(role == Role::Leads);
        let (role, has_changed) = match role {
            Role::Leads => (Role::Answers, self.published.answer_at_least()),
            Role::Answers | Role::Waits => (role, self.published.stand(role)),
        };
        if has_changed {
            tracing::info!(?role, "role of this instance changed");
            if role == Role::Waits {
                self.follow_other();
            }
        }
    }

    /// An object was written by us, the other instance, or a person.
    fn changed(&self, change: &Change<'_, DhcpLease>) {
        let (object, is_there) = match change {
            Change::Applied { new, .. } => (*new, true),
            Change::Removed(old) => (*old, false),
            Change::Unreadable { .. } => return,
        };
        let Some(lease) = lease_of(object) else { return };
        match self.published.role() {
            Role::Leads => self.published.queue().add(lease.address),
            // This instance answers as well, so what it knows about an address in use may be newer.
            Role::Answers if is_there && !self.is_another_clients(&lease) => {
                self.published.hear(lease);
            }
            Role::Answers => {}
            Role::Waits if is_there => self.published.hear(lease),
            Role::Waits => self.ends_soon(&lease),
        }
    }

    /// The object of a lease is gone, so this ends here in a while. What was released here, or is another client's by
    /// now, stays so.
    fn ends_soon(&self, gone: &Lease<IpAddr>) {
        let now = Timestamp::now();
        let known = self.published.lease(gone.address);
        if let Some(known) = known.filter(|it| it.client == gone.client && it.holds(now)) {
            let until = known.until.min(now + RELEASED);
            self.published.hear(Lease { until, ..known });
        }
    }

    fn is_another_clients(&self, lease: &Lease<IpAddr>) -> bool {
        let known = self.published.lease(lease.address);
        known.is_some_and(|known| known.client != lease.client && known.holds(Timestamp::now()))
    }

    /// When to look again at an address whose object is for the other instance to write, if both answer: there is no
    /// lease here, or an earlier one of an address that a client may have from both.
    fn others(&self, address: IpAddr) -> Option<Next> {
        let config = Arc::clone(&self.config.borrow());
        if config.instances.is_none_or(|it| it.mode != Sharing::Split) {
            return None;
        }
        let Some(lease) = self.published.lease(address) else { return Some(Next::Wait) };
        let object = self.objects.named(None, &DhcpLease::name_of(address))?;
        let (held_until, now) = (object.spec.held_until.0, Timestamp::now());
        let is_theirs = held_until > now && is_of_later(&object, &lease);
        // After that, this instance removes what the other one may not be there to remove.
        (is_theirs && !config.is_ours_alone(address)).then(|| not_before(held_until, now))
    }

    async fn publish(&self, address: IpAddr) -> Result<&'static str, Error> {
        let lease = self.published.lease(address);
        let name = DhcpLease::name_of(address);
        let object = self.objects.named(None, &name);
        let config = Arc::clone(&self.config.borrow());
        let hostname = lease.as_ref().and_then(|lease| hostname(&config, lease));
        let done = match writing(lease.as_ref(), hostname, object.as_deref(), Timestamp::now()) {
            Writing::Nothing => return Ok("Unchanged"),
            Writing::Apply(object) => {
                self.turn().await;
                let applied = apply(&self.api, &*object, MANAGER).await;
                applied.map_err(|error| self.failed(error, Error::Apply))?;
                "Written"
            }
            Writing::Remove => {
                self.turn().await;
                let removed = self.api.delete(&name, &DeleteParams::default()).await;
                let removed = removed.ok_if_not_found();
                removed.map_err(|error| self.failed(error, Error::Remove))?;
                "Removed"
            }
        };
        self.trouble.locked().take();
        Ok(done)
    }

    fn failed(&self, error: kube::Error, of: fn(kube::Error, IsRepeated) -> Error) -> Error {
        let cause = Some(match &error {
            // The rest may name the object.
            kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
            other => Chain(other).to_string(),
        });
        let last = std::mem::replace(&mut *self.trouble.locked(), cause.clone());
        of(error, IsRepeated(last == cause))
    }

    /// Waits for the next write.
    async fn turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + SPACING;
    }

    /// When the lease ends.
    fn next_look(&self, address: IpAddr) -> Next {
        let Some(lease) = self.published.lease(address) else { return Next::Wait };
        let now = Timestamp::now();
        if !lease.holds(now) {
            self.published.forget(&lease);
            return Next::Wait;
        }
        not_before(lease.until, now)
    }
}

fn not_before(time: Timestamp, now: Timestamp) -> Next {
    Next::NotBefore(Duration::try_from(time.duration_since(now)).unwrap_or_default())
}

/// Processes one address at a time.
struct Publishing(Arc<LeasePublisher>);

impl Pass for Publishing {
    type Key = IpAddr;
    type Passed = Passed;
    type Error = Error;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// Clients with leases cannot receive events.
    fn concerned(&self, _: &IpAddr, _: Option<&Error>) -> Vec<ObjectReference> {
        Vec::new()
    }

    async fn pass(&self, _: &Work<IpAddr>, address: IpAddr) -> Result<Passed, Error> {
        let (publisher, leases) = (&self.0, &self.0.published);
        if leases.role() != Role::Leads {
            return Ok(Passed { result: None, next: Next::Wait });
        }
        if !publisher.is_listed() || !leases.is_complete(Family::of(address)) {
            return Ok(Passed { result: None, next: Next::After(NOT_LISTED) });
        }
        if let Some(next) = publisher.others(address) {
            return Ok(Passed { result: Some("OtherInstance"), next });
        }
        let result = Some(publisher.publish(address).await?);
        Ok(Passed { result, next: publisher.next_look(address) })
    }
}

impl std::fmt::Debug for LeasePublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("published", &self.published).finish_non_exhaustive()
    }
}

/// The host name that is reserved together with the address.
fn hostname<'a>(config: &'a Config, lease: &Lease<IpAddr>) -> Option<&'a str> {
    let IpAddr::V4(address) = lease.address else { return None };
    let reservation = config.subnet_of(address)?.reservations.get(&lease.client.mac()?)?;
    reservation.hostname.as_deref().filter(|_| reservation.ip == address)
}
