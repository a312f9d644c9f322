//! Who asks, as far as anybody can tell.

pub use metal_runtime::listener::Peer;

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// More addresses than this no machine has.
const MAX: usize = 64;

/// The addresses of the machine that a request is for: those that a trusted proxy names in the
/// first `X-Forwarded-For`, and otherwise the one it came from.
pub(super) fn identifiers(
    peer: Option<Peer>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Vec<String> {
    let peer = peer.map(|Peer(address)| address.ip().to_canonical());
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let named = headers.get(FORWARDED_FOR).filter(|_| peer.is_some_and(is_trusted));
    match named.and_then(|value| value.to_str().ok()) {
        Some(named) => {
            let named = named.split(',').map(str::trim).filter(|text| !text.is_empty());
            named.take(MAX).map(str::to_owned).collect()
        }
        None => peer.map(|ip| ip.to_string()).into_iter().collect(),
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

    fn ask(peer: &str, forwarded: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let peer = Peer(SocketAddr::new(peer.parse().unwrap(), 1));
        identifiers(Some(peer), &headers, &["10.0.0.0/8".parse().unwrap()])
    }
}
