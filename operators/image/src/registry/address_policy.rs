//! Which addresses a registry may send us to: by a redirect, by the URL of its token service, or by
//! a name that resolves to one of our own addresses.
//!
//! A registry on the Internet must not reach our networks, where services may trust every client. A
//! registry in our networks may send us to storage there, and only one on this host, or on its
//! link, to addresses there. Names are checked when they are resolved for the actual connection, so
//! they cannot change in between.

use crate::reference::Registry;
pub(super) use metal_base::Nearness as Reach;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use std::{
    collections::BTreeSet,
    env,
    error::Error as StdError,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};
use tokio::net::lookup_host;
use url::Host;

/// How many redirects in a row are followed.
const MAX_REDIRECTS: usize = 5;

/// What a registry of a given nearness may send us to.
pub(super) trait AddressPolicy: Copy {
    /// Whether it may send us to this address.
    fn admits(self, address: IpAddr) -> bool;

    /// Whether a URL with a literal address is admitted; names are checked when they are resolved.
    fn admits_url(self, url: &Url) -> bool;

    /// Registries redirect blobs to storage elsewhere; this must not lead from https to http, nor
    /// to addresses that are nearer than the registry.
    fn redirects(self) -> redirect::Policy;

    /// Resolves names, but only to admitted addresses.
    fn resolver(self) -> Arc<ScreeningResolver>;
}

impl AddressPolicy for Reach {
    fn admits(self, address: IpAddr) -> bool {
        match Self::of(address) {
            Self::Public => true,
            Self::Private => self != Self::Public,
            Self::Nowhere => false,
            near @ (Self::Link | Self::Host) => self == near,
        }
    }

    fn admits_url(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.admits(address.into()),
            Some(Host::Ipv6(address)) => self.admits(address.into()),
            Some(Host::Domain(name)) => self == Self::Host || !is_this_host(name),
            None => false,
        }
    }

    fn redirects(self) -> redirect::Policy {
        redirect::Policy::custom(move |attempt| {
            let secure = |url: &Url| url.scheme() == "https";
            let downgrade = attempt.previous().last().is_some_and(secure) && !secure(attempt.url());
            if downgrade {
                attempt.error(io::Error::other("redirect from https to http"))
            } else if !self.admits_url(attempt.url()) {
                attempt.error(io::Error::other("redirect to an internal address"))
            } else if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error(io::Error::other("too many redirects"))
            } else {
                attempt.follow()
            }
        })
    }

    fn resolver(self) -> Arc<ScreeningResolver> {
        Arc::new(ScreeningResolver { reach: self, proxies: proxies() })
    }
}

/// The nearness of a registry. One that is given as an address, or named in a flag, is where it
/// says; other names never count as this host or its link.
pub(super) async fn of_registry(registry: &Registry, is_configured: bool) -> Reach {
    let Ok(url) = Url::parse(&format!("https://{}", registry.endpoint())) else {
        return Reach::Public;
    };
    let name = match url.host() {
        Some(Host::Ipv4(address)) => return Reach::of(address.into()),
        Some(Host::Ipv6(address)) => return Reach::of(address.into()),
        Some(Host::Domain(name)) if is_this_host(name) => return Reach::Host,
        Some(Host::Domain(name)) => name,
        None => return Reach::Public,
    };
    // A name that does not resolve is treated as public; connecting to it will fail anyway.
    let found = lookup_host((name, 0)).await.into_iter().flatten().map(|address| address.ip());
    let most = if is_configured { Reach::Host } else { Reach::Private };
    farthest(found.collect(), has_route).min(most)
}

/// How near a name is with these addresses: the farthest counts that there is a route to. Whoever owns a
/// name can add any address to it, but answers us only at their own.
fn farthest(found: Vec<IpAddr>, has_route: impl Fn(IpAddr) -> bool) -> Reach {
    let routed: Vec<_> = found.iter().copied().filter(|address| has_route(*address)).collect();
    let counting = if routed.is_empty() { found } else { routed };
    counting.into_iter().map(Reach::of).min().unwrap_or(Reach::Public)
}

/// Whether this host has a route to an address. Nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 443))).is_ok()
}

fn is_this_host(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// Hosts of the proxies in the environment: they are trusted, wherever they are.
fn proxies() -> BTreeSet<String> {
    let names =
        ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let values = names.into_iter().filter_map(|name| env::var(name).ok());
    let urls = values.filter_map(|value| {
        Url::parse(&value)
            .ok()
            .filter(Url::has_host)
            .or_else(|| Url::parse(&format!("http://{value}")).ok())
    });
    urls.filter_map(|url| Some(url.host_str()?.to_ascii_lowercase())).collect()
}

/// A resolver that drops addresses that are too near.
pub(super) struct ScreeningResolver {
    reach: Reach,
    proxies: BTreeSet<String>,
}

impl Resolve for ScreeningResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxies.contains(&name.as_str().to_ascii_lowercase());
        let reach = self.reach;
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            if is_proxy {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            screen(reach, name.as_str(), found).map(|found| Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn screen(
    reach: Reach,
    name: &str,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn StdError + Send + Sync>> {
    let (admitted, near): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| reach.admits(address.ip()));
    match near.first() {
        Some(address) if admitted.is_empty() => Err(format!(
            "{name} resolves to {}, an internal address, to which this registry may not redirect",
            address.ip()
        )
        .into()),
        _ => Ok(admitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sends_us_nearer_than_he_is() {
        use Reach::{Host, Link, Private, Public};
        let addresses = ["8.8.8.8", "10.0.0.1", "169.254.169.254", "127.0.0.1", "224.0.0.1"];
        let admitted = [
            (Public, [true, false, false, false, false]),
            (Private, [true, true, false, false, false]),
            (Link, [true, true, true, false, false]),
            (Host, [true, true, false, true, false]),
        ];
        for (reach, expected) in admitted {
            let admits = addresses.map(|address| reach.admits(address.parse().unwrap()));
            assert_eq!(admits, expected, "{reach:?}");
        }
    }

    #[test]
    fn a_name_is_screened_by_what_it_resolves_to() {
        let found = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let mixed = found(&["10.0.0.1:0", "8.8.8.8:0", "[::1]:0"]);
        let admitted = screen(Reach::Public, "a", mixed).unwrap();
        assert_eq!(admitted, found(&["8.8.8.8:0"]));
        let refused = screen(Reach::Public, "metadata.example", found(&["169.254.169.254:0"]));
        let text = refused.unwrap_err().to_string();
        assert!(text.starts_with("metadata.example resolves to 169.254.169.254, an"), "{text}");
        assert!(screen(Reach::Private, "a", found(&["10.0.0.1:0"])).is_ok());
        assert!(screen(Reach::Private, "a", found(&["127.0.0.1:0"])).is_err());
    }

    #[tokio::test]
    async fn a_registry_is_as_near_as_it_is_addressed() {
        let of = async |text: &str, is_configured| {
            of_registry(&text.parse().unwrap(), is_configured).await
        };
        assert_eq!(of("127.0.0.1:5000", false).await, Reach::Host);
        assert_eq!(of("localhost:5000", false).await, Reach::Host);
        assert_eq!(of("10.0.0.1", false).await, Reach::Private);
        assert_eq!(of("8.8.8.8", true).await, Reach::Public);
    }

    #[test]
    fn a_name_is_as_near_as_the_farthest_of_its_addresses_that_has_a_route() {
        let of = |texts: &[&str], has_route: fn(IpAddr) -> bool| {
            farthest(texts.iter().map(|text| text.parse().unwrap()).collect(), has_route)
        };
        let mixed = ["10.0.0.1", "8.8.8.8", "127.0.0.1"];
        assert_eq!(of(&mixed, |_| true), Reach::Public);
        assert_eq!(of(&["10.0.0.1", "127.0.0.1"], |_| true), Reach::Private);
        assert_eq!(of(&["127.0.0.1", "::1"], |_| true), Reach::Host);
        // A registry with a public IPv6 address, on a host that has no IPv6.
        let dual = ["10.0.0.1", "2001:4860:4860::8888"];
        assert_eq!(of(&dual, |address| address.is_ipv4()), Reach::Private);
        assert_eq!(of(&dual, |_| true), Reach::Public);
        assert_eq!(of(&mixed, |_| false), Reach::Public, "nothing can be told");
        assert_eq!(of(&[], |_| true), Reach::Public);
        assert!(has_route(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn a_written_address_is_screened_in_every_form() {
        let admits = |reach: Reach, text: &str| reach.admits_url(&Url::parse(text).unwrap());
        let this_host = [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://localhost./",
            "http://a.localhost/",
        ];
        for inward in this_host {
            assert!(!admits(Reach::Public, inward) && !admits(Reach::Private, inward), "{inward}");
            assert!(!admits(Reach::Link, inward) && admits(Reach::Host, inward), "{inward}");
        }
        assert!(!admits(Reach::Host, "http://169.254.169.254/latest"));
        let private = "https://10.0.0.1/";
        assert!(!admits(Reach::Public, private) && admits(Reach::Private, private));
        assert!(admits(Reach::Public, "https://storage.example/"));
    }
}
