//! The short form of a token, for DHCP: it contains only the boot configuration, from which the
//! verifier knows the server.

use super::{
    CapabilityError, Claims, Key, MAX_TEXT, Purpose, Token, TokenError, code, name_length,
    purpose_of,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use uuid::Uuid;

/// Separates short tokens from long ones.
const DOMAIN: &[u8] = b"bloomery.dev/capability/short\0";
const VERSION: u8 = 2;
/// Version of the layout, expiry, purpose, UID of the boot configuration.
const HEAD: usize = 1 + 4 + 1 + 16;
/// Enough bits to make guessing impossible.
const MAC: usize = 16;

/// A short token for `claims`: 51 characters, whatever the name of the server. Equal claims give
/// equal tokens.
///
/// # Errors
///
/// If the boot configuration's UID is no UUID, or the expiry is before 1970 or after 2106.
pub fn issue_short(key: &Key, claims: &Claims) -> Result<Token, TokenError> {
    name_length("server", &claims.server)?;
    let boot: Uuid = claims.boot.parse().map_err(|_| TokenError::Boot)?;
    if boot.to_string() != claims.boot {
        return Err(TokenError::Boot);
    }
    let expires = u32::try_from(claims.expires.as_second()).map_err(|_| TokenError::Expiry)?;
    let mut bytes = Vec::with_capacity(HEAD + MAC);
    bytes.push(VERSION);
    bytes.extend(expires.to_be_bytes());
    bytes.push(code(claims.purpose));
    bytes.extend(boot.as_bytes());
    let mac = authenticate(key, &bytes, &claims.server).finalize().into_bytes();
    bytes.extend(&mac[..MAC]);
    Ok(Token(URL_SAFE_NO_PAD.encode(bytes)))
}

/// Like [`verify`](super::verify), for a short token. `server_of` returns the server of a boot
/// configuration by its UID, which is not authenticated yet at that point.
///
/// # Errors
///
/// A [`CapabilityError`]; a token with an unknown boot configuration counts as forged.
pub fn verify_short(
    keys: &[Key],
    text: &str,
    purpose: Purpose,
    now: Timestamp,
    server_of: impl FnOnce(&str) -> Option<String>,
) -> Result<Claims, CapabilityError> {
    if text.len() > MAX_TEXT {
        return Err(CapabilityError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CapabilityError::Malformed)?;
    let (payload, mac) = bytes.split_last_chunk::<MAC>().ok_or(CapabilityError::Malformed)?;
    let (expires, named, boot) = parse(payload).ok_or(CapabilityError::Malformed)?;
    let server = server_of(&boot).ok_or(CapabilityError::Forged)?;
    let is_ours = |key| authenticate(key, payload, &server).verify_truncated_left(mac).is_ok();
    if !keys.iter().any(is_ours) {
        return Err(CapabilityError::Forged);
    }
    if named != purpose {
        return Err(CapabilityError::OtherPurpose(named));
    }
    if expires <= now {
        return Err(CapabilityError::Expired);
    }
    Ok(Claims { purpose, server, boot, expires })
}

fn parse(payload: &[u8]) -> Option<(Timestamp, Purpose, String)> {
    let payload: &[u8; HEAD] = payload.try_into().ok()?;
    let (&[version], rest) = payload.split_first_chunk()?;
    let (expires, rest) = rest.split_first_chunk::<4>()?;
    let (&[purpose], boot) = rest.split_first_chunk()?;
    let expires = Timestamp::from_second(u32::from_be_bytes(*expires).into()).ok()?;
    let boot = Uuid::from_slice(boot).ok()?.to_string();
    (version == VERSION).then_some((expires, purpose_of(purpose)?, boot))
}

fn authenticate(key: &Key, payload: &[u8], server: &str) -> Hmac<Sha256> {
    key.tokens.clone().chain_update(DOMAIN).chain_update(payload).chain_update(server)
}
