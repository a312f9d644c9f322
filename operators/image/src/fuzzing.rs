//! The parsers of registry responses and of layers, exposed for hack/fuzz.

use crate::{
    registry::{challenge, token},
    tree::{Index, Limits, Sink, unpack_archive},
};
use std::io;
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

/// Counts what a layer would write.
#[derive(Default)]
struct Counted {
    files: u32,
    bytes: u64,
}

impl Sink for Counted {
    fn create(&mut self, number: u32) -> io::Result<()> {
        assert_eq!(number, self.files, "a file is written over");
        self.files += 1;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The index of a layer, and how many bytes its files have.
pub fn layer(layer: &[u8], limits: Limits) -> Option<(Index, u64)> {
    let mut counted = Counted::default();
    let index = unpack_archive(layer, limits, &mut counted)?;
    Some((index, counted.bytes))
}
