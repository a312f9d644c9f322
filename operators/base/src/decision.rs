//! What one pass over an object may do, in the terms that the decision (`metal-core`) and its
//! execution (`metal-runtime`) share, for every kind.

use jiff::SignedDuration;

/// For what a controller never does: the type has no values.
pub use std::convert::Infallible as Never;

/// What one pass is to do: exactly one thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<Status, Change, Need = Never, Step = Never> {
    /// A fact is missing, or too old to act on: obtain it, and decide again.
    Look(Need),
    /// We know something that the API server does not: write it to the status.
    Record(Box<Status>),
    /// Everything is recorded: write one other thing to the cluster.
    Change(Change),
    /// Everything is recorded: do one thing to the machine.
    Act(Step),
    /// Nothing to do until something changes, or this much time has passed.
    Rest(SignedDuration),
}
