//! The registry's URL. Its path may hold the token of this boot, so it is never shown in full.

use http::{Uri, uri::Scheme};
use std::{fmt, str::FromStr};

/// Where reports are posted to.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryUrl {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is not the URL of a registry. It is not quoted: it may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Not a URL with scheme and host.
    #[error(
        "--registry-url must have the form http://host:port or https://host:port, optionally with \
         a path"
    )]
    Form,
    /// It has user information, a query or a fragment.
    #[error("--registry-url must not contain a user, query or fragment")]
    Extra,
}

impl RegistryUrl {
    /// Whether to use TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host without brackets, and port.
    pub fn address(&self) -> (&str, u16) {
        (self.host.trim_matches(['[', ']']), self.port)
    }

    /// Value of the `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The path, which may hold a token.
    pub fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    /// Path of an endpoint of the registry.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

impl FromStr for RegistryUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.trim().parse().map_err(|_| InvalidUrl::Form)?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(InvalidUrl::Form),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(InvalidUrl::Form)?;
        let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if user || uri.query().is_some() || text.contains('#') {
            return Err(InvalidUrl::Extra);
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host: host.to_owned(), port, path })
    }
}

/// Shows scheme, host and port, but not the path.
impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_appended_behind_the_token() {
        let table = [
            ("http://10.0.0.1:10000", "/register"),
            ("http://10.0.0.1:10000/", "/register"),
            ("http://10.0.0.1:10000/t/secret", "/t/secret/register"),
            ("http://10.0.0.1:10000/t/secret/", "/t/secret/register"),
        ];
        for (text, path) in table {
            assert_eq!(text.parse::<RegistryUrl>().unwrap().endpoint("register"), path);
        }
    }

    #[test]
    fn host_and_port_are_found_in_every_form() {
        let table = [
            ("http://registry/x", ("registry", 80)),
            ("https://registry.example", ("registry.example", 443)),
            ("http://[fd00::1]:10000", ("fd00::1", 10000)),
        ];
        for (text, address) in table {
            assert_eq!(text.parse::<RegistryUrl>().unwrap().address(), address);
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let url: RegistryUrl = "http://10.0.0.1:10000/t/secret".parse().unwrap();
        assert_eq!(url.to_string(), "http://10.0.0.1:10000");
        assert_eq!(format!("{url:?}"), "RegistryUrl(http://10.0.0.1:10000)");
        for bad in ["ftp://h/t/secret", "h/t/secret", "http://u:secret@h", "http://h/?secret"] {
            let error = bad.parse::<RegistryUrl>().unwrap_err();
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn what_is_no_registry_url_is_refused() {
        for text in ["", "registry", "/t/x", "http://", "ftp://registry"] {
            assert_eq!(text.parse::<RegistryUrl>(), Err(InvalidUrl::Form), "{text}");
        }
        for text in ["http://u@h", "http://h?x=1", "http://h#x"] {
            assert_eq!(text.parse::<RegistryUrl>(), Err(InvalidUrl::Extra), "{text}");
        }
    }
}
