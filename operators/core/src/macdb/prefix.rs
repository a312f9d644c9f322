//! Prefixes of MAC addresses, of any number of digits.

use metal_api::MacAddr;
use std::{fmt, str::FromStr};

/// The first one to twelve hexadecimal digits of MAC addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacPrefix {
    /// The digits from bit 47 down; the other bits are zero.
    bits: u64,
    digits: u8,
}

/// Hexadecimal digits of a MAC address.
const MAC_DIGITS: u8 = 12;

/// The text is not a prefix of a MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePrefixError {
    /// There is no digit in it.
    #[error("is empty; use one to twelve hexadecimal digits")]
    Empty,
    /// There are more digits than an address has.
    #[error("has more than twelve hexadecimal digits")]
    TooLong,
    /// A character is neither a digit nor a separator.
    #[error("contains `{0}`; use hexadecimal digits, optionally separated by `:`, `-` or `.`")]
    NotHex(char),
}

impl MacPrefix {
    /// The first `digits` digits of `mac`; at most all of them.
    pub fn of(mac: MacAddr, digits: u8) -> Self {
        let digits = digits.min(MAC_DIGITS);
        let unused = 4 * u32::from(MAC_DIGITS - digits);
        Self { bits: to_bits(mac) >> unused << unused, digits }
    }

    /// The address, if the prefix has all its digits.
    pub fn whole(self) -> Option<MacAddr> {
        let [_, _, octets @ ..] = self.bits.to_be_bytes();
        (self.digits == MAC_DIGITS).then_some(MacAddr(octets))
    }

    /// Whether `mac` begins with this prefix.
    pub fn matches(self, mac: MacAddr) -> bool {
        Self::of(mac, self.digits) == self
    }

    /// How many hexadecimal digits it has.
    pub fn digits(self) -> u8 {
        self.digits
    }
}

fn to_bits(MacAddr(octets): MacAddr) -> u64 {
    octets.into_iter().fold(0, |bits, octet| bits << 8 | u64::from(octet))
}

impl FromStr for MacPrefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut bits, mut digits) = (0, 0);
        for c in text.trim().chars().filter(|c| !matches!(c, ':' | '-' | '.')) {
            let digit = c.to_digit(16).ok_or(ParsePrefixError::NotHex(c))?;
            if digits == MAC_DIGITS {
                return Err(ParsePrefixError::TooLong);
            }
            digits += 1;
            bits |= u64::from(digit) << (4 * (MAC_DIGITS - digits));
        }
        if digits == 0 {
            return Err(ParsePrefixError::Empty);
        }
        Ok(Self { bits, digits })
    }
}

impl fmt::Display for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unused = 4 * (MAC_DIGITS - self.digits);
        write!(f, "{:0width$x}", self.bits >> unused, width = usize::from(self.digits))
    }
}
