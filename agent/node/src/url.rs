//! URLs of the two servers. The path of metalman's may hold a token, so it is never shown.

use http::{Uri, uri::Scheme};
use std::{fmt, str::FromStr};

/// Where a server is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// A text is no URL. It is not quoted: it may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has to be http://host:port or https://host:port, with an optional path and nothing else")]
pub(crate) struct InvalidUrl;

impl Url {
    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host without brackets, and port.
    pub(crate) fn address(&self) -> (&str, u16) {
        (self.host.trim_matches(['[', ']']), self.port)
    }

    /// Value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Path of something below it.
    pub(crate) fn below(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.trim().parse().map_err(|_| InvalidUrl)?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(InvalidUrl),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(InvalidUrl)?;
        let has_user = uri.authority().is_some_and(|it| it.as_str().contains('@'));
        if has_user || uri.query().is_some() || text.contains('#') {
            return Err(InvalidUrl);
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host: host.to_owned(), port, path })
    }
}

/// Without the path.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_path_is_kept_and_never_shown() {
        let url: Url = "http://10.0.0.1:8880/c/secret/".parse().unwrap();
        assert_eq!(url.below("/attest"), "/c/secret/attest");
        assert_eq!(format!("{url} {url:?}"), "http://10.0.0.1:8880 http://10.0.0.1:8880");
        let url: Url = "https://[fd00::1]".parse().unwrap();
        assert_eq!((url.address(), url.is_tls()), (("fd00::1", 443), true));
        assert_eq!(url.authority(), "[fd00::1]:443");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in
            ["", "h", "/x", "http://", "ftp://h", "http://u:p@h", "http://h?x", "http://h#x"]
        {
            assert_eq!(text.parse::<Url>(), Err(InvalidUrl), "{text}");
        }
    }
}
