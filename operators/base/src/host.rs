//! Hosts in URLs.

use std::{borrow::Cow, net::Ipv6Addr};

/// The host of a URL (RFC 3986, section 3.2.2): an IPv6 address is put in brackets.
pub fn host(text: &str) -> Cow<'_, str> {
    match text.parse::<Ipv6Addr>() {
        Ok(_) => Cow::Owned(format!("[{text}]")),
        Err(_) => Cow::Borrowed(text),
    }
}

/// A URL that others can be appended to, without its trailing slash: `http` or `https`, a host, perhaps a port and a
/// path, and nothing that would break a script. `None` if it is not one.
pub fn base_url(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let is_word = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    let is_base = is_word && !text.contains(['?', '#']);
    let authority = rest.split('/').next().unwrap_or_default();
    (is_base && is_authority(authority)).then(|| text.trim_end_matches('/'))
}

/// A host and a port, if there is one. An IPv6 address stands in brackets (RFC 3986, section 3.2.2). A variable that
/// nobody has put in, as `$(HOST)`, is no name.
fn is_authority(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some((address, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_end = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && is_end;
    }
    let (host, port) = text.split_once(':').unwrap_or((text, "80"));
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !host.is_empty() && host.chars().all(is_of_name) && is_port(port)
}

#[cfg(test)]
mod tests {
    use super::{base_url, host};

    #[test]
    fn a_base_url_has_a_host_and_nothing_behind_its_path() {
        for (text, url) in [
            ("http://boot:8082/", "http://boot:8082"),
            ("https://[fd00::1]:8082/x/", "https://[fd00::1]:8082/x"),
            ("http://10.0.0.1", "http://10.0.0.1"),
        ] {
            assert_eq!(base_url(text), Some(url));
        }
        for bad in [
            "boot:8082",
            "ftp://boot",
            "http://",
            "http:///x",
            "http://:80",
            "http://a b",
            "http://a?b",
            "http://a#b",
            "http://a:b",
            "http://a:99999",
            "http://fd00::1:80",
            "http://[boot]:1",
            "http://$(HOST):80",
            "$(URL)",
        ] {
            assert_eq!(base_url(bad), None, "{bad}");
        }
    }

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
