//! Whether a write may still be sent.
//!
//! Between the decision to write and the first byte of the request there is a queue, a session and
//! perhaps a connection to be made. Much may happen in that time; so whoever decides hands over a
//! question that is asked last.

use std::{fmt, sync::Arc};

type Question = dyn Fn() -> Result<(), Withdrawn> + Send + Sync;

/// A question that is asked right before the first byte of each request that changes something
/// on a BMC. Logging in and out changes nothing.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<Question>>);

/// A write was not sent: what it was decided on may not hold any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Withdrawn(pub &'static str);

impl Permit {
    /// A permit that holds as long as this says so.
    pub fn new(question: impl Fn() -> Result<(), Withdrawn> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(question)))
    }

    /// Whether it still holds; one without a question always does.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn check(&self) -> Result<(), Withdrawn> {
        self.0.as_ref().map_or(Ok(()), |question| question())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.check()).finish()
    }
}
