//! `MakeCredential` (TPM 2.0 Library, part 1, section 24; part 3, section 12.6) in software, from
//! the public keys alone.

use crate::{
    curve::{COORDINATE_LEN, POINT_LEN},
    endorsement::{EndorsementKey, Kind},
    kdf::{kdfa, kdfe},
    oaep,
};
use aes::Aes128;
use cfb_mode::{Encryptor, cipher::KeyIvInit};
use ring::{
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    hmac,
    rand::SecureRandom,
};

/// Length of a credential: that of an AES-256 key.
pub(crate) const CREDENTIAL_LEN: usize = 32;

/// The label of the seed.
pub(crate) const LABEL: &str = "IDENTITY";

/// Why nothing could be sealed: no randomness, or a failed computation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cryptography failed")]
pub struct SealError;

impl From<ring::error::Unspecified> for SealError {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

/// A credential, wrapped.
pub(crate) struct WrappedCredential {
    /// TPM2B_ID_OBJECT.
    pub(crate) blob: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    pub(crate) secret: Vec<u8>,
}

/// Wraps `credential` for the TPM that has both private keys, of which the second has this name.
pub(crate) fn make(
    ek: &EndorsementKey,
    name: &[u8],
    credential: &[u8; CREDENTIAL_LEN],
    random: &dyn SecureRandom,
) -> Result<WrappedCredential, SealError> {
    let (seed, secret) = seed(ek, random)?;
    let identity = encrypt(&kdfa(&seed, "STORAGE", name), &sized(credential));
    let integrity = integrity(&seed, &identity, name);
    let blob = [sized(&integrity), identity].concat();
    Ok(WrappedCredential { blob: sized(&blob), secret: sized(&secret) })
}

/// A random seed, and the seed encrypted for the TPM.
fn seed(ek: &EndorsementKey, random: &dyn SecureRandom) -> Result<([u8; 32], Vec<u8>), SealError> {
    match &ek.0 {
        Kind::Rsa(modulus) => {
            let (seed, pad) = (chance(random)?, chance(random)?);
            // The label includes its terminating zero (part 1, annex B.4).
            let label = [LABEL.as_bytes(), &[0]].concat();
            Ok((seed, oaep::encrypt(modulus, &label, &seed, &pad).to_vec()))
        }
        Kind::P256(point) => share(point, random),
    }
}

/// The seed by Diffie-Hellman with an ephemeral key (part 1, annex C.6.4).
fn share(
    theirs: &[u8; POINT_LEN],
    random: &dyn SecureRandom,
) -> Result<([u8; 32], Vec<u8>), SealError> {
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, random)?;
    let public = ours.compute_public_key()?;
    let (x, y) = public.as_ref()[1..].split_at(COORDINATE_LEN);
    let their_x = &theirs[1..=COORDINATE_LEN];
    let seed = agree_ephemeral(ours, &UnparsedPublicKey::new(&ECDH_P256, theirs), |shared| {
        kdfe(shared, LABEL, x, their_x)
    })?;
    Ok((seed, [sized(x), sized(y)].concat()))
}

/// AES-128-CFB; the initialization vector may be zero, as each key is used once.
fn encrypt(key: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    let mut text = plain.to_vec();
    Encryptor::<Aes128>::new(key.into(), &[0; 16].into()).encrypt(&mut text);
    text
}

/// The HMAC of the encrypted credential, and of the name of the key that it is bound to.
pub(crate) fn integrity(seed: &[u8; 32], identity: &[u8], name: &[u8]) -> [u8; 32] {
    let key: [u8; 32] = kdfa(seed, "INTEGRITY", &[]);
    let mut hmac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    hmac.update(identity);
    hmac.update(name);
    let mut out = [0; 32];
    out.copy_from_slice(hmac.sign().as_ref());
    out
}

/// Random octets.
pub(crate) fn chance<const LEN: usize>(random: &dyn SecureRandom) -> Result<[u8; LEN], SealError> {
    let mut octets = [0; LEN];
    random.fill(&mut octets)?;
    Ok(octets)
}

/// Prefixes the length, as in TPM2B structures. All inputs are short.
pub(crate) fn sized(octets: &[u8]) -> Vec<u8> {
    let len = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes()[..], octets].concat()
}
