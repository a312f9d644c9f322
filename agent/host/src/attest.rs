//! The proof that this machine has the TPM that its token is bound to.

use crate::{client::Server, key::Key};
use anyhow::{Context, Result};
use metal_attest::client::{EkTemplate, EncryptedCredential, Presented, open, request};
use metal_tpm::{Held, TpmLocation};

/// What the keys of the TPM report if their thread has panicked.
const BROKEN: &str = "the keys of the TPM are gone";

/// Lets the server seal a proof for this TPM, and opens it.
pub(crate) async fn prove(
    server: &Server,
    key: &Key,
    credential: &str,
    (place, template): (&TpmLocation, EkTemplate),
) -> Result<String> {
    let held = Held::create(place, template).await?;
    let keys = held.keys().context(BROKEN)?;
    let presented = Presented { ek: keys.ek(), srk: keys.srk(), ..Presented::default() };
    let body = serde_json::from_str(&request(presented)?)?;
    let (response, mut held) = if key.is_in_tpm() {
        // Closed meanwhile: the TPM signs the request as well, and not every TPM can be opened twice.
        held.close().await;
        let response = server.attest(key, credential, body).await?;
        (response, Held::create(place, template).await?)
    } else {
        (server.attest(key, credential, body).await?, held)
    };
    let wrapped = EncryptedCredential::of(&response)?;
    let opened = held.run(move |keys| keys.activate(&wrapped)).await.context(BROKEN)??;
    Ok(open(&response, &opened)?)
}
