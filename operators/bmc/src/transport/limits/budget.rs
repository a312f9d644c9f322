//! How much of this process's memory and network traffic one BMC may use.
//!
//! ```text
//!  body:   up to `body_bytes`, beyond `small_body` only in one of the fleet's few places
//!  call:   up to `call_bytes` in all its bodies, beyond `small_call` only in such a place
//!  BMC:    up to `bmc_bytes` per `bmc_period`
//!  fleet:  `long_calls` places
//! ```
//!
//! A call takes at most one place and keeps it until the call ends, so no two calls can wait for
//! each other.

use crate::{
    Error,
    transport::{
        encoding::{DecodeError, Encoding},
        json::{self, JsonError},
        limits::config::Limits,
    },
};
use bytes::Bytes;
use http::HeaderMap;
use metal_base::Locked;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

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

/// What a BMC has sent within the current period.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Option<(Instant, usize)>>);

impl Traffic {
    /// Counts bytes. Fails once there are too many.
    fn count(&self, bytes: usize, now: Instant, limits: &Limits) -> Result<(), LimitExceeded> {
        let mut period = self.0.locked();
        let of_now = period.filter(|(start, _)| now.duration_since(*start) < limits.bmc_period);
        let (start, sum) = of_now.unwrap_or((now, 0));
        let sum = sum.saturating_add(bytes);
        *period = Some((start, sum));
        if sum > limits.bmc_bytes {
            return Err(LimitExceeded::Bmc(limits.bmc_bytes, limits.bmc_period.as_secs()));
        }
        Ok(())
    }
}

/// The budget of one call.
pub(crate) struct Budget<'a> {
    limits: &'a Limits,
    traffic: &'a Traffic,
    places: &'a Arc<Semaphore>,
    spent: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    bytes: usize,
    place: Option<OwnedSemaphorePermit>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(
        limits: &'a Limits,
        traffic: &'a Traffic,
        places: &'a Arc<Semaphore>,
    ) -> Self {
        Self { limits, traffic, places, spent: Mutex::default() }
    }

    /// Whether the BMC may be asked at all.
    pub(crate) fn admit(&self) -> Result<(), LimitExceeded> {
        self.traffic.count(0, Instant::now(), self.limits)
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
        self.traffic.count(more, Instant::now(), limits)?;
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

    async fn take_place(&self) -> Result<(), LimitExceeded> {
        if self.has_place() {
            return Ok(());
        }
        // Less than the time limit of the body, so that the lack of a place is reported and not a
        // slow body.
        let wait = self.limits.body * 2 / 3;
        let place = timeout(wait, Arc::clone(self.places).acquire_owned()).await;
        // The semaphore is never closed.
        let place = place.map_err(|_| LimitExceeded::Fleet)?.ok();
        self.with(|spent| spent.place = place);
        Ok(())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Usage) -> T) -> T {
        f(&mut self.spent.locked())
    }
}

/// Why a call fails that took more than it may.
pub(crate) fn misbehaving(action: String, excess: LimitExceeded) -> Error {
    if excess == LimitExceeded::Fleet {
        return Error::Unreachable(excess.into());
    }
    Error::Misbehaving { action, source: excess.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
        let (limits, traffic, places) = (limits(), Traffic::default(), Arc::new(Semaphore::new(1)));
        let call = Budget::new(&limits, &traffic, &places);
        assert_eq!(call.grow(90, 10).await, Ok(()));
        assert_eq!(call.grow(91, 10).await, Err(LimitExceeded::Body(100)));
        assert_eq!(call.grow(0, 100).await, Ok(()));
        assert_eq!(call.grow(0, 60).await, Err(LimitExceeded::Call(150)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bmc_is_bounded_over_time() {
        let (limits, traffic, places) = (limits(), Traffic::default(), Arc::new(Semaphore::new(1)));
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
        let (limits, traffic, places) = (limits(), Traffic::default(), Arc::new(Semaphore::new(1)));
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
}
