//! Which certificates of BMCs are accepted.
//!
//! A certificate is accepted if an authority of the configured bundle vouches for it, for the
//! address that was dialed. [`UntrustedPolicy`] decides about any other. BMCs come with
//! certificates that nobody vouches for, so the first one seen can be pinned: that does not prove
//! that the first one was genuine, only that it has not been replaced since.

use crate::transport::{
    pin::Pin,
    public_key::{self, Signature, Version},
};
use metal_api::annotation::ACCEPT_CERTIFICATE;
use metal_base::Locked;
use metal_base::authorities::{self, AuthoritiesError, OnUnusable};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime, pem, pem::PemObject},
};
use std::sync::{Arc, Mutex};

/// What to do with a certificate that no configured authority vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UntrustedPolicy {
    /// Refuse it.
    Refuse,
    /// Accept the first and pin it; refuse any other.
    #[default]
    PinFirst,
    /// Accept it, and verify nothing at all.
    Accept,
}

/// Which certificates are accepted.
#[derive(Clone, Debug)]
pub struct Trust {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    untrusted: UntrustedPolicy,
    provider: Arc<CryptoProvider>,
}

/// A bundle of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is not PEM.
    #[error("the CA bundle is not PEM")]
    Pem(#[source] pem::Error),
    /// It contains no certificate.
    #[error("the CA bundle contains no certificate")]
    Empty,
    /// A certificate is broken, or none can be an authority.
    #[error("the CA bundle contains a certificate that is not a CA certificate")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<AuthoritiesError> for TrustError {
    fn from(error: AuthoritiesError) -> Self {
        match error {
            AuthoritiesError::Pem(error) => Self::Pem(error),
            AuthoritiesError::Certificate(error) => Self::Certificate(error.into()),
        }
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::new(UntrustedPolicy::default())
    }
}

impl Trust {
    /// Trust in no authorities.
    pub fn new(untrusted: UntrustedPolicy) -> Self {
        let provider = Arc::new(crypto::ring::default_provider());
        Self { authorities: None, untrusted, provider }
    }

    /// Adds the authorities of a PEM bundle.
    pub fn with_authorities(self, bundle: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(bundle);
        if authorities::add(&mut roots, certificates, OnUnusable::Refuse)? == 0 {
            return Err(TrustError::Empty);
        }
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| TrustError::Certificate(error.into()))?;
        Ok(Self { authorities: Some(verifier), ..self })
    }

    /// The trust for one BMC, which is pinned to this certificate, or may have one for this name.
    pub(crate) fn of(&self, pin: Option<Pin>, host_name: Option<&str>) -> BmcVerifier {
        let host_name = host_name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        BmcVerifier { trust: self.clone(), pin, host_name }
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

/// Which certificates of one BMC are accepted.
#[derive(Clone, Debug)]
pub(crate) struct BmcVerifier {
    trust: Trust,
    pin: Option<Pin>,
    host_name: Option<ServerName<'static>>,
}

impl BmcVerifier {
    /// What one connection is made with, and the verifier that records the verdict on its
    /// certificate.
    pub(crate) fn connection(&self) -> Result<(Arc<ClientConfig>, Arc<Verifier>), Error> {
        let verifier =
            Arc::new(Verifier { of: self.clone(), unverified_certificate: Mutex::default() });
        let provider = Arc::clone(&self.trust.provider);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_no_client_auth();
        // A connection is kept for long; storing session tickets would cost more than they save.
        config.resumption = Resumption::disabled();
        Ok((Arc::new(config), verifier))
    }
}

/// The certificate is not the pinned one.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "its certificate {seen} differs from the pinned one, {pinned}; if the certificate was \
     replaced on purpose, annotate the BMC, or the Server that names it in spec.bmc, with \
     {ACCEPT_CERTIFICATE}={seen}"
)]
pub(crate) struct Changed {
    seen: Pin,
    pinned: Pin,
}

/// Verifies the certificate of one connection.
#[derive(Debug)]
pub(crate) struct Verifier {
    of: BmcVerifier,
    unverified_certificate: Mutex<Option<Result<Pin, Changed>>>,
}

impl Verifier {
    /// The certificate's pin if no authority vouches for it; an error if another is pinned. An `Ok`
    /// may be pinned once the handshake has proved that the peer has the key.
    pub(crate) fn unverified_certificate(&self) -> Option<Result<Pin, Changed>> {
        *self.unverified_certificate.locked()
    }

    fn judge_untrusted(&self, certificate: &CertificateDer<'_>, why: Error) -> Result<(), Error> {
        let seen = Pin::of(certificate);
        let verdict = match (self.of.trust.untrusted, self.of.pin) {
            (UntrustedPolicy::Refuse, _) => return Err(why),
            (UntrustedPolicy::Accept, _) => return Ok(()),
            (UntrustedPolicy::PinFirst, Some(pinned)) if seen != pinned => {
                Err(Changed { seen, pinned })
            }
            (UntrustedPolicy::PinFirst, _) => Ok(seen),
        };
        *self.unverified_certificate.locked() = Some(verdict);
        let refused = CertificateError::ApplicationVerificationFailure;
        verdict.map(drop).map_err(|_| refused.into())
    }
}

impl Verifier {
    /// Verifies that the peer has the key of its certificate. A pinned one may be of a kind that is
    /// fit for nothing else.
    fn signed_by(
        &self,
        certificate: &CertificateDer<'_>,
        signature: Signature<'_>,
        strictly: impl FnOnce() -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        let trust = &self.of.trust;
        if trust.untrusted == UntrustedPolicy::Accept {
            return Ok(HandshakeSignatureValid::assertion());
        }
        match strictly() {
            Err(Error::InvalidCertificate(why))
                if why != CertificateError::BadSignature
                    && matches!(self.unverified_certificate(), Some(Ok(_))) =>
            {
                public_key::verify(signature, certificate, trust.algorithms())
            }
            verdict => verdict,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.of.trust.authorities {
            Some(roots) => {
                let is_for =
                    |name| roots.verify_server_cert(certificate, intermediates, name, ocsp, now);
                match (is_for(name), &self.of.host_name) {
                    (
                        Err(Error::InvalidCertificate(
                            CertificateError::NotValidForName
                            | CertificateError::NotValidForNameContext { .. },
                        )),
                        Some(host_name),
                    ) => is_for(host_name),
                    (verdict, _) => verdict,
                }
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match verdict {
            Ok(_) => {}
            Err(why) => self.judge_untrusted(certificate, why)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.of.trust.algorithms();
        let signature = Signature { message, signed, version: Version::Tls12 };
        self.signed_by(certificate, signature, || {
            crypto::verify_tls12_signature(message, certificate, signed, algorithms)
        })
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.of.trust.algorithms();
        let signature = Signature { message, signed, version: Version::Tls13 };
        self.signed_by(certificate, signature, || {
            crypto::verify_tls13_signature(message, certificate, signed, algorithms)
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of.trust.algorithms().supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_certificate_is_refused() {
        let trust = |bundle: &[u8]| Trust::default().with_authorities(bundle);
        assert!(matches!(trust(b""), Err(TrustError::Empty)));
        assert!(matches!(trust(b"no PEM at all"), Err(TrustError::Empty)));
        let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(trust(garbage), Err(TrustError::Certificate(_))));
    }
}
