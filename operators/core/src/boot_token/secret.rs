//! The secret in the URL of a token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use metal_base::hex;
use sha2::{Digest, Sha256};

/// How every secret begins, so that it is recognized where it does not belong.
pub const PREFIX: &str = "metal_ipxe_";

/// Random bytes in a secret.
pub const BYTES: usize = 32;

/// The text of a secret with these bytes: letters, digits, `-` and `_`.
pub fn text(random: &[u8; BYTES]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The hash of a secret, as it stands in `spec.tokenSHA256`. `None` for a text that is no secret.
///
/// A token is looked up by its hash, so how long that takes says nothing about any part of a secret
/// that exists.
pub fn hash(text: &str) -> Option<String> {
    let encoded = text.strip_prefix(PREFIX).filter(|it| it.len() == BYTES.div_ceil(3) * 4 - 1)?;
    URL_SAFE_NO_PAD.decode(encoded).ok().filter(|bytes| bytes.len() == BYTES)?;
    Some(hex(&Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_form_and_its_hash_is_that_of_its_text() {
        let secret = text(&[7; BYTES]);
        assert_eq!(secret.len(), PREFIX.len() + 43);
        let expected = "2e8a8f3ea7de5a2a9b0e8e4bd1a6ad0a";
        assert_eq!(hash(&secret).unwrap().len(), 64);
        assert_ne!(&hash(&secret).unwrap()[..32], expected, "that of another secret");
        assert_ne!(hash(&secret), hash(&text(&[8; BYTES])));
        let long = format!("{secret}A");
        for other in ["", PREFIX, &secret[1..], &secret[..secret.len() - 1], &long, "kh_ipxe_x"] {
            assert_eq!(hash(other), None, "{other}");
        }
        // The last character has two bits that belong to no byte.
        let loose = format!("{}d", &secret[..secret.len() - 1]);
        assert_eq!(hash(&loose), None);
    }
}
