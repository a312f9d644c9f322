//! Registries that said when to ask them again (RFC 9110, section 10.2.3). Most count by login, so that counts only
//! for who asks with the same one: who has used up what a login may ask for must not keep the others from theirs.

use super::{Access, MAX_REGISTRIES};
use crate::{login::Login, reference::Registry};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// A longer rest is cut to this.
const LONGEST: Duration = Duration::from_mins(15);

/// Who asks a registry.
type Asker = (Registry, Option<Login>);

/// Until when each registry rests for whom, and the status with which it said so.
#[derive(Default)]
pub(super) struct RetryAfter(HashMap<Asker, (Instant, StatusCode)>);

impl RetryAfter {
    /// The remaining rest of the registry, and the status it gave.
    pub(super) fn of(&self, access: &Access) -> Option<(Duration, StatusCode)> {
        let (until, status) = self.0.get(&asker(access))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((left, *status))
    }

    /// Records a response, if it says when to ask again.
    pub(super) fn note(&mut self, access: &Access, status: StatusCode, headers: &HeaderMap) {
        let is_busy =
            matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let Some(after) = after(headers).filter(|_| is_busy) else { return };
        let now = Instant::now();
        if self.0.len() >= MAX_REGISTRIES {
            self.0.retain(|_, (until, _)| *until > now);
        }
        let asker = asker(access);
        if self.0.len() < MAX_REGISTRIES || self.0.contains_key(&asker) {
            self.0.insert(asker, (now + after.min(LONGEST), status));
        }
    }
}

fn asker(access: &Access) -> Asker {
    (access.name().registry().clone(), access.login().cloned())
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
    use crate::login::Logins;
    use tokio::time::{advance, pause};

    /// Who has this login for a repository.
    fn with(name: &str, username: &str) -> Access {
        let file =
            format!(r#"{{"auths": {{"{name}": {{"username": "{username}", "password": "p"}}}}}}"#);
        Access::new(&name.parse().unwrap(), &Logins::parse(file.as_bytes()).unwrap())
    }

    #[tokio::test]
    async fn a_registry_rests_for_who_asks_with_the_same_login_and_for_nobody_else() {
        pause();
        let mut rests = RetryAfter::default();
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "120".parse().unwrap());
        rests.note(&with("ghcr.io/a/b", "greedy"), StatusCode::TOO_MANY_REQUESTS, &headers);
        let anonymous = Access::anonymous(&"ghcr.io/a/b".parse().unwrap());
        let rests_for = |access: &Access| rests.of(access).is_some();
        assert!(rests_for(&with("ghcr.io/a/c", "greedy")));
        assert!(!rests_for(&with("ghcr.io/a/b", "other")) && !rests_for(&anonymous));
        assert!(!rests_for(&with("quay.io/a/b", "greedy")));
    }

    #[tokio::test]
    async fn a_rest_is_as_long_as_the_registry_says_and_has_an_end() {
        pause();
        let access = Access::anonymous(&"ghcr.io/a/b".parse().unwrap());
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
            rests.note(&access, status, &headers);
            let left = rests.of(&access).map_or(0, |(left, _)| left.as_secs());
            assert_eq!(left, seconds, "{status} {after}");
            advance(Duration::from_secs(seconds)).await;
            assert_eq!(rests.of(&access), None, "{status} {after}");
        }
    }
}
