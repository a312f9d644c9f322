//! Sizes in bytes, as flags have them.

/// Not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a size; use a number of bytes, or a number with the suffix Ki, Mi, Gi or Ti, such as \
     10Gi"
)]
pub struct InvalidSize;

/// Parses a size in Kubernetes' notation, without fractions.
///
/// # Errors
///
/// If it is none, or 0.
pub fn size(text: &str) -> Result<u64, InvalidSize> {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40)];
    let split = units.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let (number, bits) = split.unwrap_or((text, 0));
    let number: u64 = number.parse().map_err(|_| InvalidSize)?;
    number.checked_mul(1 << bits).filter(|size| *size > 0).ok_or(InvalidSize)
}
