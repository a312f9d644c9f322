//! The certificate that a person accepts for a BMC instead of the pinned one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_api::annotation;

/// The certificate that a person accepts instead of the pinned one.
pub(super) fn accepted_certificate(metadata: &ObjectMeta) -> Option<&str> {
    let text = annotated(metadata, annotation::ACCEPT_CERTIFICATE)?.trim();
    let digits = text.strip_prefix("sha256:")?;
    (digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit())).then_some(text)
}

/// Whether a person accepts something that is not the fingerprint of a certificate.
pub(crate) fn is_no_certificate(metadata: &ObjectMeta) -> bool {
    annotated(metadata, annotation::ACCEPT_CERTIFICATE).is_some()
        && accepted_certificate(metadata).is_none()
}

/// Whether the certificate that a person accepts is the pinned one now.
pub fn is_accepted(metadata: &ObjectMeta, pinned: Option<&str>) -> bool {
    let accepted = accepted_certificate(metadata);
    accepted.zip(pinned).is_some_and(|(accepted, pinned)| accepted.eq_ignore_ascii_case(pinned))
}

pub(super) fn annotated<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
