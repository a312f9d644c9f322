//! A `Host`: a machine that is known by its key.

mod key;
pub mod pass;
pub mod report;
pub mod signed;

pub use key::{InvalidKey, PublicKey};

#[cfg(test)]
mod tests;
