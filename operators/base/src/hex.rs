//! Octets as text.

use std::fmt::Write as _;

/// Lower-case hexadecimal digits, two for each octet.
pub fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        // Writing to a String does not fail.
        write!(text, "{octet:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_octet_has_two_lower_case_digits() {
        assert_eq!(hex(&[]), "");
        assert_eq!(hex(&[10, 255]), "0aff");
    }
}
