//! The other side, for tests: what a TPM and the agent do with a response, in software. Its keys
//! are from exchanges that were recorded with go-tpm; they were created for that purpose and
//! protect nothing.

mod event_log;
mod maker;
mod swtpm;

pub use event_log::FirmwareLog;
pub use maker::Maker;
pub use swtpm::Swtpm;

use crate::{
    Request, Response, SealError, credential,
    endorsement::Kind,
    kdf::{kdfa, kdfe},
    oaep,
};
use aes::Aes128;
use base64::{Engine, engine::general_purpose::STANDARD};
use cfb_mode::{Decryptor, cipher::KeyIvInit};
use crypto_bigint::{
    Encoding, U2048,
    modular::runtime_mod::{DynResidue, DynResidueParams},
};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use serde::Deserialize;

/// A machine with its TPM, and a recorded exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The type of its EK: `rsa2048` or `ecc-p256`.
    pub kind: String,
    /// TPM2B_PUBLIC of its EK, in base64.
    pub ek_pub: String,
    /// TPM2B_PUBLIC of its SRK, in base64.
    pub srk_pub: String,
    /// The recorded response.
    #[serde(flatten)]
    pub response: Response,
    /// The token in it.
    pub token: String,
    /// The name of its SRK, in hexadecimal digits.
    pub srk_name_hex: String,
    /// The status of its Machine after the exchange.
    #[serde(rename = "statusEkPublicKeyPEM")]
    pub status_ek_public_key_pem: String,
    ek_private_hex: String,
}

/// The machines of the recorded exchanges: one with an RSA EK, one with an ECC EK.
///
/// # Panics
///
/// If the recording does not parse.
pub fn machines() -> Vec<Machine> {
    serde_json::from_str(include_str!("go-tpm.json")).expect("it was recorded as JSON")
}

/// Octets of both coordinates of a point, each behind its length, with which a TPM2B_PUBLIC ends.
const POINT: usize = 2 * (2 + 32);

impl Machine {
    /// One of many, each with an EK of its own on P-256. Nothing was recorded of it.
    ///
    /// # Panics
    ///
    /// If the recording is another one.
    pub fn numbered(number: u16) -> Self {
        let mut machine = machines().swap_remove(1);
        machine.ek_private_hex = format!("{:064x}", u32::from(number) + 1);
        let private = crypto_bigint::U256::from_be_hex(&machine.ek_private_hex).to_be_bytes();
        let key = p256::SecretKey::from_slice(&private).expect("it is above zero");
        let point = key.public_key().to_encoded_point(false);
        let mut public = STANDARD.decode(&machine.ek_pub).expect("it was recorded so");
        public.truncate(public.len() - POINT);
        for coordinate in [point.x(), point.y()].into_iter().flatten() {
            public.extend([0, 32]);
            public.extend_from_slice(coordinate);
        }
        machine.ek_pub = STANDARD.encode(public);
        machine
    }

    /// The body of the recorded request.
    pub fn body(&self) -> String {
        serde_json::json!({ "ekPub": self.ek_pub, "srkPub": self.srk_pub }).to_string()
    }

    /// Decrypts a response like the agent, by `ActivateCredential` (TPM 2.0 Library, part 3,
    /// section 12.5) and AES-256-GCM.
    ///
    /// # Errors
    ///
    /// If the response is not for this machine, or is damaged.
    pub fn open(&self, response: &Response) -> Result<Vec<u8>, SealError> {
        let [blob, secret, token, nonce] = [
            &response.credential_blob,
            &response.encrypted_secret,
            &response.encrypted_token,
            &response.gcm_nonce,
        ]
        .map(|text| STANDARD.decode(text).map_err(|_| SealError));
        let key = self.activate(&blob?, &secret?)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce?)?;
        let mut token = token?;
        Ok(key.open_in_place(nonce, Aad::empty(), &mut token)?.to_vec())
    }

    pub(crate) fn activate(&self, blob: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let request = Request::parse(self.body().as_bytes()).map_err(|_| SealError)?;
        let seed = self.seed(&request.ek.0, whole(secret)?)?;
        let (integrity, identity) = sized(whole(blob)?)?;
        if integrity != credential::integrity(&seed, identity, request.srk.name()) {
            return Err(SealError);
        }
        let key: [u8; 16] = kdfa(&seed, "STORAGE", request.srk.name());
        let mut plain = identity.to_vec();
        Decryptor::<Aes128>::new(&key.into(), &[0; 16].into()).decrypt(&mut plain);
        whole(&plain).map(<[u8]>::to_vec)
    }

    fn seed(&self, ek: &Kind, secret: &[u8]) -> Result<[u8; 32], SealError> {
        match ek {
            Kind::Rsa(modulus) => rsa_seed(modulus, &self.ek_private_hex, secret),
            Kind::P256(point) => p256_seed(&point[1..33], &self.ek_private_hex, secret),
        }
    }
}

/// Decrypts RSAES-OAEP.
fn rsa_seed(modulus: &[u8; 256], private: &str, secret: &[u8]) -> Result<[u8; 32], SealError> {
    let params = DynResidueParams::new(&U2048::from_be_bytes(*modulus));
    let secret = secret.try_into().map(U2048::from_be_bytes).map_err(|_| SealError)?;
    let private = U2048::from_be_hex(private);
    let mut encoded = DynResidue::new(&secret, params).pow(&private).retrieve().to_be_bytes();
    let (first, masked) = encoded.split_at_mut(1);
    let (seed, block) = masked.split_at_mut(32);
    oaep::mask(seed, block);
    oaep::mask(block, seed);
    let (hash, rest) = block.split_at(32);
    let (padding, message) = rest.split_at(rest.len() - 32);
    let (end, zeros) = padding.split_last().ok_or(SealError)?;
    let is_whole = hash == digest(&SHA256, b"IDENTITY\0").as_ref()
        && *end == 1
        && zeros.iter().all(|it| *it == 0)
        && first == [0];
    if is_whole { message.try_into().map_err(|_| SealError) } else { Err(SealError) }
}

fn p256_seed(x: &[u8], private: &str, secret: &[u8]) -> Result<[u8; 32], SealError> {
    let (their_x, rest) = sized(secret)?;
    let point = [&[4], their_x, whole(rest)?].concat();
    let theirs = p256::PublicKey::from_sec1_bytes(&point).map_err(|_| SealError)?;
    let private = crypto_bigint::U256::from_be_hex(private).to_be_bytes();
    let ours = p256::SecretKey::from_slice(&private).map_err(|_| SealError)?;
    let shared = p256::ecdh::diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
    Ok(kdfe(shared.raw_secret_bytes(), "IDENTITY", their_x, x))
}

/// Splits off a leading TPM2B; returns its content and the rest.
fn sized(octets: &[u8]) -> Result<(&[u8], &[u8]), SealError> {
    let (len, rest) = octets.split_first_chunk().ok_or(SealError)?;
    rest.split_at_checked(u16::from_be_bytes(*len).into()).ok_or(SealError)
}

/// The content of a TPM2B without trailing octets.
fn whole(octets: &[u8]) -> Result<&[u8], SealError> {
    sized(octets).and_then(|(whole, rest)| if rest.is_empty() { Ok(whole) } else { Err(SealError) })
}
