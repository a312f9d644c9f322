//! The kubectl plugin, against a real API server, with metalman and simulated BMCs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod given_up;
mod operations;
mod pages;
mod person;
mod refused;
mod register;
mod site;
mod sites;
mod stopped;
