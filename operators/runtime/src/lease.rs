//! Leader election on a `coordination.k8s.io/v1` Lease. kube 5 has none.
//!
//! Follows client-go: a lease counts as expired when *we* have watched it unchanged for its
//! duration, so that the clocks of two machines are never compared.

use crate::{jittered, report::Chain};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a leader may be silent.
pub const DURATION: Duration = Duration::from_secs(15);
/// How often a leader renews.
pub const RENEW: Duration = Duration::from_secs(3);
/// How long one try may take: a busy API server is slow long before it is gone.
const TRY: Duration = Duration::from_secs(5);
/// How long a leader works on after it last renewed: no other leads before [`DURATION`].
const RENEW_DEADLINE: Duration = Duration::from_secs(12);

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ours: renew it.
    Renew,
    /// It is nobody's any more: take it.
    Take,
    /// It is somebody else's.
    Wait,
}

/// Judges a lease that we have seen unchanged for `unchanged`.
pub fn judge(lease: &LeaseSpec, identity: &str, unchanged: Duration) -> Verdict {
    match lease.holder_identity.as_deref() {
        Some(holder) if holder == identity => Verdict::Renew,
        Some(holder) if !holder.is_empty() && unchanged < DURATION => Verdict::Wait,
        Some(_) | None => Verdict::Take,
    }
}

/// One candidate for one lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Option<(String, Instant)>,
    /// The lease as we last wrote it.
    held: Option<Lease>,
}

/// Leadership was not renewed in time; the process must end.
#[derive(Debug, thiserror::Error)]
#[error("leadership lost")]
pub struct Lost;

impl Candidate {
    /// A candidate for the lease `name` that calls itself `identity`, which no other process may.
    pub fn new(api: Api<Lease>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self { api, name: name.into(), identity: identity.into(), seen: None, held: None }
    }

    /// Waits until this candidate leads.
    pub async fn lead(&mut self) {
        loop {
            match timeout(TRY, Box::pin(self.attempt())).await {
                Ok(Ok(true)) => break,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), lease = self.name, "election failed");
                }
                Err(_) => tracing::warn!(lease = self.name, "election timed out"),
            }
            sleep(jittered(RENEW)).await;
        }
        tracing::info!(lease = self.name, identity = self.identity, "leading");
    }

    /// Renews until that fails for almost as long as the lease lasts.
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
                    tracing::warn!(error = %Chain(&error), lease = self.name, "lease not renewed");
                }
                Err(_) => {
                    tracing::warn!(lease = self.name, "lease renewal timed out");
                    pause = Duration::ZERO;
                }
            }
        }
    }

    /// Gives the lease up if it is ours, so that the next candidate need not wait for it to
    /// expire. Takes at most [`RENEW`]; where it fails, the lease expires.
    pub async fn release(self) {
        match timeout(RENEW, self.give_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), lease = self.name, "lease not released");
            }
            Err(_) => tracing::warn!(lease = self.name, "lease release timed out"),
        }
    }

    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        // Nobody else writes a lease that is held: what we wrote is what is there.
        if let Some(held) = self.held.take()
            && self.write(held).await?
        {
            return Ok(true);
        }
        let Some(lease) = self.api.get_opt(&self.name).await? else {
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
        if judge(spec, &self.identity, since.elapsed()) == Verdict::Wait {
            return Ok(false);
        }
        self.write(lease).await
    }

    /// Whether `lease`, as it was last seen, is ours now.
    async fn write(&mut self, mut lease: Lease) -> Result<bool, kube::Error> {
        lease.spec = Some(self.claim(&lease.spec.take().unwrap_or_default()));
        // `replace` sends the resource version back: of two takers, one gets a conflict.
        let written = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        self.won(written)
    }

    fn won(&mut self, written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
        self.held = unless_contended(written)?;
        Ok(self.held.is_some())
    }

    fn claim(&self, old: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = old.holder_identity.as_deref() == Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
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
        // As client-go does it: a holder without a name, for a second.
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        // Where this conflicts, somebody else holds it.
        unless_contended(self.api.replace(&self.name, &PostParams::default(), &lease).await)
            .map(drop)
    }
}

/// Nothing where somebody else was faster.
fn unless_contended(written: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(s)) if s.is_conflict() || s.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use http::{Method, Request, Response, StatusCode};
    use kube::{Client, client::Body};
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    #[test]
    fn only_a_silent_or_absent_holder_is_replaced() {
        let held_by = |holder: &str| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            ..LeaseSpec::default()
        };
        let almost = DURATION / 2;
        assert_eq!(judge(&held_by("me"), "me", DURATION * 9), Verdict::Renew);
        assert_eq!(judge(&held_by("you"), "me", almost), Verdict::Wait);
        assert_eq!(judge(&held_by("you"), "me", DURATION), Verdict::Take);
        assert_eq!(judge(&held_by(""), "me", Duration::ZERO), Verdict::Take);
        assert_eq!(judge(&LeaseSpec::default(), "me", Duration::ZERO), Verdict::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn second_candidate_leads_only_after_the_first_was_silent_for_the_duration() {
        let server = Leases::default();
        server.candidate("a").lead().await;
        let silent_since = Instant::now();
        server.candidate("b").lead().await;
        assert!(silent_since.elapsed() >= DURATION, "{:?}", silent_since.elapsed());
        assert_eq!(server.holder(), "b");
    }

    #[tokio::test(start_paused = true)]
    async fn released_lease_is_taken_at_the_next_try() {
        let server = Leases::default();
        let mut first = server.candidate("a");
        first.lead().await;
        first.release().await;
        assert_eq!(server.holder(), "");
        let released = Instant::now();
        server.candidate("b").lead().await;
        assert!(released.elapsed() < RENEW, "{:?}", released.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn lease_of_another_is_not_released() {
        let server = Leases::default();
        server.candidate("a").lead().await;
        server.candidate("b").release().await;
        assert_eq!(server.holder(), "a");
    }

    #[tokio::test(start_paused = true)]
    async fn leader_is_lost_when_the_server_is_silent_before_another_can_lead() {
        let server = Leases::default();
        let mut leader = server.candidate("a");
        leader.lead().await;
        server.break_down();
        let broken = Instant::now();
        leader.keep().await;
        assert!(broken.elapsed() < DURATION, "{:?}", broken.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn leader_is_lost_at_once_when_another_took_the_lease() {
        let server = Leases::default();
        let mut leader = server.candidate("a");
        leader.lead().await;
        server.hold("b");
        leader.keep().await;
        assert_eq!(server.holder(), "b");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_server_does_not_cost_the_lease() {
        let server = Leases::default();
        let mut leader = server.candidate("a");
        leader.lead().await;
        server.delay(Duration::from_secs(4));
        timeout(4 * DURATION, leader.keep()).await.unwrap_err();
        assert_eq!(server.holder(), "a");
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_is_one_request() {
        let server = Leases::default();
        let mut leader = server.candidate("a");
        leader.lead().await;
        let before = server.requests();
        timeout(RENEW * 7 / 2, leader.keep()).await.unwrap_err();
        assert_eq!(server.requests() - before, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_whose_answer_was_lost_is_found_to_have_worked() {
        let server = Leases::default();
        let mut leader = server.candidate("a");
        leader.lead().await;
        server.hold("a");
        timeout(2 * DURATION, leader.keep()).await.unwrap_err();
        assert_eq!(server.holder(), "a");
    }

    /// An API server that knows one lease.
    #[derive(Clone, Default)]
    pub(crate) struct Leases(Arc<Mutex<Stored>>);

    #[derive(Default)]
    struct Stored {
        lease: Option<Lease>,
        version: u32,
        broken: bool,
        delay: Duration,
        requests: usize,
    }

    impl Stored {
        fn write(&mut self) {
            self.version += 1;
            let lease = self.lease.as_mut().unwrap();
            lease.metadata.resource_version = Some(self.version.to_string());
        }
    }

    impl Leases {
        pub(crate) fn candidate(&self, identity: &str) -> Candidate {
            let server = self.clone();
            let service = tower::service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            let api = Api::namespaced(Client::new(service, "default"), "default");
            Candidate::new(api, "operator", identity)
        }

        pub(crate) fn holder(&self) -> String {
            let stored = self.0.lock().unwrap();
            let spec = stored.lease.as_ref().and_then(|lease| lease.spec.clone());
            spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
        }

        pub(crate) fn hold(&self, identity: &str) {
            let mut stored = self.0.lock().unwrap();
            let spec = stored.lease.as_mut().unwrap().spec.as_mut().unwrap();
            spec.holder_identity = Some(identity.to_owned());
            stored.write();
        }

        fn delay(&self, delay: Duration) {
            self.0.lock().unwrap().delay = delay;
        }

        fn requests(&self) -> usize {
            self.0.lock().unwrap().requests
        }

        fn break_down(&self) {
            self.0.lock().unwrap().broken = true;
        }

        async fn answer(&self, request: Request<Body>) -> Response<Body> {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let delay = self.0.lock().unwrap().delay;
            sleep(delay).await;
            let mut stored = self.0.lock().unwrap();
            stored.requests += 1;
            if stored.broken {
                return refusal(StatusCode::INTERNAL_SERVER_ERROR);
            }
            if head.method != Method::GET {
                let mut sent: Lease = serde_json::from_slice(&body).unwrap();
                if sent.resource_version()
                    != stored.lease.as_ref().and_then(Lease::resource_version)
                {
                    return refusal(StatusCode::CONFLICT);
                }
                sent.metadata.resource_version = None;
                stored.lease = Some(sent);
                stored.write();
            }
            match &stored.lease {
                Some(lease) => Response::new(Body::from(serde_json::to_vec(lease).unwrap())),
                None => refusal(StatusCode::NOT_FOUND),
            }
        }
    }

    fn refusal(code: StatusCode) -> Response<Body> {
        let reason = match code {
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::CONFLICT => "Conflict",
            _ => "InternalError",
        };
        let body = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{reason}","message":"","code":{}}}"#,
            code.as_u16()
        );
        Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap()
    }
}
