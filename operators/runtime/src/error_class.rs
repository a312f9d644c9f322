//! What a failure asks for: when to retry, and whom to tell.

use std::error::Error as StdError;

/// The class of a failure, which determines the retry and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody else was faster. This is normal; retry soon and tell nobody.
    Conflict,
    /// May go away without intervention. Retry at increasing intervals.
    Transient,
    /// Will not go away until somebody changes the object.
    Rejected,
}

/// An error of a reconciler.
pub trait ReconcileError: StdError + Send + Sync + 'static {
    /// Its class.
    fn class(&self) -> Class;

    /// A CamelCase name from a small fixed set: event reason, condition reason and metric label.
    fn reason(&self) -> &'static str;

    /// Whether it was reported already, for another key with the same cause. Then it is only counted.
    fn is_told(&self) -> bool {
        false
    }
}

/// The class of an error of the Kubernetes client.
pub fn class_of(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) if status.is_conflict() => Class::Conflict,
        kube::Error::Api(status) if status.is_invalid() => Class::Rejected,
        _ => Class::Transient,
    }
}
