//! Confines the links of a BMC to that BMC.

use crate::{BmcHost, Target};
use http::Uri;
use metal_core::redfish::Scheme;
use std::{borrow::Cow, fmt::Write};

/// Longer than any real link.
const LONGEST: usize = 1024;

/// The path and query of a link, ready to be sent. A fragment is removed.
///
/// BMCs name themselves in many ways: by a host name, by their address before a NAT, with the port
/// behind a proxy. Whatever host a link names, it is requested on the connection to the BMC that it
/// came from, so no other host gets anything.
pub(crate) fn path_of(link: &str) -> Option<String> {
    encoded(&rooted(trimmed(link)?)?)
}

/// The same for a link that may be relative to the request's path (RFC 3986, section 5.2).
pub(crate) fn resolved(link: &str, base: &str) -> Option<String> {
    let link = trimmed(link)?;
    if let Some(path) = rooted(link) {
        return encoded(&path);
    }
    let base = base.split_once('?').map_or(base, |(path, _)| path);
    let directory = &base[..=base.rfind('/')?];
    let is_relative = !link.is_empty() && !link.starts_with('/') && !link.contains("://");
    let leads_up = link.split(['/', '?']).any(|part| part == "..");
    match link.strip_prefix("./").unwrap_or(link) {
        _ if !is_relative || leads_up => None,
        query if query.starts_with('?') => encoded(&format!("{base}{query}")),
        path => encoded(&format!("{directory}{path}")),
    }
}

/// The path and query of a redirect from `base`, if it leads to the very same server, so that no
/// other gets what is sent there.
pub(crate) fn path_on(link: &str, target: &Target, base: &str) -> Option<String> {
    let link = link.trim();
    if link.starts_with("//") {
        return None;
    }
    if link.contains("://") {
        let uri: Uri = link.parse().ok()?;
        let usual = match target.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let host: BmcHost = uri.host()?.trim_matches(['[', ']']).parse().ok()?;
        let same = host == target.host
            && uri.scheme_str() == Some(target.scheme.to_string().as_str())
            && uri.port_u16().unwrap_or(usual) == target.port;
        if !same {
            return None;
        }
    }
    resolved(link, base)
}

fn trimmed(link: &str) -> Option<&str> {
    let link = link.trim();
    let link = link.split_once('#').map_or(link, |(link, _)| link);
    (link.len() <= LONGEST).then_some(link)
}

/// The path and query of a link that is not relative.
fn rooted(link: &str) -> Option<Cow<'_, str>> {
    // Some firmware omits the leading slash.
    if link.starts_with("redfish/") {
        return Some(format!("/{link}").into());
    }
    let path = match link.split_once("://") {
        Some((scheme, rest)) => {
            let is_http = ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it));
            &rest[rest.find('/').filter(|_| is_http)?..]
        }
        None => link,
    };
    // Either two strings were concatenated, or it names a host.
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with("redfish/") => &path[1..],
        Some(rest) => &rest[rest.find('/')?..],
        None => path,
    };
    (path.starts_with('/') && !path.starts_with("//")).then_some(path.into())
}

/// A path as it is sent: some firmware has spaces and worse in its member ids. `None` if that is too
/// long for a real one, and for the objects that it is recorded in.
fn encoded(path: &str) -> Option<String> {
    let mut sent = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if !br#""<>\^`{|}"#.contains(&byte) => sent.push(char::from(byte)),
            other => write!(sent, "%{other:02X}").unwrap_or_default(),
        }
    }
    (sent.len() <= LONGEST).then_some(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_with_whatever_name_of_the_bmc_leads_to_the_bmc() {
        for (link, sent) in [
            ("/redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
            ("/redfish/v1/Systems/1/#/Boot", "/redfish/v1/Systems/1/"),
            ("/redfish/v1/Chassis/Slot 1", "/redfish/v1/Chassis/Slot%201"),
            ("https://10.0.0.1/redfish/v1/Systems?$skip=2", "/redfish/v1/Systems?$skip=2"),
            ("http://10.0.0.1:8000/x", "/x"),
            ("https://idrac-ABC.example/redfish/v1", "/redfish/v1"),
            ("HTTPS://[2001:db8::1]:8443//redfish/v1", "/redfish/v1"),
            ("//10.0.0.2/redfish/v1", "/redfish/v1"),
            ("//redfish/v1/Systems", "/redfish/v1/Systems"),
            ("redfish/v1/Systems", "/redfish/v1/Systems"),
        ] {
            assert_eq!(path_of(link).as_deref(), Some(sent), "{link}");
        }
    }

    #[test]
    fn a_relative_link_is_resolved() {
        let page = "/redfish/v1/Systems?$skip=2";
        for (link, sent) in [
            ("?$skip=50", "/redfish/v1/Systems?$skip=50"),
            ("Systems?$skip=50", "/redfish/v1/Systems?$skip=50"),
            ("./Systems/1", "/redfish/v1/Systems/1"),
            ("redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
            ("/redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
            ("https://bmc.example/redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
        ] {
            assert_eq!(resolved(link, page).as_deref(), Some(sent), "{link}");
        }
        for link in ["", "../x", "file:///etc/passwd"] {
            assert_eq!(resolved(link, page), None, "{link}");
        }
    }

    #[test]
    fn a_redirect_leads_to_the_same_scheme_host_and_port() {
        let host: BmcHost = "10.0.0.1".parse().unwrap();
        let http = Target { scheme: Scheme::Http, host: host.clone(), port: 8000 };
        let https = Target { scheme: Scheme::Https, host, port: 443 };
        assert_eq!(path_on("/x/", &http, "/x").as_deref(), Some("/x/"));
        assert_eq!(path_on("x/", &http, "/x").as_deref(), Some("/x/"));
        assert_eq!(path_on("http://10.0.0.1:8000/x/", &http, "/x").as_deref(), Some("/x/"));
        assert_eq!(path_on("https://10.0.0.1/x/", &https, "/x").as_deref(), Some("/x/"));
        let named = Target { host: "bmc.example".parse().unwrap(), ..https.clone() };
        assert_eq!(path_on("https://BMC.example/x/", &named, "/x").as_deref(), Some("/x/"));
        for link in ["https://bmc2.example/x/", "https://bmc.example.org/x/", "https://10.0.0.1/x/"]
        {
            assert_eq!(path_on(link, &named, "/x"), None, "{link}");
        }
        for link in [
            "https://10.0.0.1/x/",
            "http://10.0.0.1/x/",
            "http://10.0.0.2:8000/x/",
            "http://bmc.example:8000/x/",
            "//x/",
            "//10.0.0.2/x/",
        ] {
            assert_eq!(path_on(link, &http, "/x"), None, "{link}");
        }
    }

    #[test]
    fn what_is_no_link_leads_nowhere() {
        let long = format!("/{}", "x".repeat(LONGEST));
        let long_when_sent = format!("/{}", "ä".repeat(LONGEST / 2 - 1));
        let [long, sent] = [&*long, &*long_when_sent];
        for link in ["x", "file:///etc/passwd", "ftp://10.0.0.1/x", "https://x", "", long, sent] {
            assert_eq!(path_of(link), None, "{link}");
            assert_eq!(resolved(link, ""), None, "{link}");
        }
    }
}
