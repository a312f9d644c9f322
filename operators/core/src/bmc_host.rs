//! The host part of a BMC's address: an IP address, or a host name.

use std::{fmt, net::IpAddr, str::FromStr};

/// The host part of a BMC's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BmcHost {
    /// An IP address.
    Address(IpAddr),
    /// A host name, which is resolved for each connection.
    Name(BmcHostName),
}

/// A host name (RFC 1123, section 2.1), in lower case and without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BmcHostName(String);

/// Neither an IP address nor a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a host name")]
pub struct BmcHostError;

impl BmcHostName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BmcHost {
    /// The canonical form: an IPv4-mapped IPv6 address becomes the IPv4 address.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(address.to_canonical()),
            Self::Name(_) => self,
        }
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }

    /// The form in a URL or a `Host` header (RFC 3986, section 3.2.2): IPv6 in brackets.
    pub fn authority(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Address(IpAddr::V4(_)) | Self::Name(_) => self.to_string(),
        }
    }
}

impl From<IpAddr> for BmcHost {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for BmcHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BmcHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for BmcHostName {
    type Err = BmcHostError;

    fn from_str(text: &str) -> Result<Self, BmcHostError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Resolvers accept `0x7f.1` and `2130706433` as addresses, so the last label of a name has
        // to begin with a letter (RFC 1123, section 2.1; RFC 3696, section 2).
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_named = last.starts_with(|c: char| c.is_ascii_alphabetic());
        if name.len() > 253 || !is_named || !name.split('.').all(is_label) {
            return Err(BmcHostError);
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl FromStr for BmcHost {
    type Err = BmcHostError;

    fn from_str(text: &str) -> Result<Self, BmcHostError> {
        text.parse().map(Self::Address).or_else(|_| text.parse().map(Self::Name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name_and_nothing_else() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("BMC-Node-01.Example.COM", "bmc-node-01.example.com"),
            ("bmc-1.", "bmc-1"),
            ("1.bmc", "1.bmc"),
        ] {
            assert_eq!(text.parse::<BmcHost>().unwrap().to_string(), expected);
        }
        let long = "a".repeat(64);
        let longer = vec!["a".repeat(60); 5].join(".");
        for wrong in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a/b",
            "user@a",
            "a:443",
            "[::1]",
            "0x7f.1",
            "127.1",
            "2130706433",
            "a.1",
            "a_b",
            "bücher",
            "a%00",
            &long,
            &longer,
        ] {
            assert_eq!(wrong.parse::<BmcHost>(), Err(BmcHostError), "{wrong}");
        }
    }

    #[test]
    fn an_address_of_version_6_is_in_brackets_where_a_port_may_follow() {
        let authority = |text: &str| text.parse::<BmcHost>().unwrap().authority();
        assert_eq!(authority("2001:db8::1"), "[2001:db8::1]");
        assert_eq!(authority("192.0.2.1"), "192.0.2.1");
        assert_eq!(authority("bmc.example"), "bmc.example");
    }
}
