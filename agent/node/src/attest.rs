//! The token: the TPM is proved to metalman, which answers with a token that this TPM alone can open.

use crate::{
    event_log,
    http::{HttpError, Reason, Server},
    tpm::{Keys, Place, Tpm, TpmError},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use metal_attest::{
    Answer, Asked, MAX_EVENT_LOG, Quote,
    client::{self, EkTemplate, OpenError, Presented, Wrapped},
};
use std::path::PathBuf;
use tokio::task::{JoinError, spawn_blocking};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    /// The TPM did not do it.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// metalman did not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It gives this machine no token.
    #[error("metalman answered {0}{1}")]
    Refused(StatusCode, Reason),
    /// It said something else.
    #[error("metalman's answer is not that of an attestation")]
    Answer,
    /// The answer does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The TPM's thread broke down.
    #[error("the TPM could not be waited for")]
    Join(#[from] JoinError),
}

/// A token, and what else was answered.
pub(crate) struct Admission {
    /// The token.
    pub(crate) token: String,
    /// Certificates of the cluster's authorities as metalman sees them, in PEM.
    pub(crate) authorities: Option<String>,
}

/// How the TPM of this machine is proved.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// Where it is.
    pub(crate) tpm: Place,
    /// Type of its endorsement key.
    pub(crate) template: EkTemplate,
    /// Where the event log of the firmware is.
    pub(crate) event_log: Option<PathBuf>,
}

/// Gets a token.
pub(crate) async fn attest(metalman: &Server, proof: Proof) -> Result<Admission, AttestError> {
    let Proof { tpm, template, event_log } = proof;
    let created = spawn_blocking(move || Keys::create(Tpm::open(&tpm)?, template)).await?;
    let mut keys = Flushed(Some(created?));
    let response = match post(metalman, keys.body(None)?.into()).await? {
        Answer::Token(response) => response,
        Answer::Challenge { challenge } => {
            let nonce = Wrapped::of_challenge(&challenge)?;
            let pcrs = challenge.pcrs.clone();
            let quote = keys.run(move |keys| keys.quote(&nonce, &pcrs)).await?;
            let body = keys.body(Some((&challenge, &quote)))?;
            let most = challenge.event_log.min(MAX_EVENT_LOG);
            let log = spawn_blocking(move || event_log::read(event_log.as_deref(), most)).await?;
            match post(metalman, client::with_event_log(body, &log).into()).await? {
                Answer::Token(response) => response,
                Answer::Challenge { .. } => return Err(AttestError::Answer),
            }
        }
    };
    let wrapped = Wrapped::of(&response)?;
    let credential = keys.run(move |keys| keys.activate(&wrapped)).await?;
    let token = client::open(&response, &credential)?;
    Ok(Admission { token, authorities: response.cluster_ca })
}

impl Flushed {
    /// What is posted.
    fn body(&self, quote: Option<(&Asked, &Quote)>) -> Result<String, AttestError> {
        let keys = self.0.as_ref().ok_or(AttestError::Answer)?;
        let certificates = keys.certificates();
        let (ek, srk, ak) = (keys.ek(), keys.srk(), Some(keys.ak()));
        let presented = Presented { ek, srk, certificates: &certificates, ak, quote };
        client::request(presented).map_err(|_| AttestError::Answer)
    }

    /// Has the TPM do something, on a thread that may wait.
    async fn run<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Keys) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, AttestError> {
        let mut keys = self.0.take().ok_or(AttestError::Answer)?;
        let (keys, done) = spawn_blocking(move || {
            let done = act(&mut keys);
            (keys, done)
        })
        .await?;
        self.0 = Some(keys);
        Ok(done?)
    }
}

/// Keys that are flushed by a thread that may wait, also where what follows fails.
struct Flushed(Option<Keys>);

impl Drop for Flushed {
    fn drop(&mut self) {
        if let Some(keys) = self.0.take() {
            // The runtime waits for it for a moment when it ends.
            drop(spawn_blocking(move || drop(keys)));
        }
    }
}

async fn post(metalman: &Server, body: Bytes) -> Result<Answer, AttestError> {
    let request = Request::post("/attest")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(HttpError::from)?;
    let answer = metalman.send(request).await?;
    if answer.status != StatusCode::OK {
        return Err(AttestError::Refused(answer.status, Reason::of(&answer.body)));
    }
    serde_json::from_slice(&answer.body).map_err(|_| AttestError::Answer)
}
