//! Every decision of the metal stack, as pure functions.
//!
//! A controller pass is `observe -> decide -> act`. This crate is the middle part: it takes what
//! was observed, including the time, and returns what to do. It is the only place that defines the
//! lifecycle of a server, and all of it can be tested without a cluster, a BMC or a clock.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod bmc;
pub mod bmc_host;
pub mod boot;
pub mod boot_token;
pub mod capability;
pub mod claim;
pub mod conditions;
#[cfg(any(test, feature = "testing"))]
pub mod dice;
pub mod endpoint;
pub mod failure;
pub mod foreign_cleanup;
pub mod identity;
pub mod installation;
pub mod macdb;
pub mod machine_identity;
pub mod ownership;
pub mod pull_secret;
pub mod redfish;
pub mod rented_host;
pub mod report;
mod sanitize;
mod serial_number;
pub mod server;
mod spread;
pub mod template;
pub mod trim_metadata;
pub mod unanswered;
pub mod unsupported;
