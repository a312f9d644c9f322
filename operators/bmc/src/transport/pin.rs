//! Which certificate a BMC has presented.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// The SHA-256 digest of a certificate, written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

/// The text is not a [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate pin must be `sha256:` followed by 64 hexadecimal digits")]
pub struct PinError;

impl Pin {
    /// The pin of a certificate.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let digits = text.strip_prefix("sha256:").ok_or(PinError)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(PinError);
        }
        let mut bytes = [0; 32];
        for (byte, index) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[index..index + 2], 16).map_err(|_| PinError)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_back_as_it_was_written() {
        let pin = Pin::of(&CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for wrong in ["", "sha256:", "sha256:12", &"a".repeat(71), &pin.to_string()[7..]] {
            assert_eq!(wrong.parse::<Pin>(), Err(PinError), "{wrong}");
        }
    }
}
