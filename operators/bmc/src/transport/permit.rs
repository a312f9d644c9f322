//! Permission to write, checked when the request is sent.
//!
//! Between the decision to write and the first byte of the request come a queue, a session and
//! perhaps a new connection. Much may change in that time, so the decision comes with a check that
//! is made last.

use std::{fmt, sync::Arc};

type Check = dyn Fn() -> Result<(), Withdrawn> + Send + Sync;

/// A check made right before the first byte of each request that changes something on a BMC.
/// Logging in and out changes nothing.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<Check>>);

/// A write was not sent, because what it was decided on may no longer hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Withdrawn(pub &'static str);

impl Permit {
    /// A permit that holds as long as `question` returns `Ok`.
    pub fn new(question: impl Fn() -> Result<(), Withdrawn> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(question)))
    }

    /// Checks that it still holds. One without a question always does.
    ///
    /// # Errors
    ///
    /// The reason why it no longer holds.
    pub fn check(&self) -> Result<(), Withdrawn> {
        self.0.as_ref().map_or(Ok(()), |question| question())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.check()).finish()
    }
}
