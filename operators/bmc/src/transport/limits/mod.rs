//! How much a BMC may take: time, bytes, requests, refusals.

pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod places;
pub(crate) mod rate;
pub(crate) mod refusals;
pub(crate) mod shared;
