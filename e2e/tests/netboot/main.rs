//! ISC's dhclient and dhcrelay get addresses from netboot, which runs under its own ServiceAccount
//! and records BMCs on a real API server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bmc;
mod booting;
mod client;
mod inside;
mod lab;
mod lease;
mod lease_object;
mod restart;
mod standby;
