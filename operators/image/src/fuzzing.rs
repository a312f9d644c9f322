//! What of this crate reads the bytes of registries, for hack/fuzz.

use crate::registry::{challenge, token};
use url::Url;

/// The challenges of a header `WWW-Authenticate`: scheme and parameters of each.
pub fn challenges(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    challenge::challenges(header).into_iter().map(challenge::Challenge::into_parts).collect()
}

/// The token in the answer of a token service, and how many seconds it is good for.
pub fn token(body: &[u8]) -> Option<(String, f64)> {
    let token = token::parse(body)?;
    Some((
        token.text,
        token.until.saturating_duration_since(tokio::time::Instant::now()).as_secs_f64(),
    ))
}

/// The address of a token service, or why it is none.
///
/// # Errors
///
/// If it is none.
pub fn realm(asked: &Url, realm: &str) -> Result<Url, String> {
    token::address(asked, realm)
}
