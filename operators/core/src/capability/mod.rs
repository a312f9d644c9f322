//! Capabilities: what the URLs of one boot prove about the client.
//!
//! A booting machine can keep no secret, and has no name that could not be copied from a label. So
//! whoever prepares a boot puts a token into the URLs of that boot: an HMAC-SHA256 over what the
//! bearer may do, for which server, for which boot configuration and until when. Whoever serves the
//! request verifies it with the same key, without asking anybody.
//!
//! DHCP has little room for a URL, so there is a short form as well ([`issue_short`]).
//!
//! A token does not limit how many times it is used. That takes a memory, which is left to the
//! server.

mod short;

pub use short::{issue_short, verify_short};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac, digest::InvalidLength};
use jiff::Timestamp;
use sha2::Sha256;
use std::fmt;

/// Secret with boot-operator's key of capabilities, which boot-operator creates at its first start.
pub const BOOT_KEY_SECRET: &str = "boot-operator-ignition-key";

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display)]
pub enum Purpose {
    /// Post the inventory and the boot state of the server.
    Registration,
    /// Fetch the Ignition configuration of the server.
    Ignition,
    /// Read the medium that the server boots from.
    Medium,
    /// Load the UKI of the server, and then fetch its Ignition configuration.
    Uki,
    /// Install the machine that has booted with a `BootToken`: `server` is the UID of the token,
    /// `boot` the number of the boot.
    Install,
    /// Register the key of that machine, once it is installed.
    HostRegistration,
    /// Sign one request of a `Host` soon: `boot` is random.
    HostNonce,
    /// Register a key soon with a TPM that was proved: `server` is the UID of the token, `boot` says
    /// which key and which TPM.
    HostTpm,
    /// Ask for the second script of a `BootToken`: `server` is the UID of the token, `boot` the number
    /// of the boot that may begin.
    Boot,
}

/// What a token certifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What the bearer may do.
    pub purpose: Purpose,
    /// Name of the `Server`.
    pub server: String,
    /// `metadata.uid` of the boot configuration; tokens of a previous one are void.
    pub boot: String,
    /// When the token becomes void, in whole seconds.
    pub expires: Timestamp,
}

/// The text of a token: letters, digits, `-` and `_`, so that it is one path segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text, for the URL and nothing else.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A key that issues and verifies tokens, and from which others are derived.
#[derive(Clone)]
pub struct Key {
    tokens: Hmac<Sha256>,
    /// Keyed with the pseudorandom key of HKDF.
    derived: Hmac<Sha256>,
}

/// The key is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("capability key has {0} bytes, but needs at least {min}", min = Key::MIN)]
pub struct WeakKey(pub usize);

impl Key {
    /// Least number of bytes: that of the digest.
    pub const MIN: usize = 32;

    /// A key from random bytes.
    ///
    /// # Errors
    ///
    /// If there are fewer than [`Key::MIN`].
    pub fn new(bytes: &[u8]) -> Result<Self, WeakKey> {
        if bytes.len() < Self::MIN {
            return Err(WeakKey(bytes.len()));
        }
        let weak = |_| WeakKey(bytes.len());
        let tokens = Hmac::new_from_slice(bytes).map_err(weak)?;
        Ok(Self { tokens, derived: extract(DERIVATION, bytes).map_err(weak)? })
    }

    /// A key for another purpose, named by `label`. It reveals nothing about this key or those of
    /// other labels.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        expand(&self.derived, label.as_bytes())
    }
}

/// HKDF-Extract with SHA-256 (RFC 5869, section 2.2), as an HMAC keyed with its result.
fn extract(salt: &[u8], material: &[u8]) -> Result<Hmac<Sha256>, InvalidLength> {
    let extract = <Hmac<Sha256>>::new_from_slice(salt)?.chain_update(material);
    Hmac::new_from_slice(&extract.finalize().into_bytes())
}

/// The first block of HKDF-Expand (RFC 5869, section 2.3).
fn expand(key: &Hmac<Sha256>, info: &[u8]) -> [u8; 32] {
    key.clone().chain_update(info).chain_update([1]).finalize().into_bytes().into()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// Truncated, padded, too long, or not a token at all.
    #[error("token is malformed")]
    Malformed,
    /// Altered, or issued with a key that is not ours.
    #[error("token has an invalid signature")]
    Forged,
    /// Issued for something else.
    #[error("token is for {0}")]
    OtherPurpose(Purpose),
    /// Its time is over.
    #[error("token has expired")]
    Expired,
}

/// Claims that no token can carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A name that Kubernetes would not accept, either.
    #[error("{field} of a token must have 1 to {MAX_NAME} bytes, not {length}")]
    Length {
        /// `server` or `boot`.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// An expiry before 1970, or after 2106 in the short form.
    #[error("expiry of a token must not be before 1970, nor after 2106 in a short one")]
    Expiry,
    /// The UID of the boot configuration is not one of Kubernetes.
    #[error("boot of a short token must be a UUID")]
    Boot,
}

/// Longest name of an object (RFC 1123, as applied by Kubernetes).
const MAX_NAME: usize = 253;
/// Version of the layout, expiry, purpose, length of the server's name.
const HEAD: usize = 1 + 8 + 1 + 1;
const MAC: usize = 32;
const VERSION: u8 = 1;
/// Longest text of a token; longer input is not even decoded.
const MAX_TEXT: usize = (HEAD + 2 * MAX_NAME + MAC).div_ceil(3) * 4;
/// Separates tokens from anything else that might be authenticated with the same key.
const DOMAIN: &[u8] = b"bloomery.dev/capability\0";
/// Separates derived keys from anything else that is derived from the same bytes.
const DERIVATION: &[u8] = b"bloomery.dev/derived";

/// A token for `claims`; equal claims give equal tokens.
///
/// # Errors
///
/// If a name is empty or longer than any name in Kubernetes, or the expiry is before 1970.
pub fn issue(key: &Key, claims: &Claims) -> Result<Token, TokenError> {
    let server = name_length("server", &claims.server)?;
    name_length("boot", &claims.boot)?;
    let expires = u64::try_from(claims.expires.as_second()).map_err(|_| TokenError::Expiry)?;

    let mut bytes = Vec::with_capacity(HEAD + claims.server.len() + claims.boot.len() + MAC);
    bytes.push(VERSION);
    bytes.extend(expires.to_be_bytes());
    bytes.push(code(claims.purpose));
    bytes.push(server);
    bytes.extend(claims.server.as_bytes());
    bytes.extend(claims.boot.as_bytes());
    let mac = authenticate(key, &bytes).finalize().into_bytes();
    bytes.extend(mac);
    Ok(Token(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The claims in `text`, if it was issued for `purpose` with one of `keys` and has not expired.
///
/// Several keys allow a key to be replaced: the new one issues, both verify. The comparison takes
/// the same time wherever the first wrong byte is.
///
/// # Errors
///
/// A [`CapabilityError`]. Nothing in an unauthentic token is examined.
pub fn verify(
    keys: &[Key],
    text: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Claims, CapabilityError> {
    if text.len() > MAX_TEXT {
        return Err(CapabilityError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CapabilityError::Malformed)?;
    let (payload, mac) = bytes.split_last_chunk::<MAC>().ok_or(CapabilityError::Malformed)?;
    if payload.len() < HEAD || payload.first() != Some(&VERSION) {
        return Err(CapabilityError::Malformed);
    }
    if !keys.iter().any(|key| authenticate(key, payload).verify_slice(mac).is_ok()) {
        return Err(CapabilityError::Forged);
    }
    let claims = parse(payload).ok_or(CapabilityError::Malformed)?;
    if claims.purpose != purpose {
        return Err(CapabilityError::OtherPurpose(claims.purpose));
    }
    if claims.expires <= now {
        return Err(CapabilityError::Expired);
    }
    Ok(claims)
}

/// The claims in `text`, without verification. They prove nothing.
pub(crate) fn unverified(text: &str) -> Option<Claims> {
    let bytes = Some(text).filter(|text| text.len() <= MAX_TEXT)?;
    let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
    let (payload, _mac) = bytes.split_last_chunk::<MAC>()?;
    (payload.len() >= HEAD && payload.first() == Some(&VERSION)).then(|| parse(payload))?
}

fn authenticate(key: &Key, payload: &[u8]) -> Hmac<Sha256> {
    key.tokens.clone().chain_update(DOMAIN).chain_update(payload)
}

fn parse(payload: &[u8]) -> Option<Claims> {
    let (&[_version], rest) = payload.split_first_chunk()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let (&[purpose, server], rest) = rest.split_first_chunk()?;
    let (server, boot) = rest.split_at_checked(usize::from(server))?;
    Some(Claims {
        purpose: purpose_of(purpose)?,
        server: String::from_utf8(server.to_vec()).ok()?,
        boot: String::from_utf8(boot.to_vec()).ok()?,
        expires: Timestamp::from_second(i64::try_from(u64::from_be_bytes(*expires)).ok()?).ok()?,
    })
}

fn name_length(field: &'static str, name: &str) -> Result<u8, TokenError> {
    match u8::try_from(name.len()) {
        Ok(length) if (1..=MAX_NAME).contains(&name.len()) => Ok(length),
        Ok(_) | Err(_) => Err(TokenError::Length { field, length: name.len() }),
    }
}

/// The code is part of the layout, and is never reused for another purpose.
fn code(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Registration => 1,
        Purpose::Ignition => 2,
        Purpose::Medium => 3,
        Purpose::Uki => 4,
        Purpose::Install => 5,
        Purpose::HostRegistration => 6,
        Purpose::HostNonce => 7,
        Purpose::HostTpm => 8,
        Purpose::Boot => 9,
    }
}

fn purpose_of(code: u8) -> Option<Purpose> {
    [
        Purpose::Registration,
        Purpose::Ignition,
        Purpose::Medium,
        Purpose::Uki,
        Purpose::Install,
        Purpose::HostRegistration,
        Purpose::HostNonce,
        Purpose::HostTpm,
        Purpose::Boot,
    ]
    .into_iter()
    .find(|p| self::code(*p) == code)
}

#[cfg(test)]
mod tests;
