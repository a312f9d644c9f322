//! ISC's dhclient and dhcrelay get addresses from netboot, which has the rights of its
//! ServiceAccount and records BMCs on a real API server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bmc;
mod boot_url;
mod booting;
mod client;
mod inside;
mod lab;
mod lease;
mod lease_object;
mod restart;
mod standby;
