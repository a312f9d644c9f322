//! Hosts in URLs.

use std::{borrow::Cow, net::Ipv6Addr};

/// The host of a URL (RFC 3986, section 3.2.2): an IPv6 address is put in brackets.
pub fn host(text: &str) -> Cow<'_, str> {
    match text.parse::<Ipv6Addr>() {
        Ok(_) => Cow::Owned(format!("[{text}]")),
        Err(_) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn an_ipv6_address_is_put_in_brackets_and_nothing_else() {
        for (text, expected) in [
            ("fd00::1", "[fd00::1]"),
            ("[fd00::1]", "[fd00::1]"),
            ("10.0.0.1", "10.0.0.1"),
            ("registry.example", "registry.example"),
        ] {
            assert_eq!(host(text), expected);
        }
    }
}
