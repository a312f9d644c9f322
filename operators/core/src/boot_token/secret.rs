//! The secret in the URL of a token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use metal_base::hex;
use sha2::{Digest, Sha256};

/// Prefix of every secret, so that it is recognized where it does not belong.
pub const PREFIX: &str = "metal_ipxe_";

/// Random bytes in a secret.
pub const BYTES: usize = 32;

/// The longest name of a namespace, in bytes (RFC 1123, section 2.1).
const NAMESPACE: usize = 63;

/// The text of a secret with these bytes, `metal_ipxe_NAMESPACE.RANDOM`: letters, digits, `-`, `_`
/// and a point.
pub fn text(namespace: &str, random: &[u8; BYTES]) -> String {
    format!("{PREFIX}{namespace}.{}", URL_SAFE_NO_PAD.encode(random))
}

/// Where to find the token of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLocation<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The hash of the whole text, as it stands in `spec.tokenSHA256`.
    pub hash: String,
}

/// Where the token of a secret is; `None` for a text that is no secret.
///
/// The secret says in which namespace it counts: whoever can read a hash in one could otherwise
/// make a token with it in another, and have the URL open that.
///
/// A token is looked up by its hash, so how long that takes says nothing about any part of a secret
/// that exists.
pub fn place(text: &str) -> Option<TokenLocation<'_>> {
    let (namespace, encoded) = text.strip_prefix(PREFIX)?.split_once('.')?;
    let is_fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let is_name = (1..=NAMESPACE).contains(&namespace.len()) && namespace.bytes().all(is_fine);
    let encoded = Some(encoded).filter(|it| is_name && it.len() == BYTES.div_ceil(3) * 4 - 1)?;
    URL_SAFE_NO_PAD.decode(encoded).ok().filter(|bytes| bytes.len() == BYTES)?;
    Some(TokenLocation { namespace, hash: hex(&Sha256::digest(text.as_bytes())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_form_and_its_hash_is_that_of_its_text() {
        let secret = text("org", &[7; BYTES]);
        assert_eq!(secret.len(), PREFIX.len() + 4 + 43);
        let place = place(&secret).unwrap();
        assert_eq!((place.namespace, place.hash.len()), ("org", 64));
        assert_ne!(super::place(&text("org", &[8; BYTES])).unwrap().hash, place.hash);
        let (long, other) = (format!("{secret}A"), format!("kh_ipxe_{}", &secret[PREFIX.len()..]));
        let bare = secret.replace("org.", "");
        let nowhere = secret.replace("org.", ".");
        let upper = secret.replace("org.", "Org.");
        let (head, tail) = (&secret[1..], &secret[..secret.len() - 1]);
        for none in ["", PREFIX, head, tail, &long, &other, &bare, &nowhere, &upper] {
            assert_eq!(super::place(none), None, "{none}");
        }
        // The last character has two bits that belong to no byte.
        let loose = format!("{}d", &secret[..secret.len() - 1]);
        assert_eq!(super::place(&loose), None);
    }

    #[test]
    fn the_hash_of_a_secret_is_another_in_each_namespace() {
        let (one, other) = (text("a", &[7; BYTES]), text("b", &[7; BYTES]));
        let (one, other) = (place(&one).unwrap(), place(&other).unwrap());
        assert_eq!((one.namespace, other.namespace), ("a", "b"));
        assert_ne!(one.hash, other.hash);
    }
}
