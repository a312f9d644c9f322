//! Machines that join a cluster by the network: what is told of them, and what they ask for.
//!
//! [`machine`] is the controller that says in the status of a `Machine` how far it is; only the
//! replica that leads runs it. [`http`] answers machines on every replica: [`attest`] gives a machine
//! the token with which it joins, if its TPM is the one that was seen first.

pub mod args;
pub mod attest;
mod authorities;
mod context;
mod error;
pub mod http;
pub mod machine;
mod metrics;
#[cfg(test)]
mod reference;
mod run;
mod tokens;
pub mod view;

pub use context::Context;
pub use error::Error;
pub use run::run;
