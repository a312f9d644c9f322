//! Credentials that a BMC refused, and when they are tried again: BMCs lock an account after
//! repeated wrong passwords.
//!
//! ```text
//!  refused ──have never worked──────────────────────────► after the lockout, once
//!     └─────have worked before: it may be starting──► after a few minutes, twice; then likewise
//! ```

use crate::Limits;
use metal_core::redfish::Credentials;
use tokio::time::Instant;

/// At most this many refused credentials are remembered per BMC.
const MOST: usize = 4;
/// How many times in a row credentials that have worked are tried before they count as wrong.
const TRIES: u32 = 3;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The credentials are wrong.
    Wrong,
    /// They have worked before, and will soon be tried again.
    Unexpected,
}

/// Credentials that were refused.
struct RefusedLogin {
    credentials: Credentials,
    until: Instant,
    tries: u32,
    verdict: Verdict,
}

/// What a BMC made of the credentials that were tried.
#[derive(Default)]
pub(crate) struct Refusals {
    refused: Vec<RefusedLogin>,
    /// The credentials that worked last, and whether a session did.
    worked: Option<(Credentials, bool)>,
    /// Whether this process has tried any credentials.
    has_tried: bool,
}

impl Refusals {
    /// Why these credentials are not tried now; `None` if they may be.
    pub(crate) fn verdict(&self, credentials: &Credentials, now: Instant) -> Option<Verdict> {
        let refusal = self.of(credentials).filter(|refusal| now < refusal.until)?;
        Some(refusal.verdict)
    }

    /// Records that these credentials worked.
    pub(crate) fn worked(&mut self, credentials: &Credentials, by_session: bool) {
        self.has_tried = true;
        self.refused.retain(|refusal| refusal.credentials != *credentials);
        match &mut self.worked {
            Some((known, session)) if known == credentials => *session |= by_session,
            _ => self.worked = Some((credentials.clone(), by_session)),
        }
    }

    /// Whether a session was granted for these credentials: then nothing else need be tried.
    pub(crate) fn have_had_session(&self, credentials: &Credentials) -> bool {
        self.worked.as_ref().is_some_and(|(known, by_session)| known == credentials && *by_session)
    }

    /// Records that these credentials were refused.
    pub(crate) fn refuse(
        &mut self,
        credentials: Credentials,
        now: Instant,
        limits: &Limits,
    ) -> Verdict {
        self.has_tried = true;
        let tries = self.of(&credentials).map_or(0, |refusal| refusal.tries) + 1;
        let have_worked = self.worked.as_ref().is_some_and(|(known, _)| *known == credentials);
        let (verdict, rest) = if have_worked && tries < TRIES {
            (Verdict::Unexpected, limits.second_try)
        } else {
            (Verdict::Wrong, limits.lockout)
        };
        if verdict == Verdict::Wrong && have_worked {
            self.worked = None;
        }
        self.keep(RefusedLogin { credentials, until: now + rest, tries, verdict });
        verdict
    }

    /// Records that another process was refused with these credentials. What this process has found
    /// out itself takes precedence.
    pub(crate) fn remember(&mut self, credentials: Credentials, until: Instant) {
        if !self.has_tried && self.of(&credentials).is_none() {
            self.keep(RefusedLogin { credentials, until, tries: TRIES, verdict: Verdict::Wrong });
        }
    }

    fn of(&self, credentials: &Credentials) -> Option<&RefusedLogin> {
        self.refused.iter().find(|refusal| refusal.credentials == *credentials)
    }

    fn keep(&mut self, refusal: RefusedLogin) {
        self.refused.retain(|other| other.credentials != refusal.credentials);
        if self.refused.len() == MOST {
            self.refused.remove(0);
        }
        self.refused.push(refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn credentials(password: &str) -> Credentials {
        Credentials { username: "admin".to_owned(), password: password.to_owned() }
    }

    #[test]
    fn wrong_credentials_are_tried_once_per_lockout() {
        let (limits, now, mut refusals) = (Limits::default(), Instant::now(), Refusals::default());
        for round in 0..3 {
            let now = now + limits.lockout * round;
            assert_eq!(refusals.verdict(&credentials("a"), now), None);
            assert_eq!(refusals.refuse(credentials("a"), now, &limits), Verdict::Wrong);
            let last = now + limits.lockout - Duration::from_secs(1);
            assert_eq!(refusals.verdict(&credentials("a"), last), Some(Verdict::Wrong));
            assert_eq!(refusals.verdict(&credentials("b"), now), None);
        }
    }

    #[test]
    fn credentials_that_have_worked_are_tried_again_soon_and_only_twice() {
        let (limits, now, mut refusals) = (Limits::default(), Instant::now(), Refusals::default());
        let (good, soon) = (credentials("a"), limits.second_try);
        refusals.worked(&good, true);
        assert_eq!(refusals.refuse(good.clone(), now, &limits), Verdict::Unexpected);
        assert_eq!(refusals.verdict(&good, now + soon / 2), Some(Verdict::Unexpected));
        assert_eq!(refusals.verdict(&good, now + soon), None);
        assert_eq!(refusals.refuse(good.clone(), now + soon, &limits), Verdict::Unexpected);
        let third = now + soon * 2;
        assert_eq!(refusals.refuse(good.clone(), third, &limits), Verdict::Wrong);
        assert_eq!(refusals.verdict(&good, third + soon * 2), Some(Verdict::Wrong));
        let next = third + limits.lockout;
        assert_eq!(
            refusals.refuse(good.clone(), next, &limits),
            Verdict::Wrong,
            "once per lockout"
        );

        refusals.worked(&good, true);
        assert_eq!(refusals.refuse(good, next, &limits), Verdict::Unexpected, "counted anew");
    }

    #[test]
    fn what_another_process_was_refused_with_is_not_tried_before_its_time() {
        let (limits, now, mut refusals) = (Limits::default(), Instant::now(), Refusals::default());
        let rest = Duration::from_mins(7);
        refusals.remember(credentials("a"), now + rest);
        refusals.remember(credentials("a"), now + rest * 2);
        assert_eq!(refusals.verdict(&credentials("a"), now + rest / 2), Some(Verdict::Wrong));
        assert_eq!(refusals.verdict(&credentials("b"), now), None, "others are not meant");
        assert_eq!(refusals.verdict(&credentials("a"), now + rest), None);
        refusals.worked(&credentials("a"), true);
        refusals.remember(credentials("a"), now + rest * 2);
        assert_eq!(refusals.verdict(&credentials("a"), now + rest), None, "it is known better");
        assert_eq!(refusals.refuse(credentials("a"), now, &limits), Verdict::Unexpected);
    }
}
