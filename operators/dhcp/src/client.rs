//! The owner of a lease, the same for IPv4 and IPv6.

use metal_api::MacAddr;
use std::{fmt, str::FromStr};

/// The owner of a lease.
///
/// Firmware, boot loader and operating system of one machine send different client identifiers, but
/// have one MAC address, and the machine should keep its IP address. So the identifier counts only
/// if there is no MAC address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// A host on an Ethernet.
    Mac(MacAddr),
    /// The value of option 61 of anything else.
    Id(Box<[u8]>),
}

/// The address, if an interface can have it. Excluded are all zeros, and all ones, as read from a
/// blank EEPROM, even with the group bit cleared.
pub(crate) fn usable(mac: [u8; 6]) -> Option<MacAddr> {
    // Shared by boards with an empty EEPROM.
    const SHARED: [u8; 6] = *b"3PoE00";
    let [_, rest @ ..] = mac;
    // Group addresses are allowed, as some BMCs have them: metal-operator's documentation shows
    // BMCs with 23:11:8a.
    let is_one = mac != SHARED && mac != [0; 6] && rest != [0xff; 5];
    is_one.then_some(MacAddr(mac))
}

impl Client {
    /// The MAC address, if the client is identified by one.
    pub fn mac(&self) -> Option<MacAddr> {
        match self {
            Self::Mac(mac) => Some(*mac),
            Self::Id(_) => None,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mac(MacAddr(octets)) => octets,
            Self::Id(id) => id,
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Id(id) => {
                f.write_str("id-")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// The text is not in the format in which [`Client`] is displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a DHCP client")]
pub struct ParseClientError;

impl FromStr for Client {
    type Err = ParseClientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(hex) = text.strip_prefix("id-") else {
            return text.parse().map(Self::Mac).map_err(|_| ParseClientError);
        };
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        let id: Option<Box<[u8]>> = pairs.iter().map(|pair| byte(pair)).collect();
        id.filter(|_| rest.is_empty()).map(Self::Id).ok_or(ParseClientError)
    }
}
