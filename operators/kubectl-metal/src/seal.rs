//! Configurations that only one host can decrypt, as a release has them.

use anyhow::{Context, Result};
use metal_api::{SealedConfiguration, Sealing};
use metal_core::rented_host::PublicKey;
use metal_rented::sealed;

/// Encrypts a configuration to the key of the host `NAMESPACE/NAME`.
///
/// # Errors
///
/// If there is no randomness, or the key is not a point of the curve.
pub(crate) fn seal(key: &PublicKey, host: &str, plain: &[u8]) -> Result<SealedConfiguration> {
    let ciphertext = sealed::seal(key, host, plain).with_context(|| host.to_owned())?;
    Ok(SealedConfiguration { algorithm: Sealing::P256HkdfSha256Aes256Gcm, ciphertext })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_names_the_algorithm_that_its_host_knows() {
        let algorithm = serde_json::to_value(Sealing::P256HkdfSha256Aes256Gcm).unwrap();
        assert_eq!(algorithm, sealed::ALGORITHM);
    }
}
