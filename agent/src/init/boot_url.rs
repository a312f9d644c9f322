//! The URL of what a machine boots, as a DHCP server gives it.

use std::fmt;

/// A URL of HTTP. Its path may hold the token of this boot, so only where it leads is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BootUrl(String);

impl BootUrl {
    /// `None` if it is not a URL of HTTP.
    pub(super) fn new(text: &str) -> Option<Self> {
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        is_http.then(|| Self(text.to_owned()))
    }

    /// The whole of it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Shows scheme, host and port.
impl fmt::Display for BootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for BootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_shows_more_of_a_boot_url_than_where_it_leads() {
        for (whole, shown) in [
            ("http://boot.example:8083/httpboot/t/secret/a.efi", "http://boot.example:8083"),
            ("https://[fd77::1]:8444/t/secret/a.efi", "https://[fd77::1]:8444"),
            ("http://secret:secret@192.0.2.1/a.efi", "http://192.0.2.1"),
            ("http://192.0.2.1?token=secret", "http://192.0.2.1"),
        ] {
            let url = BootUrl::new(whole).unwrap();
            assert_eq!(url.as_str(), whole);
            assert_eq!(format!("{url} {url:?}"), format!("{shown} BootUrl({shown})"));
        }
        assert_eq!(BootUrl::new("tftp://192.0.2.1/a.efi"), None);
    }
}
