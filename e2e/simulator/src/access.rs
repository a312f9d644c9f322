//! Access to a BMC: its one account with lockout, and its sessions (DSP0266, 13).

use super::config::{Account, Limits};
use jiff::Timestamp;
use std::fmt;
use tokio::time::Instant;

/// Logins and sessions of one BMC.
#[derive(Debug, Default)]
pub(super) struct Access {
    sessions: Vec<Session>,
    opened: u32,
    failures: u32,
    locked_until: Option<Instant>,
    /// The password, once it was changed.
    password: Option<String>,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    /// Counted from 1.
    pub(super) id: u32,
    /// When it was opened.
    pub(super) created: Timestamp,
    token: Token,
    last_used: Instant,
}

/// `X-Auth-Token`. Its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(u128);

impl Token {
    fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Unknown user, wrong password, locked account: a BMC does not say which.
    Credentials,
    /// No session is free.
    Full,
}

impl Access {
    /// Checks a user name and a password, and counts towards the lockout.
    pub(super) fn log_in(
        &mut self,
        account: &Account,
        limits: &Limits,
        now: Instant,
        given: &Account,
    ) -> Result<(), Refused> {
        if given.username != account.username || self.is_locked(now) {
            return Err(Refused::Credentials);
        }
        if given.password == *self.password.as_ref().unwrap_or(&account.password) {
            self.failures = 0;
            return Ok(());
        }
        self.failures += 1;
        if limits.lockout_threshold != 0 && self.failures >= limits.lockout_threshold {
            self.failures = 0;
            self.locked_until = Some(now + limits.lockout_duration);
        }
        Err(Refused::Credentials)
    }

    /// Whether the account is locked.
    pub(super) fn is_locked(&self, now: Instant) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    /// Opens a session after a successful login.
    pub(super) fn open(&mut self, limits: &Limits, now: Instant) -> Result<(u32, Token), Refused> {
        self.expire(limits, now);
        if self.sessions.len() >= limits.sessions {
            return Err(Refused::Full);
        }
        let token = random_token().ok_or(Refused::Full)?;
        self.opened += 1;
        let created = Timestamp::now();
        self.sessions.push(Session { id: self.opened, created, token, last_used: now });
        Ok((self.opened, token))
    }

    /// Whether this token is valid; using it keeps the session alive.
    pub(super) fn admits(&mut self, limits: &Limits, now: Instant, token: &str) -> bool {
        self.expire(limits, now);
        let Some(token) = Token::parse(token) else { return false };
        let session = self.sessions.iter_mut().find(|session| session.token == token);
        session.map(|session| session.last_used = now).is_some()
    }

    fn expire(&mut self, limits: &Limits, now: Instant) {
        self.sessions.retain(|session| now - session.last_used < limits.session_timeout);
    }

    /// Ends a session; false if there is none.
    pub(super) fn close(&mut self, id: u32) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|session| session.id != id);
        self.sessions.len() < before
    }

    /// Open sessions, oldest first.
    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// A reset of the BMC ends all sessions and resets the lockout.
    pub(super) fn reset(&mut self) {
        self.sessions.clear();
        self.failures = 0;
        self.locked_until = None;
    }

    /// Changes the password; open sessions stay.
    pub(super) fn set_password(&mut self, password: String) {
        self.password = Some(password);
    }

    /// Ends the lockout.
    pub(super) fn unlock(&mut self) {
        self.failures = 0;
        self.locked_until = None;
    }
}

fn random_token() -> Option<Token> {
    let (high, low) = (getrandom::u64().ok()?, getrandom::u64().ok()?);
    Some(Token((u128::from(high) << 64) | u128::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn given(password: &str) -> Account {
        Account { username: "foo".to_owned(), password: password.to_owned() }
    }

    fn limits() -> Limits {
        Limits {
            sessions: 2,
            session_timeout: 30 * SECOND,
            lockout_threshold: 3,
            lockout_duration: 60 * SECOND,
        }
    }

    #[test]
    fn wrong_passwords_lock_the_account_for_a_while_even_for_the_right_one() {
        let (mut access, now) = (Access::default(), Instant::now());
        let mut log_in = |password, now| {
            access.log_in(&Account::default(), &limits(), now, &given(password)).is_ok()
        };
        assert!(!log_in("no", now));
        assert!(log_in("bar", now));
        for _ in 0..3 {
            assert!(!log_in("no", now));
        }
        assert!(!log_in("bar", now + 59 * SECOND));
        assert!(log_in("bar", now + 60 * SECOND));
    }

    #[test]
    fn a_foreign_user_does_not_lock_the_account() {
        let (mut access, now) = (Access::default(), Instant::now());
        let stranger = Account { username: "root".to_owned(), password: "bar".to_owned() };
        for _ in 0..9 {
            assert!(access.log_in(&Account::default(), &limits(), now, &stranger).is_err());
        }
        assert_eq!(access.log_in(&Account::default(), &limits(), now, &given("bar")), Ok(()));
    }

    #[test]
    fn a_session_ends_unless_it_is_used() {
        let (mut access, now) = (Access::default(), Instant::now());
        let (_, token) = access.open(&limits(), now).unwrap();
        let token = token.to_string();
        assert!(access.admits(&limits(), now + 29 * SECOND, &token));
        assert!(access.admits(&limits(), now + 58 * SECOND, &token));
        assert!(!access.admits(&limits(), now + 88 * SECOND, &token));
    }

    #[test]
    fn sessions_are_limited_and_closing_one_makes_room() {
        let (mut access, now) = (Access::default(), Instant::now());
        let (first, token) = access.open(&limits(), now).unwrap();
        access.open(&limits(), now).unwrap();
        assert_eq!(access.open(&limits(), now), Err(Refused::Full));
        assert!(access.close(first));
        assert!(!access.close(first));
        assert!(!access.admits(&limits(), now, &token.to_string()));
        assert!(access.open(&limits(), now).is_ok());
    }

    #[test]
    fn a_malformed_token_is_nobodys() {
        let (mut access, now) = (Access::default(), Instant::now());
        access.open(&limits(), now).unwrap();
        for token in ["", "0", "+0000000000000000000000000000000", "zz"] {
            assert!(!access.admits(&limits(), now, token), "{token}");
        }
    }
}
