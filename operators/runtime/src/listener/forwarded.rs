//! The address of a client behind trusted proxies.

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection, or the client behind trusted proxies: the last address in
/// `X-Forwarded-For` that is not a trusted proxy. What comes before that is what anybody likes. If that
/// entry is not an address, the client is unknown.
pub fn client(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.map(|peer| peer.ip().to_canonical());
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    if !peer.is_some_and(is_trusted) {
        return peer;
    }
    // As bytes: what the client writes into its part must not hide what a proxy appends to it.
    let values = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    let named = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let named: Vec<Option<IpAddr>> = named.filter(|it| !it.is_empty()).map(address).collect();
    let host = named.iter().rev().find(|host| !host.is_some_and(is_trusted));
    host.or(named.first()).copied().unwrap_or(peer)
}

/// An address as proxies write it, some of them with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_behind_a_proxy_that_is_trusted_asks_from_its_own_address() {
        let flood = vec!["198.51.100.9"; 1000].join(",");
        let flood = [flood.as_str(), "198.51.100.1"];
        let cases: [(&str, &[&str], &str); 12] = [
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // The client itself claimed another address; proxies append theirs.
            ("10.0.0.1", &["198.51.100.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.9", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["10.1.1.1, 10.0.0.2"], "10.1.1.1"),
            ("10.0.0.1", &["198.51.100.9, 198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.9, [2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &flood, "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.9, unknown"], "nobody"),
        ];
        for (peer, forwarded, host) in cases {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let peer = SocketAddr::new(peer.parse().unwrap(), 1);
            let asks = client(Some(peer), &headers, &["10.0.0.0/8".parse().unwrap()]);
            assert_eq!(asks, host.parse().ok(), "{forwarded:?}");
        }
    }

    #[test]
    fn no_byte_of_a_client_hides_what_a_proxy_says_about_it() {
        let asks = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
            }
            client(Some(([10, 0, 0, 1], 1).into()), &headers, &["10.0.0.0/8".parse().unwrap()])
        };
        let host = Some([198, 51, 100, 1].into());
        assert_eq!(asks(&[b"\x80\xff, 198.51.100.1"]), host);
        assert_eq!(asks(&[b"\x80", b"198.51.100.1"]), host);
        assert_eq!(asks(&[b"198.51.100.9\xe9"]), None, "it is not the proxy");
        assert_eq!(asks(&["198.51.100.9, caf\u{e9}".as_bytes()]), None);
    }
}
