//! RSAES-OAEP with SHA-256 (RFC 8017, section 7.1): encryption only, for 2,048-bit keys with the
//! exponent 65537. *ring* has no RSA encryption, and the `rsa` crate has an open advisory
//! (RUSTSEC-2023-0071) about its private-key operations.

use crypto_bigint::{
    Encoding, U2048,
    modular::runtime_mod::{DynResidue, DynResidueParams},
};
use ring::digest::{Context, SHA256, digest};

/// Length of the modulus and of the ciphertext, in octets.
pub(crate) const MODULUS_LEN: usize = 256;

/// Length of a SHA-256 digest, in octets.
const HASH_LEN: usize = 32;
/// Length of the data block, which ends with the message.
const BLOCK_LEN: usize = MODULUS_LEN - HASH_LEN - 1;

/// Whether a number can be the modulus of a 2,048-bit key: it has that many bits, and is odd.
pub(crate) fn is_modulus(modulus: &[u8; MODULUS_LEN]) -> bool {
    modulus[0] & 0x80 != 0 && modulus[MODULUS_LEN - 1] & 1 == 1
}

/// Encrypts; `seed` is 32 random octets, used once.
pub(crate) fn encrypt(
    modulus: &[u8; MODULUS_LEN],
    label: &[u8],
    message: &[u8; HASH_LEN],
    seed: &[u8; HASH_LEN],
) -> [u8; MODULUS_LEN] {
    let mut encoded = [0; MODULUS_LEN];
    let (masked_seed, block) = encoded[1..].split_at_mut(HASH_LEN);
    block[..HASH_LEN].copy_from_slice(digest(&SHA256, label).as_ref());
    block[BLOCK_LEN - HASH_LEN - 1] = 1;
    block[BLOCK_LEN - HASH_LEN..].copy_from_slice(message);
    mask(block, seed);
    masked_seed.copy_from_slice(seed);
    mask(masked_seed, block);
    power(modulus, &encoded, 65537)
}

/// Applies the MGF1 mask of `seed` (RFC 8017, annex B.2.1) to `target`.
pub(crate) fn mask(target: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(target.chunks_mut(HASH_LEN)) {
        let mut hash = Context::new(&SHA256);
        hash.update(seed);
        hash.update(&counter.to_be_bytes());
        chunk.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to ^= from);
    }
}

/// `base` to the power of `exponent`. The run time depends on the exponent, which is public.
fn power(
    modulus: &[u8; MODULUS_LEN],
    base: &[u8; MODULUS_LEN],
    exponent: u32,
) -> [u8; MODULUS_LEN] {
    let params = DynResidueParams::new(&U2048::from_be_bytes(*modulus));
    let base = DynResidue::new(&U2048::from_be_bytes(*base), params);
    base.pow_bounded_exp(&U2048::from(exponent), 17).retrieve().to_be_bytes()
}
