//! What all BMCs of a fleet have in common.

use crate::{
    Config, Counters,
    transport::{
        limits::{places::Places, rate::Rate},
        recent::Recent,
    },
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What all BMCs of a fleet share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) rate: Rate,
    /// One permit per idle connection that may be kept.
    pub(crate) kept: Arc<Semaphore>,
    /// The places of calls with long answers.
    pub(crate) long_calls: Places,
    /// One permit per host name lookup.
    pub(crate) lookups: Arc<Semaphore>,
    /// The systems that were read last.
    pub(crate) recent: Recent,
}
