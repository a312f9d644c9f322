//! Credentials that a BMC refused, and when they are tried again: BMCs lock an account after
//! repeated wrong passwords.
//!
//! ```text
//!  refused ──have never worked──────────────────────────► after the lockout, once
//!     ├─────have worked before: it may be starting──► after a few minutes, twice; then likewise
//!     └─────new password of a user that worked: it may come later──► the same, further apart
//! ```
//!
//! Who rotates a password writes it to the BMC before or after it becomes known here. The usual
//! limits are three wrong passwords in five minutes or five in half an hour, which these tries stay below.

use crate::Limits;
use metal_core::redfish::Credentials;
use tokio::time::Instant;

/// At most this many refused credentials are remembered per BMC.
const MOST: usize = 4;
/// How many times in a row credentials that may be right are tried before they count as wrong.
const TRIES: u32 = 3;
/// How many times as long as the first rest of a new password the second one is.
pub(crate) const LONGER: u32 = 3;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The credentials are wrong.
    Wrong,
    /// They have worked before, and will soon be tried again.
    Unexpected,
    /// The BMC accepted another password of this user, and may not have the new one yet.
    NotYet,
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

    /// Whether a session was granted to this user: then nothing else need be tried.
    pub(crate) fn has_had_session(&self, credentials: &Credentials) -> bool {
        let worked = self.worked.as_ref();
        worked.is_some_and(|(known, by_session)| {
            known.username == credentials.username && *by_session
        })
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
        let may_be_right = have_worked || self.has_had_session(&credentials);
        let (verdict, rest) = match tries {
            _ if !may_be_right || tries >= TRIES => (Verdict::Wrong, limits.lockout),
            _ if have_worked => (Verdict::Unexpected, limits.second_try),
            1 => (Verdict::NotYet, limits.second_try),
            _ => (Verdict::NotYet, limits.second_try * LONGER),
        };
        // From then on another way of logging in is tried as well, which costs a second wrong password.
        if may_be_right && tries > TRIES {
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
    fn a_new_password_that_the_bmc_does_not_have_yet_is_tried_twice_more_and_then_per_lockout() {
        let (limits, start, mut refusals) =
            (Limits::default(), Instant::now(), Refusals::default());
        refusals.worked(&credentials("old"), true);
        let new = || credentials("new");
        let (mut now, mut tries) = (start, vec![]);
        while now < start + limits.lockout * 2 {
            if refusals.verdict(&new(), now).is_none() {
                assert!(refusals.has_had_session(&new()), "by session only");
                tries.push((now - start, refusals.refuse(new(), now, &limits)));
            }
            now += Duration::from_secs(30);
        }
        let (soon, later) = (limits.second_try, limits.second_try * (1 + LONGER));
        let expected = [
            (Duration::ZERO, Verdict::NotYet),
            (soon, Verdict::NotYet),
            (later, Verdict::Wrong),
            (later + limits.lockout, Verdict::Wrong),
        ];
        assert_eq!(tries, expected);
        assert!(!refusals.has_had_session(&new()), "the next time in either way");
        for (first, third) in tries.iter().zip(&tries[2..]) {
            assert!(third.0 > first.0 + Duration::from_mins(5), "three of them lock an account");
        }
    }

    #[test]
    fn two_passwords_of_which_one_is_wrong_do_not_cost_further_tries() {
        let (limits, mut now, mut refusals) =
            (Limits::default(), Instant::now(), Refusals::default());
        let verdicts = [(); 5].map(|()| {
            refusals.worked(&credentials("a"), true);
            now += limits.lockout;
            refusals.refuse(credentials("b"), now, &limits)
        });
        let (not_yet, wrong) = (Verdict::NotYet, Verdict::Wrong);
        assert_eq!(verdicts, [not_yet, not_yet, wrong, wrong, wrong]);
    }

    #[test]
    fn a_new_password_of_a_user_that_never_had_a_session_is_tried_once() {
        let (limits, now, mut refusals) = (Limits::default(), Instant::now(), Refusals::default());
        refusals.worked(&credentials("a"), false);
        assert_eq!(refusals.refuse(credentials("b"), now, &limits), Verdict::Wrong);
        refusals.worked(&credentials("a"), true);
        let other = Credentials { username: "root".to_owned(), ..credentials("b") };
        assert!(!refusals.has_had_session(&other), "its login may need another way");
        assert_eq!(refusals.refuse(other, now, &limits), Verdict::Wrong);
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
