//! Registries that said when to ask them again (RFC 9110, section 10.2.3).

use super::MAX_REGISTRIES;
use crate::reference::Registry;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// A longer rest is cut to this.
const LONGEST: Duration = Duration::from_mins(15);

/// Until when each registry rests, and the status with which it said so.
#[derive(Default)]
pub(super) struct RetryAfter(HashMap<Registry, (Instant, StatusCode)>);

impl RetryAfter {
    /// The remaining rest of `registry`, and the status it gave.
    pub(super) fn of(&self, registry: &Registry) -> Option<(Duration, StatusCode)> {
        let (until, status) = self.0.get(registry)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((left, *status))
    }

    /// Records a response, if it says when to ask again.
    pub(super) fn note(&mut self, registry: &Registry, status: StatusCode, headers: &HeaderMap) {
        let is_busy =
            matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let Some(after) = after(headers).filter(|_| is_busy) else { return };
        let now = Instant::now();
        if self.0.len() >= MAX_REGISTRIES {
            self.0.retain(|_, (until, _)| *until > now);
        }
        if self.0.len() < MAX_REGISTRIES || self.0.contains_key(registry) {
            self.0.insert(registry.clone(), (now + after.min(LONGEST), status));
        }
    }
}

/// Seconds, or a date, which is relative to the server's own `Date` if it sent one.
fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |text: &str| rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok();
    let after = text(RETRY_AFTER)?.trim();
    if !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(after.parse().map_or(LONGEST, Duration::from_secs));
    }
    let now = text(DATE).and_then(date).unwrap_or_else(Timestamp::now);
    Some(date(after)?.duration_since(now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn a_rest_is_as_long_as_the_registry_says_and_has_an_end() {
        pause();
        let registry: Registry = "ghcr.io".parse().unwrap();
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let cases = [
            (429, "120", 120),
            (503, " 7 ", 7),
            (429, "100000", 900),
            (429, "99999999999999999999999", 900),
            (503, "Wed, 21 Oct 2015 07:29:30 GMT", 90),
            (429, "0", 0),
            (429, "Wed, 21 Oct 2015 07:27:00 GMT", 0),
            (429, "soon", 0),
            (429, "-1", 0),
            (500, "120", 0),
            (404, "120", 0),
        ];
        for (status, after, seconds) in cases {
            let mut rests = RetryAfter::default();
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            headers.insert(DATE, date.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            rests.note(&registry, status, &headers);
            let left = rests.of(&registry).map_or(0, |(left, _)| left.as_secs());
            assert_eq!(left, seconds, "{status} {after}");
            advance(Duration::from_secs(seconds)).await;
            assert_eq!(rests.of(&registry), None, "{status} {after}");
        }
    }
}
