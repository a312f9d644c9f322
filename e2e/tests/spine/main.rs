//! The path of a machine from its BMC to a tenant and back, on a real API server: operators as
//! processes under their own ServiceAccounts, a real registry, simulated machines.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod address;
mod blades;
mod claim;
mod dialects;
mod endpoint;
mod hostile;
mod image;
mod ironcore;
mod login;
mod machines;
mod media;
mod object;
mod outage;
mod path;
mod report;
mod restart;
mod restored;
mod shared;
mod startup;
mod sushy;
mod switch;
