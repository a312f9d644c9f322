//! What a rented server and its server say to each other, in the one form that both sides use:
//! docs/hosts.md describes it for others.
//!
//! `key` is how a host is known, `signed` what it signs, and `sealed` a configuration that it alone can read.

mod key;
#[cfg(any(feature = "open", feature = "seal"))]
pub mod sealed;
pub mod signed;

pub use key::{InvalidKey, PublicKey};
