//! Identifies the client of a request, as far as possible.

pub(crate) use metal_runtime::listener::Peer;

use super::AppState;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use ipnet::IpNet;
use metal_runtime::listener;
use std::{convert::Infallible, net::IpAddr, sync::Arc};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The identifier of a client whose address a proxy does not tell (RFC 7239, section 6.2).
const UNKNOWN: &str = "unknown";
/// More addresses than any machine has.
const MAX: usize = 64;

/// On whose authority something is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requester {
    /// The host at this address, if that is known.
    Host(Option<IpAddr>),
    /// A DHCP server, on behalf of the machine with these addresses.
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

    /// All addresses of the machine that are known from the request.
    pub(super) fn addresses(&self) -> Vec<String> {
        match self {
            Self::Host(address) => address.iter().map(IpAddr::to_string).collect(),
            Self::Trusted(listed) => listed.clone(),
            Self::Medium => vec![],
        }
    }
}

impl FromRequestParts<Arc<AppState>> for Requester {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, Infallible> {
        let peer = parts.extensions.get().copied();
        Ok(Self::of(peer, &parts.headers, &state.trusted_proxies))
    }
}

/// The addresses of the machine that a request is for, and on whose authority: all those that a DHCP
/// server lists in the first `X-Forwarded-For`; otherwise that of the peer, or of the client behind
/// trusted proxies. A proxy appends to what its client has sent, so no other entry of it counts.
pub(super) fn identifiers(
    peer: Option<Peer>,
    headers: &HeaderMap,
    dhcp_servers: &[IpNet],
    trusted: &[IpNet],
) -> (Requester, Vec<String>) {
    let is_dhcp_server = |Peer(address): Peer| {
        let ip = address.ip().to_canonical();
        dhcp_servers.iter().any(|network| network.contains(&ip))
    };
    let listed = headers.get(FORWARDED_FOR).filter(|_| peer.is_some_and(is_dhcp_server));
    if let Some(listed) = listed {
        let listed = String::from_utf8_lossy(listed.as_bytes());
        let listed = listed.split(',').map(str::trim).filter(|text| !text.is_empty());
        let listed: Vec<_> = listed.take(MAX).map(str::to_owned).collect();
        return (Requester::Trusted(listed.clone()), listed);
    }
    let requester = Requester::of(peer, headers, trusted);
    let unknown = || UNKNOWN.to_owned();
    let client = requester.address().map_or_else(unknown, |ip| ip.to_string());
    (requester, vec![client])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn only_a_dhcp_server_may_ask_for_somebody_else() {
        let forwarded = ["10.1.1.1, 02:00:00:00:00:01"];
        assert_eq!(ask("172.16.0.1", &forwarded), ["10.1.1.1", "02:00:00:00:00:01"]);
        assert_eq!(ask("::ffff:172.16.0.1", &forwarded), ["10.1.1.1", "02:00:00:00:00:01"]);
        assert_eq!(ask("192.0.2.1", &forwarded), ["192.0.2.1"]);
        assert_eq!(ask("172.16.0.1", &[]), ["172.16.0.1"]);
    }

    #[test]
    fn what_a_client_sends_to_a_proxy_is_no_identifier_of_it() {
        for sent in ["198.51.100.9, 198.51.100.1", "02:00:00:00:00:01, 198.51.100.1"] {
            assert_eq!(ask("10.0.0.1", &[sent]), ["198.51.100.1"]);
        }
        assert_eq!(ask("10.0.0.1", &["198.51.100.9", "198.51.100.1"]), ["198.51.100.1"]);
        assert_eq!(ask("10.0.0.1", &["198.51.100.9, 02:00:00:00:00:01"]), [UNKNOWN]);
    }

    #[test]
    fn of_several_headers_the_first_counts() {
        assert_eq!(ask("172.16.0.1", &["10.1.1.1", "10.2.2.2"]), ["10.1.1.1"]);
    }

    #[test]
    fn a_header_without_end_names_no_more_than_any_machine_has() {
        let many = vec!["10.1.1.1"; 1000].join(",");
        assert_eq!(ask("172.16.0.1", &[&many]).len(), MAX);
        assert_eq!(ask("172.16.0.1", &[" , ,"]), [""; 0]);
    }

    #[test]
    fn what_is_asked_by_way_of_a_trusted_proxy_is_asked_by_the_host_behind_it() {
        let (peer, headers) = asked("10.0.0.1", &["198.51.100.9, 198.51.100.1"]);
        let asker = Requester::of(Some(peer), &headers, &trusted());
        assert_eq!(asker, Requester::Host("198.51.100.1".parse().ok()));
    }

    fn ask(peer: &str, forwarded: &[&str]) -> Vec<String> {
        let (peer, headers) = asked(peer, forwarded);
        let dhcp_servers = ["172.16.0.1/32".parse().unwrap()];
        identifiers(Some(peer), &headers, &dhcp_servers, &trusted()).1
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
