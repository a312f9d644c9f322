//! Certificates that are stored with credentials which several BMCs may share: one for each
//! address.
//!
//! There is no other place that outlives the status for a BMC that a Server names itself, or for a
//! BMC whose BMCSecret does not have its name.

use super::{CredentialAnnotations, Destination, accepted_certificate::accepted_certificate};
use crate::bmc_host::BmcHost;
use metal_api::{BmcSecret, Server, annotation};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// How many are stored with one pair of credentials: the API server limits annotations to 256 KiB.
const MOST: usize = 1000;
/// Longest host in the name of an annotation, in bytes: that of an IPv6 address.
const LONGEST: usize = 39;

/// The certificate that the BMC in a server's `spec.bmc` is pinned to: one that a person accepts;
/// else that in the server's status; else the one stored with the credentials.
pub fn certificate_of_server<'a>(
    server: &'a Server,
    secret: Option<&'a BmcSecret>,
    at: &Destination,
) -> Option<&'a str> {
    let recorded = || server.status.as_ref()?.bmc_certificate_fingerprint.as_deref();
    let certificate = accepted_certificate(&server.metadata).or_else(recorded);
    certificate.or_else(|| kept(secret?, at))
}

/// What to record with the credentials of the BMC in a server's `spec.bmc` that has answered;
/// `None` if it is up to date.
pub fn note_of_server(
    server: &Server,
    secret: Option<&BmcSecret>,
    at: &Destination,
) -> Option<CredentialAnnotations> {
    let status = server.status.as_ref().filter(|it| it.power_state.is_some())?;
    to_keep(secret?, at, status.bmc_certificate_fingerprint.as_deref())
}

/// Why the certificate of the BMC in a server's `spec.bmc` is not stored with the credentials, and
/// what to do; `None` if it is, or will be.
pub fn unstored_of_server(
    server: &Server,
    secret: Option<&BmcSecret>,
    at: &Destination,
) -> Option<String> {
    let status = server.status.as_ref().filter(|it| it.power_state.is_some())?;
    unstored(secret?, at, status.bmc_certificate_fingerprint.as_deref())
}

/// Why this certificate is not stored, if there is no room for it.
pub(super) fn unstored(
    secret: &BmcSecret,
    at: &Destination,
    certificate: Option<&str>,
) -> Option<String> {
    let is_missing = certificate.is_some() && kept(secret, at) != certificate;
    if !is_missing || to_keep(secret, at, certificate).is_some() {
        return None;
    }
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "the certificate is only recorded in the status, because BMCSecret {name} has no room for \
         more than {MOST} of them: remove its annotations {}... of addresses that no BMC has any \
         longer",
        annotation::KNOWN_CERTIFICATE_AT
    ))
}

/// The certificate of the BMC at this address.
pub(super) fn kept<'a>(secret: &'a BmcSecret, at: &Destination) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(&key(at)).map(String::as_str)
}

/// The annotation that stores this certificate, or none; `None` if it is up to date, or there is no
/// room.
pub(super) fn to_keep(
    secret: &BmcSecret,
    at: &Destination,
    certificate: Option<&str>,
) -> Option<CredentialAnnotations> {
    if kept(secret, at) == certificate {
        return None;
    }
    let keys = secret.metadata.annotations.iter().flat_map(|all| all.keys());
    let others = keys.filter(|it| it.starts_with(annotation::KNOWN_CERTIFICATE_AT)).count();
    (certificate.is_none() || others < MOST)
        .then(|| [(key(at).into(), certificate.map(str::to_owned))].into())
}

/// The name of an annotation consists of at most 63 letters, digits, dots and hyphens.
fn key(at: &Destination) -> String {
    let host = match &at.host {
        BmcHost::Address(IpAddr::V4(address)) => address.to_string(),
        BmcHost::Address(IpAddr::V6(address)) => {
            address.segments().map(|it| format!("{it:x}")).join("-")
        }
        BmcHost::Name(name) if name.as_str().len() <= LONGEST => name.as_str().to_owned(),
        BmcHost::Name(name) => {
            let digest = Sha256::digest(name.as_str());
            digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
        }
    };
    format!("{}{host}.{}", annotation::KNOWN_CERTIFICATE_AT, at.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redfish::{Credentials, Scheme};
    use metal_api::{BmcSecretSpec, PowerState, ServerSpec, ServerStatus};

    const PIN: &str = "sha256:aa";

    fn at(address: &str) -> Destination {
        let credentials = Credentials { username: String::new(), password: String::new() };
        let host = address.parse().unwrap();
        Destination { scheme: Scheme::Https, host, port: 443, credentials }
    }

    fn server(status: Option<ServerStatus>) -> Server {
        let mut server = Server::new("server-a", ServerSpec::default());
        server.status = status;
        server
    }

    fn answered(pin: Option<&str>) -> ServerStatus {
        ServerStatus {
            power_state: Some(PowerState::On),
            bmc_certificate_fingerprint: pin.map(str::to_owned),
            ..ServerStatus::default()
        }
    }

    fn noted(secret: &mut BmcSecret, note: CredentialAnnotations) {
        let annotations = secret.metadata.annotations.get_or_insert_default();
        for (key, value) in note {
            match value {
                Some(value) => drop(annotations.insert(key.into_owned(), value)),
                None => drop(annotations.remove(&*key)),
            }
        }
    }

    #[test]
    fn a_server_is_held_to_the_certificate_at_its_address_until_a_person_accepts_another() {
        let (here, there) = (at("10.77.0.5"), at("fd77::5"));
        let mut secret = BmcSecret::new("all", BmcSecretSpec::default());
        let known = server(Some(answered(Some(PIN))));
        let note = note_of_server(&known, Some(&secret), &here).unwrap();
        noted(&mut secret, note);
        assert_eq!(note_of_server(&known, Some(&secret), &here), None, "it is there");
        // What is recorded while another certificate is refused says nothing about the right one.
        let silent = ServerStatus { observed_generation: Some(1), ..ServerStatus::default() };
        for status in [None, Some(silent), Some(answered(None))] {
            let restored = server(status);
            assert_eq!(certificate_of_server(&restored, Some(&secret), &here), Some(PIN));
            assert_eq!(certificate_of_server(&restored, Some(&secret), &there), None);
            assert_eq!(certificate_of_server(&restored, None, &here), None);
        }
        let new = format!("sha256:{}", "b".repeat(64));
        let mut replaced = server(Some(answered(Some(PIN))));
        let accept = (annotation::ACCEPT_CERTIFICATE.to_owned(), new.clone());
        replaced.metadata.annotations = Some([accept].into());
        assert_eq!(certificate_of_server(&replaced, Some(&secret), &here), Some(&*new));
        replaced.status = Some(answered(Some(&new)));
        let note = note_of_server(&replaced, Some(&secret), &here).unwrap();
        noted(&mut secret, note);
        assert_eq!(certificate_of_server(&server(None), Some(&secret), &here), Some(&*new));
        // By http, or where an authority vouches, there is none to store.
        let note = note_of_server(&server(Some(answered(None))), Some(&secret), &here).unwrap();
        noted(&mut secret, note);
        assert_eq!(certificate_of_server(&server(None), Some(&secret), &here), None);
    }

    #[test]
    fn the_names_of_annotations_are_such_that_the_api_server_takes_them() {
        let longest = "fd77:1111:2222:3333:4444:5555:6666:7777";
        let expected = [
            ("10.77.0.5", "10.77.0.5.443"),
            ("fd77::", "fd77-0-0-0-0-0-0-0.443"),
            ("::1", "0-0-0-0-0-0-0-1.443"),
            (longest, "fd77-1111-2222-3333-4444-5555-6666-7777.443"),
            ("bmc-1.example.com", "bmc-1.example.com.443"),
        ];
        for (address, suffix) in expected {
            let key = key(&at(address));
            assert_eq!(key.strip_prefix(annotation::KNOWN_CERTIFICATE_AT), Some(suffix));
        }
        let name = format!("{}.example.com", "a".repeat(60));
        for (host, length) in [(longest, 63), (name.as_str(), 56)] {
            let key = key(&Destination { port: u16::MAX, ..at(host) });
            assert_eq!(key.split_once('/').unwrap().1.len(), length, "{host}");
        }
    }

    #[test]
    fn credentials_of_a_fleet_keep_no_more_than_the_api_server_takes_and_that_is_told() {
        let mut secret = BmcSecret::new("all", BmcSecretSpec::default());
        let certificate = format!("sha256:{}", "a".repeat(64));
        let address = |number: u16| at(&format!("fd77:1111:2222:3333:4444:5555:6666:{number:x}"));
        for number in 0x1000..0x2000 {
            let Some(note) = to_keep(&secret, &address(number), Some(&certificate)) else { break };
            noted(&mut secret, note);
        }
        let annotations = secret.metadata.annotations.clone().unwrap();
        assert_eq!(annotations.len(), MOST);
        let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(bytes < 200 << 10, "{bytes}");
        assert!(to_keep(&secret, &address(0x1000), None).is_some(), "one less always has room");
        let told = |number| unstored(&secret, &address(number), Some(&certificate));
        assert!(told(0x1fff).is_some_and(|told| told.contains("BMCSecret all")), "no room");
        assert_eq!(told(0x1000), None, "it is there");
        assert_eq!(unstored(&secret, &address(0x1fff), None), None, "there is none");
    }
}
