//! Signatures of a host: each covers a request and a number that the server has given out just before.
//!
//! So the clock of the host does not matter, it needs no secret besides its key, and a recorded request is worthless
//! minutes later.

use metal_base::hex;
use sha2::{Digest, Sha256};

/// Separates these signatures from all others with the same key.
const DOMAIN: &str = "bloomery-hosts-v1";

/// Header with the number that is signed.
pub const NONCE: &str = "bloomery-nonce";
/// Header with the signature, in base64.
pub const SIGNATURE: &str = "bloomery-signature";
/// Header with `NAMESPACE/NAME` of the Host that asks; empty for a registration.
pub const HOST: &str = "bloomery-host";

/// Paths of the server.
pub mod path {
    /// Gives a number to sign.
    pub const NONCE: &str = "/api/hosts/nonce";
    /// Gives a proof that only one TPM can decrypt.
    pub const ATTEST: &str = "/api/hosts/attest";
    /// Makes a machine a Host.
    pub const REGISTER: &str = "/api/hosts/register";
    /// Gives the release that the Host is to run.
    pub const RELEASE: &str = "/api/hosts/self";
    /// Takes the reports of the Host.
    pub const STATUS: &str = "/api/hosts/self/status";
}

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// In capital letters, as in HTTP.
    pub method: &'a str,
    /// The path with the query, as it was sent.
    pub target: &'a str,
    /// The number that the server has given out.
    pub nonce: &'a str,
    /// `NAMESPACE/NAME`, or empty for a registration, whose host follows from its credential.
    pub host: &'a str,
    /// All of it.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The bytes that are signed, by ECDSA with P-256 and SHA-256.
    pub fn message(&self) -> Vec<u8> {
        let Self { method, target, nonce, host, body } = self;
        let digest = hex(&Sha256::digest(body));
        format!("{DOMAIN}\n{method}\n{target}\n{nonce}\n{host}\n{digest}\n").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_request_is_signed() {
        let (target, nonce, host) = ("/api/hosts/self?wait=30", "n", "org/web-1");
        let signed = Signed { method: "GET", target, nonce, host, body: b"" };
        let one = signed.message();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text =
            format!("bloomery-hosts-v1\nGET\n/api/hosts/self?wait=30\nn\norg/web-1\n{empty}\n");
        assert_eq!(String::from_utf8(one.clone()).unwrap(), text);
        let others = [
            Signed { method: "POST", ..signed },
            Signed { target: "/api/hosts/self", ..signed },
            Signed { nonce: "m", ..signed },
            Signed { host: "org/web-2", ..signed },
            Signed { body: b" ", ..signed },
        ];
        assert!(others.iter().all(|other| other.message() != one));
    }
}
