//! The URL at which machines reach our HTTP server.

use axum::http::Uri;
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, UdpSocket},
};

/// Any remote address: it tells from which of our addresses the kernel would send. Nothing is sent
/// there.
const FAR_AWAY: (Ipv4Addr, u16) = (Ipv4Addr::new(8, 8, 8, 8), 80);

/// The value of `--serve-url`, or else how to derive a URL from our address.
#[derive(Clone, Debug)]
pub struct ServeUrl {
    given: Option<String>,
    bind: Option<Ipv4Addr>,
    port: u16,
}

impl ServeUrl {
    /// The URL of a server that listens at `bind` and `port`.
    pub fn new(given: Option<&str>, bind: IpAddr, port: u16) -> Self {
        let given = given.map(|url| url.trim_end_matches('/').to_owned());
        Self { given, bind: specified(bind), port }
    }

    /// The URL for a machine that reaches us at the address `own`, without a trailing slash.
    pub fn at(&self, own: Ipv4Addr) -> Cow<'_, str> {
        match &self.given {
            Some(given) => Cow::Borrowed(given),
            None => Cow::Owned(format!("http://{}:{}", self.bind.unwrap_or(own), self.port)),
        }
    }

    /// The URL for a machine that has reached us at the address `here`, or else where everybody would.
    /// `None` without a route.
    pub fn towards(&self, here: Option<Ipv4Addr>) -> Option<Cow<'_, str>> {
        let own = match &self.given {
            Some(_) => Ipv4Addr::UNSPECIFIED,
            None => here.or_else(|| self.own_address())?,
        };
        Some(self.at(own))
    }

    /// The IPv4 address that we listen at, unless it is unspecified.
    pub fn bound(&self) -> Option<Ipv4Addr> {
        self.bind
    }

    /// Our address for everybody, as far as it can be determined: where we listen, or what the
    /// kernel would send from. `None` without a route.
    pub fn own_address(&self) -> Option<Ipv4Addr> {
        self.bind.or_else(routed)
    }
}

fn specified(bind: IpAddr) -> Option<Ipv4Addr> {
    match bind.to_canonical() {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

fn routed() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(FAR_AWAY).ok()?;
    specified(socket.local_addr().ok()?.ip())
}

/// Checks `--serve-url`.
///
/// # Errors
///
/// What is wrong with the value.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
    if uri.scheme_str() == Some("https") {
        let fix = "use http://HOST:PORT: metal-agent and firmware speak plain HTTP to metalman; what is \
                   secret is sealed for the TPM of the machine";
        return Err(fix.into());
    }
    let is_http = uri.scheme_str() == Some("http");
    let host = uri.host().filter(|it| is_http && !it.is_empty()).ok_or("use http://HOST:PORT")?;
    if text.contains(['@', '#']) {
        return Err("must not have a user or a fragment".into());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_nowhere = host.parse().is_ok_and(|address: IpAddr| address.is_unspecified());
    if is_nowhere {
        return Err(
            "machines cannot reach this address: use an address or the name of this host".into()
        );
    }
    if uri.query().is_some() {
        return Err("must not have a query, because paths are appended to it".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn machines_are_told_the_given_url_else_where_we_listen_else_where_they_asked() {
        let given = ServeUrl::new(Some("http://boot.example/a/"), ANY, 8880);
        assert_eq!(given.at(OWN), "http://boot.example/a");
        let bound = ServeUrl::new(None, [10, 0, 0, 9].into(), 8880);
        assert_eq!((bound.at(OWN).as_ref(), bound.bound()), ("http://10.0.0.9:8880", bound.bind));
        let any = ServeUrl::new(None, ANY, 80);
        assert_eq!((any.at(OWN).as_ref(), any.bound()), ("http://10.0.0.2:80", None));
        assert_eq!(bound.own_address(), Some([10, 0, 0, 9].into()));
        for (url, expected) in [
            (&given, "http://boot.example/a"),
            (&bound, "http://10.0.0.9:8880"),
            (&any, "http://10.0.0.2:80"),
        ] {
            assert_eq!(url.towards(Some(OWN)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_address_of_nobody_is_never_told() {
        let any = ServeUrl::new(None, ANY, 80);
        assert!(any.own_address().is_none_or(|own| !own.is_unspecified()));
        for wrong in [
            "http://0.0.0.0:8880",
            "http://[::]/",
            "https://a",
            "ftp://a",
            "boot",
            "http://a/?b",
            "http://u@a",
            "",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for right in ["http://10.0.0.2:8880", "http://boot.example/a", "http://[fd00::1]:80"] {
            assert_eq!(parse(right).as_deref(), Ok(right));
        }
    }
}
