//! Every decision of the metal stack, as pure functions.
//!
//! A controller pass is `observe -> decide -> act`. This crate is the middle part: it takes what
//! was observed, the time included, and returns what to do. It is the only place where the
//! lifecycle of a machine is written down, and all of it can be tested without a cluster, a BMC
//! or a clock.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod bmc;
pub mod boot;
pub mod butane;
pub mod capability;
pub mod claim;
pub mod conditions;
pub mod dhcp;
pub mod dhcp6;
#[cfg(test)]
mod dice;
pub mod discovery;
pub mod endpoint;
pub mod fedhcp;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod guests;
pub mod identity;
pub mod inherited;
pub mod intake;
pub mod json;
pub mod kept;
mod located;
pub mod macdb;
pub mod medium;
pub mod ownership;
pub mod redfish;
pub mod registry;
pub mod server;
pub mod system_uuid;
pub mod tftp;
pub mod unsupported;
mod yaml;
