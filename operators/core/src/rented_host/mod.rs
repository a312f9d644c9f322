//! A `Host`: a machine that is known by its key.

pub mod decide;
pub mod report;

pub use metal_rented::{InvalidKey, PublicKey};

#[cfg(test)]
mod tests;
