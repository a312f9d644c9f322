//! ISC's dhclient and dhcrelay get the addresses of Machine objects from metalman, which runs under the
//! ServiceAccount of its overlay, with an API server that is real.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod address;
mod boot;
#[path = "../netboot/client.rs"]
#[expect(dead_code, reason = "netboot's clients can do more")]
mod client;
mod inside;
mod lab;
