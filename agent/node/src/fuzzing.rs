//! What the API server and metalman answer, as it is read, for `hack/fuzz`.

use crate::{certificate::Facts, kube};
use metal_http::Reason;

/// The certificate in an answer about a request, if it is signed; else the error.
///
/// # Errors
///
/// The error for an answer that is of no use.
pub fn signed(body: &[u8]) -> Result<Option<String>, String> {
    kube::read("csr", body).map_err(|error| error.to_string())
}

/// The error for a refusal.
pub fn refusal(body: &[u8]) -> String {
    Reason::of(&kube::message(body)).to_string()
}

/// The name in a certificate in DER.
pub fn common_name(der: &[u8]) -> Option<String> {
    Facts::read(der).ok().map(|facts| facts.common_name)
}
