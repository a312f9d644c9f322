//! How near an address is to this host. Services that are very near may trust any client, so others
//! must not be able to make us connect to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How near an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// On the Internet.
    Public,
    /// In a private network.
    Private,
    /// On a link of this host, such as the metadata services of clouds.
    Link,
    /// This host.
    Host,
    /// Not a single host.
    Nowhere,
}

impl Nearness {
    /// How near an address is (the registries of IANA for special-purpose addresses).
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        if address.is_multicast() || address.is_broadcast() {
            return Self::Nowhere;
        }
        if a == 0 || address.is_loopback() {
            return Self::Host;
        }
        if address.is_link_local() {
            return Self::Link;
        }
        let is_shared = a == 100 && (64..128).contains(&b);
        let is_special = (a, b, c) == (192, 0, 0) || (a == 198 && (b == 18 || b == 19)) || a >= 240;
        if address.is_private() || is_shared || is_special { Self::Private } else { Self::Public }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let segments = address.segments();
        let v4 = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match segments {
            _ if address.is_multicast() => Self::Nowhere,
            _ if address.is_unicast_link_local() => Self::Link,
            // Unspecified, loopback, and the various embeddings of IPv4.
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => v4(high, low),
            [0x64, 0xff9b, 1, ..] => Self::Private,
            [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Self::Private,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_as_near_as_iana_says() {
        let near = |texts: &[&str], reach| {
            for text in texts {
                assert_eq!(Nearness::of(text.parse().unwrap()), reach, "{text}");
            }
        };
        let host = ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];
        near(&host, Nearness::Host);
        near(&["64:ff9b::7f00:1", "2002:7f00:1::"], Nearness::Host);
        let link = ["169.254.169.254", "fe80::1", "::ffff:169.254.1.1", "2002:a9fe:a9fe::"];
        near(&link, Nearness::Link);
        near(&["224.0.0.1", "255.255.255.255", "ff02::1"], Nearness::Nowhere);
        let private = ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fec0::1"];
        near(&private, Nearness::Private);
        near(&["::ffff:10.0.0.1", "198.18.0.1", "240.0.0.1"], Nearness::Private);
        let public = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888"];
        near(&public, Nearness::Public);
    }
}
