//! Whose lease it is: the same for both kinds of IP.

use metal_api::MacAddr;
use std::{fmt, str::FromStr};

/// Whose lease it is.
///
/// Firmware, boot loader and operating system of one machine send different client identifiers,
/// but have one MAC address, and the machine is to keep its IP address. So the identifier counts
/// only where there is no MAC address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// A host on an Ethernet.
    Mac(MacAddr),
    /// Option 61 of something else.
    Id(Box<[u8]>),
}

/// The address, if it is one that an interface has: not all zeros, and not all ones, with which a
/// blank EEPROM is read, also where the bit of groups was taken out.
pub(crate) fn usable(mac: [u8; 6]) -> Option<MacAddr> {
    // What boards with an empty EEPROM share.
    const SHARED: [u8; 6] = *b"3PoE00";
    let [_, rest @ ..] = mac;
    // Some are given addresses of groups: metal-operator's own documents have BMCs at 23:11:8a.
    let is_one = mac != SHARED && mac != [0; 6] && rest != [0xff; 5];
    is_one.then_some(MacAddr(mac))
}

impl Client {
    /// The MAC address, if that is what it is known by.
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

/// The text is not what [`Client`] displays.
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
