//! What one pass over an object may do: the words that whoever decides (`metal-core`) and whoever
//! carries it out (`metal-runtime`) have in common, for every kind.

use jiff::SignedDuration;

/// Of what a controller never does: there is no value of it.
pub use std::convert::Infallible as Never;

/// What one pass is to do: one thing, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<Status, Change, Need = Never, Step = Never> {
    /// A fact is missing, or too old to act on: get it, and decide again.
    Look(Need),
    /// We know something that the API server does not: write it into the status.
    Record(Box<Status>),
    /// Everything is written down: write one other thing to the cluster.
    Change(Change),
    /// Everything is written down: do one thing to the machine.
    Act(Step),
    /// Nothing to do until something changes, or this much time has passed.
    Rest(SignedDuration),
}
