//! How a TPM derives keys, with SHA-256 as its hash.

use ring::{
    digest::{Context, SHA256},
    hmac,
};

/// KDFa, for at most 256 bits (TPM 2.0 Library, part 1, section 11.4.10.2; SP 800-108, counter mode).
pub(crate) fn kdfa<const LEN: usize>(key: &[u8], label: &str, context: &[u8]) -> [u8; LEN] {
    const { assert!(LEN <= 32, "one round of SHA-256") };
    let mut round = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    round.update(&1_u32.to_be_bytes());
    round.update(label.as_bytes());
    round.update(&[0]);
    round.update(context);
    round.update(&bits(LEN));
    prefix(round.sign().as_ref())
}

/// KDFe, for 256 bits (the same, section 11.4.10.3): from the x coordinates of the shared point, of
/// the ephemeral key, and of the recipient's key.
pub(crate) fn kdfe(shared: &[u8], label: &str, ephemeral: &[u8], key: &[u8]) -> [u8; 32] {
    let mut round = Context::new(&SHA256);
    round.update(&1_u32.to_be_bytes());
    round.update(shared);
    round.update(label.as_bytes());
    round.update(&[0]);
    round.update(ephemeral);
    round.update(key);
    prefix(round.finish().as_ref())
}

fn bits(len: usize) -> [u8; 4] {
    u32::try_from(len * 8).unwrap_or(u32::MAX).to_be_bytes()
}

/// The first octets of a hash.
fn prefix<const LEN: usize>(hash: &[u8]) -> [u8; LEN] {
    let mut out = [0; LEN];
    for (to, from) in out.iter_mut().zip(hash) {
        *to = *from;
    }
    out
}
