//! Configurations that only one host can decrypt: docs/hosts.md has every byte.

use anyhow::{Result, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use metal_api::{SealedConfiguration, Sealing};
use metal_core::rented_host::PublicKey;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::SystemRandom,
};

/// Separates this use of a key from any other.
const INFO: &[u8] = b"bloomery-sealed-v1";
/// Bytes of a key of AES-256.
const KEY: usize = 32;

/// Key and nonce.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        KEY + NONCE_LEN
    }
}

/// Encrypts a configuration to the key of the host `NAMESPACE/NAME`.
///
/// # Errors
///
/// If there is no randomness, or the key is not a point of the curve.
pub(crate) fn seal(key: &PublicKey, host: &str, plain: &[u8]) -> Result<SealedConfiguration> {
    let unusable = |_| anyhow!("the key of {host} cannot be used, or there is no randomness");
    let ephemeral = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
    let ephemeral = ephemeral.map_err(unusable)?;
    let public = ephemeral.compute_public_key().map_err(unusable)?;
    let salt = [public.as_ref(), key.point()].concat();
    let peer = UnparsedPublicKey::new(&ECDH_P256, key.point());
    let derived = agree_ephemeral(ephemeral, &peer, |secret| derive(&salt, secret));
    let derived = derived.map_err(unusable)?.map_err(unusable)?;
    let (aes, nonce) = derived.split_at(KEY);
    let aes = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, aes).map_err(unusable)?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(unusable)?;
    let mut text = plain.to_vec();
    aes.seal_in_place_append_tag(nonce, Aad::from(host), &mut text).map_err(unusable)?;
    Ok(SealedConfiguration {
        algorithm: Sealing::P256HkdfSha256Aes256Gcm,
        ciphertext: STANDARD.encode([public.as_ref(), &text].concat()),
    })
}

fn derive(salt: &[u8], secret: &[u8]) -> Result<[u8; KEY + NONCE_LEN], ring::error::Unspecified> {
    let mut derived = [0; KEY + NONCE_LEN];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    extracted.expand(&[INFO], Derived)?.fill(&mut derived)?;
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::{
        PublicKey as Point, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint,
    };

    #[test]
    fn what_is_sealed_for_a_host_opens_with_its_key_and_for_no_other_host() {
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        let point = secret.public_key().to_encoded_point(false);
        let key = public_key(point.as_bytes());
        let sealed = seal(&key, "org/web-1", b"{\"a\":1}").unwrap();
        let sealed = STANDARD.decode(sealed.ciphertext).unwrap();
        assert_eq!(open(&secret, "org/web-1", &sealed).unwrap(), b"{\"a\":1}");
        assert!(open(&secret, "org/web-2", &sealed).is_none());
        let mut altered = sealed.clone();
        altered[70] ^= 1;
        assert!(open(&secret, "org/web-1", &altered).is_none());
        let other = SecretKey::from_slice(&[8; 32]).unwrap();
        assert!(open(&other, "org/web-1", &sealed).is_none());
        // Each time another one.
        let again = STANDARD.decode(seal(&key, "org/web-1", b"").unwrap().ciphertext).unwrap();
        assert_ne!(again[..65], sealed[..65]);
        assert!(seal(&public_key(&[4; 65]), "org/web-1", b"").is_err(), "no point of the curve");
    }

    /// What the host does.
    fn open(secret: &SecretKey, host: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (ephemeral, text) = sealed.split_at(65);
        let peer = Point::from_sec1_bytes(ephemeral).ok()?;
        let shared = diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
        let ours = secret.public_key().to_encoded_point(false);
        let salt = [ephemeral, ours.as_bytes()].concat();
        let derived = derive(&salt, shared.raw_secret_bytes()).ok()?;
        let (aes, nonce) = derived.split_at(KEY);
        let aes = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, aes).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = aes.open_in_place(nonce, Aad::from(host), &mut text).ok()?;
        Some(plain.to_vec())
    }

    fn public_key(point: &[u8]) -> PublicKey {
        let head = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE").unwrap();
        let der = STANDARD.encode([&head, &point[1..]].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
        PublicKey::parse(&pem).unwrap()
    }
}
