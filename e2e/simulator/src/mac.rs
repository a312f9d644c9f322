//! The MAC addresses of a fleet.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A MAC address, and what is derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Link-local address (RFC 4291, appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let mut address = [0; 16];
        address[..2].copy_from_slice(&[0xfe, 0x80]);
        address[8..11].copy_from_slice(&self.0[..3]);
        address[11..13].copy_from_slice(&[0xff, 0xfe]);
        address[13..].copy_from_slice(&self.0[3..]);
        address[8] ^= 2;
        Ipv6Addr::from(address)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl serde::Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The first one to three bytes of a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacPrefix {
    bytes: [u8; 3],
    len: usize,
}

impl MacPrefix {
    /// The prefix, filled up with the low bytes of `number`: different numbers give different
    /// addresses up to 2^24.
    pub fn with(self, number: u32) -> Mac {
        let [a, b, c, d] = number.to_be_bytes();
        let mut mac = [0, 0, a, b, c, d];
        mac[..self.len].copy_from_slice(&self.bytes[..self.len]);
        Mac(mac)
    }
}

impl Default for MacPrefix {
    fn default() -> Self {
        Self { bytes: [0x23, 0x11, 0x8a], len: 3 }
    }
}

/// Not one to three bytes in hexadecimal.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("MAC prefix must be one to three bytes like 23:11:8a")]
pub struct MacPrefixError;

impl FromStr for MacPrefix {
    type Err = MacPrefixError;

    fn from_str(text: &str) -> Result<Self, MacPrefixError> {
        let mut prefix = Self { bytes: [0; 3], len: 0 };
        for part in text.split(':') {
            let slot = prefix.bytes.get_mut(prefix.len).ok_or(MacPrefixError)?;
            if part.len() != 2 {
                return Err(MacPrefixError);
            }
            *slot = u8::from_str_radix(part, 16).map_err(|_| MacPrefixError)?;
            prefix.len += 1;
        }
        Ok(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_kept_and_numbers_fill_the_rest() {
        let cases = [
            ("23:11:8a", 0x0102_0304, "23:11:8a:02:03:04"),
            ("23", 1, "23:00:00:00:00:01"),
            ("AA:bb", 0x0000_0100, "aa:bb:00:00:01:00"),
        ];
        for (prefix, number, mac) in cases {
            assert_eq!(prefix.parse::<MacPrefix>().unwrap().with(number).to_string(), mac);
        }
    }

    #[test]
    fn a_link_local_address_follows_from_a_mac() {
        let address = Mac([0x0e, 0, 0, 1, 2, 3]).link_local();
        assert_eq!(address.to_string(), "fe80::c00:ff:fe01:203");
    }

    #[test]
    fn a_malformed_prefix_is_refused() {
        for text in ["", "2", "23:", "23:11:8a:01", "zz", "231"] {
            assert_eq!(text.parse::<MacPrefix>(), Err(MacPrefixError), "{text}");
        }
    }
}
