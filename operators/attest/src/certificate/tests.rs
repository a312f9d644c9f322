use super::*;
use crate::{
    Request,
    testing::{Maker, Swtpm, machines},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use std::fs;

/// In 2030, when the certificates of these tests are valid.
const NOW: Duration = Duration::from_secs(1_900_000_000);

#[test]
fn a_tpm_is_vouched_for_by_its_maker_and_by_no_other() {
    let (maker, other) = (Maker::new(), Maker::new());
    let (tpm, twin, stranger) = (maker.tpm(), maker.tpm(), other.tpm());
    let [(ek, own), (_, of_twin), (of_stranger, theirs)] = [&tpm, &twin, &stranger].map(presented);
    let root = roots(&[&fs::read(maker.root()).unwrap()]);
    let trusted = roots(&[&fs::read(maker.between()).unwrap()]);
    let between = der(&fs::read(maker.between()).unwrap());
    // In the year 9999 they are still valid.
    let now = Duration::from_secs(253_402_000_000);
    assert_eq!(root.verify(&ek, &[own.clone(), between], now), Ok(()));
    assert_eq!(trusted.verify(&ek, std::slice::from_ref(&own), now), Ok(()));
    assert_eq!(
        root.verify(&ek, std::slice::from_ref(&own), now),
        Err(CertificateError::NotTrusted)
    );
    assert_eq!(trusted.verify(&ek, &[of_twin], now), Err(CertificateError::OtherKey));
    let refused = trusted.verify(&of_stranger, &[theirs], now);
    assert_eq!(refused, Err(CertificateError::NotTrusted), "of the same name, with another key");
    assert_eq!(trusted.verify(&ek, &[own], Duration::ZERO), Err(CertificateError::OutOfDate));
}

#[test]
fn a_chain_is_followed_by_its_signatures_whatever_algorithms_they_have() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        for ek in keys() {
            let root = authority("root", algorithm, |_| ());
            let between = below(&root, "between", |it| constrain(it, 0));
            let own = certificate(&between, &ek, |_| ());
            let chain = [own, between.der().to_vec()];
            assert_eq!(trusting(&root).verify(&ek, &chain, NOW), Ok(()));
            assert_eq!(trusting(&between).verify(&ek, &chain[..1], NOW), Ok(()));
        }
    }
}

#[test]
fn what_is_no_proof_is_told_by_what_is_wrong_with_it() {
    let root = authority("root", &PKCS_ECDSA_P256_SHA256, |_| ());
    let [ek, _] = keys();
    let refused = |edit: fn(&mut CertificateParams)| {
        trusting(&root).verify(&ek, &[certificate(&root, &ek, edit)], NOW)
    };
    let cases: [Case; 8] = [
        (|_| (), Ok(())),
        (|it| it.extended_key_usages = vec![usage()], Ok(())),
        (|it| it.custom_extensions = vec![alternative_name()], Ok(())),
        (
            |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Err(CertificateError::OtherUsage),
        ),
        (|it| it.not_after = date_time_ymd(2029, 1, 1), Err(CertificateError::OutOfDate)),
        (|it| it.not_before = date_time_ymd(2031, 1, 1), Err(CertificateError::OutOfDate)),
        (
            |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Err(CertificateError::OtherRole),
        ),
        (|it| it.custom_extensions = vec![unknown()], Err(CertificateError::Malformed)),
    ];
    for (at, (edit, expected)) in cases.into_iter().enumerate() {
        assert_eq!(refused(edit), expected, "case {at}");
    }
    assert_eq!(trusting(&root).verify(&ek, &[], NOW), Err(CertificateError::Missing));
    let junk = trusting(&root).verify(&ek, &[vec![0x30, 0x82, 0, 1, 0]], NOW);
    assert_eq!(junk, Err(CertificateError::Malformed));
}

#[test]
fn nobody_signs_who_may_not_and_no_chain_is_without_end() {
    let [ek, _] = keys();
    let root = authority("root", &PKCS_ECDSA_P256_SHA256, |_| ());
    // An authority that may sign for keys only has signed another.
    let first = below(&root, "first", |it| constrain(it, 0));
    let second = below(&first, "second", |_| ());
    let chain = [certificate(&second, &ek, |_| ()), second.der().to_vec(), first.der().to_vec()];
    assert_eq!(trusting(&root).verify(&ek, &chain, NOW), Err(CertificateError::OtherRole));
    // Somebody with a certificate of their own has signed.
    let nobody = below(&root, "nobody", |it| it.is_ca = IsCa::ExplicitNoCa);
    let chain = [certificate(&nobody, &ek, |_| ()), nobody.der().to_vec()];
    assert_eq!(trusting(&root).verify(&ek, &chain, NOW), Err(CertificateError::OtherRole));
    // One authority above the other.
    let mut all = vec![below(&root, "0", |_| ())];
    for depth in 1..7 {
        all.push(below(&all[depth - 1], &depth.to_string(), |_| ()));
    }
    let own = certificate(&all[6], &ek, |_| ());
    let between = all.iter().map(|it| it.der().to_vec());
    let chain: Vec<_> = [own].into_iter().chain(between).collect();
    assert_eq!(chain.len(), MAX_CERTIFICATES);
    assert!(trusting(&all[2]).verify(&ek, &chain, NOW).is_ok(), "some are not too many");
    assert_eq!(trusting(&root).verify(&ek, &chain, NOW), Err(CertificateError::NotTrusted));
}

#[test]
fn an_rsa_key_may_be_named_as_one_for_oaep() {
    let [ek, ecc] = keys();
    let der = ek.to_der();
    let named = |oid: u8, parameters: &[u8]| {
        let algorithm = [&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, oid], parameters].concat();
        let len = u8::try_from(algorithm.len()).unwrap();
        let content = [&[0x30, len][..], &algorithm, &der[19..]].concat();
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82][..], &len, &content].concat()
    };
    assert_eq!(named(1, &[5, 0]), der);
    assert!(
        ek.is_spki(&der) && ek.is_spki(&named(7, &[5, 0])) && ek.is_spki(&named(7, &[0x30, 0]))
    );
    assert!(!ek.is_spki(&named(10, &[5, 0])), "rsassaPss is for signatures");
    assert!(!ek.is_spki(&ecc.to_der()) && !ecc.is_spki(&der) && !ek.is_spki(&[]));
    let mut other = named(7, &[5, 0]);
    *other.last_mut().unwrap() ^= 2;
    assert!(!ek.is_spki(&other));
    let longer = [&named(7, &[5, 0])[..2], &[2, 0], &named(7, &[5, 0])[4..]].concat();
    assert!(!ek.is_spki(&longer), "a length that is not that of its content");
}

#[test]
fn roots_are_taken_together_or_not_at_all() {
    let root = authority("root", &PKCS_ECDSA_P256_SHA256, |_| ());
    let mut roots = Roots::default();
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let both = format!("{}{broken}", pem(root.der()));
    assert!(matches!(roots.add(both.as_bytes()), Err(RootsError::Certificate(2, _))));
    assert!(matches!(roots.add(b"nothing"), Err(RootsError::Empty)));
    assert!(matches!(roots.add(root.der()), Err(RootsError::Empty)), "DER is not read");
    assert!(roots.anchors().is_empty());
    let many = pem(root.der()).repeat(1025);
    assert!(matches!(roots.add(many.as_bytes()), Err(RootsError::TooMany)));
    roots.add(pem(root.der()).as_bytes()).unwrap();
    assert_eq!(format!("{roots:?}"), "Roots(1)");
}

/// The key of a TPM, and its certificate as tpm2-tools read it.
fn presented(tpm: &Swtpm) -> (EndorsementKey, Vec<u8>) {
    (EndorsementKey::parse(&tpm.tpm2_ek()).unwrap(), tpm.certificate())
}

/// The keys of recorded exchanges: RSA and P-256.
fn keys() -> [EndorsementKey; 2] {
    let key = |at: usize| Request::parse(machines()[at].body().as_bytes()).unwrap().ek;
    [key(0), key(1)]
}

/// How a certificate differs from one that is accepted, and what comes of it.
type Case = (fn(&mut CertificateParams), Result<(), CertificateError>);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(
    name: &str,
    algorithm: &'static SignatureAlgorithm,
    edit: fn(&mut CertificateParams),
) -> Authority {
    let key = KeyPair::generate_for(algorithm).unwrap();
    CertifiedIssuer::self_signed(params(name, edit), key).unwrap()
}

fn below(issuer: &Authority, name: &str, edit: fn(&mut CertificateParams)) -> Authority {
    let key = KeyPair::generate_for(issuer.key().algorithm()).unwrap();
    CertifiedIssuer::signed_by(params(name, edit), key, issuer).unwrap()
}

fn params(name: &str, edit: fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    edit(&mut params);
    params
}

fn constrain(params: &mut CertificateParams, len: u8) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(len));
}

/// A certificate of an endorsement key.
fn certificate(
    issuer: &Authority,
    ek: &EndorsementKey,
    edit: fn(&mut CertificateParams),
) -> Vec<u8> {
    let mut params = CertificateParams::default();
    edit(&mut params);
    params.signed_by(&Certified(ek.to_der()), issuer).unwrap().der().to_vec()
}

/// A SubjectPublicKeyInfo.
struct Certified(Vec<u8>);

impl PublicKeyData for Certified {
    fn der_bytes(&self) -> &[u8] {
        if self.0.len() > 200 { &self.0[24..] } else { &self.0[26..] }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        if self.0.len() > 200 { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 }
    }
}

/// tcg-kp-EKCertificate.
fn usage() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])
}

/// A critical subjectAltName with a directoryName, as the profile wants it (section 3.2.9).
fn alternative_name() -> CustomExtension {
    let name = [0x30, 6, 0xa4, 4, 0x30, 2, 0x31, 0];
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], name.to_vec());
    extension.set_criticality(true);
    extension
}

fn unknown() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    extension
}

fn trusting(authority: &Authority) -> Roots {
    roots(&[pem(authority.der()).as_bytes()])
}

fn roots(all: &[&[u8]]) -> Roots {
    let mut roots = Roots::default();
    for pem in all {
        roots.add(pem).unwrap();
    }
    roots
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

/// The only certificate of a PEM file.
fn der(pem: &[u8]) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}
