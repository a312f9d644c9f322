//! Certificate fingerprints in two notations: 32 pairs of hexadecimal digits separated by colons,
//! as in a Machine, and `sha256:` with 64 digits, as everywhere else here.

use metal_api::{Machine, annotation};

const PREFIX: &str = "sha256:";
const BYTES: usize = 32;

/// Converts to the notation of a Machine.
pub fn to_pairs(pin: &str) -> Option<String> {
    let digits = pin.strip_prefix(PREFIX)?;
    let is_whole = digits.len() == 2 * BYTES && digits.bytes().all(|it| it.is_ascii_hexdigit());
    is_whole.then(|| {
        let digits = digits.to_ascii_lowercase();
        let pairs = (0..BYTES).map(|at| &digits[2 * at..2 * at + 2]);
        pairs.collect::<Vec<_>>().join(":")
    })
}

/// Converts from the notation of a Machine, in lower or upper case.
pub fn from_pairs(pairs: &str) -> Option<String> {
    let pairs: Vec<_> = pairs.trim().split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|it| it.is_ascii_hexdigit());
    let is_whole = pairs.len() == BYTES && pairs.iter().all(is_pair);
    is_whole.then(|| format!("{PREFIX}{}", pairs.concat().to_ascii_lowercase()))
}

/// Whether a text is a certificate as an annotation accepts it.
pub(super) fn is_pairs(text: &str) -> bool {
    from_pairs(text).is_some()
}

/// The certificate that an annotation accepts, in the notation of a Machine.
pub(super) fn accepted(machine: &Machine) -> Option<String> {
    let annotations = machine.metadata.annotations.as_ref()?;
    to_pairs(&from_pairs(annotations.get(annotation::ACCEPT_CERTIFICATE)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_keeps_its_digits_in_either_form() {
        let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".to_owned();
        let pairs = to_pairs(&format!("sha256:{digits}")).unwrap();
        assert!(pairs.starts_with("00:01:02:") && pairs.ends_with(":1f"), "{pairs}");
        assert_eq!(from_pairs(&pairs.to_ascii_uppercase()), Some(format!("sha256:{digits}")));
        for wrong in
            ["", "00", &digits, &pairs[3..], &format!("{pairs}:00"), &pairs.replace('1', "g")]
        {
            assert_eq!(from_pairs(wrong), None, "{wrong}");
        }
        for wrong in ["", "sha256:", &digits, &format!("sha256:{}", "é".repeat(32))] {
            assert_eq!(to_pairs(wrong), None, "{wrong}");
        }
    }
}
