//! How much of this process's memory and network traffic one BMC may use.
//!
//! ```text
//!  body:   up to `body_bytes`, beyond `small_body` only in one of the fleet's few places
//!  call:   up to `call_bytes` in all its bodies, beyond `small_call` only in such a place
//!  BMC:    up to `bmc_bytes` per `bmc_period`
//!  fleet:  `long_calls` places, one BMC keeps them for `place` per `bmc_period` if others wait
//! ```
//!
//! A call takes at most one place and keeps it until the call ends, so no two calls can wait for
//! each other. A call that begins within `place` has its whole time. Later calls of that BMC are ended
//! as soon as somebody else waits for a place: BMCs that let their answers drip would keep all of them
//! otherwise.

use crate::{
    Error,
    transport::{
        encoding::{DecodeError, Encoding},
        json::{self, JsonError},
        limits::{
            config::Limits,
            places::{Place, Places},
        },
    },
};
use bytes::Bytes;
use http::HeaderMap;
use metal_base::Locked;
use serde_json::Value;
use std::{sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep};

/// How often a call that keeps a place looks whether others wait for one.
const LOOK: Duration = Duration::from_secs(1);

/// A BMC has exceeded a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitExceeded {
    #[error("the response is longer than {0} bytes")]
    Body(usize),
    #[error("parsing the response needs more than {0} bytes of memory")]
    Parsed(usize),
    #[error("the responses of one operation are longer than {0} bytes")]
    Call(usize),
    #[error("its responses exceed {0} bytes within {1} s")]
    Bmc(usize, u64),
    #[error("its response is large and took longer than {0} s")]
    Slow(u64),
    #[error("its large responses took longer than {0} s within {1} s, and other BMCs wait")]
    Place(u64, u64),
    /// The fleet has no place free: not this BMC's fault.
    #[error("too many other BMCs are sending large responses")]
    Fleet,
}

impl LimitExceeded {
    /// Whether only one resource is affected, so that nothing follows for the others.
    pub(crate) fn is_of_one_resource(self) -> bool {
        matches!(self, Self::Body(_) | Self::Parsed(_))
    }
}

/// What a BMC has used within the current period.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Option<Period>>);

/// What a BMC has used within one period.
#[derive(Clone, Copy, Debug)]
struct Period {
    start: Instant,
    bytes: usize,
    /// For how long its calls have kept places.
    kept: Duration,
}

impl Traffic {
    /// Counts bytes, and the time for which a place was kept.
    fn add(&self, bytes: usize, kept: Duration, limits: &Limits) -> Period {
        let (mut period, now) = (self.0.locked(), Instant::now());
        let of_now = period.filter(|it| now.duration_since(it.start) < limits.bmc_period);
        let mut sum = of_now.unwrap_or(Period { start: now, bytes: 0, kept: Duration::ZERO });
        sum.bytes = sum.bytes.saturating_add(bytes);
        sum.kept = sum.kept.saturating_add(kept);
        *period = Some(sum);
        sum
    }

    /// Counts bytes. Fails once there are too many.
    fn count(&self, bytes: usize, limits: &Limits) -> Result<(), LimitExceeded> {
        if self.add(bytes, Duration::ZERO, limits).bytes > limits.bmc_bytes {
            return Err(LimitExceeded::Bmc(limits.bmc_bytes, limits.bmc_period.as_secs()));
        }
        Ok(())
    }
}

/// The budget of one call.
pub(crate) struct Budget<'a> {
    limits: &'a Limits,
    traffic: &'a Traffic,
    places: &'a Places,
    spent: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    bytes: usize,
    place: Option<Place>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: &'a Limits, traffic: &'a Traffic, places: &'a Places) -> Self {
        Self { limits, traffic, places, spent: Mutex::default() }
    }

    /// Whether the BMC may be asked at all.
    pub(crate) fn admit(&self) -> Result<(), LimitExceeded> {
        self.traffic.count(0, self.limits)
    }

    /// A body of this length is about to arrive.
    pub(crate) fn announce(&self, length: usize) -> Result<(), LimitExceeded> {
        let limit = self.limits.body_bytes;
        if length > limit { Err(LimitExceeded::Body(limit)) } else { Ok(()) }
    }

    /// Lets a body of `held` bytes grow by `more`, waiting for a place if it needs one.
    pub(crate) async fn grow(&self, held: usize, more: usize) -> Result<(), LimitExceeded> {
        let limits = self.limits;
        let body = held.saturating_add(more);
        if body > limits.body_bytes {
            return Err(LimitExceeded::Body(limits.body_bytes));
        }
        self.traffic.count(more, limits)?;
        let sum = self.with(|spent| {
            spent.bytes = spent.bytes.saturating_add(more);
            spent.bytes
        });
        if sum > limits.call_bytes {
            return Err(LimitExceeded::Call(limits.call_bytes));
        }
        if body > limits.small_body || sum > limits.small_call {
            self.take_place().await?;
        }
        Ok(())
    }

    /// The decompressed body. One that cannot be decompressed is returned as it is: it then fails
    /// as JSON, and that error is reported.
    pub(crate) async fn decode(
        &self,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, LimitExceeded> {
        let Some(encoding) = Encoding::of(headers, &body) else { return Ok(body) };
        let small = encoding.decode(&body, self.limits.small_body);
        let decoded = if small == Err(DecodeError::TooLong) {
            self.take_place().await?;
            encoding.decode(&body, self.limits.body_bytes)
        } else {
            small
        };
        match decoded {
            Ok(decoded) => {
                self.grow(0, decoded.len()).await?;
                Ok(decoded.into())
            }
            Err(DecodeError::TooLong) => Err(LimitExceeded::Body(self.limits.body_bytes)),
            Err(DecodeError::Broken) => Ok(body),
        }
    }

    /// The JSON object in a body.
    pub(crate) async fn object(
        &self,
        body: &[u8],
    ) -> Result<Result<Value, JsonError>, LimitExceeded> {
        let limit = match json::object(body, self.limits.small_parsed) {
            Err(JsonError::TooLarge(_)) => self.limits.parsed_bytes,
            done => return Ok(done),
        };
        self.take_place().await?;
        match json::object(body, limit) {
            Err(JsonError::TooLarge(_)) => Err(LimitExceeded::Parsed(limit)),
            done => Ok(done),
        }
    }

    /// Whether this call holds a place that others may be waiting for.
    pub(crate) fn has_place(&self) -> bool {
        self.with(|spent| spent.place.is_some())
    }

    /// Returns once the call has to end, because its BMC has kept places for as long as it may, and
    /// others wait for one.
    pub(crate) async fn outstayed(&self) -> LimitExceeded {
        while !self.has_outstayed() {
            sleep(LOOK).await;
        }
        self.of_place()
    }

    fn has_outstayed(&self) -> bool {
        let since = self.with(|spent| spent.place.as_ref().map(|place| place.since));
        let is_over =
            |since: Instant| self.has_kept_places() || since.elapsed() >= self.limits.inventory;
        self.places.are_wanted() && since.is_some_and(is_over)
    }

    /// Whether the BMC's earlier calls have kept places for as long as it may.
    fn has_kept_places(&self) -> bool {
        self.traffic.add(0, Duration::ZERO, self.limits).kept >= self.limits.place
    }

    fn of_place(&self) -> LimitExceeded {
        let Limits { place, bmc_period, .. } = self.limits;
        LimitExceeded::Place(place.as_secs(), bmc_period.as_secs())
    }

    async fn take_place(&self) -> Result<(), LimitExceeded> {
        if self.has_place() {
            return Ok(());
        }
        let place = if self.has_kept_places() {
            self.places.take_free().ok_or_else(|| self.of_place())?
        } else {
            // Less than the time limit of the body, so that the lack of a place is reported and not
            // a slow body.
            let wait = self.limits.body * 2 / 3;
            self.places.take(wait).await.ok_or(LimitExceeded::Fleet)?
        };
        self.with(|spent| spent.place = Some(place));
        Ok(())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Usage) -> T) -> T {
        f(&mut self.spent.locked())
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.with(|spent| spent.place.take()) {
            self.traffic.add(0, place.since.elapsed(), self.limits);
        }
    }
}

/// Why a call fails that took more than it may. A slow BMC with long answers may just be slow.
pub(crate) fn misbehaving(action: String, excess: LimitExceeded) -> Error {
    match excess {
        LimitExceeded::Fleet | LimitExceeded::Place(..) => Error::Unreachable(excess.into()),
        LimitExceeded::Body(_)
        | LimitExceeded::Parsed(_)
        | LimitExceeded::Call(_)
        | LimitExceeded::Bmc(..)
        | LimitExceeded::Slow(_) => Error::Misbehaving { action, source: excess.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    fn limits() -> Limits {
        Limits {
            body_bytes: 100,
            small_body: 10,
            call_bytes: 150,
            small_call: 20,
            bmc_bytes: 400,
            ..Limits::default()
        }
    }

    #[tokio::test]
    async fn a_call_is_bounded_by_body_and_in_all() {
        let (limits, traffic, places) = (limits(), Traffic::default(), Places::new(1));
        let call = Budget::new(&limits, &traffic, &places);
        assert_eq!(call.grow(90, 10).await, Ok(()));
        assert_eq!(call.grow(91, 10).await, Err(LimitExceeded::Body(100)));
        assert_eq!(call.grow(0, 100).await, Ok(()));
        assert_eq!(call.grow(0, 60).await, Err(LimitExceeded::Call(150)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bmc_is_bounded_over_time() {
        let (limits, traffic, places) = (limits(), Traffic::default(), Places::new(1));
        let excess = Err(LimitExceeded::Bmc(400, limits.bmc_period.as_secs()));
        for _ in 0..4 {
            assert_eq!(Budget::new(&limits, &traffic, &places).grow(0, 100).await, Ok(()));
        }
        let call = Budget::new(&limits, &traffic, &places);
        assert_eq!(call.grow(0, 1).await, excess);
        assert_eq!(call.admit(), excess);
        tokio::time::advance(limits.bmc_period).await;
        assert_eq!(call.admit(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn long_calls_wait_for_each_other_and_short_ones_for_nobody() {
        let (limits, traffic, places) = (limits(), Traffic::default(), Places::new(1));
        let long = Budget::new(&limits, &traffic, &places);
        long.grow(0, 11).await.unwrap();
        let other = Budget::new(&limits, &traffic, &places);
        other.grow(0, 10).await.unwrap();
        let soon = Duration::from_secs(1);
        assert!(timeout(soon, other.grow(10, 1)).await.is_err(), "there is one place");
        assert_eq!(other.grow(10, 1).await, Err(LimitExceeded::Fleet), "nobody waits forever");
        long.grow(0, 100).await.unwrap();
        drop(long);
        timeout(soon, other.grow(10, 1)).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_bmc_keeps_a_place_only_for_so_long_if_others_wait_for_it() {
        let (limits, places) = (limits(), Places::new(1));
        let (slow, honest) = (Traffic::default(), Traffic::default());
        let long = Budget::new(&limits, &slow, &places);
        long.grow(0, 11).await.unwrap();
        let ages = limits.inventory;
        assert!(timeout(ages, long.outstayed()).await.is_err(), "nobody waits");
        let other = Budget::new(&limits, &honest, &places);
        let leaves = async move {
            let excess = long.outstayed().await;
            drop(long);
            excess
        };
        let excess = LimitExceeded::Place(limits.place.as_secs(), limits.bmc_period.as_secs());
        assert_eq!(tokio::join!(leaves, other.grow(0, 11)), (excess, Ok(())));
        let again = Budget::new(&limits, &slow, &places);
        assert_eq!(again.grow(0, 11).await, Err(excess), "it does not wait before others");
        drop(other);
        again.grow(0, 11).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_inventory_that_takes_minutes_is_read_to_its_end_while_others_wait() {
        let (limits, places) = (limits(), Places::new(1));
        let (large, others) = (Traffic::default(), Traffic::default());
        // What was read before it took a place as well.
        let read = Budget::new(&limits, &large, &places);
        read.grow(0, 11).await.unwrap();
        tokio::time::advance(limits.place / 2).await;
        drop(read);
        let inventory = Budget::new(&limits, &large, &places);
        inventory.grow(0, 11).await.unwrap();
        let crowd = async {
            for _ in 0..30 {
                let waiting = Budget::new(&limits, &others, &places);
                assert_eq!(waiting.grow(0, 11).await, Err(LimitExceeded::Fleet));
            }
        };
        let work = timeout(limits.inventory.saturating_sub(LOOK), inventory.outstayed());
        tokio::select! {
            ended = work => assert!(ended.is_err(), "it has its whole time"),
            () = crowd => {}
        }
        drop(inventory);
        let waiting = Budget::new(&limits, &others, &places);
        waiting.grow(0, 11).await.unwrap();
        let again = Budget::new(&limits, &large, &places);
        assert!(again.grow(0, 11).await.is_err(), "it does not wait before others");
    }
}
