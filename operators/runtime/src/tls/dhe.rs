//! TLS 1.2 cipher suites with DHE (RFC 5288): those with ECDHE, except for the key exchange.

use rustls::{
    CipherSuite, SupportedCipherSuite, Tls12CipherSuite,
    crypto::{CipherSuiteCommon, KeyExchangeAlgorithm, ring::cipher_suite},
};
use std::sync::LazyLock;

static AES_256: LazyLock<Option<Tls12CipherSuite>> = LazyLock::new(|| {
    let like = cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
    with_dhe(like, CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384)
});
static AES_128: LazyLock<Option<Tls12CipherSuite>> = LazyLock::new(|| {
    let like = cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    with_dhe(like, CipherSuite::TLS_DHE_RSA_WITH_AES_128_GCM_SHA256)
});

/// All of them, best first.
pub(super) fn suites() -> impl Iterator<Item = SupportedCipherSuite> {
    [&AES_256, &AES_128].into_iter().filter_map(|suite| suite.as_ref()).map(Into::into)
}

fn with_dhe(like: SupportedCipherSuite, suite: CipherSuite) -> Option<Tls12CipherSuite> {
    let SupportedCipherSuite::Tls12(like) = like else { return None };
    let CipherSuiteCommon { hash_provider, confidentiality_limit, .. } = like.common;
    Some(Tls12CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
        prf_provider: like.prf_provider,
        kx: KeyExchangeAlgorithm::DHE,
        sign: like.sign,
        aead_alg: like.aead_alg,
    })
}
