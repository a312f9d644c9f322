//! The part of a request that is kept: any node may make as many requests as it likes, of any size.

use super::{ORGANIZATION, SIGNER, is_settled, request::LONGEST};
use k8s_openapi::{
    ByteString, api::certificates::v1::CertificateSigningRequest,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

/// More usages than there are.
const USAGES: usize = 32;
/// Longer than the name of any usage.
const USAGE: usize = 64;

/// Drops what no decision needs. A field that is too long to be valid is dropped as well, so that the request is
/// denied.
pub fn trim(csr: &mut CertificateSigningRequest) {
    let meta = std::mem::take(&mut csr.metadata);
    csr.metadata = ObjectMeta {
        name: meta.name,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        ..ObjectMeta::default()
    };
    csr.spec.extra = None;
    csr.spec.uid = None;
    if let Some(groups) = &mut csr.spec.groups {
        groups.retain(|group| group == ORGANIZATION);
        groups.truncate(1);
    }
    let usages = csr.spec.usages.iter().flatten();
    if usages.clone().count() > USAGES || usages.clone().any(|usage| usage.len() > USAGE) {
        csr.spec.usages = None;
    }
    if csr.spec.signer_name != SIGNER || is_settled(csr) || csr.spec.request.0.len() > LONGEST {
        csr.spec.request = ByteString::default();
    }
    if let Some(status) = &mut csr.status {
        status.certificate = status.certificate.take().map(|_| ByteString::default());
        for condition in status.conditions.iter_mut().flatten() {
            (condition.message, condition.reason) = (None, None);
        }
    }
}
