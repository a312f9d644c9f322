//! A `Host`: a machine that is known by its key.

pub mod decide;
mod key;
pub mod report;
pub mod signed;

pub use key::{InvalidKey, PublicKey};

#[cfg(test)]
mod tests;
