//! Which claim was observed to hold a server. Only the absence of an observed claim may ever count.
//!
//! The condition `ClaimBound` says that there was one, and since when; `status.boundClaim` says
//! which. Clients that write whole objects drop the field and keep the condition: then the time
//! decides, as a claim that was created later is another one. The next pass writes the field again.

use super::status::find;
use crate::conditions::{self, Fact};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use metal_api::{BoundClaim, ClaimReference, Server, ServerClaim, ServerStatus, condition};

/// How much the clocks of the API server and of this process may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// What is known of a claim that held this very object, by the name in `spec.serverClaimRef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen<'a> {
    /// None is known.
    Never,
    /// There was one at this time, whose UID is not known.
    At(Timestamp),
    /// There was one with this UID.
    Uid(&'a str),
}

impl Seen<'_> {
    /// Whether it was this claim.
    pub(crate) fn is(self, claim: &ServerClaim) -> bool {
        let meta = &claim.metadata;
        match self {
            Self::Never => false,
            Self::At(time) => {
                meta.creation_timestamp.as_ref().is_none_or(|created| created.0 <= time + SKEW)
            }
            Self::Uid(uid) => meta.uid.as_deref().is_some_and(|it| it == uid),
        }
    }
}

/// The claim in `spec.serverClaimRef`, if it was observed to hold this very object. What was
/// recorded before the object was created was restored from a backup with it.
pub(crate) fn seen_here(server: &Server) -> Seen<'_> {
    server.status.as_ref().map_or(Seen::Never, |status| seen_in(status, server))
}

/// Whether this claim is the last one that was observed to hold the server, whatever is in the
/// reference now.
pub(crate) fn bound_to(server: &Server, claim: &ServerClaim) -> bool {
    let Some(status) = &server.status else { return false };
    let known = find(&status.conditions, condition::CLAIM_BOUND)
        .filter(|bound| bound.status == "True")
        .and_then(|bound| recorded(status, bound));
    known.is_some_and(|known| known == Recorded::from(&identity(claim)))
}

/// Whether the claim in `spec.serverClaimRef` was observed here before.
pub(super) fn was_bound(new: &ServerStatus, server: &Server) -> bool {
    let referred = server.spec.server_claim_ref.as_ref().and_then(|claim| claim.uid.as_deref());
    match seen_in(new, server) {
        Seen::Never => false,
        Seen::At(_) => true,
        Seen::Uid(uid) => referred.is_none_or(|referred| referred == uid),
    }
}

/// Records that this claim was observed to hold the server.
pub(super) fn bound(new: &mut ServerStatus, server: &Server, claim: &ServerClaim, now: Timestamp) {
    let is_another = find(&new.conditions, condition::CLAIM_BOUND)
        .and_then(|bound| recorded(new, bound))
        .is_some_and(|known| known != Recorded::from(&identity(claim)));
    let claim = identity(claim);
    let message = format!("the server is bound to claim {}/{}", claim.namespace, claim.name);
    let fact =
        Fact { type_: condition::CLAIM_BOUND, holds: true, reason: "Bound", message: &message };
    conditions::set(&mut new.conditions, fact, new.observed_generation, now);
    new.bound_claim = Some(claim);
    let condition = new.conditions.iter_mut().find(|it| it.type_ == condition::CLAIM_BOUND);
    let Some(condition) = condition else { return };
    if !is_of_this_life(condition.last_transition_time.0, server) {
        // Clocks differ, and the condition must not seem older than the object.
        let created = server.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
        condition.last_transition_time = Time(now.max(created + SignedDuration::from_secs(1)));
    } else if is_another {
        condition.last_transition_time = Time(now);
    }
}

/// Records that no claim holds the server.
pub(super) fn unbound(new: &mut ServerStatus) {
    new.conditions.retain(|condition| condition.type_ != condition::CLAIM_BOUND);
    new.bound_claim = None;
}

fn seen_in<'a>(status: &'a ServerStatus, server: &Server) -> Seen<'a> {
    let bound = find(&status.conditions, condition::CLAIM_BOUND);
    let bound = bound
        .filter(|it| it.status == "True" && is_of_this_life(it.last_transition_time.0, server));
    let (Some(bound), Some(reference)) = (bound, &server.spec.server_claim_ref) else {
        return Seen::Never;
    };
    match recorded(status, bound) {
        Some(claim) if claim.is_named_by(reference) => Seen::Uid(claim.uid),
        Some(_) => Seen::Never,
        None => Seen::At(bound.last_transition_time.0),
    }
}

/// Whether something happened to this very object, and was not restored with it.
pub(super) fn is_of_this_life(at: Timestamp, server: &Server) -> bool {
    let created = server.metadata.creation_timestamp.as_ref();
    created.is_none_or(|created| at > created.0)
}

/// The identity of a claim, as it is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Recorded<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

impl Recorded<'_> {
    fn is_named_by(&self, reference: &ClaimReference) -> bool {
        self.namespace == reference.namespace && self.name == reference.name
    }
}

impl<'a> From<&'a BoundClaim> for Recorded<'a> {
    fn from(claim: &'a BoundClaim) -> Self {
        Self { namespace: &claim.namespace, name: &claim.name, uid: &claim.uid }
    }
}

/// Before the field existed, it was in the message of the condition: `namespace/name uid`.
fn recorded<'a>(status: &'a ServerStatus, bound: &'a Condition) -> Option<Recorded<'a>> {
    if let Some(claim) = &status.bound_claim {
        return Some(claim.into());
    }
    let (path, uid) = bound.message.split_once(' ')?;
    let (namespace, name) = path.split_once('/')?;
    Some(Recorded { namespace, name, uid })
}

fn identity(claim: &ServerClaim) -> BoundClaim {
    let meta = &claim.metadata;
    BoundClaim {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
    }
}
