//! Which BMCs are talked to over TLS.

use crate::bmc::{FakeRedfish, chain, credentials, patient};
use metal_bmc::{Bmc, Config, Connect, Error, Fleet, Names, Pin, Target, Trust, UntrustedPolicy};
use metal_core::redfish::Scheme;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, issued by an authority or self-signed.
fn identity(name: &str, by: Option<&CertifiedIssuer<'static, KeyPair>>) -> Identity {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Identity { certificate: certificate.der().clone(), key }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// A BMC behind TLS. The guard ends it.
async fn start(identity: Identity) -> (FakeRedfish, Target, JoinSet<()>) {
    start_with(identity, &[&TLS13, &TLS12]).await
}

async fn start_with(
    identity: Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> (FakeRedfish, Target, JoinSet<()>) {
    let server = FakeRedfish::machine().await;
    let key = ring::sign::any_supported_type(&identity.key).unwrap();
    // Not checked: whether key and certificate belong together.
    let identity = CertifiedKey::new(vec![identity.certificate], key);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = (Ipv4Addr::LOCALHOST, server.target().port);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut far = TcpStream::connect(plain).await.unwrap();
                copy_bidirectional(&mut tls, &mut far).await.ok();
            });
        }
    });
    let target = Target { scheme: Scheme::Https, host: address.ip().into(), port: address.port() };
    (server, target, tasks)
}

fn fleet(trust: Trust) -> Fleet {
    Fleet::new(Config { trust, limits: patient(), ..Config::default() })
}

async fn reason(fleet: &Fleet, target: &Target) -> String {
    let error = fleet.connect(target, &credentials()).systems().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    chain(&error)
}

#[tokio::test]
async fn a_certificate_by_a_configured_authority_is_good_for_its_address() {
    let authority = authority();
    let trust = Trust::new(UntrustedPolicy::Refuse);
    let trust = trust.with_authorities(pem(authority.der()).as_bytes()).unwrap();
    let (_server, target, _tasks) = start(identity("127.0.0.1", Some(&authority))).await;
    let fleet = fleet(trust);
    let bmc = fleet.connect(&target, &credentials());
    bmc.systems().await.unwrap();
    bmc.systems().await.unwrap();
    assert_eq!((fleet.counters().connections(), fleet.pin(&target)), (1, None));
}

#[tokio::test]
async fn certificates_of_others_are_refused_where_strangers_are() {
    let authority = authority();
    for identity in [
        identity("127.0.0.1", None),
        identity("127.0.0.9", Some(&authority)),
        identity("bmc.example", Some(&authority)),
    ] {
        let trust = Trust::new(UntrustedPolicy::Refuse);
        let trust = trust.with_authorities(pem(authority.der()).as_bytes()).unwrap();
        let (server, target, _tasks) = start(identity).await;
        let reason = reason(&fleet(trust), &target).await;
        assert!(reason.contains("invalid peer certificate"), "{reason}");
        assert_eq!(server.log(), [] as [String; 0], "nothing was sent, least of all a password");
    }
}

#[tokio::test]
async fn a_certificate_for_the_host_name_of_the_bmc_is_good() {
    let authority = authority();
    let trust = Trust::new(UntrustedPolicy::Refuse);
    let trust = trust.with_authorities(pem(authority.der()).as_bytes()).unwrap();
    let (server, target, _tasks) = start(identity("node1.bmc.example", Some(&authority))).await;
    let unnamed = reason(&fleet(trust.clone()), &target).await;
    for part in ["set spec.hostname", "node1.bmc.example"] {
        assert!(unnamed.contains(part), "{part}: {unnamed}");
    }
    let other = fleet(trust.clone());
    other.set_host_name(&target, Some("node2.bmc.example"));
    assert!(reason(&other, &target).await.contains("invalid peer certificate"));
    assert_eq!(server.log(), [] as [String; 0], "nothing was sent, least of all a password");

    let named = fleet(trust);
    named.set_host_name(&target, Some("node1.bmc.example"));
    named.connect(&target, &credentials()).systems().await.unwrap();
}

/// A fleet that resolves names by `lookup`; in tests, machines are on this host.
fn named(trust: Trust, lookup: fn(&str) -> io::Result<Vec<IpAddr>>) -> Fleet {
    let names = Names { lookup, forbids: |_| false };
    Fleet::new(Config { trust, names, limits: patient(), ..Config::default() })
}

fn at(name: &str, target: &Target) -> Target {
    Target { host: name.parse().unwrap(), ..target.clone() }
}

/// Resolves to the BMC's address, after one where nothing listens.
const HERE: fn(&str) -> io::Result<Vec<IpAddr>> =
    |_| Ok(vec![[127, 0, 0, 9].into(), [127, 0, 0, 1].into()]);

#[tokio::test]
async fn a_bmc_with_a_host_name_shows_a_certificate_for_it_or_gets_no_password() {
    let authority = authority();
    let trust = Trust::new(UntrustedPolicy::Refuse);
    let trust = trust.with_authorities(pem(authority.der()).as_bytes()).unwrap();
    let (server, target, _tasks) = start(identity("node1.bmc.example", Some(&authority))).await;
    let fleet = named(trust, HERE);
    let other = reason(&fleet, &at("node2.bmc.example", &target)).await;
    assert!(
        other.contains("invalid peer certificate") && !other.contains("spec.hostname"),
        "{other}"
    );
    assert_eq!(server.log(), [] as [String; 0], "nothing was sent, least of all a password");
    let bmc = fleet.connect(&at("Node1.BMC.example.", &target), &credentials());
    bmc.systems().await.unwrap();
    assert_eq!(server.hosts(), [format!("node1.bmc.example:{}", target.port)]);
}

#[tokio::test]
async fn a_bmc_with_a_host_name_is_held_to_its_first_certificate_wherever_the_name_leads() {
    let (_server, target, _tasks) = start(identity("bmc", None)).await;
    let fleet = named(Trust::default(), HERE);
    let target = at("bmc.example", &target);
    fleet.connect(&target, &credentials()).systems().await.unwrap();
    let pin = fleet.pin(&target);
    let (stranger, elsewhere, _tasks) = start(identity("bmc", None)).await;
    let target = Target { port: elsewhere.port, ..target };
    fleet.set_pin(&target, pin);
    assert!(reason(&fleet, &target).await.contains("differs from the pinned one"));
    assert_eq!(stranger.log(), [] as [String; 0]);
}

#[tokio::test]
async fn no_password_goes_to_this_host_or_its_link_whatever_name_leads_there() {
    let (server, target, _tasks) = start(identity("bmc", None)).await;
    for lookup in [
        (|_: &str| Ok(vec![[127, 0, 0, 1].into()])) as fn(&str) -> io::Result<Vec<IpAddr>>,
        |_| Ok(vec![Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()]),
        |_| Ok(vec![[169, 254, 169, 254].into()]),
    ] {
        let names = Names { lookup, ..Names::default() };
        let config = Config { names, limits: patient(), ..Config::default() };
        let fleet = Fleet::new(config);
        let why = reason(&fleet, &at("bmc.example", &target)).await;
        assert!(
            why.contains("bmc.example resolves to ") && why.contains("addresses are not allowed"),
            "{why}"
        );
    }
    assert_eq!((server.connections(), server.log()), (0, vec![]));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a resolver blocks its thread")]
async fn a_name_that_nobody_answers_for_costs_no_more_than_its_deadline_and_no_other_bmc() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            IS_OVER.store(true, Ordering::Relaxed);
        }
    }
    let _over = Over;
    let (_server, target, _tasks) = start(identity("bmc", None)).await;
    let lookup: fn(&str) -> io::Result<Vec<IpAddr>> = |name| {
        if name == "lost.example" {
            return Err(io::Error::other("no such name"));
        }
        while !IS_OVER.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(vec![])
    };
    let limits = metal_bmc::Limits { connect: Duration::from_secs(4), ..patient() };
    let names = Names { lookup, forbids: |_| false };
    let fleet = Fleet::new(Config { names, limits, ..Config::default() });
    let silent = at("silent.example", &target);
    let (silent, honest) = tokio::join!(reason(&fleet, &silent), async {
        fleet.connect(&target, &credentials()).systems().await
    });
    assert!(silent.contains("its host name did not resolve within 4s"), "{silent}");
    honest.unwrap();
    let lost = reason(&fleet, &at("lost.example", &target)).await;
    assert!(lost.contains("its host name does not resolve: no such name"), "{lost}");
}

#[tokio::test]
async fn a_certificate_of_version_1_can_be_pinned() {
    for version in [&TLS12, &TLS13] {
        let mut old = identity("bmc", None);
        old.certificate = as_version_1(&old.certificate);
        let (_server, target, _tasks) = start_with(old, &[version]).await;
        let fleet = fleet(Trust::default());
        fleet.connect(&target, &credentials()).systems().await.unwrap();
        assert!(fleet.pin(&target).is_some(), "{version:?}");

        let mut stolen = identity("bmc", None);
        stolen.certificate = as_version_1(&identity("bmc", None).certificate);
        let (server, target, _tasks) = start_with(stolen, &[version]).await;
        let reason = reason(&fleet, &target).await;
        assert!(reason.contains("TLS connection failed"), "{version:?}: {reason}");
        assert_eq!((fleet.pin(&target), server.log().len()), (None, 0), "{version:?}");
    }
}

/// A certificate without version number and extensions. Its signature no longer matches, and nobody
/// checks it.
fn as_version_1(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    let (all, _) = value(certificate);
    let (signed, signature) = value(all);
    let (mut kept, mut rest) = (vec![], signed);
    while !rest.is_empty() {
        let (_, after) = value(rest);
        if !matches!(rest[0], 0xa0 | 0xa3) {
            kept.extend_from_slice(&rest[..rest.len() - after.len()]);
        }
        rest = after;
    }
    let sequence = |body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82][..], &length, body].concat()
    };
    let body = [sequence(&kept), signature.to_vec()].concat();
    CertificateDer::from(sequence(&body))
}

/// The content of the first DER value, and what follows the value.
fn value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, header) = match der[1] {
        0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        0x81 => (usize::from(der[2]), 3),
        short => (usize::from(short), 2),
    };
    der[header..].split_at(length)
}

#[tokio::test]
async fn the_first_certificate_is_held_to() {
    let (_server, target, _tasks) = start(identity("bmc", None)).await;
    let first = fleet(Trust::new(UntrustedPolicy::PinFirst));
    assert_eq!(first.pin(&target), None);
    first.connect(&target, &credentials()).systems().await.unwrap();
    let pin = first.pin(&target).unwrap();

    let again = fleet(Trust::new(UntrustedPolicy::PinFirst));
    again.set_pin(&target, Some(pin));
    again.connect(&target, &credentials()).systems().await.unwrap();
    assert_eq!(again.pin(&target), Some(pin));
}

#[tokio::test]
async fn another_certificate_than_the_first_is_refused_and_both_are_named() {
    let (server, target, _tasks) = start(identity("bmc", None)).await;
    let fleet = fleet(Trust::default());
    let other: Pin = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    fleet.set_pin(&target, Some(other));
    let reason = reason(&fleet, &target).await;
    assert!(reason.contains(&format!("the pinned one, {other}")), "{reason}");
    assert_eq!(fleet.pin(&target), Some(other));
    assert_eq!(server.log(), [] as [String; 0]);
}

#[tokio::test]
async fn a_connection_is_not_used_for_a_bmc_that_is_held_to_another_certificate_now() {
    let (server, target, _tasks) = start(identity("bmc", None)).await;
    let fleet = fleet(Trust::default());
    fleet.connect(&target, &credentials()).systems().await.unwrap();
    let sent = server.log().len();
    // Another BMC is said to be at this address.
    fleet.set_pin(&target, Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap()));
    assert!(reason(&fleet, &target).await.contains("differs from the pinned one"));
    assert_eq!(server.log().len(), sent, "nothing was sent, least of all a password");
}

#[tokio::test]
async fn verification_can_be_switched_off() {
    let (_server, target, _tasks) = start(identity("bmc", None)).await;
    let fleet = fleet(Trust::new(UntrustedPolicy::Accept));
    fleet.connect(&target, &credentials()).systems().await.unwrap();
    assert_eq!(fleet.pin(&target), None);
}

#[tokio::test]
async fn tls_to_a_plain_port_is_unreachable() {
    let server = FakeRedfish::machine().await;
    let target = Target { scheme: Scheme::Https, ..server.target() };
    let reason = reason(&fleet(Trust::new(UntrustedPolicy::Accept)), &target).await;
    assert!(reason.starts_with("TLS connection failed"), "{reason}");
}

#[tokio::test]
async fn a_bmc_of_old_times_is_told_what_it_offers_and_what_to_do() {
    let answer = include_bytes!("../../src/testdata/openssl-tls11-rsa1024.bin");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Our hello is refused as OpenSSL does it (alert 70, protocol_version); the probing hello
        // is not.
        for said in [&[21, 3, 1, 0, 2, 2, 70][..], answer] {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            tokio::io::AsyncReadExt::read(&mut tcp, &mut hello).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut tcp, said).await.unwrap();
        }
    });
    let target = Target { scheme: Scheme::Https, host: address.ip().into(), port: address.port() };
    let reason = reason(&fleet(Trust::default()), &target).await;
    for part in
        ["TLS connection failed", "TLS 1.1, RSA_WITH_AES_128_CBC_SHA", "1024 bits", "firmware"]
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
}

#[tokio::test]
async fn a_bmc_shows_its_certificate_before_anybody_logs_in() {
    let (server, target, _guard) = start(identity("bmc", None)).await;
    let fleet = Fleet::new(Config::default());
    let shown = fleet.introduce(&target).await.unwrap().unwrap();
    assert_eq!((fleet.counters().requests(), fleet.counters().logins()), (0, 0));
    assert_eq!(fleet.pin(&target), None, "it is for the caller to hold it to that");
    fleet.set_pin(&target, Some(shown));
    fleet.connect(&target, &credentials()).systems().await.unwrap();
    // Whoever takes its place is seen, and gets no password.
    fleet.set_pin(&target, Some(format!("sha256:{}", "ab".repeat(32)).parse().unwrap()));
    assert_eq!(fleet.introduce(&target).await.unwrap(), Some(shown));
    drop(server);
}
