//! Identifies the client of a request, as far as possible.

pub(crate) use metal_runtime::listener::Peer;

use axum::http::HeaderMap;
use ipnet::IpNet;
use metal_runtime::listener;
use std::net::IpAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// More addresses than any machine has.
const MAX: usize = 64;

/// On whose authority something is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requester {
    /// The host at this address, if that is known.
    Host(Option<IpAddr>),
    /// A trusted proxy, on behalf of the machine with these addresses.
    Trusted(Vec<String>),
    /// A BMC with the URL of a medium, which is valid for one boot and a limited time.
    Medium,
}

impl Requester {
    /// The peer, or the client behind trusted proxies.
    pub(super) fn of(peer: Option<Peer>, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        Self::Host(listener::client(peer.map(|Peer(address)| address), headers, trusted))
    }

    /// The address under which requests are counted.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Host(address) => *address,
            Self::Trusted(_) | Self::Medium => None,
        }
    }
}

/// The addresses of the machine that a request is for: those given by a trusted proxy in the first
/// `X-Forwarded-For`, otherwise the peer's; and on whose authority.
pub(super) fn identifiers(
    peer: Option<Peer>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> (Requester, Vec<String>) {
    let peer = peer.map(|Peer(address)| address.ip().to_canonical());
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let named = headers.get(FORWARDED_FOR).filter(|_| peer.is_some_and(is_trusted));
    match named.and_then(|value| value.to_str().ok()) {
        Some(named) => {
            let named = named.split(',').map(str::trim).filter(|text| !text.is_empty());
            let named: Vec<_> = named.take(MAX).map(str::to_owned).collect();
            (Requester::Trusted(named.clone()), named)
        }
        None => (Requester::Host(peer), peer.map(|ip| ip.to_string()).into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn only_a_trusted_proxy_may_ask_for_somebody_else() {
        let forwarded = ["10.1.1.1, 02:00:00:00:00:01"];
        assert_eq!(ask("10.0.0.1", &forwarded), ["10.1.1.1", "02:00:00:00:00:01"]);
        assert_eq!(ask("::ffff:10.0.0.1", &forwarded), ["10.1.1.1", "02:00:00:00:00:01"]);
        assert_eq!(ask("192.0.2.1", &forwarded), ["192.0.2.1"]);
        assert_eq!(ask("10.0.0.1", &[]), ["10.0.0.1"]);
    }

    #[test]
    fn of_several_headers_the_first_counts() {
        assert_eq!(ask("10.0.0.1", &["10.1.1.1", "10.2.2.2"]), ["10.1.1.1"]);
    }

    #[test]
    fn a_header_without_end_names_no_more_than_any_machine_has() {
        let many = vec!["10.1.1.1"; 1000].join(",");
        assert_eq!(ask("10.0.0.1", &[&many]).len(), MAX);
        assert_eq!(ask("10.0.0.1", &[" , ,"]), [""; 0]);
    }

    #[test]
    fn what_is_asked_by_way_of_a_trusted_proxy_is_asked_by_the_host_behind_it() {
        let (peer, headers) = asked("10.0.0.1", &["198.51.100.9, 198.51.100.1"]);
        let asker = Requester::of(Some(peer), &headers, &trusted());
        assert_eq!(asker, Requester::Host("198.51.100.1".parse().ok()));
    }

    fn ask(peer: &str, forwarded: &[&str]) -> Vec<String> {
        let (peer, headers) = asked(peer, forwarded);
        identifiers(Some(peer), &headers, &trusted()).1
    }

    fn trusted() -> [IpNet; 1] {
        ["10.0.0.0/8".parse().unwrap()]
    }

    fn asked(peer: &str, forwarded: &[&str]) -> (Peer, HeaderMap) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        (Peer(SocketAddr::new(peer.parse().unwrap(), 1)), headers)
    }
}
