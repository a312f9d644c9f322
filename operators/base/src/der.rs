//! The little of DER that it takes to find one value in a certificate, ignoring everything else in it.

/// Tag of an integer.
pub const INTEGER: u8 = 0x02;
/// Tag of a sequence.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a certificate's version number, which version 1 omits.
const VERSION: u8 = 0xa0;

/// The content of the first value, which must have this tag, and what follows the value.
pub fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match usize::from(first & 0x7f) {
        short if first & 0x80 == 0 => (short, rest),
        bytes @ 1..=3 => {
            let (length, rest) = rest.split_at_checked(bytes)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// What a certificate says after its issuer: validity, subject and public key (RFC 5280, section 4.1).
pub fn after_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // Serial number; algorithm and issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_nothing_after_its_issuer() {
        for garbage in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", &[0x30; 64]] {
            assert_eq!(after_issuer(garbage), None, "{garbage:?}");
        }
    }
}
