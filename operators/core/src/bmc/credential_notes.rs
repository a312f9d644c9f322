//! What is stored with credentials which several BMCs may share: a certificate for each address, and
//! the address of each BMC object.
//!
//! There is no other place that outlives the status for a BMC that a Server names itself, or for a
//! BMC whose BMCSecret does not have its name.

use super::{
    CredentialAnnotations, Destination,
    accepted_certificate::{accepted_certificate, annotated},
};
use crate::bmc_host::BmcHost;
use metal_api::{BmcSecret, Server, annotation};
use metal_base::hex;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// How many bytes of annotations one BMCSecret may have: the API server limits them to 256 KiB, and
/// others may need some.
const ROOM: usize = 230 << 10;
/// Longest host in the name of an annotation, in bytes: that of an IPv6 address.
const LONGEST: usize = 39;
/// Longest name of a BMC in the name of an annotation, in bytes.
const LONGEST_NAME: usize = 49;

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
fn unstored(secret: &BmcSecret, at: &Destination, certificate: Option<&str>) -> Option<String> {
    let is_missing = certificate.is_some() && kept(secret, at) != certificate;
    (is_missing && to_keep(secret, at, certificate).is_none())
        .then(|| no_room(secret, "the certificate is"))
}

fn no_room(secret: &BmcSecret, what: &str) -> String {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    format!(
        "{what} only recorded in the status, because the annotations of BMCSecret {name} have no \
         room for more than {} KiB: remove its annotations {}... of addresses that no BMC has any \
         longer, and {}... of BMCs that do not exist",
        ROOM >> 10,
        annotation::KNOWN_CERTIFICATE_AT,
        annotation::KNOWN_ADDRESS_OF,
    )
}

/// The certificate of the BMC at this address.
pub(super) fn kept<'a>(secret: &'a BmcSecret, at: &Destination) -> Option<&'a str> {
    noted(secret, &key(&at.host, at.port))
}

/// The address at which a BMC has answered last.
pub(super) fn address_of<'a>(secret: &'a BmcSecret, bmc: &str) -> Option<&'a str> {
    noted(secret, &key_of_bmc(bmc))
}

/// The certificate of a BMC: the one at the address where it has answered last, if that is known.
pub(super) fn certificate_of<'a>(
    secret: &'a BmcSecret,
    bmc: &str,
    at: &Destination,
) -> Option<&'a str> {
    match address_of(secret, bmc).and_then(|address| address.parse().ok()) {
        Some(host) => noted(secret, &key(&host, at.port)),
        None => kept(secret, at),
    }
}

/// The annotation that stores this certificate, or none; `None` if it is up to date, or there is no
/// room.
fn to_keep(
    secret: &BmcSecret,
    at: &Destination,
    certificate: Option<&str>,
) -> Option<CredentialAnnotations> {
    if kept(secret, at) == certificate {
        return None;
    }
    let note = [(key(&at.host, at.port).into(), certificate.map(str::to_owned))].into();
    has_room(secret, &note).then_some(note)
}

/// The annotations that store a BMC which has answered at `ip` with this certificate, or none.
fn note_of(
    bmc: &str,
    ip: &str,
    at: &Destination,
    certificate: Option<&str>,
) -> CredentialAnnotations {
    [
        (key_of_bmc(bmc).into(), Some(ip.to_owned())),
        (key(&at.host, at.port).into(), certificate.map(str::to_owned)),
    ]
    .into()
}

/// The annotations that store a BMC which has answered at `ip` with this certificate, or none; `None`
/// if they are up to date, or there is no room.
pub(super) fn to_keep_of(
    secret: &BmcSecret,
    bmc: &str,
    ip: &str,
    (at, certificate): (&Destination, Option<&str>),
) -> Option<CredentialAnnotations> {
    let note = note_of(bmc, ip, at, certificate);
    (!is_there(secret, &note) && has_room(secret, &note)).then_some(note)
}

/// Why they are not stored, if there is no room for them.
pub(super) fn unstored_of(
    secret: &BmcSecret,
    bmc: &str,
    ip: &str,
    (at, certificate): (&Destination, Option<&str>),
) -> Option<String> {
    let note = note_of(bmc, ip, at, certificate);
    (!is_there(secret, &note) && !has_room(secret, &note))
        .then(|| no_room(secret, "the address and the certificate are"))
}

/// Whether the credentials have these annotations.
pub(super) fn is_there(secret: &BmcSecret, note: &CredentialAnnotations) -> bool {
    note.iter().all(|(key, value)| noted(secret, key) == value.as_deref())
}

/// Whether the annotations have room for these.
fn has_room(secret: &BmcSecret, note: &CredentialAnnotations) -> bool {
    let others = secret.metadata.annotations.iter().flatten();
    let others = others.filter(|(key, _)| !note.contains_key(key.as_str()));
    let others: usize = others.map(|(key, value)| key.len() + value.len()).sum();
    let own = note.iter().filter_map(|(key, value)| Some(key.len() + value.as_ref()?.len()));
    let own: usize = own.sum();
    own == 0 || others + own <= ROOM
}

fn noted<'a>(secret: &'a BmcSecret, key: &str) -> Option<&'a str> {
    annotated(&secret.metadata, key)
}

/// The annotation with the address of a BMC.
fn key_of_bmc(name: &str) -> String {
    let name = if name.len() <= LONGEST_NAME { name.to_owned() } else { digest(name) };
    format!("{}{name}", annotation::KNOWN_ADDRESS_OF)
}

/// Something as long as half a SHA-256, instead of a name that is too long.
pub(super) fn digest(name: &str) -> String {
    hex(&Sha256::digest(name)[..16])
}

/// The annotation with the certificate at an address. The name of an annotation consists of at most
/// 63 letters, digits, dots and hyphens.
fn key(host: &BmcHost, port: u16) -> String {
    let host = match host {
        BmcHost::Address(IpAddr::V4(address)) => address.to_string(),
        BmcHost::Address(IpAddr::V6(address)) => {
            address.segments().map(|it| format!("{it:x}")).join("-")
        }
        BmcHost::Name(name) if name.as_str().len() <= LONGEST => name.as_str().to_owned(),
        BmcHost::Name(name) => digest(name.as_str()),
    };
    format!("{}{host}.{port}", annotation::KNOWN_CERTIFICATE_AT)
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

    fn store(secret: &mut BmcSecret, note: CredentialAnnotations) {
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
        store(&mut secret, note);
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
        store(&mut secret, note);
        assert_eq!(certificate_of_server(&server(None), Some(&secret), &here), Some(&*new));
        // By http, or where an authority vouches, there is none to store.
        let note = note_of_server(&server(Some(answered(None))), Some(&secret), &here).unwrap();
        store(&mut secret, note);
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
            let key = key(&at(address).host, 443);
            assert_eq!(key.strip_prefix(annotation::KNOWN_CERTIFICATE_AT), Some(suffix));
        }
        let name = format!("{}.example.com", "a".repeat(60));
        for (host, length) in [(longest, 63), (name.as_str(), 56)] {
            let key = key(&at(host).host, u16::MAX);
            assert_eq!(key.split_once('/').unwrap().1.len(), length, "{host}");
        }
        for (name, length) in [("b".repeat(49), 63), ("b".repeat(50), 46)] {
            assert_eq!(key_of_bmc(&name).split_once('/').unwrap().1.len(), length, "{name}");
        }
    }

    #[test]
    fn credentials_of_a_fleet_keep_no_more_than_the_api_server_takes_and_that_is_told() {
        let mut secret = BmcSecret::new("all", BmcSecretSpec::default());
        let certificate = format!("sha256:{}", "a".repeat(64));
        let address = |number: u16| at(&format!("fd77:1111:2222:3333:4444:5555:6666:{number:x}"));
        for number in 0x1000..0x2000 {
            let Some(note) = to_keep(&secret, &address(number), Some(&certificate)) else { break };
            store(&mut secret, note);
        }
        let annotations = secret.metadata.annotations.clone().unwrap();
        assert!(annotations.len() > 1000, "{}", annotations.len());
        let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(bytes <= ROOM && bytes + 200 > ROOM, "{bytes}");
        assert!(to_keep(&secret, &address(0x1000), None).is_some(), "one less always has room");
        let other = certificate.replace('a', "b");
        assert!(to_keep(&secret, &address(0x1000), Some(&other)).is_some(), "in its place");
        let told = |number| unstored(&secret, &address(number), Some(&certificate));
        assert!(told(0x1fff).is_some_and(|told| told.contains("BMCSecret all")), "no room");
        assert_eq!(told(0x1000), None, "it is there");
        assert_eq!(unstored(&secret, &address(0x1fff), None), None, "there is none");
        let of = |number| (address(number), "fd77:1111:2222:3333:4444:5555:6666:7777");
        let (at, ip) = of(0x1fff);
        let note = to_keep_of(&secret, "bmc-b", ip, (&at, Some(&certificate)));
        let told = unstored_of(&secret, "bmc-b", ip, (&at, Some(&certificate)));
        assert_eq!((note, told.is_some_and(|it| it.contains("BMCSecret all"))), (None, true));
    }
}
