//! Which endorsement key.

use clap::ValueEnum;
use metal_attest::client::EkTemplate;

/// A type of endorsement keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EkType {
    /// RSA, 2,048 bits
    Rsa,
    /// ECC, P-256
    Ecc,
}

impl EkType {
    /// What it is created from.
    pub fn template(self) -> EkTemplate {
        match self {
            Self::Rsa => EkTemplate::Rsa2048,
            Self::Ecc => EkTemplate::P256,
        }
    }
}
