//! Gets the token: metalman returns it encrypted for the TPM of this machine.

use crate::{
    event_log,
    http::{HttpError, Server},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use metal_attest::{
    Answer, ChallengeMessage, MAX_EVENT_LOG, Quote,
    client::{self, EkTemplate, EncryptedCredential, OpenError, Presented},
};
use metal_http::Reason;
use metal_tpm::{Held, TpmError, TpmLocation};
use std::path::PathBuf;
use tokio::task::{JoinError, spawn_blocking};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    /// The TPM has failed.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// metalman did not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It refuses a token.
    #[error("metalman answered {0}{1}")]
    Refused(StatusCode, Reason),
    /// Its response is invalid.
    #[error("metalman's answer is not that of an attestation")]
    Answer,
    /// The response cannot be decrypted.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A thread has panicked.
    #[error("the event log could not be waited for")]
    Join(#[from] JoinError),
}

/// A token, and what came with it.
pub(crate) struct Admission {
    /// The token.
    pub(crate) token: String,
    /// Certificates of the cluster's authorities as metalman sees them, in PEM.
    pub(crate) authorities: Option<String>,
}

/// The TPM of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// Its location.
    pub(crate) tpm: TpmLocation,
    /// Type of its endorsement key.
    pub(crate) template: EkTemplate,
    /// Path of the firmware's event log.
    pub(crate) event_log: Option<PathBuf>,
}

/// Gets a token.
pub(crate) async fn attest(metalman: &Server, proof: Proof) -> Result<Admission, AttestError> {
    let Proof { tpm, template, event_log } = proof;
    let mut keys = Held::create(&tpm, template).await?;
    let response = match post(metalman, body(&keys, None)?.into()).await? {
        Answer::Token(response) => response,
        Answer::Challenge { challenge } => {
            let nonce = EncryptedCredential::of_challenge(&challenge)?;
            let pcrs = challenge.pcrs.clone();
            let quote = keys.run(move |keys| keys.quote(&nonce, &pcrs)).await;
            let quote = quote.ok_or(AttestError::Answer)??;
            let body = body(&keys, Some((&challenge, &quote)))?;
            let most = challenge.event_log.min(MAX_EVENT_LOG);
            let log = spawn_blocking(move || event_log::read(event_log.as_deref(), most)).await?;
            match post(metalman, client::with_event_log(&body, &log).into()).await? {
                Answer::Token(response) => response,
                Answer::Challenge { .. } => return Err(AttestError::Answer),
            }
        }
    };
    let wrapped = EncryptedCredential::of(&response)?;
    let credential = keys.run(move |keys| keys.activate(&wrapped)).await;
    let credential = credential.ok_or(AttestError::Answer)??;
    let token = client::open(&response, &credential)?;
    Ok(Admission { token, authorities: response.cluster_ca })
}

/// The body of the request.
fn body(held: &Held, quote: Option<(&ChallengeMessage, &Quote)>) -> Result<String, AttestError> {
    let keys = held.keys().ok_or(AttestError::Answer)?;
    let certificates = keys.certificates();
    let (ek, srk, ak) = (keys.ek(), keys.srk(), Some(keys.ak()));
    let presented = Presented { ek, srk, certificates: &certificates, ak, quote };
    client::request(presented).map_err(|_| AttestError::Answer)
}

async fn post(metalman: &Server, body: Bytes) -> Result<Answer, AttestError> {
    let request = Request::post("/attest")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(HttpError::from)?;
    let answer = metalman.send(request).await?;
    if answer.status() != StatusCode::OK {
        return Err(AttestError::Refused(answer.status(), Reason::of(answer.body())));
    }
    serde_json::from_slice(answer.body()).map_err(|_| AttestError::Answer)
}
