//! Content digests (OCI image-spec 1.1, "Digests"), parsed strictly.

use sha2::{Digest as _, Sha256, Sha512};
use std::{fmt, str::FromStr};

/// A registered digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digest of some content, such as `sha256:` followed by 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("digest must be sha256: with 64, or sha512: with 128 lower-case hexadecimal digits")]
pub struct MalformedDigest;

impl Digest {
    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The SHA-256 digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(content);
        hasher.finish()
    }

    /// Parses the form with a dash, `sha256-0123…`, which is used in file names because a colon is
    /// not portable there.
    ///
    /// # Errors
    ///
    /// If the text is anything else.
    pub fn parse_dashed(text: &str) -> Result<Self, MalformedDigest> {
        Self::parse(text, '-')
    }

    fn parse(text: &str, separator: char) -> Result<Self, MalformedDigest> {
        let (name, hex) = text.split_once(separator).ok_or(MalformedDigest)?;
        let named = |algorithm: &Algorithm| algorithm.name() == name;
        let algorithm = Algorithm::ALL.into_iter().find(named).ok_or(MalformedDigest)?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hex.len() != algorithm.hex_length() || !hex.bytes().all(digit) {
            return Err(MalformedDigest);
        }
        Ok(Self { algorithm, hex: hex.into() })
    }
}

impl FromStr for Digest {
    type Err = MalformedDigest;

    fn from_str(text: &str) -> Result<Self, MalformedDigest> {
        Self::parse(text, ':')
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Computes a digest incrementally.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has not been fed yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Feeds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(piece),
            State::Sha512(hasher) => hasher.update(piece),
        }
    }

    /// The digest of everything that was fed.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hasher) => digest(Algorithm::Sha256, &hasher.finalize()),
            State::Sha512(hasher) => digest(Algorithm::Sha512, &hasher.finalize()),
        }
    }
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibble = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0xf)]);
    let hex: String = bytes.iter().flat_map(|byte| [nibble(byte >> 4), nibble(*byte)]).collect();
    Digest { algorithm, hex: hex.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn both_forms_name_the_same_digest() {
        let colon: Digest = format!("sha256:{EMPTY}").parse().unwrap();
        assert_eq!(Digest::parse_dashed(&format!("sha256-{EMPTY}")), Ok(colon.clone()));
        assert_eq!(colon, Digest::of(b""));
        assert_eq!(colon.to_string(), format!("sha256:{EMPTY}"));
    }

    #[test]
    fn pieces_and_the_whole_have_one_digest() {
        for algorithm in Algorithm::ALL {
            let mut whole = Hasher::new(algorithm);
            let mut pieces = whole.clone();
            whole.update(b"kernel");
            pieces.update(b"ker");
            pieces.update(b"nel");
            let digest = whole.finish();
            assert_eq!(digest, pieces.finish());
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }

    #[test]
    fn whatever_is_no_digest_is_refused() {
        let upper = format!("sha256:{}", EMPTY.to_uppercase());
        let short = format!("sha256:{}", &EMPTY[1..]);
        let long = format!("sha256:{EMPTY}0");
        let wrong = format!("sha512:{EMPTY}");
        let path = "sha256:../../../other/repo/manifests/latest".to_owned();
        for text in [upper, short, long, wrong, path, "sha1:00".into(), String::new()] {
            assert_eq!(text.parse::<Digest>(), Err(MalformedDigest), "{text}");
        }
    }
}
