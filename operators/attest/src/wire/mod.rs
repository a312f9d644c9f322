//! `POST /attest`, in the wire format of Azure/unbounded's metalman.

mod quote;

pub(crate) use quote::QuoteBody;
pub use quote::{Answer, ChallengeMessage};

use crate::{
    certificate::MAX_CERTIFICATES,
    endorsement::EndorsementKey,
    public::KeyError,
    quote::{AttestationKey, ChallengeSecret, Quote},
    storage::StorageKey,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The longest accepted body, in octets: two keys have about 800, and a certificate 2,000.
pub const MAX_BODY: usize = 16 * 1024;

/// What a machine presents.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Its endorsement key.
    pub ek: EndorsementKey,
    /// Its storage root key.
    pub srk: StorageKey,
    /// The certificate of its endorsement key, in DER, and behind it those between it and a root.
    /// Agents of Azure/unbounded present none.
    pub certificates: Vec<Vec<u8>>,
    /// The key by which its TPM can sign a quote.
    pub ak: Option<AttestationKey>,
    /// A quote, and the ticket of the challenge that it answers.
    pub quote: Option<(ChallengeSecret, Quote)>,
}

/// Why a request is refused. The text may be sent to the machine.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The body is too long.
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLong,
    /// The body is not JSON, or lacks a field.
    #[error("the body is not a JSON object with the strings ekPub and srkPub")]
    Json(#[source] serde_json::Error),
    /// There are too many certificates.
    #[error("ekCertificates has more than {MAX_CERTIFICATES} certificates")]
    Certificates,
    /// A field is not base64.
    #[error("{0} is not padded base64")]
    Base64(&'static str),
    /// A field is not an acceptable key.
    #[error("{field}: {error}")]
    Key {
        /// The field.
        field: &'static str,
        /// Why.
        error: KeyError,
    },
}

/// The body, before its fields are decoded.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body {
    pub(crate) ek_pub: String,
    pub(crate) srk_pub: String,
    /// An extension.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ek_certificates: Vec<String>,
    /// An extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ak_pub: Option<String>,
    /// An extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quote: Option<QuoteBody>,
}

impl Request {
    /// Parses a body. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// If it is not a request, or one of its keys is refused: see [`EndorsementKey::parse`] and
    /// [`StorageKey::parse`].
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > MAX_BODY {
            return Err(RequestError::TooLong);
        }
        Self::of(serde_json::from_slice(body).map_err(RequestError::Json)?)
    }

    /// Parses the beginning of a body, and returns where the event log behind the request begins. There is
    /// one only behind a request with a quote.
    ///
    /// # Errors
    ///
    /// As [`Request::parse`]; the request alone may have no more than [`MAX_BODY`] octets.
    pub fn parse_before_log(body: &[u8]) -> Result<(Self, usize), RequestError> {
        let head = body.get(..MAX_BODY).unwrap_or(body);
        let mut values = serde_json::Deserializer::from_slice(head).into_iter::<Body>();
        let first = values.next().unwrap_or_else(|| serde_json::from_slice(b""));
        let end = values.byte_offset();
        match first {
            Ok(request) if request.quote.is_some() => Ok((Self::of(request)?, end)),
            Ok(_) => Ok((Self::parse(body)?, body.len())),
            Err(error) if error.is_eof() && head.len() < body.len() => Err(RequestError::TooLong),
            Err(error) => Err(RequestError::Json(error)),
        }
    }

    fn of(body: Body) -> Result<Self, RequestError> {
        let ek = key("ekPub", &body.ek_pub, EndorsementKey::parse)?;
        let srk = key("srkPub", &body.srk_pub, StorageKey::parse)?;
        if body.ek_certificates.len() > MAX_CERTIFICATES {
            return Err(RequestError::Certificates);
        }
        let certificates = body.ek_certificates.iter().map(|text| STANDARD.decode(text));
        let certificates = certificates.collect::<Result<_, _>>();
        let certificates = certificates.map_err(|_| RequestError::Base64("ekCertificates"))?;
        let ak = body.ak_pub.map(|text| key("akPub", &text, AttestationKey::parse)).transpose()?;
        let quote = body.quote.as_ref().map(QuoteBody::parse).transpose()?;
        Ok(Self { ek, srk, certificates, ak, quote })
    }
}

fn key<K>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&[u8]) -> Result<K, KeyError>,
) -> Result<K, RequestError> {
    let octets = STANDARD.decode(text).map_err(|_| RequestError::Base64(field))?;
    parse(&octets).map_err(|error| RequestError::Key { field, error })
}

/// The response. All but the last field are base64.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// TPM2B_ID_OBJECT.
    pub credential_blob: String,
    /// TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: String,
    /// The token, encrypted by AES-256-GCM with the credential as its key, and the tag after it.
    pub encrypted_token: String,
    /// The nonce of that encryption, 12 octets.
    pub gcm_nonce: String,
    /// Certificates of the cluster's authorities, in PEM.
    #[serde(rename = "clusterCA", default, skip_serializing_if = "Option::is_none")]
    pub cluster_ca: Option<String>,
}
