//! The parsers of registry responses, exposed for hack/fuzz.

use crate::registry::{challenge, token};
use url::Url;

/// The challenges of a `WWW-Authenticate` header: the scheme and parameters of each.
pub fn challenges(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    challenge::challenges(header).into_iter().map(challenge::Challenge::into_parts).collect()
}

/// The token in a token service's response, and its validity in seconds.
pub fn token(body: &[u8]) -> Option<(String, f64)> {
    let token = token::parse(body)?;
    Some((
        token.text,
        token.until.saturating_duration_since(tokio::time::Instant::now()).as_secs_f64(),
    ))
}

/// The address of a token service.
///
/// # Errors
///
/// If `realm` is not one; says why.
pub fn realm(asked: &Url, realm: &str) -> Result<Url, String> {
    token::address(asked, realm)
}
