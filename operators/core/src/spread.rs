//! Spreads what is due for many at once over time.

use jiff::SignedDuration;

/// The time over which the first readings are spread after a start, of what nothing is to be done with.
pub(crate) const SPREAD: SignedDuration = SignedDuration::from_secs(10);

/// A fraction of `time` that is always the same for a name.
pub(crate) fn share(name: &str, time: SignedDuration) -> SignedDuration {
    let hash = name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
    let part = i32::try_from(hash % 1000).unwrap_or_default();
    time * part / 1000
}
