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
    assert_eq!(judge(&held_by("me"), "me", DURATION * 9, DURATION), Verdict::Renew);
    assert_eq!(judge(&held_by("you"), "me", almost, DURATION), Verdict::Wait);
    assert_eq!(judge(&held_by("you"), "me", DURATION, DURATION), Verdict::Take);
    assert_eq!(judge(&held_by(""), "me", Duration::ZERO, DURATION), Verdict::Take);
    assert_eq!(judge(&LeaseSpec::default(), "me", Duration::ZERO, DURATION), Verdict::Take);
}

#[test]
fn a_holder_keeps_its_lease_for_as_long_as_it_has_written_there() {
    let held = |seconds| LeaseSpec {
        holder_identity: Some("you".to_owned()),
        lease_duration_seconds: Some(seconds),
        ..LeaseSpec::default()
    };
    let judged =
        |seconds, unchanged| judge(&held(seconds), "me", Duration::from_secs(unchanged), DURATION);
    for (seconds, unchanged, verdict) in [
        (60, 59, Verdict::Wait),
        (60, 60, Verdict::Take),
        (5, 14, Verdict::Wait),
        (-1, 15, Verdict::Take),
        (i32::MAX, 600, Verdict::Take),
    ] {
        assert_eq!(judged(seconds, unchanged), verdict, "{seconds} {unchanged}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_lasts_for_less_is_taken_sooner() {
    let server = Leases::default();
    let duration = Duration::from_secs(5);
    server.candidate("a").lasting(duration).lead().await;
    let silent_since = Instant::now();
    server.candidate("b").lasting(duration).lead().await;
    let taken = silent_since.elapsed();
    assert!(duration <= taken && taken < DURATION, "{taken:?}");
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

#[tokio::test(start_paused = true)]
async fn a_term_ends_if_the_lease_is_not_as_its_holder_left_it() {
    let changes: [fn(&Leases); 3] =
        [|server| server.hold(""), Leases::go_back, |server| server.0.lock().unwrap().lease = None];
    for (number, change) in changes.into_iter().enumerate() {
        let server = Leases::default();
        let mut leader = server.candidate("a");
        let leadership = leader.leadership();
        leader.lead().await;
        timeout(RENEW * 7 / 2, leader.keep()).await.unwrap_err();
        change(&server);
        assert!(timeout(2 * RENEW, leader.keep()).await.is_ok(), "{number}");
        assert!(!leadership.holds(), "{number}");
        timeout(2 * RENEW, leader.lead()).await.unwrap();
        assert_eq!(server.holder(), "a", "{number}");
    }
}

#[tokio::test]
async fn who_has_no_terms_goes_on_with_a_lease_that_went_back() {
    let server = Leases::default();
    let mut active = server.candidate("a");
    for _ in 0..2 {
        assert!(active.attempt().await.unwrap());
    }
    server.go_back();
    assert!(active.attempt().await.unwrap());
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

    /// It knows the lease as it was first written.
    pub(crate) fn go_back(&self) {
        let mut stored = self.0.lock().unwrap();
        stored.version = 0;
        stored.write();
    }

    fn delay(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }

    pub(crate) fn break_down(&self) {
        self.0.lock().unwrap().broken = true;
    }

    pub(crate) fn come_back(&self) {
        self.0.lock().unwrap().broken = false;
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
            if sent.resource_version() != stored.lease.as_ref().and_then(Lease::resource_version) {
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

#[tokio::test(start_paused = true)]
async fn who_does_not_hold_the_lease_has_no_tenure() {
    let server = Leases::default();
    let (mut first, mut second) = (server.candidate("a"), server.candidate("b"));
    let (of_first, of_second) = (first.leadership(), second.leadership());
    assert!(!of_first.holds());
    first.lead().await;
    assert!(of_first.holds());
    assert!(!second.attempt().await.unwrap() && !of_second.holds());
    server.hold("b");
    assert!(!first.attempt().await.unwrap());
    assert!(!of_first.holds());
    second.lead().await;
    assert!(of_second.holds());
    second.release().await;
    assert!(!of_second.holds());
}
