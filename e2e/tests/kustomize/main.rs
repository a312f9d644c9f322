//! The overlays of `config/`: they build and are consistent, and what they install starts with its
//! defaults, under its own ServiceAccount, which has no more rights than it needs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod boot_urls;
mod gitops;
mod hosts;
mod install;
mod metalman;
mod monitoring;
mod parts;
mod pod;
mod review;
mod rights;
mod sites;
mod start;

/// All overlays.
const OVERLAYS: [&str; 3] = ["default", "dev", "production"];
