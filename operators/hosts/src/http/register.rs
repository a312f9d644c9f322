//! An installed machine registers its key.

use super::{
    ClientAddress, Failure, install,
    proof::Request,
    settle,
    write::{TRIES, asked, record},
};
use crate::context::Context;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use kube::{ResourceExt, api::PostParams, runtime::events::EventType};
use metal_api::{BootToken, Host, HostHardware};
use metal_core::{
    boot_token::{
        Refusal,
        register::{self, Next, Registrant},
        tpm,
    },
    capability::{Purpose, verify},
    rented_host::PublicKey,
};
use metal_runtime::OkIf;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The body of a registration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Registration {
    credential: String,
    public_key: String,
    #[serde(default)]
    hardware: HostHardware,
    /// What only its TPM can have decrypted, where the token is bound to one.
    #[serde(default)]
    proof: Option<String>,
}

/// Makes a Host of a machine that has proved that it has its key.
pub(super) async fn register(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    request: Request,
) -> Response {
    let answer = registered(&ctx, &asker, &request).await;
    let answer = answer.map(|token| {
        let (namespace, host) = (token.namespace().unwrap_or_default(), &token.spec.host_name);
        Json(json!({ "namespace": namespace, "host": host })).into_response()
    });
    settle(&ctx, &asker, "registration", answer)
}

async fn registered(
    ctx: &Context,
    asker: &ClientAddress,
    request: &Request,
) -> Result<Arc<BootToken>, Failure> {
    let said: Registration = serde_json::from_slice(&request.body)
        .map_err(|error| Failure::Malformed(format!("body: {error}")))?;
    let (token, attempt) =
        install::claimed(ctx, &said.credential, Purpose::HostRegistration).await?;
    let key = PublicKey::parse(&said.public_key)
        .map_err(|error| Failure::Malformed(format!("publicKey: {error}")))?;
    request.is_signed(ctx, &key, "")?;
    let (hardware, address) = (&said.hardware, asker.address);
    let endorsement = endorsement(ctx, &token, &key, said.proof.as_deref())?;
    let endorsement = endorsement.as_deref();
    let registrant = Registrant { key: &key, attempt, hardware, address, endorsement };
    settled(ctx, asker, token, &registrant).await
}

/// Does what is left to do until the machine has become its Host.
async fn settled(
    ctx: &Context,
    asker: &ClientAddress,
    mut token: Arc<BootToken>,
    registrant: &Registrant<'_>,
) -> Result<Arc<BootToken>, Failure> {
    // Whether the Host was read after the token.
    let (mut host, mut is_live) = match ctx.host_of(&token) {
        Ok(host) => (host, false),
        // It may be the Host of this very machine.
        Err(_) => (asked(ctx, &token).await?.1, true),
    };
    for _ in 0..TRIES {
        let next = match register::register(&token, host.as_deref(), registrant, ctx.now()) {
            Ok(next) => next,
            // Another replica may know that its Host has come, or that another one of this name has gone.
            Err(Refusal::HostDeleted | Refusal::HostNameTaken(_)) if !is_live => {
                (token, host) = asked(ctx, &token).await?;
                is_live = true;
                continue;
            }
            Err(refusal) => return Err(Failure::Refused(refusal, Some(token))),
        };
        match next {
            Next::Record(status) => {
                token = record(ctx, &token, &status).await?.0;
                is_live = false;
            }
            Next::Create(new) => host = Some(create(ctx, &token, &new).await?),
            Next::Adopt(uid) => {
                let status = register::created(&token, &uid).unwrap_or_default();
                let (new, is_recorded) = record(ctx, &token, &status).await?;
                if is_recorded {
                    let note = format!("Host {}, from {asker}", new.spec.host_name);
                    ctx.notices.publish_event(&*new, EventType::Normal, "Registered", note);
                }
                (token, is_live) = (new, false);
            }
            Next::Done => return Ok(token),
        }
    }
    Err(Failure::Unavailable("others write the BootToken all the time"))
}

/// Hash of the endorsement key that is proved.
fn endorsement(
    ctx: &Context,
    token: &BootToken,
    key: &PublicKey,
    proof: Option<&str>,
) -> Result<Option<String>, Failure> {
    let (Some(proof), Some(bound)) = (proof, tpm::bound(token)) else { return Ok(None) };
    let ours = ctx.key.get().ok_or(Failure::Unavailable("not ready yet"))?;
    let claims = verify(&[ours], proof, Purpose::HostTpm, ctx.now());
    let claims = claims.map_err(|_| Failure::Unproven("no proof of a TPM, or an old one"))?;
    let is_its = token.metadata.uid.as_ref() == Some(&claims.server);
    let proves = is_its && claims.boot == tpm::subject(key, bound);
    Ok(proves.then(|| bound.to_owned()))
}

/// Creates the Host, or finds the one that is there.
async fn create(ctx: &Context, token: &BootToken, new: &Host) -> Result<Arc<Host>, Failure> {
    let namespace = token.namespace().unwrap_or_default();
    let hosts = ctx.hosts(&namespace);
    match hosts.api().create(&PostParams::default(), new).await {
        Ok(created) => Ok(Arc::new(created)),
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            let read = hosts.api().get(&new.name_any()).await.ok_if_not_found();
            let read = read.map_err(|error| Failure::Api(Box::new(error)))?;
            read.map(Arc::new).ok_or_else(|| Refusal::HostDeleted.into())
        }
        Err(error) => Err(Failure::Api(Box::new(error))),
    }
}
