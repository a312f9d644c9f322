//! A fleet of simulated machines, from outside: over Redfish, control API and boot service.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod boot;
mod client;
mod dhcp;
mod dhcpd;
mod dialect;
mod faults;
mod flags;
mod redfish;
mod site;
mod systems;
