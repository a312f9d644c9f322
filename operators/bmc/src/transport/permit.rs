//! Permission to write, checked when the request is sent.
//!
//! Between the decision to write and the first byte of the request come a queue, a session and
//! perhaps a new connection. Much may change in that time, so the decision comes with a check that
//! is made last.

use metal_base::Locked as _;
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

type Question = dyn Fn() -> Result<(), Withdrawn> + Send + Sync;
type Clock = dyn Fn() -> Duration + Send + Sync;

/// A check made right before the first byte of each request that changes something on a BMC.
/// Logging in and out changes nothing.
#[derive(Clone, Default)]
pub struct Permit {
    question: Option<Arc<Question>>,
    term: Option<Arc<Term>>,
}

/// For how long a permit holds, by a clock.
struct Term {
    lasts: Duration,
    clock: Box<Clock>,
    since: Mutex<Duration>,
}

/// A write was not sent, because what it was decided on may no longer hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Withdrawn(pub &'static str);

impl Permit {
    /// A permit that holds as long as `question` returns `Ok`.
    pub fn new(question: impl Fn() -> Result<(), Withdrawn> + Send + Sync + 'static) -> Self {
        Self { question: Some(Arc::new(question)), term: None }
    }

    /// The same, but only for so long from now on by this clock, or from when what was decided on
    /// is read again.
    #[must_use]
    pub fn lasting(
        self,
        lasts: Duration,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let since = Mutex::new(clock());
        Self { term: Some(Arc::new(Term { lasts, clock: Box::new(clock), since })), ..self }
    }

    /// What was decided on was just read, and still holds.
    pub(crate) fn renew(&self) {
        if let Some(term) = &self.term {
            *term.since.locked() = (term.clock)();
        }
    }

    /// Checks that it still holds. One without a question and a term always does.
    ///
    /// # Errors
    ///
    /// The reason why it no longer holds.
    pub fn check(&self) -> Result<(), Withdrawn> {
        self.question.as_ref().map_or(Ok(()), |question| question())?;
        let is_over = |term: &Arc<Term>| {
            let since = *term.since.locked();
            (term.clock)().saturating_sub(since) >= term.lasts
        };
        if self.term.as_ref().is_some_and(is_over) {
            return Err(Withdrawn("the decision is too old"));
        }
        Ok(())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.check()).finish()
    }
}
