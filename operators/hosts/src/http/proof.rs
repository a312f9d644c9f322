//! What a host proves: that it has its key, now.

use super::{ClientAddress, Failure, settle};
use crate::context::Context;
use axum::{
    Json,
    body::Bytes,
    extract::{self, FromRequest, State, rejection::BytesRejection},
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use metal_api::Host;
use metal_base::hex;
use metal_core::{
    capability::{Claims, Purpose, issue, verify},
    rented_host::PublicKey,
};
use metal_rented::signed::{HOST, NONCE, SIGNATURE, Signed};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::json;
use std::sync::Arc;

/// How long a number is good.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// The longest signature in base64, in bytes (SEC 1, section C.5).
const LONGEST: usize = 128;

/// A key that nobody has: a request for a Host that does not exist takes as long as any other.
const NOBODY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyQDRZncekxl8o/GX9kyavYGBzjPC\n\
    EoTReJjPPDm6H5JFaMEUzTVZwISV2MVI85+K/+KDpVJlysUba5BEvpTRJA==\n\
    -----END PUBLIC KEY-----\n";

/// Gives a number to sign.
pub(super) async fn nonce(State(ctx): State<Arc<Context>>, asker: ClientAddress) -> Response {
    let answer = number(&ctx).map(|nonce| Json(json!({ "nonce": nonce })).into_response());
    settle(&ctx, &asker, "nonce", answer)
}

fn number(ctx: &Context) -> Result<String, Failure> {
    let key = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Failure::Unavailable("no randomness"))?;
    let claims = Claims {
        purpose: Purpose::HostNonce,
        server: "nonce".to_owned(),
        boot: hex(&random),
        expires: ctx.now().checked_add(SOON).unwrap_or(Timestamp::MAX),
    };
    let nonce = issue(&key, &claims);
    nonce.map(|it| it.as_str().to_owned()).map_err(|_| Failure::Unavailable("no number"))
}

/// A request, as far as it is signed.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl<S: Send + Sync> FromRequest<S> for Request {
    type Rejection = BytesRejection;

    async fn from_request(request: extract::Request, state: &S) -> Result<Self, BytesRejection> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await?;
        Ok(Self { body, method, uri, headers })
    }
}

/// A signature over a number that was given out just before.
#[derive(Debug)]
struct Proof<'a> {
    nonce: &'a str,
    signature: Vec<u8>,
}

impl Request {
    /// Whether the holder of `key` has signed it, for this host, with a number that was given out
    /// just before.
    pub(super) fn is_signed(
        &self,
        ctx: &Context,
        key: &PublicKey,
        host: &str,
    ) -> Result<(), Failure> {
        self.is_by(key, host, &self.proof(ctx)?)
    }

    fn proof(&self, ctx: &Context) -> Result<Proof<'_>, Failure> {
        let ours = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
        let (nonce, signature) = (self.header(NONCE)?, self.header(SIGNATURE)?);
        verify(&[ours], nonce, Purpose::HostNonce, ctx.now())
            .map_err(|_| Failure::Unproven("no number of ours, or an old one"))?;
        let signature = Some(signature).filter(|text| text.len() <= LONGEST);
        let signature = signature.and_then(|text| STANDARD.decode(text).ok());
        let signature = signature.ok_or(Failure::Unproven("no signature"))?;
        Ok(Proof { nonce, signature })
    }

    fn is_by(&self, key: &PublicKey, host: &str, proof: &Proof<'_>) -> Result<(), Failure> {
        let target = self.uri.path_and_query().map_or("", |target| target.as_str());
        let (method, nonce, body) = (self.method.as_str(), proof.nonce, &self.body[..]);
        let message = Signed { method, target, nonce, host, body }.message();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.point());
        let verified = key.verify(&message, &proof.signature);
        verified.map_err(|_| Failure::Unproven("the signature is not that of the key"))
    }

    fn header(&self, name: &'static str) -> Result<&str, Failure> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| Failure::Malformed(format!("header {name} is missing")))
    }

    /// The Host that asks. Whoever cannot prove that it is one does not learn whether there is one:
    /// nothing depends on that before the proof, and an unknown Host is verified as well.
    pub(super) fn host(&self, ctx: &Context) -> Result<Arc<Host>, Failure> {
        if !ctx.view.is_ready() {
            return Err(Failure::Unavailable("not ready yet"));
        }
        let (text, proof) = (self.header(HOST)?, self.proof(ctx)?);
        let named = text.split_once('/');
        let host = named.and_then(|(space, name)| ctx.view.hosts.named(Some(space), name));
        let pem = host.as_ref().map_or(NOBODY, |host| host.spec.public_key.as_str());
        let key = PublicKey::parse(pem).or_else(|_| PublicKey::parse(NOBODY));
        let unknown = || Failure::Unproven("there is no such Host, or it has no key");
        self.is_by(&key.map_err(|_| unknown())?, text, &proof)?;
        host.ok_or_else(unknown)
    }
}
