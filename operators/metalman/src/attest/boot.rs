//! The second round of attestation: what a machine has booted, if its Machine restricts the values of PCRs.

use super::{
    Refused,
    log::Log,
    received::{Received, Sent},
};
use crate::{
    Context,
    status_writes::{Decision, Recorded, record},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::Machine;
use metal_attest::{
    AttestationKey, Challenge, ChallengeMessage, ChallengeSecret, Pcrs, QuoteError, Request,
    challenge,
};
use metal_base::hex;
use metal_machine::attest::{Measured, Refusal, Verdict, judge_boot, measured_pcrs};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// Label with which the key of challenges is derived.
const LABEL: &str = "metalman attestation challenge";

/// The challenge for a machine that has sent no quote yet; `None` if it may have its token.
///
/// # Errors
///
/// If it may not.
pub(super) async fn challenged(
    ctx: &Context,
    machine: &Arc<Machine>,
    address: IpAddr,
    (request, rest): (&Request, Received),
) -> Result<Option<ChallengeMessage>, Refused> {
    let pcrs = measured_pcrs(machine);
    if pcrs.is_empty() {
        return Ok(None);
    }
    let Some(ak) = &request.ak else {
        return judged(ctx, machine, address, Measured::Nothing).await;
    };
    let secret = ctx.key.get().ok_or(Refused::NotListed)?.derive(LABEL);
    let uid = machine.metadata.uid.as_deref().unwrap_or_default();
    let about = Challenge { machine: uid, ek: &request.ek, ak, pcrs: &pcrs };
    if request.quote.is_none() {
        let ticket = ChallengeSecret::new(now(), &ctx.random)?;
        return Ok(Some(challenge(&about, &secret, ticket, &ctx.random)?));
    }
    let signed = match verified(ctx, request, &about, &secret) {
        Ok(signed) => signed,
        Err(error) => {
            return judged(ctx, machine, address, Measured::Refused(&error.to_string())).await;
        }
    };
    // Logs are as long as others are not allowed to ask, and this TPM may ask again and again.
    let sent = if ctx.logs.may(&machine.name_any()) { rest.log().await } else { Sent::Nothing };
    let log = Log::of(&sent, signed);
    let values = signed.iter().map(|(index, value)| (*index, hex(value))).collect();
    judged(ctx, machine, address, Measured::Values(&values, log.lend())).await
}

/// The values that its TPM has signed.
fn verified<'a>(
    ctx: &Context,
    request: &'a Request,
    about: &Challenge<'_>,
    secret: &[u8; 32],
) -> Result<&'a Pcrs, QuoteError> {
    let (ticket, quote) = request.quote.as_ref().ok_or(QuoteError::Malformed)?;
    let (ak, pcrs): (&AttestationKey, &BTreeSet<u8>) = (about.ak, about.pcrs);
    quote.verify(ak, &about.nonce(secret, *ticket), pcrs)?;
    let now = now();
    if !ticket.is_valid(now) || !ctx.spent.spend(ticket.salt, ticket.expires, now) {
        return Err(QuoteError::Nonce);
    }
    Ok(&quote.pcrs)
}

/// Seconds since 1970, as in tickets.
fn now() -> u64 {
    Timestamp::now().as_second().unsigned_abs()
}

/// Records the verdict; an error, if the machine gets no token.
async fn judged(
    ctx: &Context,
    machine: &Arc<Machine>,
    address: IpAddr,
    measured: Measured<'_>,
) -> Result<Option<ChallengeMessage>, Refused> {
    let decide = |machine: &Machine| match judge_boot(machine, measured, Timestamp::now()) {
        Verdict::Admitted(status) => Decision { status, result: None },
        Verdict::Refused(refusal, status) => {
            let status = status.filter(|_| ctx.refused.may(&machine.name_any()));
            Decision { status, result: Some(refusal) }
        }
    };
    let Recorded { machine, result, is_news } = record(ctx, Arc::clone(machine), decide).await?;
    if is_news {
        publish_event(ctx, &machine, address, result).await;
    }
    result.map_or(Ok(None), |refusal| Err(Refused::Boot(refusal)))
}

async fn publish_event(
    ctx: &Context,
    machine: &Machine,
    address: IpAddr,
    refusal: Option<Refusal>,
) {
    let Some(refusal) = refusal else {
        let note = format!("{address} has booted what is allowed");
        return ctx.publish_event(machine, EventType::Normal, "BootVerified", &note).await;
    };
    let note = format!("{address} got no token: {}", refusal.reason());
    tracing::warn!(machine = machine.name_any(), note, "boot refused");
    ctx.publish_event(machine, EventType::Warning, refusal.reason(), &note).await;
}
