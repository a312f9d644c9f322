//! Links of a BMC lead to that BMC, or nowhere.

use crate::Target;
use http::Uri;
use metal_core::redfish::Scheme;
use std::{fmt::Write, net::IpAddr};

/// Longer links are nobody's.
const LONGEST: usize = 1024;

/// The path and query of a link, if it leads to `address`; ready to be sent. A fragment is cut off.
pub(crate) fn path_of(link: &str, address: IpAddr) -> Option<String> {
    let link = link.trim();
    let link = link.split_once('#').map_or(link, |(link, _)| link);
    if link.len() > LONGEST {
        return None;
    }
    let path = if link.starts_with('/') { link } else { local_part(link, address)? };
    if path.starts_with("//") {
        return None;
    }
    Some(encoded(path))
}

/// The path and query of a link that leads to the very same server: what is sent there, nobody
/// else gets.
pub(crate) fn path_on(link: &str, target: &Target) -> Option<String> {
    if !link.trim().starts_with('/') {
        let uri: Uri = link.trim().parse().ok()?;
        let usual = match target.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let same = uri.scheme_str() == Some(target.scheme.to_string().as_str())
            && uri.port_u16().unwrap_or(usual) == target.port;
        if !same {
            return None;
        }
    }
    path_of(link, target.address)
}

/// The path of an absolute URI of this host. Ports and schemes are not compared: behind a proxy,
/// BMCs name their own.
fn local_part(link: &str, address: IpAddr) -> Option<&str> {
    let uri: Uri = link.parse().ok()?;
    let host: IpAddr = uri.host()?.trim_matches(['[', ']']).parse().ok()?;
    let rest = link.split_once("://")?.1;
    let path = rest.find('/').map(|start| &rest[start..]);
    path.filter(|_| host == address)
}

/// Some firmware has blanks and worse in its member ids.
fn encoded(path: &str) -> String {
    let mut sent = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if !br#""<>\^`{|}"#.contains(&byte) => sent.push(char::from(byte)),
            other => write!(sent, "%{other:02X}").unwrap_or_default(),
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(link: &str) -> Option<String> {
        path_of(link, IpAddr::from([10, 0, 0, 1]))
    }

    #[test]
    fn links_to_the_same_host_become_paths() {
        for (link, sent) in [
            ("/redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
            ("/redfish/v1/Systems/1/#/Boot", "/redfish/v1/Systems/1/"),
            ("/redfish/v1/Chassis/Slot 1", "/redfish/v1/Chassis/Slot%201"),
            ("https://10.0.0.1/redfish/v1/Systems?$skip=2", "/redfish/v1/Systems?$skip=2"),
            ("http://10.0.0.1:8000/x", "/x"),
        ] {
            assert_eq!(path(link).as_deref(), Some(sent), "{link}");
        }
    }

    #[test]
    fn a_redirect_leads_to_the_same_scheme_host_and_port() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let http = Target { scheme: Scheme::Http, address, port: 8000 };
        let https = Target { scheme: Scheme::Https, address, port: 443 };
        assert_eq!(path_on("/x/", &http).as_deref(), Some("/x/"));
        assert_eq!(path_on("http://10.0.0.1:8000/x/", &http).as_deref(), Some("/x/"));
        assert_eq!(path_on("https://10.0.0.1/x/", &https).as_deref(), Some("/x/"));
        for link in ["https://10.0.0.1/x/", "http://10.0.0.1/x/", "http://10.0.0.2:8000/x/", "//x/"]
        {
            assert_eq!(path_on(link, &http), None, "{link}");
        }
    }

    #[test]
    fn links_to_other_hosts_lead_nowhere() {
        let long = format!("/{}", "x".repeat(LONGEST));
        for link in [
            "https://10.0.0.2/redfish/v1",
            "https://bmc.example/redfish/v1",
            "//10.0.0.2/redfish/v1",
            "redfish/v1",
            "file:///etc/passwd",
            "",
            &long,
        ] {
            assert_eq!(path(link), None, "{link}");
        }
    }
}
