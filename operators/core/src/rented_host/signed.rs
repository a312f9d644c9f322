//! What a host signs: every request, with a number that the server has given out just before.
//!
//! So neither the clock of the host counts nor any secret that it could lose, and what was recorded
//! on its way is void minutes later.

use metal_base::hex;
use sha2::{Digest, Sha256};

/// Separates these signatures from anything else that is signed with the same key.
const DOMAIN: &str = "bloomery-hosts-v1";

/// What is signed: ECDSA with P-256 and SHA-256 over these bytes.
///
/// `target` is the path with the query, as it was sent; `host` is `NAMESPACE/NAME`, or empty for a
/// registration, whose host follows from its credential.
pub fn message(method: &str, target: &str, nonce: &str, host: &str, body: &[u8]) -> Vec<u8> {
    let digest = hex(&Sha256::digest(body));
    format!("{DOMAIN}\n{method}\n{target}\n{nonce}\n{host}\n{digest}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_request_is_signed() {
        let one = message("GET", "/api/hosts/self?wait=30", "n", "org/web-1", b"");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text =
            format!("bloomery-hosts-v1\nGET\n/api/hosts/self?wait=30\nn\norg/web-1\n{empty}\n");
        assert_eq!(String::from_utf8(one.clone()).unwrap(), text);
        let others = [
            message("POST", "/api/hosts/self?wait=30", "n", "org/web-1", b""),
            message("GET", "/api/hosts/self", "n", "org/web-1", b""),
            message("GET", "/api/hosts/self?wait=30", "m", "org/web-1", b""),
            message("GET", "/api/hosts/self?wait=30", "n", "org/web-2", b""),
            message("GET", "/api/hosts/self?wait=30", "n", "org/web-1", b" "),
        ];
        assert!(others.iter().all(|other| *other != one));
    }
}
