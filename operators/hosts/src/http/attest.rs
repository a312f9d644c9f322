//! An installed machine proves its TPM: it gets what only that TPM can decrypt, and registers with it.

use super::{
    ClientAddress, Failure,
    install::{self, parse},
    proof::Request,
    settle,
};
use crate::{allowance, context::Context};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use metal_attest::{self as attest, seal};
use metal_core::{
    boot_token::tpm,
    capability::{Claims, Purpose, issue},
    rented_host::PublicKey,
};
use ring::rand::SystemRandom;
use serde::Deserialize;
use std::sync::Arc;

/// How long a proof is good: TPMs are slow.
const SOON: SignedDuration = SignedDuration::from_mins(10);

/// The part of the body that says who asks. The rest of the body is that of metalman's `/attest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttestationBody {
    credential: String,
    public_key: String,
}

/// Seals a proof for the TPM of a machine, if it is that of its token.
pub(super) async fn attest(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    request: Request,
) -> Response {
    let answer = sealed(&ctx, &request).await.map(|it| Json(it).into_response());
    settle(&ctx, &asker, "attestation", answer)
}

async fn sealed(ctx: &Context, request: &Request) -> Result<attest::Response, Failure> {
    let body: AttestationBody = parse(&request.body)?;
    let (token, _) = install::claimed(ctx, &body.credential, Purpose::HostRegistration).await?;
    let key = PublicKey::parse(&body.public_key)
        .map_err(|error| Failure::Malformed(format!("publicKey: {error}")))?;
    request.is_signed(ctx, &key, "")?;
    if !ctx.allowances.may(&*token, allowance::PROOFS) {
        return Err(Failure::Unavailable("it proves its TPM too often"));
    }
    let tpm = attest::Request::parse(&request.body);
    let tpm = tpm.map_err(|error| Failure::Malformed(error.to_string()))?;
    let presented = tpm.ek.fingerprint();
    let refused = |refusal| Failure::Refused(refusal, Some(Arc::clone(&token)));
    tpm::check(&token, Some(&presented)).map_err(refused)?;
    let ours = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
    let claims = Claims {
        purpose: Purpose::HostTpm,
        server: token.uid().unwrap_or_default(),
        boot: tpm::subject(&key, &presented),
        expires: ctx.now().checked_add(SOON).unwrap_or(Timestamp::MAX),
    };
    let proof = issue(&ours, &claims).map_err(|_| Failure::Unavailable("no proof"))?;
    let sealed = seal(&tpm, proof.as_str().as_bytes(), &SystemRandom::new());
    let sealed = sealed.map_err(|_| Failure::Unavailable("no randomness"))?;
    Ok(sealed.into_response(None))
}
