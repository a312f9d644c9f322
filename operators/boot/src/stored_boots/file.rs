//! A file: a line with the format, a line of JSON that anybody may read, and content that nobody
//! can read without the key. Everything is authenticated, including the name of the file.

use super::Boot;
use metal_core::{boot::stored_boot::Validity, capability::Key};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

/// The first line of files in the current format.
const FIRST: &[u8] = b"bloomery kept boot 1\n";
/// The beginning of files in any format.
const ANY: &[u8] = b"bloomery kept boot ";
/// The label for deriving the key.
pub(super) const LABEL: &str = "kept boots";
/// Longest header.
const HEAD: usize = 64 << 10;

/// The part that anybody may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) times: Validity,
    /// Names and digests of the layers that the boot needs.
    pub(super) images: Vec<(String, String)>,
}

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub(super) enum StoredBootError {
    #[error("not a file of boot-operator")]
    Foreign,
    #[error("written by a different version")]
    Version,
    #[error("damaged, or encrypted with a different key")]
    Sealed,
    #[error("its content could not be parsed")]
    Content,
}

/// Why a boot could not be encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsealed {
    #[error("could not serialize it to JSON")]
    Json(#[from] serde_json::Error),
    #[error("no random numbers available")]
    Random(#[from] getrandom::Error),
    #[error("could not encrypt it")]
    Cipher,
}

/// The bytes of a file.
pub(super) fn seal(key: &Key, name: &str, head: &Head, boot: &[u8]) -> Result<Vec<u8>, Unsealed> {
    let mut file = FIRST.to_vec();
    file.extend(serde_json::to_vec(head)?);
    file.push(b'\n');
    let aad = aad(name, &file);
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce)?;
    let mut sealed = boot.to_vec();
    let cipher = cipher(key).ok_or(Unsealed::Cipher)?;
    let unique = Nonce::assume_unique_for_key(nonce);
    cipher
        .seal_in_place_append_tag(unique, Aad::from(aad), &mut sealed)
        .map_err(|_| Unsealed::Cipher)?;
    file.extend(nonce);
    file.extend(sealed);
    Ok(file)
}

/// The readable part of a file, without authentication.
pub(super) fn head(file: &[u8]) -> Result<Head, StoredBootError> {
    split(file).map(|(head, _, _)| head)
}

/// The content of a file.
pub(super) fn open(key: &Key, name: &str, file: &[u8]) -> Result<(Head, Boot), StoredBootError> {
    let (head, start, sealed) = split(file)?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(StoredBootError::Sealed)?;
    let (cipher, mut sealed) = (cipher(key).ok_or(StoredBootError::Sealed)?, sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = cipher.open_in_place(nonce, Aad::from(aad(name, start)), &mut sealed);
    let opened = opened.map_err(|_| StoredBootError::Sealed)?;
    let boot = serde_json::from_slice(opened).map_err(|_| StoredBootError::Content)?;
    Ok((head, boot))
}

/// The header, its bytes including the first line, and the bytes after it.
fn split(file: &[u8]) -> Result<(Head, &[u8], &[u8]), StoredBootError> {
    let Some(rest) = file.strip_prefix(FIRST) else {
        return Err(if file.starts_with(ANY) {
            StoredBootError::Version
        } else {
            StoredBootError::Foreign
        });
    };
    let end =
        rest.iter().take(HEAD).position(|byte| *byte == b'\n').ok_or(StoredBootError::Foreign)?;
    let head = serde_json::from_slice(&rest[..end]).map_err(|_| StoredBootError::Foreign)?;
    let (start, sealed) = file.split_at(FIRST.len() + end + 1);
    Ok((head, start, sealed))
}

fn aad(name: &str, start: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\n", start].concat()
}

fn cipher(key: &Key) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, &key.derive(LABEL)).ok().map(LessSafeKey::new)
}
