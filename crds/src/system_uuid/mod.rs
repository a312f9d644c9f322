mod placeholder;

use placeholder::{is_placeholder, swapped};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A system UUID that identifies a machine (SMBIOS 3.7, section 7.2.1). Parses every notation of a
/// UUID, in either case; always prints lower case with hyphens.
///
/// A UUID that many boards are shipped with is not accepted. The first three fields occur in either
/// byte order: the value keeps the order in which it was read, and a lookup tries
/// [both](Self::byte_orders).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SystemUuid(Uuid);

/// Why a text is not a system UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSystemUuidError {
    /// It is not a UUID.
    #[error("not a UUID")]
    Malformed,
    /// Many boards are shipped with it.
    #[error("UUID {0} is not unique (a default value that many boards ship with)")]
    Placeholder(Uuid),
}

impl SystemUuid {
    /// From 16 octets in the order of the text (RFC 9562, section 4). `None` for a UUID that many
    /// boards are shipped with.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        identifying(Uuid::from_bytes(bytes)).ok()
    }

    /// The same, from octets in SMBIOS order, whose first three fields are little-endian.
    pub fn from_smbios(bytes: [u8; 16]) -> Option<Self> {
        identifying(Uuid::from_bytes_le(bytes)).ok()
    }

    /// Its octets in SMBIOS order, as in DHCP option 97 (RFC 4578, section 2.3).
    pub fn to_smbios(self) -> [u8; 16] {
        self.0.to_bytes_le()
    }

    /// The UUID in both byte orders, because firmware before SMBIOS 2.6 and some BMCs swap them:
    /// first as it was read, then the other, if it differs.
    pub fn byte_orders(self) -> impl Iterator<Item = Self> {
        let other = Self(swapped(self.0));
        [Some(self), Some(other).filter(|other| *other != self)].into_iter().flatten()
    }

    /// The same for both byte orders: the lesser of the two.
    #[must_use]
    pub fn canonical(self) -> Self {
        self.byte_orders().min().unwrap_or(self)
    }

    /// Whether two UUIDs are the same, in either byte order.
    pub fn is_same(self, other: Self) -> bool {
        self.byte_orders().any(|one| one == other)
    }
}

fn identifying(uuid: Uuid) -> Result<SystemUuid, ParseSystemUuidError> {
    if is_placeholder(uuid) {
        Err(ParseSystemUuidError::Placeholder(uuid))
    } else {
        Ok(SystemUuid(uuid))
    }
}

impl FromStr for SystemUuid {
    type Err = ParseSystemUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map_err(|_| ParseSystemUuidError::Malformed).and_then(identifying)
    }
}

impl fmt::Display for SystemUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "38947555-7742-3448-3784-82334782383a";
    const SWAPPED: &str = "55759438-4277-4834-3784-82334782383a";

    #[test]
    fn a_uuid_is_one_in_any_notation_and_in_either_byte_order() {
        let uuid: SystemUuid = TEXT.parse().unwrap();
        for text in [
            TEXT.to_owned(),
            TEXT.to_uppercase(),
            TEXT.replace('-', ""),
            format!(" {{{TEXT}}} "),
            format!("urn:uuid:{TEXT}"),
        ] {
            assert_eq!(text.parse(), Ok(uuid), "{text}");
        }
        let other: SystemUuid = SWAPPED.replace('-', "").parse().unwrap();
        assert!(other != uuid && uuid.is_same(other) && other.is_same(uuid) && uuid.is_same(uuid));
        assert_eq!(uuid.byte_orders().collect::<Vec<_>>(), [uuid, other]);
        assert_eq!(other.byte_orders().collect::<Vec<_>>(), [other, uuid]);
        assert_eq!((uuid.to_string(), other.to_string()), (TEXT.to_owned(), SWAPPED.to_owned()));
        let one = "38947555-7742-3448-3784-82334782383b".parse().unwrap();
        assert!(!uuid.is_same(one) && !other.is_same(one));
    }

    #[test]
    fn a_uuid_that_is_the_same_in_both_byte_orders_is_looked_up_once() {
        let uuid: SystemUuid = "ac1f1fac-6b6b-0a0a-8001-1b2c3d4e5f60".parse().unwrap();
        assert_eq!(uuid.byte_orders().collect::<Vec<_>>(), [uuid]);
    }

    #[test]
    fn what_is_no_uuid_or_that_of_many_boards_is_no_identity() {
        for text in ["", " ", "abcd", "../x", "38947555"] {
            assert_eq!(
                text.parse::<SystemUuid>(),
                Err(ParseSystemUuidError::Malformed),
                "{text:?}"
            );
        }
        let shipped = "03000200-0400-0500-0006-000700080009";
        let error = shipped.parse::<SystemUuid>().unwrap_err();
        assert_eq!(error, ParseSystemUuidError::Placeholder(shipped.parse().unwrap()));
        assert_eq!(SystemUuid::from_bytes([0; 16]), None);
        assert_eq!(SystemUuid::from_smbios([0xff; 16]), None);
    }

    #[test]
    fn octets_are_in_the_order_of_the_text_or_in_that_of_smbios() {
        let octets = TEXT.parse::<Uuid>().unwrap().into_bytes();
        assert_eq!(SystemUuid::from_bytes(octets), TEXT.parse().ok());
        let uuid = SystemUuid::from_smbios(octets).unwrap();
        assert_eq!((uuid.to_string(), uuid.to_smbios()), (SWAPPED.to_owned(), octets));
    }
}
