//! Attestation: a machine proves its identity by its TPM, and gets a token for joining the cluster.

mod boot;
mod log;
mod received;

pub(crate) use received::LARGEST;

use crate::{
    Context,
    status_writes::{self, Decision, Recorded, record},
    tokens,
};
use axum::body::Body;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::Machine;
use metal_attest::{
    Answer, CertificateError, EndorsementKey, Request, RequestError, SealError, seal,
};
use metal_core::machine_identity::{Address, addresses};
use metal_machine::{
    attest::{
        Certificate, Claimed, Compared, MachineLookupError, Presented, Refusal, Verdict, pinned,
    },
    operations::{Ownership, ownership},
};
use received::Received;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Time limit for a request; shorter than the timeout of clients.
const DEADLINE: Duration = Duration::from_secs(20);

/// Time limit for reading its Machine from the API server.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a machine gets no token. The texts are sent to it, and reveal nothing about other machines.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Refused {
    /// Its request is invalid, or its keys are not those of a TPM.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Its request was not received completely.
    #[error("the body did not come completely")]
    Broken,
    /// The address of the client belongs to no Machine, or to several.
    #[error(transparent)]
    Lookup(#[from] MachineLookupError),
    /// Its endorsement key is not the pinned one.
    #[error("the endorsement key is not the pinned one")]
    KeyDiffers,
    /// Its endorsement key would be the first of a machine that has joined before.
    #[error("no endorsement key is pinned, so a person has to accept this one")]
    PinMissing,
    /// Its endorsement key would be the first, and is that of another machine.
    #[error("the endorsement key is that of another Machine, so a person has to accept it")]
    KeyOfAnother,
    /// Its endorsement key would be the first, and needs a certificate.
    #[error("the endorsement key needs a certificate: {0}")]
    Certificate(CertificateError),
    /// What it has booted is not allowed, or it sends no quote.
    #[error("no proof of a boot that is allowed: {}", .0.reason())]
    Boot(Refusal),
    /// The Node of its name is another machine.
    #[error("a Node has the name of this Machine, and none of its addresses")]
    NodeOfAnother,
    /// It has asked too often.
    #[error("too many requests: ask again in some minutes")]
    TooOften,
    /// Not everything is listed yet.
    #[error("not ready yet")]
    NotListed,
    /// The API server does not tell the current state of the machine.
    #[error("it is not known which key this machine has now")]
    #[strum(serialize = "Behind")]
    StaleCache,
    /// The status could not be written.
    #[error("the key could not be recorded")]
    Record(#[source] status_writes::Error),
    /// No token could be issued.
    #[error("the token could not be issued")]
    Token(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Encryption failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It took too long.
    #[error("it took too long")]
    Late,
}

impl From<tokens::Error> for Refused {
    fn from(error: tokens::Error) -> Self {
        Self::Token(Box::new(error))
    }
}

impl From<status_writes::Error> for Refused {
    fn from(error: status_writes::Error) -> Self {
        match error {
            status_writes::Error::Gone => Self::Lookup(MachineLookupError::Unknown),
            error => Self::Record(error),
        }
    }
}

impl Refused {
    /// The reason, from a small fixed set.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.into(),
            Self::Certificate(CertificateError::Missing) => Refusal::CertificateMissing.reason(),
            Self::Certificate(_) => Refusal::CertificateRefused.reason(),
            Self::Boot(refusal) => refusal.reason(),
            other => other.into(),
        }
    }
}

/// The response to a request with `body` from `address`.
///
/// The key is recorded before a token is issued; otherwise another client could get one as well.
///
/// # Errors
///
/// If it gets no token.
pub(crate) async fn answer(ctx: &Context, address: IpAddr, body: Body) -> Result<Answer, Refused> {
    let body = Received::begin(body).await?;
    let admitted = async {
        let place = ctx.attestations.acquire().await.map_err(|_| Refused::Late)?;
        let response = admit(ctx, address, body).await;
        drop(place);
        response
    };
    timeout(DEADLINE, admitted).await.unwrap_or(Err(Refused::Late))
}

async fn admit(ctx: &Context, address: IpAddr, body: Received) -> Result<Answer, Refused> {
    if !ctx.view.is_ready() {
        return Err(Refused::NotListed);
    }
    let machine = ctx.view.machine_at(address)?;
    let (request, rest) = body.request()?;
    let machine = current(ctx, &machine, address).await?;
    let node = ctx.view.nodes.named(None, &machine.name_any());
    if node.is_some_and(|node| ownership(&machine, &node) == Ownership::Another) {
        return Err(Refused::NodeOfAnother);
    }
    let machine = verify(ctx, machine, address, &request).await?;
    if let Some(challenge) = boot::challenged(ctx, &machine, address, (&request, rest)).await? {
        return Ok(Answer::Challenge { challenge });
    }
    if !ctx.issued.may(&machine.name_any()) {
        return Err(Refused::TooOften);
    }
    let token = ctx.tokens.issue(&machine).await?;
    let sealed = seal(&request, token.as_bytes(), &ctx.random)?;
    tracing::info!(machine = machine.name_any(), %address, "token issued");
    Ok(Answer::Token(sealed.into_response(ctx.cluster_ca.clone())))
}

/// The Machine as the API server has it at this moment. From a cache whose watch is interrupted, a key that was
/// replaced would still be admitted, and a boot that is no longer allowed, without a conflict that would reveal
/// it.
async fn current(ctx: &Context, seen: &Machine, address: IpAddr) -> Result<Arc<Machine>, Refused> {
    let live = ctx.live.read(&seen.name_any(), PATIENCE).await.ok_or(Refused::StaleCache)?;
    if live.metadata.uid != seen.metadata.uid || !is_at(&live, address) {
        return Err(MachineLookupError::Unknown.into());
    }
    Ok(live)
}

/// The verdict about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Admitted,
    Refused(Refusal),
    /// The Machine no longer has the address.
    Moved,
}

/// Whether the key is that of the machine; records it in the status first.
async fn verify(
    ctx: &Context,
    machine: Arc<Machine>,
    address: IpAddr,
    request: &Request,
) -> Result<Arc<Machine>, Refused> {
    let ek = &request.ek;
    let (pem, fingerprint) = (ek.to_pem(), ek.fingerprint());
    let certified = certified(ctx, request);
    let why = certified.as_ref().and_then(|it| it.err()).map(|it| it.to_string());
    let certificate = certificate(certified, why.as_deref().unwrap_or_default());
    // First keys are judged one at a time, each when it is known which Machine the one before was pinned for.
    let is_first = machine.status.as_ref().and_then(pinned).is_none();
    let turn = if is_first { Some(ctx.first_keys.lock().await) } else { None };
    let holder = ctx.view.holder_of(&machine, ek);
    let holder = holder.as_deref();
    let presented = Presented { pem: &pem, fingerprint: &fingerprint, certificate, holder };
    let decide = |machine: &Machine| {
        if !is_at(machine, address) {
            return Decision { status: None, result: Judged::Moved };
        }
        let node = ctx.view.nodes.named(None, &machine.name_any());
        let compare = |pin: &str| compare(ek, pin);
        let claimed = Claimed { machine, node: node.as_deref() };
        match claimed.judge(presented, compare, Timestamp::now()) {
            Verdict::Admitted(status) => Decision { status, result: Judged::Admitted },
            Verdict::Refused(refusal, status) => {
                Decision { status, result: Judged::Refused(refusal) }
            }
        }
    };
    let Decision { status, result } = decide(&machine);
    if status.is_some() && !ctx.verdicts.may(&machine.name_any()) {
        // A host that presents key after key is refused, and nothing is written about it. The pinned key is
        // recorded already, so its machine is not affected.
        outcome(result, certified)?;
        let pin = machine.status.as_ref().and_then(pinned);
        let is_pinned = pin.is_some_and(|pin| compare(ek, pin) == Compared::Same);
        return if is_pinned { Ok(machine) } else { Err(Refused::TooOften) };
    }
    let Recorded { machine, result, is_news } = record(ctx, machine, decide).await?;
    drop(turn);
    if is_news {
        publish_event(ctx, &machine, result, &note(result, address, presented)).await;
    }
    outcome(result, certified).map(|()| machine)
}

/// The response to the client.
fn outcome(result: Judged, certified: Option<Result<(), CertificateError>>) -> Result<(), Refused> {
    match result {
        Judged::Admitted => Ok(()),
        Judged::Refused(Refusal::CertificateMissing | Refusal::CertificateRefused) => {
            let error = certified.and_then(Result::err).unwrap_or(CertificateError::Missing);
            Err(Refused::Certificate(error))
        }
        Judged::Refused(Refusal::KeyDiffers | Refusal::KeyNotExpected | Refusal::PinUnreadable) => {
            Err(Refused::KeyDiffers)
        }
        Judged::Refused(Refusal::PinMissing) => Err(Refused::PinMissing),
        Judged::Refused(Refusal::KeyOfAnother) => Err(Refused::KeyOfAnother),
        Judged::Refused(refusal) => Err(Refused::Boot(refusal)),
        Judged::Moved => Err(MachineLookupError::Unknown.into()),
    }
}

/// Whether a root vouches for the key; `None` if no roots are configured.
fn certified(ctx: &Context, request: &Request) -> Option<Result<(), CertificateError>> {
    let roots = ctx.ek_roots.as_ref()?.borrow().clone();
    let now = Timestamp::now().as_duration().unsigned_abs();
    Some(roots.verify(&request.ek, &request.certificates, now))
}

fn certificate(certified: Option<Result<(), CertificateError>>, why: &str) -> Certificate<'_> {
    match certified {
        None => Certificate::NotAsked,
        Some(Ok(())) => Certificate::Trusted,
        Some(Err(CertificateError::Missing)) => Certificate::Missing,
        Some(Err(_)) => Certificate::Refused(why),
    }
}

fn compare(ek: &EndorsementKey, pin: &str) -> Compared {
    match ek.is_in(pin) {
        Ok(true) => Compared::Same,
        Ok(false) => Compared::Differs,
        Err(_) => Compared::Unreadable,
    }
}

/// Whether the Machine still has that address.
fn is_at(machine: &Machine, address: IpAddr) -> bool {
    let has_address = match address.to_canonical() {
        IpAddr::V4(address) => addresses(machine).contains(&Address::Ip(address)),
        IpAddr::V6(_) => false,
    };
    has_address && machine.metadata.deletion_timestamp.is_none()
}

/// Publishes an event about the change of the status.
async fn publish_event(ctx: &Context, machine: &Machine, result: Judged, note: &str) {
    let Judged::Refused(refusal) = result else {
        return ctx.publish_event(machine, EventType::Normal, "KeyVerified", note).await;
    };
    tracing::warn!(machine = machine.name_any(), note, "endorsement key refused");
    ctx.publish_event(machine, EventType::Warning, refusal.reason(), note).await;
}

/// The note of an event about a presented key.
fn note(result: Judged, address: IpAddr, presented: Presented<'_>) -> String {
    let key = format!("the endorsement key with SHA-256 {}", presented.fingerprint);
    let Judged::Refused(refusal) = result else { return format!("{address} presented {key}") };
    match (refusal, presented.certificate) {
        (Refusal::PinMissing, _) => {
            format!("{address} presented {key}, and none is pinned for this Node, which is ready")
        }
        (Refusal::KeyOfAnother, _) => {
            let holder = presented.holder.unwrap_or_default();
            format!("{address} presented {key}, which is pinned for the Machine {holder}")
        }
        (Refusal::CertificateMissing, _) => {
            format!("{address} presented {key}, without a certificate")
        }
        (Refusal::CertificateRefused, Certificate::Refused(why)) => {
            format!("{address} presented {key}, with a certificate that is refused: {why}")
        }
        _ => format!("{address} presented, instead of the pinned key, {key}"),
    }
}
