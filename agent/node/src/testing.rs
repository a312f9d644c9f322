//! For tests: an authority of a cluster.

use crate::key::{Key, pem};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType, date_time_ymd,
};
use rustls::{RootCertStore, crypto::ring, pki_types::PrivateKeyDer};
use std::sync::Arc;

/// An authority of a cluster.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// A certificate for a new key, from the first day of a year to that of another.
    pub(crate) fn certificate(&self, name: &str, from: i32, until: i32) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        params(name, from, until).signed_by(&key, &self.0).unwrap().der().to_vec()
    }

    /// The same for this key, in PEM.
    pub(crate) fn signed(&self, name: &str, from: i32, until: i32, key: &Key) -> String {
        let signed = params(name, from, until).signed_by(&key.0, &self.0).unwrap();
        pem("CERTIFICATE", signed.der())
    }

    /// What a server at 127.0.0.1 needs for TLS.
    pub(crate) fn server(&self, from: i32, until: i32) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = params("server", from, until);
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap()
    }

    /// Whoever trusts it.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn params(name: &str, from: i32, until: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
