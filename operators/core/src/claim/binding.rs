//! Whether a claim is the one that `Server.spec.serverClaimRef` refers to.

use crate::server::{Seen, bound_to, seen_here};
use metal_api::{ClaimPhase, Server, ServerClaim};

/// The relation of a claim to a server whose `spec.serverClaimRef` has its namespace and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The claim that was bound.
    Same,
    /// The claim that was bound, restored from a backup together with the server, with another UID.
    Restored,
    /// Another claim of the same name, which must not get the server's disks.
    Other,
}

impl Binding {
    /// Whether the claim holds the server.
    pub fn holds(self) -> bool {
        self != Self::Other
    }
}

/// Judges a claim by its UID. Clients that do not know `serverClaimRef.uid` drop it: then the claim
/// that was observed here counts, and without one, the server that the claim itself names.
///
/// A UID that does not match means that the claim was deleted and recreated, unless the claim that
/// was bound was never observed here and this claim names this server: then both were restored.
pub fn binding(server: &Server, claim: &ServerClaim) -> Binding {
    let reference = server.spec.server_claim_ref.as_ref();
    let referred = reference.and_then(|reference| reference.uid.as_ref());
    let seen = seen_here(server);
    let named = claim.spec.server_ref.as_ref().map(|server| &server.name);
    let names_it = named.is_some() && named == server.metadata.name.as_ref();
    match referred {
        Some(uid) if claim.metadata.uid.as_ref() == Some(uid) => Binding::Same,
        // It was recorded already; the reference has yet to be written.
        Some(_) if seen.is(claim) => Binding::Restored,
        Some(_) if names_it && seen == Seen::Never => Binding::Restored,
        None if seen.is(claim) => Binding::Same,
        None if seen == Seen::Never && (named.is_none() || names_it) => Binding::Same,
        None | Some(_) => Binding::Other,
    }
}

/// Whether a claim has a server whose `spec.serverClaimRef` is empty, because somebody dropped it
/// or the server was recreated. The running host is the claim's, so the reference is to be written
/// again. To free the server, a person deletes the claim.
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
