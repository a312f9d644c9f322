//! Which addresses a registry may send us to: by redirect, by the address of its token service, or
//! by a name that turns out to be one of ours.
//!
//! A registry on the Internet has no business in our networks, where others trust whoever connects
//! from within. One that is in our networks may send us to its storage there, and only one that is
//! on this host, or on its link, to addresses there. Names are checked as they are resolved for the
//! connection that is made, so that none can change in between.

use crate::reference::Registry;
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
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use tokio::net::lookup_host;
use url::Host;

const MAX_REDIRECTS: usize = 5;

/// How near an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// On the Internet.
    Public,
    /// In a private network.
    Private,
    /// On a link of this host, as metadata services of clouds are.
    Link,
    /// This host.
    Host,
    /// No one host.
    Nowhere,
}

impl Reach {
    /// How near an address is (the registries of IANA for special-purpose addresses).
    fn of(address: IpAddr) -> Self {
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
            // Unspecified, loopback, and IPv4 in its several disguises.
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => v4(high, low),
            [0x64, 0xff9b, 1, ..] => Self::Private,
            [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Self::Private,
            _ => Self::Public,
        }
    }

    /// Whether one that is as near as this may send us to an address.
    fn admits(self, address: IpAddr) -> bool {
        match Self::of(address) {
            Self::Public => true,
            Self::Private => self != Self::Public,
            Self::Nowhere => false,
            near @ (Self::Link | Self::Host) => self == near,
        }
    }

    /// Whether an address that is written out is admitted; a name is checked when it is resolved.
    pub(super) fn admits_url(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.admits(address.into()),
            Some(Host::Ipv6(address)) => self.admits(address.into()),
            Some(Host::Domain(name)) => self == Self::Host || !is_this_host(name),
            None => false,
        }
    }

    /// How near a registry is. One that is written as an address, or named in a flag, is where it
    /// is; another name is never this host or its link.
    pub(super) async fn of_registry(registry: &Registry, is_configured: bool) -> Self {
        let Ok(url) = Url::parse(&format!("https://{}", registry.endpoint())) else {
            return Self::Public;
        };
        let name = match url.host() {
            Some(Host::Ipv4(address)) => return Self::of(address.into()),
            Some(Host::Ipv6(address)) => return Self::of(address.into()),
            Some(Host::Domain(name)) if is_this_host(name) => return Self::Host,
            Some(Host::Domain(name)) => name,
            None => return Self::Public,
        };
        // Without an address it is nowhere near; whoever connects says so.
        let found = lookup_host((name, 0)).await.ok();
        let nearest = found.into_iter().flatten().map(|address| Self::of(address.ip())).max();
        let most = if is_configured { Self::Host } else { Self::Private };
        nearest.unwrap_or(Self::Public).min(most)
    }

    /// Registries hand blobs over to storage elsewhere; but never from https to http, nor nearer
    /// than they are.
    pub(super) fn redirects(self) -> redirect::Policy {
        redirect::Policy::custom(move |attempt| {
            let secure = |url: &Url| url.scheme() == "https";
            let downgrade = attempt.previous().last().is_some_and(secure) && !secure(attempt.url());
            if downgrade {
                attempt.error(io::Error::other("redirect from https to http"))
            } else if !self.admits_url(attempt.url()) {
                attempt.error(io::Error::other("redirect to an address of our own networks"))
            } else if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error(io::Error::other("too many redirects"))
            } else {
                attempt.follow()
            }
        })
    }

    /// Resolves names to the addresses that are admitted.
    pub(super) fn resolver(self) -> Arc<Screened> {
        Arc::new(Screened { reach: self, proxies: proxies() })
    }
}

fn is_this_host(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// Hosts of the proxies that the environment names: they are ours, wherever they are.
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

/// A resolver that leaves out addresses that are too near.
pub(super) struct Screened {
    reach: Reach,
    proxies: BTreeSet<String>,
}

impl Resolve for Screened {
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
        Some(address) if admitted.is_empty() => {
            Err(format!("{name} is {}, to where this registry may not send us", address.ip())
                .into())
        }
        _ => Ok(admitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_as_near_as_iana_says() {
        let near = |texts: &[&str], reach| {
            for text in texts {
                assert_eq!(Reach::of(text.parse().unwrap()), reach, "{text}");
            }
        };
        let host = ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];
        near(&host, Reach::Host);
        near(&["64:ff9b::7f00:1", "2002:7f00:1::"], Reach::Host);
        let link = ["169.254.169.254", "fe80::1", "::ffff:169.254.1.1", "2002:a9fe:a9fe::"];
        near(&link, Reach::Link);
        near(&["224.0.0.1", "255.255.255.255", "ff02::1"], Reach::Nowhere);
        let private = ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fec0::1"];
        near(&private, Reach::Private);
        near(&["::ffff:10.0.0.1", "198.18.0.1", "240.0.0.1"], Reach::Private);
        let public = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888"];
        near(&public, Reach::Public);
    }

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
        assert!(text.starts_with("metadata.example is 169.254.169.254, to where"), "{text}");
        assert!(screen(Reach::Private, "a", found(&["10.0.0.1:0"])).is_ok());
        assert!(screen(Reach::Private, "a", found(&["127.0.0.1:0"])).is_err());
    }

    #[tokio::test]
    async fn a_registry_is_as_near_as_it_is_addressed() {
        let of = async |text: &str, is_configured| {
            Reach::of_registry(&text.parse().unwrap(), is_configured).await
        };
        assert_eq!(of("127.0.0.1:5000", false).await, Reach::Host);
        assert_eq!(of("localhost:5000", false).await, Reach::Host);
        assert_eq!(of("10.0.0.1", false).await, Reach::Private);
        assert_eq!(of("8.8.8.8", true).await, Reach::Public);
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
