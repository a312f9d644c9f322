//! Whether a claim is the one that `Server.spec.serverClaimRef` means.

use crate::server::{Seen, bound_to, seen_here};
use metal_api::{ClaimPhase, Server, ServerClaim};

/// What a claim is to a server whose `spec.serverClaimRef` has its namespace and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The one that was bound.
    Same,
    /// The one that was bound, restored from a backup together with the server: it has another UID.
    Restored,
    /// Another one of the same name: the disks of the server are not for it.
    Other,
}

impl Binding {
    /// Whether the claim holds the server.
    pub fn holds(self) -> bool {
        self != Self::Other
    }
}

/// Judges a claim by its UID. Clients that do not know `serverClaimRef.uid` drop it: then that claim
/// counts that was seen here before, and without one, which server the claim itself names.
///
/// A UID that does not fit means that the claim was deleted and made again, unless nobody here has
/// ever seen the one that was bound, and the claim names this server: then both were restored.
pub fn binding(server: &Server, claim: &ServerClaim) -> Binding {
    let reference = server.spec.server_claim_ref.as_ref();
    let referred = reference.and_then(|reference| reference.uid.as_ref());
    let seen = seen_here(server);
    let named = claim.spec.server_ref.as_ref().map(|server| &server.name);
    let names_it = named.is_some() && named == server.metadata.name.as_ref();
    match referred {
        Some(uid) if claim.metadata.uid.as_ref() == Some(uid) => Binding::Same,
        // It was recorded already, and the reference is still to be written.
        Some(_) if seen.is(claim) => Binding::Restored,
        Some(_) if names_it && seen == Seen::Never => Binding::Restored,
        None if seen.is(claim) => Binding::Same,
        None if seen == Seen::Never && (named.is_none() || names_it) => Binding::Same,
        None | Some(_) => Binding::Other,
    }
}

/// Whether a claim has a server whose `spec.serverClaimRef` is empty: somebody has dropped that, or the
/// server was made again. What runs there is the claim's, and the reference is to be written again. A
/// person who wants the server free deletes the claim.
pub fn misses(claim: &ServerClaim, server: &Server) -> bool {
    let named = claim.spec.server_ref.as_ref().map(|server| &server.name);
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_ref());
    server.spec.server_claim_ref.is_none()
        && server.metadata.deletion_timestamp.is_none()
        && claim.metadata.deletion_timestamp.is_none()
        && named.is_some()
        && named == server.metadata.name.as_ref()
        && (phase == Some(&ClaimPhase::Bound) || bound_to(server, claim))
}
