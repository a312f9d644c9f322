//! The key of a node, and the request for its certificate (PKCS #10, RFC 2986), as kubelets write it.

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};
use std::fmt::{self, Write};

/// The only organization of nodes.
const ORGANIZATION: &str = "system:nodes";

/// A key that was made on this machine and never leaves it.
pub(crate) struct Key(pub(crate) KeyPair);

impl Key {
    /// A new one, on P-256.
    pub(crate) fn generate() -> Result<Self, rcgen::Error> {
        KeyPair::generate().map(Self)
    }

    /// In PEM.
    pub(crate) fn to_pem(&self) -> String {
        pem("PRIVATE KEY", &self.0.serialize_der())
    }

    /// The name of its request: the same for the same key, so that only one request is created.
    pub(crate) fn request_name(&self) -> String {
        let hash = digest(&SHA256, &self.0.subject_public_key_info());
        hash.as_ref().iter().take(16).fold("metal-agent-".to_owned(), |mut name, octet| {
            write!(name, "{octet:02x}").ok(); // Writing to a string does not fail.
            name
        })
    }

    /// A request for the certificate of this node, in PEM.
    pub(crate) fn request(&self, node: &str) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
        params.distinguished_name.push(DnType::CommonName, common_name(node));
        let request = params.serialize_request(&self.0)?;
        Ok(pem("CERTIFICATE REQUEST", request.der()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// `CN` of a node's certificate.
pub(crate) fn common_name(node: &str) -> String {
    format!("system:node:{node}")
}

/// A block of PEM (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, letter) in STANDARD.encode(der).char_indices() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + "\n-----END " + label + "-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_its_key() {
        let [one, other] = [Key::generate().unwrap(), Key::generate().unwrap()];
        assert_eq!(one.request_name(), one.request_name());
        assert_ne!(one.request_name(), other.request_name());
        assert_eq!(one.request_name().len(), "metal-agent-".len() + 32);
    }

    #[test]
    fn lines_of_pem_have_64_letters() {
        for len in [1, 47, 48, 49, 96, 100] {
            let text = pem("X", &vec![7; len]);
            let lines: Vec<_> = text.lines().collect();
            let [first, body @ .., last] = &lines[..] else { panic!("{text}") };
            assert_eq!([*first, *last], ["-----BEGIN X-----", "-----END X-----"]);
            assert_eq!(STANDARD.decode(body.concat()).unwrap(), vec![7; len]);
            assert!(body.iter().all(|line| (1..=64).contains(&line.len())), "{text}");
        }
        assert!(!format!("{:?}", Key::generate().unwrap()).contains("BEGIN"));
    }
}
