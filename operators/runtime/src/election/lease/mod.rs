//! Leader election on a `coordination.k8s.io/v1` Lease, which kube 5 does not have.
//!
//! Follows client-go: a lease counts as expired when *we* have seen it unchanged for its duration,
//! so that the clocks of two machines are never compared.

use crate::{
    OkIf, clock, election::leadership::Leadership, index::version::Version, jittered, report::Chain,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

/// How long a leader may be silent.
pub const DURATION: Duration = Duration::from_secs(15);
/// A lease that claims to last for longer than this does not.
const LONGEST: Duration = Duration::from_mins(10);
/// How often a leader renews.
pub const RENEW: Duration = Duration::from_secs(3);
/// Time limit for one attempt. A busy API server becomes slow long before it fails.
const TRY: Duration = Duration::from_secs(5);
/// How long a leader continues to work after its last renewal: nobody else leads before
/// [`DURATION`]. Four fifths of that, as for a [`Leadership`].
const RENEW_DEADLINE: Duration = Duration::from_secs(12);

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ours: renew it.
    Renew,
    /// Its holder is gone: take it over.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// Judges a lease that we have seen unchanged for `unchanged`, and that we would hold for `duration`. Its holder
/// acts for as long as it has written into it, which may be another program, or another version of this one.
pub fn judge(
    lease: &LeaseSpec,
    identity: &str,
    unchanged: Duration,
    duration: Duration,
) -> Verdict {
    match lease.holder_identity.as_deref() {
        Some(holder) if holder == identity => Verdict::Renew,
        Some(holder) if !holder.is_empty() && unchanged < promised(lease, duration) => {
            Verdict::Wait
        }
        Some(_) | None => Verdict::Take,
    }
}

/// How long a lease lasts: by its own word, unless that is shorter than `least`, or longer than anybody means.
fn promised(spec: &LeaseSpec, least: Duration) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|it| u64::try_from(it).ok());
    seconds.map_or(least, |it| Duration::from_secs(it).clamp(least, least.max(LONGEST)))
}

/// One candidate for one lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    seen: Option<(String, Instant)>,
    /// The lease as we last wrote it, if we hold it.
    held: Option<Lease>,
    /// Whether it leads by terms ([`Self::lead`]), each of which begins without what was known before.
    has_terms: bool,
    /// Whether it was ours at the last attempt that was answered.
    leads: bool,
    /// The version of the lease that was seen last, however long ago.
    latest: Option<Version>,
    went_back: Arc<Notify>,
    leadership: Leadership,
}

/// The lease was not renewed in time: the work that needs it must end.
#[derive(Debug, thiserror::Error)]
#[error("leadership lost")]
pub struct Lost;

impl Candidate {
    /// A candidate for the lease `name` with this identity, which must be unique among all
    /// processes.
    pub fn new(api: Api<Lease>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            api,
            name: name.into(),
            identity: identity.into(),
            duration: DURATION,
            seen: None,
            held: None,
            has_terms: false,
            leads: false,
            latest: None,
            went_back: Arc::default(),
            leadership: Leadership::candidate(),
        }
    }

    /// The same, for a lease with another duration than [`DURATION`]. Its holder has to call
    /// [`Self::attempt`] several times within that.
    #[must_use]
    pub fn lasting(self, duration: Duration) -> Self {
        Self { duration, ..self }
    }

    /// The leadership of this candidate.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Notified when the API server shows the lease as it was before: somebody has restored a backup, and a
    /// watch that goes on from a later version reports nothing of that.
    pub(crate) fn went_back(&self) -> Arc<Notify> {
        Arc::clone(&self.went_back)
    }

    /// Waits until this candidate leads.
    pub async fn lead(&mut self) {
        (self.has_terms, self.leads) = (true, false);
        loop {
            match timeout(TRY, Box::pin(self.attempt())).await {
                Ok(Ok(true)) => break,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = %Chain(&error),
                        lease = self.name,
                        "leader election failed",
                    );
                }
                Err(_) => tracing::warn!(lease = self.name, "leader election timed out"),
            }
            sleep(jittered(RENEW)).await;
        }
        tracing::info!(lease = self.name, identity = self.identity, "leading");
    }

    /// Renews the lease until that has failed for almost as long as the lease lasts.
    pub async fn keep(&mut self) -> Lost {
        let mut renewed = Instant::now();
        let mut pause = RENEW;
        loop {
            sleep(pause).await;
            let started = Instant::now();
            let left = RENEW_DEADLINE.saturating_sub(started - renewed);
            if left.is_zero() {
                return Lost;
            }
            pause = RENEW.min(left);
            match timeout(TRY.min(left), Box::pin(self.attempt())).await {
                Ok(Ok(true)) => renewed = started,
                Ok(Ok(false)) => return Lost,
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = %Chain(&error),
                        lease = self.name,
                        "could not renew the lease",
                    );
                }
                Err(_) => {
                    tracing::warn!(lease = self.name, "lease renewal timed out");
                    pause = Duration::ZERO;
                }
            }
        }
    }

    /// Releases the lease if it is ours, so that the next candidate need not wait for it to expire.
    /// Takes at most [`RENEW`]; if it fails, the lease expires.
    pub async fn release(self) {
        self.leadership.end();
        match timeout(RENEW, self.give_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = %Chain(&error),
                    lease = self.name,
                    "could not release the lease",
                );
            }
            Err(_) => tracing::warn!(lease = self.name, "lease release timed out"),
        }
    }

    /// Takes or renews the lease, unless somebody else holds it. Returns whether it is ours now. After
    /// [`Self::lead`] it is not if it is not as we left it: others may have worked in between, or the API server
    /// knows less than before. The next attempt may get it again.
    ///
    /// # Errors
    ///
    /// Those of the API server; then it is not known who holds the lease.
    pub async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let begun = clock::since_boot();
        let ours = self.take_or_renew().await?;
        self.leads = ours;
        // Nobody else takes it before its duration has passed since it was written.
        if ours {
            self.leadership.lasts_until(begun.saturating_add(self.duration * 4 / 5));
        } else {
            self.leadership.end();
        }
        Ok(ours)
    }

    async fn take_or_renew(&mut self) -> Result<bool, kube::Error> {
        // Nobody else writes a lease that is held, so it is as we wrote it.
        if let Some(held) = self.held.take()
            && self.write(held).await?
        {
            return Ok(true);
        }
        let lease = self.api.get(&self.name).await.ok_if_not_found()?;
        if self.is_another(lease.as_ref()) && self.has_terms {
            return Ok(false);
        }
        let Some(lease) = lease else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..Default::default() };
            let lease = Lease { metadata, spec: Some(self.claim(&LeaseSpec::default())) };
            let made = self.api.create(&PostParams::default(), &lease).await;
            return self.won(made);
        };
        let version = lease.resource_version().unwrap_or_default();
        let since = match self.seen.take() {
            Some((seen, since)) if seen == version => since,
            Some(_) | None => Instant::now(),
        };
        self.seen = Some((version, since));

        let vacant = LeaseSpec::default();
        let spec = lease.spec.as_ref().unwrap_or(&vacant);
        if judge(spec, &self.identity, since.elapsed(), self.duration) == Verdict::Wait {
            return Ok(false);
        }
        self.write(lease).await
    }

    /// Whether the lease that we hold is not ours any longer, or any lease is older than it was.
    fn is_another(&mut self, lease: Option<&Lease>) -> bool {
        let version = lease.and_then(|lease| Version::of(&lease.metadata));
        let is_older =
            version.as_ref().zip(self.latest.as_ref()).is_some_and(|(now, was)| now < was);
        self.latest = version.or(self.latest.take());
        if is_older {
            tracing::warn!(
                lease = self.name,
                "the API server is behind what it was, as after a restore"
            );
            self.seen = None;
            self.went_back.notify_one();
        }
        let holder = lease.and_then(|it| it.spec.as_ref()?.holder_identity.as_deref());
        is_older || (self.leads && holder != Some(self.identity.as_str()))
    }

    /// Writes `lease`, as it was last seen. Returns whether it is ours now.
    async fn write(&mut self, mut lease: Lease) -> Result<bool, kube::Error> {
        lease.spec = Some(self.claim(&lease.spec.take().unwrap_or_default()));
        // `replace` sends the resource version: if two candidates try, one gets a conflict.
        let written = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        self.won(written)
    }

    fn won(&mut self, written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
        self.held = unless_contended(written)?;
        if let Some(held) = &self.held {
            self.latest = Version::of(&held.metadata);
        }
        Ok(self.held.is_some())
    }

    fn claim(&self, old: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = old.holder_identity.as_deref() == Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            acquire_time: if ours { old.acquire_time.clone() } else { now.clone() },
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            renew_time: now,
            ..old.clone()
        }
    }

    async fn give_up(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        // Like client-go: a holder without a name, for one second.
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        // A conflict means that somebody else holds it.
        unless_contended(self.api.replace(&self.name, &PostParams::default(), &lease).await)
            .map(drop)
    }
}

/// `None` if somebody else was faster.
fn unless_contended(written: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(s)) if s.is_conflict() || s.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(crate) mod tests;
