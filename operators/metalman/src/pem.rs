//! Certificates as PEM.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Converts concatenated DER certificates to PEM; `None` if there are none.
pub(crate) fn to_pem(all: &[Vec<u8>]) -> Option<String> {
    let mut pem = String::new();
    for der in all {
        pem += "-----BEGIN CERTIFICATE-----\n";
        for (at, letter) in STANDARD.encode(der).char_indices() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem += "\n-----END CERTIFICATE-----\n";
    }
    (!pem.is_empty()).then_some(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_written_in_lines_of_64() {
        assert_eq!(to_pem(&[]), None);
        let pem = to_pem(&[vec![0; 96], vec![0; 3]]).unwrap();
        let line = "A".repeat(64);
        let frame = |body: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        };
        assert_eq!(pem, frame(&format!("{line}\n{line}")) + &frame("AAAA"));
    }
}
